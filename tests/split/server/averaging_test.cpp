// The server's run of federated averaging, with devices that do what a test says.

#include "split/runs/fragile_run.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace averaging_test {

namespace {

/// Two devices, one round.
RunConfig one_round() {
  RunConfig out = tiny::config();
  out.method = Method::federated_averaging;
  out.training.epochs = 2;
  return out;
}

/// A server whose devices, number d at connection d + 1, do what a test says.
struct ServerByHand : ServerTransport {
  ServerByHand(const RunConfig& run_config, const tiny::TwoDevices& run_data)
      : config(run_config), data(run_data) {
    auto created = ServerRun::create(config, {}, data.test, {}, *this);
    REQUIRE_MESSAGE(created.ok(), created.failure().message);
    run = std::move(created).value();
  }
  void send(ConnectionId connection, net::Message message) override {
    sent.emplace_back(connection, std::move(message));
  }
  void send_last(ConnectionId connection, net::Message message) override {
    send(connection, std::move(message));
    told.push_back(connection);
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
  /// What the net takes on its way to a device.
  std::uint64_t model_bytes() const {
    net::GlobalModel global;
    const SplitModel model = build_split_model(config).value();
    global.model = model_state(model.joined);
    const net::Message message = net::make_message(global);
    return net::transfer_bytes(message.type, message.payload.size(), 0);
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
  const tiny::TwoDevices& data;
  std::unique_ptr<ServerRun> run;
  std::vector<std::pair<ConnectionId, net::Message>> sent;
  std::vector<ConnectionId> told;  ///< the last thing that they are told
};

}  // namespace

TEST_CASE(
    "server, averaging: a server that is started again takes the nets of the devices that are left") {
  const tiny::TwoDevices data;
  const TemporaryFolder folder;
  RunConfig config = one_round();
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
  CHECK(after.told == std::vector<ConnectionId>{1, 2});
  const auto summary = after.run->finish({});
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  // Its books have the nets that the one before had sent.
  const std::uint64_t model = after.model_bytes();
  CHECK(summary->bytes_down == 2 * model);
  CHECK(summary->bill.total() == summary->bytes_down);
  for (std::size_t d = 0; d < 2; ++d) CHECK(summary->epochs[d].bytes_down == model);
  config.out.clear();
  config.resume = false;
  CHECK(fragile::history(*summary) ==
        fragile::history(run_one_net(config, {}, data.train, data.test, data.samples).value()));
}

TEST_CASE("server, averaging: a barrier counts the nets whose devices have not answered yet") {
  const tiny::TwoDevices data;
  const TemporaryFolder folder;
  RunConfig config = one_round();
  config.out = folder / "run";
  net::Message trained;
  net::Position position;
  {
    ServerByHand before(config, data);
    for (std::size_t d = 0; d < 2; ++d) before.join(d);
    trained = before.train(1);
    position = {before.global_model(1).key, 1, 0};
    before.run->on_message(1, before.train(0));
    CHECK(before.count(net::MessageType::turn_committed) == 1);
  }
  config.resume = true;
  ServerByHand after(config, data);
  after.join(0);
  after.join(1, position);
  after.run->on_message(2, trained);
  CHECK(after.run->done());
  const auto summary = after.run->finish({});
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(summary->bytes_down == 2 * after.model_bytes());
  CHECK(summary->epochs[1].bytes_down == after.model_bytes());
}

TEST_CASE(
    "server, averaging: who stays away is left out of the round's mean, which is tested all the same") {
  const tiny::TwoDevices data;
  for (const std::size_t away : {0u, 1u}) {
    const TemporaryFolder folder;
    RunConfig config = one_round();
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

TEST_CASE("server, averaging: a net with NaN is refused, and the mean is without its device") {
  const tiny::TwoDevices data;
  RunConfig config = one_round();
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
  const net::Message other = server.train(1);
  server.run->on_message(2, other);
  CHECK(server.count(net::MessageType::turn_committed) == 1);
  const auto summary = server.run->finish({});
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  CHECK(summary->epochs[0].skip_reason == error->text);
  CHECK(summary->weights_sha256 == state_sha256(server.net_of(other)));
}

TEST_CASE("server, averaging: a net of another form, or with NaN, is not kept") {
  const RunConfig config = one_round();
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
  skipped.barrier.report = begin_report({.devices = 2}, 1, 1, 0);
  skipped.barrier.report.skipped = true;
  skipped.ends_round = true;
  rounds.average(skipped);
  CHECK(state_sha256(model.joined) == before);
  CHECK(refusal([](net::FrontState&) {}).empty());
}

}  // namespace averaging_test
