// Whole runs in which the order of the devices is drawn, and only some take part in a round.

#include <doctest/doctest.h>

#include "iotsl/split/records/wire_forecast.hpp"
#include "split/runs/fragile_run.hpp"
#include "split/runs/iotsl_run.hpp"
#include "split/runs/tcp_run.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace turn_order_run_test {

using namespace fragile;

namespace {

/// Four devices with 7 to 17 samples, of which two take part in each of three rounds; of the ten
/// turns of a longer run every device has some.
struct FourDevices {
  data::Dataset train = tiny::dataset(48, 1), test = tiny::dataset(24, 2);
  std::vector<std::vector<Index>> samples{tiny::range(0, 17), tiny::range(17, 24),
                                          tiny::range(24, 40), tiny::range(40, 48)};
};

RunConfig drawn_config(Method method = Method::split_learning) {
  RunConfig config = tiny::config();
  config.method = method;
  config.devices = 4;
  config.order = OrderPolicy::shuffled;
  config.participation = 0.5;
  config.training.epochs = 6;
  config.offline_seconds = 0;
  return config;
}

/// Whether the run's turns were those of the order, with the samples of their devices.
void check_turns(const RunSummary& run, const RunConfig& config,
                 const std::vector<std::vector<Index>>& samples) {
  const TurnOrder order = config.turn_order();
  REQUIRE(run.epochs.size() == static_cast<std::size_t>(config.training.epochs));
  for (std::size_t i = 0; i < run.epochs.size(); ++i) {
    const measure::EpochRecord& epoch = run.epochs[i];
    CHECK(epoch.device == order.device_of(i));
    CHECK(epoch.round == i / 2);
    CHECK(epoch.samples == samples[epoch.device].size());
    CHECK(epoch.has_training);
    CHECK_FALSE(epoch.skipped);
  }
}

}  // namespace

TEST_CASE("turn order: the same bits over every transport, whoever's turn it is") {
  const FourDevices data;
  std::string before;
  for (const OrderPolicy policy : {OrderPolicy::fixed, OrderPolicy::shuffled}) {
    RunConfig config = drawn_config();
    config.order = policy;
    config.training.schedule = Schedule::cosine;
    const auto [none, inproc, tcp] =
        tiny::run_everywhere(config, data.train, data.test, data.samples);
    check_turns(none, config, data.samples);
    CHECK(history(inproc) == history(none));
    CHECK(history(tcp) == history(none));
    CHECK(tcp.bill.total() == tcp.bytes_up + tcp.bytes_down);
    CHECK(none.weights_sha256 != before);
    before = none.weights_sha256;

    // What is planned is what is done.
    const SplitModel model = build_split_model(config).value();
    const FrontHalf front(model.front, config.training.optimizer, config.seed);
    const auto forecast = forecast_wire(
        forecast_turns(config,
                       wire_sizes(front.layers(), front.optimizer(), sample_shape(config.model),
                                  static_cast<std::uint64_t>(config.training.batch)),
                       {17, 7, 16, 8}, 0, 4));
    std::uint64_t steps = 0;
    for (const measure::EpochRecord& epoch : inproc.epochs) steps += epoch.steps;
    CHECK(forecast.steps == steps);
    CHECK(forecast.values_formula == inproc.values_formula);
    CHECK(forecast.barriers == 6);
    CHECK(forecast.bytes_up < inproc.bytes_up);
    CHECK(forecast.bytes_up + 3000 > inproc.bytes_up);  // handshakes and control
  }
}

TEST_CASE("turn order, method fedavg: a round's mean is of those that take part") {
  const FourDevices data;
  const RunConfig config = drawn_config(Method::federated_averaging);
  const auto [none, inproc, tcp] =
      tiny::run_everywhere(config, data.train, data.test, data.samples);
  check_turns(none, config, data.samples);
  CHECK(history(inproc) == history(none));
  CHECK(history(tcp) == history(none));
  for (std::size_t i = 0; i < 6; ++i) CHECK(none.epochs[i].evaluated == (i % 2 == 1));
  // Two nets go down and up in each round.
  CHECK(inproc.values_formula == 6 * inproc.front_values);
  CHECK(inproc.bill.front == 4 * inproc.values_formula);
  CHECK(inproc.bill.front_relay == inproc.bill.front);

  // By hand: the first round's devices from the seed's weights, then their mean.
  RunConfig first = config;
  first.training.epochs = 2;
  first.training.schedule = Schedule::constant;
  const auto run = run_one_net(first, {}, data.train, data.test, data.samples);
  REQUIRE_MESSAGE(run.ok(), run.failure().message);
  const SplitModel start = build_split_model(first).value();
  const Sequential<float> mean_net = build_split_model(first)->joined;
  ModelMean mean(mean_net);
  std::uint64_t first_step = 0;
  for (const std::uint32_t device : first.turn_order().of_round(0)) {
    LocalTraining training(first.training, first.seed, data.train, data.samples[device],
                           static_cast<Index>(device), build_split_model(first)->joined);
    net::GlobalModel global;
    global.first_step = first_step;
    global.order_seed = first.seed;
    global.learning_rate = first.training.optimizer.lr;
    global.model = model_state(start.joined);
    REQUIRE(training.begin(global).ok());
    while (!training.done()) REQUIRE(training.step().ok());
    const net::LocalModel answer = training.finish();
    first_step += answer.steps;
    mean.add(answer.model, answer.samples);
  }
  mean.store(mean_net);
  CHECK(state_sha256(mean_net) == run->weights_sha256);
}

TEST_CASE("turn order, method cache: a device's first turn is the one that it is asked in") {
  const data::Dataset train = tiny::dataset(52, 1), test = tiny::dataset(24, 2);
  RunConfig config = tiny::iotsl_config();
  config.method = Method::cached;
  config.order = OrderPolicy::shuffled;
  config.participation = 0.5;
  config.seed = 8;  // draws both devices
  config.training.frozen_front = true;
  config.training.epochs = 6;
  config.preparation.generator.kind = generators::GeneratorKind::moments;
  const auto [none, inproc, tcp] = tiny::run_everywhere(config, train, test, tiny::halves(train));
  CHECK(history(inproc) == history(none));
  CHECK(history(tcp) == history(none));
  std::vector<bool> asked(2);
  const TurnOrder order = config.turn_order();
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(tcp.epochs[i].device == order.device_of(i));
    CHECK((tcp.epochs[i].values_formula > 0) == !asked[tcp.epochs[i].device]);
    asked[tcp.epochs[i].device] = true;
  }
  CHECK(asked == std::vector<bool>{true, true});
}

TEST_CASE("turn order: faults at any message change nothing") {
  const FourDevices data;
  RunConfig config = drawn_config();
  config.training.epochs = 4;
  config.barriers = {.steps = 2, .seconds = 0};
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    check_faults(config, {}, data.train, data.test, data.samples, fault,
                 static_cast<std::size_t>(fault), 5);
  config = drawn_config(Method::federated_averaging);
  config.training.epochs = 8;
  for (const Fault fault : {Fault::cut, Fault::device_dies, Fault::server_dies})
    check_faults(config, {}, data.train, data.test, data.samples, fault,
                 static_cast<std::size_t>(fault), 3);
}

TEST_CASE("turn order: a run in one process that was stopped goes on, wherever it was") {
  const FourDevices data;
  const TemporaryFolder folder;
  for (const Method method : {Method::split_learning, Method::federated_averaging}) {
    RunConfig config = drawn_config(method);
    const auto whole = run_one_net(config, {}, data.train, data.test, data.samples);
    REQUIRE_MESSAGE(whole.ok(), whole.failure().message);
    for (const int after : {2, 5, 8}) {
      config.out = folder / concat(to_string(method), after);
      config.resume = false;
      int left = after;
      RunHooks hooks;
      hooks.context = &left;
      hooks.should_stop = [](void* steps) { return --*static_cast<int*>(steps) == 0; };
      REQUIRE_FALSE(run_one_net(config, hooks, data.train, data.test, data.samples).ok());
      config.resume = true;
      const auto resumed = run_one_net(config, {}, data.train, data.test, data.samples);
      REQUIRE_MESSAGE(resumed.ok(), resumed.failure().message);
      CHECK(history(*resumed) == history(*whole));
    }
  }
}

TEST_CASE("turn order: a device that is put aside is skipped in the rounds that it is drawn for") {
  const FourDevices data;
  const TemporaryFolder folder;
  RunConfig config = drawn_config();
  config.training.epochs = 12;
  const TurnOrder order = config.turn_order();
  const std::uint32_t culprit = order.device_of(2);
  config.out = folder / "run";
  FragileRun run(config, data.train, data.test, data.samples);
  run.set_culprit({.device = culprit, .spoil = [](net::Message& message) {
                     if (message.type == net::MessageType::turn_accept)
                       message = net::make_message(
                           net::ErrorMessage{net::WireError::run_failed, true, 0, "broken"});
                   }});
  const auto summary = run.run(Fault::none, 0);
  REQUIRE_MESSAGE(summary.ok(), summary.failure().message);
  std::size_t skipped = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(summary->epochs[i].device == order.device_of(i));
    CHECK(summary->epochs[i].skipped == (order.device_of(i) == culprit));
    skipped += summary->epochs[i].skipped;
  }
  CHECK(skipped > 1);
}

}  // namespace turn_order_run_test
