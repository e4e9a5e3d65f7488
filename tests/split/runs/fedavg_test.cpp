// Federated averaging: the mean, and runs over every transport.

#include <doctest/doctest.h>

#include "iotsl/net/transfer_size.hpp"
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

/// A server whose devices, number d at connection d + 1, do what a test says.
struct ServerByHand : ServerTransport {
  ServerByHand(const RunConfig& run_config, const Data& run_data)
      : config(run_config), data(run_data) {
    auto created = ServerRun::create(config, {}, data.test, {}, *this);
    REQUIRE_MESSAGE(created.ok(), created.failure().message);
    run = std::move(created).value();
  }
  void send(ConnectionId connection, net::Message message) override {
    sent.emplace_back(connection, std::move(message));
  }
  void close(ConnectionId) override {}
  LinkTraffic traffic(ConnectionId) override { return {}; }
  LinkTraffic total() override { return {}; }

  std::size_t count(net::MessageType type) const {
    return static_cast<std::size_t>(std::count_if(
        sent.begin(), sent.end(), [&](const auto& each) { return each.second.type == type; }));
  }
  /// The last message of the type that went to the device.
  const net::Message& last(std::size_t d, net::MessageType type) const {
    const auto at = std::find_if(sent.rbegin(), sent.rend(), [&](const auto& each) {
      return each.first == d + 1 && each.second.type == type;
    });
    REQUIRE(at != sent.rend());
    return at->second;
  }
  net::GlobalModel global_model(std::size_t d) const {
    return net::decode<net::GlobalModel>(last(d, net::MessageType::global_model).payload).value();
  }

  void join(std::size_t d, const net::Position& position = {}) {
    const DeviceIdentity identity = tiny::identity(config, data.train, data.samples[d], d);
    run->on_open(d + 1);
    net::Hello hello;
    hello.device = identity.name;
    hello.index = identity.index;
    hello.dataset = identity.dataset;
    hello.samples = identity.samples();
    hello.data_fingerprint = identity.data_fingerprint;
    hello.position = position;
    run->on_message(d + 1, net::make_message(hello));
    const auto ok = net::decode<net::HelloOk>(last(d, net::MessageType::hello_ok).payload);
    run->on_message(d + 1, net::make_message(net::Join{ok->run}));
    run->on_message(d + 1, net::make_message(net::LabelHist{identity.label_counts}));
    if (position.key.run != 0) run->on_message(d + 1, net::make_message(net::Resume{position, 1}));
  }
  /// LOCAL_MODEL of what was sent to the device.
  net::Message train(std::size_t d) const {
    LocalTraining training(config.training, config.seed, data.train, data.samples[d],
                           static_cast<Index>(d), build_split_model(config)->joined);
    REQUIRE(training.begin(global_model(d)).ok());
    while (!training.done()) REQUIRE(training.step().ok());
    net::Message out = net::make_message(training.finish());
    out.digest = sha256(out.payload);
    return out;
  }
  /// The net of a LOCAL_MODEL.
  Sequential<float> net_of(const net::Message& local_model) const {
    Sequential<float> out = build_split_model(config)->joined;
    Optimizer<float> none;
    const auto model = net::decode<net::LocalModel>(local_model.payload);
    REQUIRE(load_front_state(model->model, out, none, 0).ok());
    return out;
  }

  RunConfig config;
  const Data& data;
  std::unique_ptr<ServerRun> run;
  std::vector<std::pair<ConnectionId, net::Message>> sent;
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

TEST_CASE("fedavg: the same weights over every transport, rounds and metrics of a run") {
  const Data data;
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
  const Data data;
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

TEST_CASE("fedavg: a cut or a death at any message changes nothing") {
  using fragile::Fault;
  const data::Dataset train = tiny::dataset(41, 1), test = tiny::dataset(24, 2);
  const std::vector<std::vector<Index>> samples{tiny::range(0, 17), tiny::range(17, 24),
                                                tiny::range(24, 41)};
  RunConfig config = fedavg_config();
  config.devices = 3;
  config.training.epochs = 9;
  config.offline_seconds = 0;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    fragile::check_faults(config, {}, train, test, samples, fault, 0, 1);
}

TEST_CASE("fedavg: a server that is started again takes the nets of the devices that are left") {
  const Data data;
  const TemporaryFolder folder;
  RunConfig config = fedavg_config();
  config.training.epochs = 2;
  config.out = folder / "run";
  std::vector<net::Message> trained;
  std::vector<net::Position> positions;
  {
    ServerByHand before(config, data);
    for (std::size_t d = 0; d < 2; ++d) before.join(d);
    for (std::size_t d = 0; d < 2; ++d) {
      trained.push_back(before.train(d));
      positions.push_back({before.global_model(d).key, 1, 0});
    }
  }  // it dies before it has heard of either
  config.resume = true;
  ServerByHand after(config, data);
  for (std::size_t d = 0; d < 2; ++d) after.join(d, positions[d]);
  CHECK(after.count(net::MessageType::global_model) == 0);
  // The second is first.
  after.run->on_message(2, trained[1]);
  CHECK(after.count(net::MessageType::turn_committed) == 0);
  after.run->on_message(1, trained[0]);
  CHECK(after.count(net::MessageType::turn_committed) == 2);
  CHECK(after.run->done());
  const auto summary = after.run->finish({});
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  config.out.clear();
  config.resume = false;
  CHECK(fragile::history(*summary) ==
        fragile::history(run_one_net(config, {}, data.train, data.test, data.samples).value()));
}

TEST_CASE("fedavg: who stays away is left out of the round's mean, which is tested all the same") {
  const Data data;
  for (const std::size_t away : {0u, 1u}) {
    const TemporaryFolder folder;
    RunConfig config = fedavg_config();
    config.training.epochs = 2;
    config.out = folder / "run";
    config.offline_seconds = 1;
    ServerByHand server(config, data);
    for (std::size_t d = 0; d < 2; ++d) server.join(d);
    const std::size_t here = 1 - away;
    const net::Message answer = server.train(here);
    server.run->on_lost(away + 1);
    server.run->on_message(here + 1, answer);
    CHECK_FALSE(server.run->done());
    const net::Microseconds now = net::steady_now();
    server.run->on_time(now);
    server.run->on_time(now + 2 * net::second_us);
    CHECK(server.run->done());
    const auto summary = server.run->finish({});
    REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
    CHECK(summary->weights_sha256 == state_sha256(server.net_of(answer)));
    REQUIRE(summary->epochs.size() == 2);
    for (std::size_t d = 0; d < 2; ++d) {
      CHECK(summary->epochs[d].skipped == (d == away));
      CHECK(summary->epochs[d].has_training == (d != away));
      CHECK((summary->epochs[d].values_formula == 0) == (d == away));
    }
    CHECK(summary->epochs[1].evaluated);
    // The barrier of a turn that was skipped is one to go on from.
    config.resume = true;
    const auto again = run_one_net(config, {}, data.train, data.test, data.samples);
    REQUIRE_MESSAGE(again.ok(), again.failure().message);
    CHECK(fragile::history(*again) == fragile::history(*summary));
    CHECK(again->epochs[away].skipped);
  }
}

TEST_CASE("fedavg: a net with NaN is refused, and the run waits for a better one") {
  const Data data;
  RunConfig config = fedavg_config();
  config.training.epochs = 2;
  ServerByHand server(config, data);
  for (std::size_t d = 0; d < 2; ++d) server.join(d);
  const net::Message good = server.train(0);
  auto answer = net::decode<net::LocalModel>(good.payload).value();
  Tensor<float> bad =
      Tensor<float>::zeros(build_split_model(config)->joined.parameters()[0].tensor.shape());
  bad.mutable_data()[0] = std::numeric_limits<float>::quiet_NaN();
  answer.model.tensors[0].values = bytes_of(bad);
  server.run->on_message(1, net::make_message(answer));
  const auto error = net::decode<net::ErrorMessage>(server.sent.back().second.payload);
  REQUIRE(error.ok());
  CHECK(error->text ==
        "LOCAL_MODEL of device 'device-0': front state: 'features.0.weight' has NaN or Inf");
  server.run->on_message(2, server.train(1));
  CHECK(server.count(net::MessageType::turn_committed) == 0);
  server.join(0);
  server.run->on_message(1, server.train(0));
  CHECK(server.count(net::MessageType::turn_committed) == 2);
  const auto summary = server.run->finish({});
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(fragile::history(*summary) ==
        fragile::history(run_one_net(config, {}, data.train, data.test, data.samples).value()));
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
}

TEST_CASE("fedavg: a net of another form, or with NaN, is not kept") {
  const RunConfig config = fedavg_config();
  const SplitModel model = build_split_model(config).value();
  RoundModels rounds(model.joined, 2);
  const std::string before = state_sha256(model.joined);
  const auto refusal = [&](auto change) {
    server_action::KeepModel action;
    action.device = 1;
    action.model.samples = 5;
    action.model.model = model_state(model.joined);
    change(action.model.model);
    const Result<void> kept = rounds.keep(action);
    return kept ? std::string() : kept.failure().message;
  };
  Tensor<float> bad = Tensor<float>::zeros(model.joined.parameters()[0].tensor.shape());
  bad.mutable_data()[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(refusal([&](net::FrontState& state) { state.tensors[0].values = bytes_of(bad); }) ==
        "front state: 'features.0.weight' has NaN or Inf");
  CHECK(refusal([](net::FrontState& state) {
          state.tensors[0].shape = {1, 1, 3, 12};
        }) ==
        "front state: tensor 0 is 'features.0.weight', expected 'features.0.weight' of another "
        "shape or role");
  CHECK(refusal([](net::FrontState& state) { state.tensors.pop_back(); }).find("expected") !=
        std::string::npos);
  CHECK(refusal([](net::FrontState& state) {
          state.counters[0].name = "x";
        }).starts_with("front state: counter 0 is 'x'"));
  CHECK(refusal([](net::FrontState& state) {
          state.optimizer_steps = 1;
        }).starts_with("front state: its optimiser has taken 1 steps"));
  // Where nobody has answered in a round, its net stays.
  server_action::AverageModel skipped;
  skipped.barrier.report = begin_report(1, 2, 1, 0);
  skipped.barrier.report.skipped = true;
  skipped.ends_round = true;
  rounds.average(skipped);
  CHECK(state_sha256(model.joined) == before);
  CHECK(refusal([](net::FrontState&) {}).empty());
}

}  // namespace fedavg_test
