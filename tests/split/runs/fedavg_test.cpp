#include <doctest/doctest.h>

#include "iotsl/split/simulate/run_inproc.hpp"
#include "iotsl/split/simulate/run_one_net.hpp"
#include "split/runs/tiny_run.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace fedavg_test {

namespace {

RunConfig fedavg_config() {
  RunConfig config = tiny::config();
  config.method = Method::federated_averaging;
  config.training.epochs = 6;
  return config;
}

/// A net with a batch norm, so that there are buffers and counters, all values near `value`.
Sequential<float> net_near(float value, std::int64_t batches) {
  RunConfig config = tiny::config();
  config.model.width = 2;
  Sequential<float> net = build_split_model(config)->joined;
  const auto fill = [&](const NamedTensor<float>& named) {
    Tensor<float> tensor = named.tensor;
    for (Index i = 0; i < tensor.size(); ++i)
      tensor.mutable_data()[i] = value + static_cast<float>(i % 4);
  };
  for (const auto& t : net.parameters()) fill(t);
  for (const auto& t : net.buffers()) fill(t);
  auto counters = net.counters();
  for (auto& c : counters) c.counter.set(batches);
  return net;
}

struct Data {
  data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  std::vector<std::vector<Index>> samples{tiny::range(0, 25), tiny::range(25, 41)};
};

}  // namespace

TEST_CASE("fedavg: the mean is weighted by samples and covers the running statistics") {
  const Sequential<float> a = net_near(1, 5), b = net_near(5, 9), out = net_near(0, 0);
  ModelMean mean(out);
  mean.add(model_state(a), 3);
  mean.add(model_state(b), 1);
  mean.store(out);
  const auto check = [](const NamedTensor<float>& named) {
    for (Index i = 0; i < named.tensor.size(); ++i)
      CHECK(named.tensor.data()[i] == 2.0f + static_cast<float>(i % 4));
  };
  for (const auto& t : out.parameters()) check(t);
  REQUIRE(!out.buffers().empty());
  for (const auto& t : out.buffers()) check(t);
  for (const auto& c : out.counters()) CHECK(c.counter.value() == 9);
  // It begins again: the mean of one net is that net.
  mean.add(model_state(b), 7);
  mean.store(out);
  CHECK(state_sha256(out) == state_sha256(b));
}

TEST_CASE("fedavg: a sum under way comes back from its parts") {
  const Sequential<float> a = net_near(1, 5), b = net_near(5, 9);
  const Sequential<float> one = net_near(0, 0), two = net_near(0, 0);
  ModelMean first(one), second(two);
  first.add(model_state(a), 3);
  const auto from = first.parts(), to = second.parts();
  REQUIRE(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    REQUIRE(from[i].bytes == to[i].bytes);
    std::memcpy(to[i].data, from[i].data, from[i].bytes);
  }
  for (ModelMean* mean : {&first, &second}) mean->add(model_state(b), 2);
  first.store(one);
  second.store(two);
  CHECK(state_sha256(one) == state_sha256(two));
  CHECK(state_sha256(one) != state_sha256(b));
}

TEST_CASE("fedavg: with one device and one epoch it is plain training, optimiser begun anew") {
  const Data data;
  RunConfig config = fedavg_config();
  config.devices = 1;
  config.training.epochs = config.training.local_epochs = 1;
  const auto fedavg = run_one_net(config, {}, data.train, data.test, {tiny::range(0, 41)});
  REQUIRE_MESSAGE(fedavg.ok(), fedavg.failure().message);
  config.method = Method::central;
  const auto central = run_one_net(config, {}, data.train, data.test, {tiny::range(0, 41)});
  REQUIRE(central.ok());
  CHECK(fedavg->weights_sha256 == central->weights_sha256);
  CHECK(fedavg->epochs[0].loss == central->epochs[0].loss);
  CHECK(fedavg->final_test_accuracy == central->final_test_accuracy);
}

TEST_CASE("fedavg: rounds, metrics and bytes of a run") {
  const Data data;
  RunConfig config = fedavg_config();
  const auto inproc = run_inproc(config, {}, data.train, data.test, data.samples);
  REQUIRE_MESSAGE(inproc.ok(), inproc.failure().message);
  const auto none = run_one_net(config, {}, data.train, data.test, data.samples);
  REQUIRE_MESSAGE(none.ok(), none.failure().message);
  CHECK(none->weights_sha256 == inproc->weights_sha256);
  CHECK(none->bytes_up + none->bytes_down == 0);

  REQUIRE(inproc->epochs.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    const measure::EpochRecord& r = inproc->epochs[i];
    CHECK(r.epoch == i + 1);
    CHECK(r.round == i / 2);
    CHECK(r.device == i % 2);
    CHECK(r.samples == (i % 2 == 0 ? 25 : 16));
    CHECK(r.has_training);
    CHECK(r.evaluated == (i % 2 == 1));  // only the mean is tested
    CHECK(r.loss == none->epochs[i].loss);
    CHECK(r.test_accuracy == none->epochs[i].test_accuracy);
    CHECK(r.bytes_up > 0);
    CHECK(r.bytes_down > 0);
  }
  // The whole net goes down and up once for each device and round.
  const SplitModel model = build_split_model(config).value();
  std::uint64_t values = 0, buffers = 0;
  for (const auto& t : model.joined.parameters())
    values += static_cast<std::uint64_t>(t.tensor.size());
  for (const auto& t : model.joined.buffers())
    buffers += static_cast<std::uint64_t>(t.tensor.size());
  const measure::ByteBill& bill = inproc->bill;
  CHECK(inproc->values_formula == 6 * values);
  CHECK(bill.formula() == 4 * inproc->values_formula);
  CHECK(bill.front == 6 * 4 * values);
  CHECK(bill.front_relay == bill.front);
  CHECK(bill.batch_norm == 2 * 6 * 4 * buffers);
  CHECK(bill.optimizer + bill.smashed + bill.labels + bill.gradient == 0);
  CHECK(bill.total() == inproc->bytes_up + inproc->bytes_down);
  CHECK(bill.fields < bill.front / 4);
}

TEST_CASE("fedavg: a round's result does not depend on the order of its devices") {
  const Data data;
  RunConfig config = fedavg_config();
  config.training.epochs = 2;
  config.training.optimizer = {.kind = OptimizerKind::sgd, .lr = 0.01};
  const auto run = run_one_net(config, {}, data.train, data.test, data.samples);
  REQUIRE(run.ok());
  // By hand: both from the seed's weights, then the mean.
  const SplitModel start = build_split_model(config).value();
  const Sequential<float> out = build_split_model(config)->joined;
  ModelMean mean(out);
  for (const Index device : {Index{1}, Index{0}}) {
    FedavgDevice training(config, data.train, data.samples[static_cast<std::size_t>(device)],
                          device, build_split_model(config)->joined);
    net::GlobalModel global;
    global.first_step = device == 0 ? 0 : 3;
    global.order_seed = config.seed;
    global.learning_rate = 0.01;
    global.model = model_state(start.joined);
    REQUIRE(training.begin(global).ok());
    while (!training.done()) REQUIRE(training.step().ok());
    const net::LocalModel answer = training.finish();
    CHECK(answer.steps == (device == 0 ? 3 : 2));
    mean.add(answer.model, answer.samples);
  }
  mean.store(out);
  CHECK(state_sha256(out) == run->weights_sha256);
}

TEST_CASE("fedavg: it learns, and several local epochs count as such") {
  const Data data;
  RunConfig config = fedavg_config();
  config.training.epochs = 40;
  config.training.local_epochs = 2;
  config.training.eval_every = 1;
  config.training.optimizer.lr = 3e-3;
  const auto run = run_one_net(config, {}, data.train, data.test, data.samples);
  REQUIRE_MESSAGE(run.ok(), run.failure().message);
  REQUIRE(run->epochs.size() == 40);
  CHECK(run->epochs[39].loss < 0.5 * run->epochs[0].loss);
  CHECK(run->final_test_accuracy > 0.5);
  CHECK(run->epochs[1].loss < run->epochs[0].loss);  // the same device's second epoch
  int evaluations = 0;
  for (const auto& r : run->epochs) evaluations += r.evaluated;
  CHECK(evaluations == 10);
}

TEST_CASE("fedavg: a run that was stopped goes on, wherever it was") {
  const Data data;
  const TemporaryFolder folder;
  RunConfig config = fedavg_config();
  config.training.schedule = Schedule::cosine;
  const auto whole = run_one_net(config, {}, data.train, data.test, data.samples);
  REQUIRE(whole.ok());
  // The devices of a round have one rate, whoever is first.
  for (const auto& r : whole->epochs)
    CHECK(r.learning_rate ==
          config.turn_rate(r.round * static_cast<std::uint64_t>(config.devices)));
  CHECK(whole->epochs.back().learning_rate < whole->epochs.front().learning_rate);
  for (const int after : {1, 2, 4, 5, 7}) {
    config.out = folder / std::to_string(after);
    config.resume = false;
    struct Stop {
      int steps, after;
    } stop{0, after};
    RunHooks hooks;
    hooks.context = &stop;
    hooks.should_stop = [](void* self) {
      auto* s = static_cast<Stop*>(self);
      return ++s->steps == s->after;
    };
    const auto stopped = run_inproc(config, hooks, data.train, data.test, data.samples);
    REQUIRE_FALSE(stopped.ok());
    CHECK(stopped.failure().message.find("go on with --resume") != std::string::npos);
    config.resume = true;
    const auto resumed = run_inproc(config, {}, data.train, data.test, data.samples);
    REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
    CHECK(resumed->weights_sha256 == whole->weights_sha256);
    REQUIRE(resumed->epochs.size() == whole->epochs.size());
    for (std::size_t i = 0; i < whole->epochs.size(); ++i) {
      CHECK(resumed->epochs[i].loss == whole->epochs[i].loss);
      CHECK(resumed->epochs[i].test_accuracy == whole->epochs[i].test_accuracy);
    }
  }
}

TEST_CASE("fedavg: a net without running statistics") {
  const Data data;
  const TemporaryFolder folder;
  RunConfig config = fedavg_config();
  config.model.name = "vanilla5";
  config.training.epochs = 2;
  config.out = folder / "run";
  const auto run = run_inproc(config, {}, data.train, data.test, data.samples);
  REQUIRE_MESSAGE(run.ok(), run.failure().message);
  CHECK(run->bill.batch_norm == 0);
  config.resume = true;  // nothing is left to train
  const auto again = run_inproc(config, {}, data.train, data.test, data.samples);
  REQUIRE_MESSAGE(again.ok(), again.failure().message);
  CHECK(again->weights_sha256 == run->weights_sha256);
  CHECK(again->epochs.size() == 2);
}

TEST_CASE("fedavg: what does not fit is refused") {
  const Data data;
  RunConfig config = fedavg_config();
  const auto error = [&] {
    const auto run = run_one_net(config, {}, data.train, data.test, data.samples);
    return run.ok() ? std::string("no error") : run.failure().message;
  };
  config.training.epochs = 5;
  CHECK(error() ==
        "--epochs 5: expected a multiple of 2, a round of --method fedavg, which all devices take "
        "part in");
  config.training.epochs = 6;
  config.training.replay = 4;
  CHECK(error() == "--replay 4: for split learning only, not for --method fedavg");
  config.training.replay = 0;
  config.devices = 3;
  CHECK(error() == "--devices 3, but the partition has 2");

  // Answers that do not belong to what was sent.
  config = fedavg_config();
  const SplitModel model = build_split_model(config).value();
  net::GlobalModel sent;
  sent.model = model_state(model.joined);
  net::LocalModel answer;
  answer.samples = 25;
  answer.steps = 3;
  answer.results.resize(1);
  answer.costs.resize(1);
  answer.model = sent.model;
  CHECK(check_local_model(answer, sent, 25, 3, 1).ok());
  CHECK(check_local_model(answer, sent, 24, 3, 1).failure().message ==
        "LOCAL_MODEL of turn 0: 25 samples, 3 steps, 1 epochs; expected turn 0: 24 samples, 3 "
        "steps, 1 epochs");
  answer.key.turn = 1;
  CHECK_FALSE(check_local_model(answer, sent, 25, 3, 1).ok());
  answer.key.turn = 0;
  Tensor<float> bad = Tensor<float>::zeros(model.joined.parameters()[0].tensor.shape());
  bad.mutable_data()[0] = std::numeric_limits<float>::infinity();
  answer.model.tensors[0].values = bytes_of(bad);
  CHECK(check_local_model(answer, sent, 25, 3, 1).failure().message ==
        "front state: 'features.0.weight' has NaN or Inf");
  answer.model.tensors.pop_back();
  CHECK_FALSE(check_local_model(answer, sent, 25, 3, 1).ok());
}

}  // namespace fedavg_test
