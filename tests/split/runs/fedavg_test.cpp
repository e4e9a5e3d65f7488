// Federated averaging over every transport.

#include <doctest/doctest.h>

#include "iotsl/net/link/transfer_size.hpp"
#include "split/runs/fragile_run.hpp"
#include "split/runs/tcp_run.hpp"
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

}  // namespace

TEST_CASE("fedavg: with one device and one epoch it is plain training, optimiser begun anew") {
  const tiny::TwoDevices data;
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

TEST_CASE("fedavg: the same weights over every transport, rounds and metrics of a run") {
  const tiny::TwoDevices data;
  const RunConfig config = fedavg_config();
  const auto [none, inproc, tcp] =
      tiny::run_everywhere(config, data.train, data.test, data.samples);
  CHECK(fragile::history(inproc) == fragile::history(none));
  CHECK(fragile::history(tcp) == fragile::history(none));
  CHECK(none.bytes_up + none.bytes_down == 0);

  for (const RunSummary* run : {&none, &inproc, &tcp}) {
    REQUIRE(run->epochs.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
      const measure::EpochRecord& r = run->epochs[i];
      CHECK(r.epoch == i + 1);
      CHECK(r.round == i / 2);
      CHECK(r.device == i % 2);
      CHECK(r.samples == (i % 2 == 0 ? 25 : 16));
      CHECK(r.has_training);
      CHECK(r.evaluated == (i % 2 == 1));  // only the mean is tested
      CHECK((r.bytes_up > 0) == (run != &none));
      CHECK((r.bytes_down > 0) == (run != &none));
    }
  }
}

TEST_CASE("fedavg: its bytes are those that its messages should have") {
  const tiny::TwoDevices data;
  const RunConfig config = fedavg_config();
  const auto [none, inproc, tcp] =
      tiny::run_everywhere(config, data.train, data.test, data.samples);
  // The whole net goes down and up once for each device and round.
  const SplitModel model = build_split_model(config).value();
  std::uint64_t values = 0, buffers = 0;
  for (const auto& t : model.joined.parameters())
    values += static_cast<std::uint64_t>(t.tensor.size());
  for (const auto& t : model.joined.buffers())
    buffers += static_cast<std::uint64_t>(t.tensor.size());
  for (const RunSummary* run : {&inproc, &tcp}) {
    const measure::ByteBill& bill = run->bill;
    CHECK(run->values_formula == 6 * values);
    CHECK(bill.formula() == 4 * run->values_formula);
    CHECK(bill.front == 6 * 4 * values);
    CHECK(bill.front_relay == bill.front);
    CHECK(bill.batch_norm == 2 * 6 * 4 * buffers);
    CHECK(bill.optimizer + bill.smashed + bill.labels + bill.gradient == 0);
    CHECK(bill.total() == run->bytes_up + run->bytes_down);
    CHECK(bill.fields == inproc.bill.fields);
  }

  // All of them, to the byte: in memory there are no heartbeats.
  const auto frame = [](const auto& fields) {
    return net::header_bytes + net::encode(fields).size();
  };
  net::GlobalModel global;
  global.model = model_state(model.joined);
  net::LocalModel local;
  local.results.resize(1);
  local.costs.resize(1);
  local.model = global.model;
  std::uint64_t up = 6 * net::transfer_bytes(local.type, net::encode(local).size(), 0);
  std::uint64_t down = 6 * (net::transfer_bytes(global.type, net::encode(global).size(), 0) +
                            frame(net::TurnCommitted{}));
  for (std::size_t d = 0; d < 2; ++d) {
    const DeviceIdentity identity = tiny::identity(config, data.train, data.samples[d], d);
    net::Hello hello;
    hello.device = identity.name;
    hello.dataset = identity.dataset;
    up += frame(hello) + frame(net::Join{}) + frame(net::LabelHist{identity.label_counts});
    const net::Message layers = describe_front(model.joined).value();
    down += frame(make_offer(config, model.front)) + frame(net::JoinOk{}) +
            net::transfer_bytes(layers.type, layers.payload.size(), 0) +
            frame(net::Bye{"the run is complete"});
  }
  CHECK(inproc.bytes_up == up);
  CHECK(inproc.bytes_down == down);
  CHECK(tcp.bytes_up >= up);
  CHECK(tcp.bytes_down >= down);
}

TEST_CASE("fedavg: a fault at any message changes nothing") {
  using fragile::Fault;
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 17), tiny::range(17, 24),
                                                tiny::range(24, 41)};
  RunConfig config = fedavg_config();
  config.devices = 3;
  config.training.epochs = 9;
  config.offline_seconds = 0;
  fragile::check_faults(config, {}, train, test, samples, Fault::cut, 0, 2);
  fragile::check_faults(config, {}, train, test, samples, Fault::device_dies, 1, 2);
  fragile::check_faults(config, {}, train, test, samples, Fault::server_dies, 0, 1);
}

TEST_CASE("fedavg: a round's result does not depend on the order of its devices") {
  const tiny::TwoDevices data;
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
    LocalTraining training(config.training, config.seed, data.train,
                           data.samples[static_cast<std::size_t>(device)], device,
                           build_split_model(config)->joined);
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
  const tiny::TwoDevices data;
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
  const tiny::TwoDevices data;
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
      return ++s->steps >= s->after;
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
  const tiny::TwoDevices data;
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
  const tiny::TwoDevices data;
  RunConfig config = fedavg_config();
  const auto error = [&] {
    const auto run = run_one_net(config, {}, data.train, data.test, data.samples);
    return run.ok() ? std::string("no error") : run.failure().message;
  };
  config.training.epochs = 5;
  CHECK(error() ==
        "--epochs 5: expected a multiple of 2, a round of --method fedavg, which ends in "
        "a mean");
  config.training.epochs = 6;
  config.training.replay = 4;
  CHECK(error() == "--replay 4: for split learning only, not for --method fedavg");
  config.training.replay = 0;
  config.devices = 3;
  CHECK(error() == "--devices 3, but the partition has 2");
}

}  // namespace fedavg_test
