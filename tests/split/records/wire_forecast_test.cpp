#include "iotsl/split/records/wire_forecast.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "iotsl/split/records/time_forecast.hpp"
#include "iotsl/split/simulate/run_inproc.hpp"
#include "split/runs/tiny_run.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace wire_forecast_test {

namespace {

struct Both {
  WireForecast forecast;
  RunSummary run;
  std::uint64_t front_init_bytes;  ///< of both devices; it belongs to the handshake
  /// What was sent beyond the forecast: handshakes, and the control messages of turns.
  std::int64_t more_up() const {
    return static_cast<std::int64_t>(run.bytes_up) - static_cast<std::int64_t>(forecast.bytes_up);
  }
  std::int64_t more_down() const {
    return static_cast<std::int64_t>(run.bytes_down) -
           static_cast<std::int64_t>(forecast.bytes_down + front_init_bytes);
  }
};

/// A run in memory of two devices with so many samples, and what was foreseen of it.
Both forecast_and_run(const RunConfig& config, Index first, Index second,
                      std::uint64_t barriers_inside = 0) {
  const data::Dataset train = tiny::dataset(first + second, 1), test = tiny::dataset(24, 2);
  const SplitModel model = build_split_model(config).value();
  const FrontHalf front(model.front, config.training.optimizer, config.seed);
  const WireSizes sizes = wire_sizes(front.layers(), front.optimizer(), sample_shape(config.model),
                                     static_cast<std::uint64_t>(config.training.batch));
  const auto rank =
      static_cast<std::size_t>(model.front.output_shape(sample_shape(config.model))->rank());
  auto run = run_inproc(config, {}, train, test,
                        {tiny::range(0, first), tiny::range(first, first + second)});
  REQUIRE_MESSAGE(run.ok(), run.failure().message);
  return {
      forecast_wire(forecast_turns(
          config, sizes, {static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(second)},
          barriers_inside, rank)),
      std::move(run).value(),
      2 * net::transfer_bytes(net::MessageType::front_init,
                              describe_front(model.front)->payload.size(), 0)};
}

/// Two handshakes and four turns of small messages.
void check_rest(const Both& both) {
  CHECK(both.more_up() > 0);
  CHECK(both.more_up() < 2000);
  CHECK(both.more_down() > 0);
  CHECK(both.more_down() < 4000);
}

}  // namespace

TEST_CASE("wire forecast: steps and values are those of the run") {
  RunConfig config = tiny::config();
  config.training.local_epochs = 2;
  const Both both = forecast_and_run(config, 25, 16);
  std::uint64_t steps = 0;
  for (const measure::EpochRecord& epoch : both.run.epochs) steps += epoch.steps;
  CHECK(both.forecast.steps == steps);
  CHECK(both.forecast.steps == 2 * 3 + 2 * 2);
  CHECK(both.forecast.values_formula == both.run.values_formula);
  CHECK(both.forecast.barriers == 2);
}

TEST_CASE("wire forecast: bytes are those of the run, but for handshakes and control") {
  const Both base = forecast_and_run(tiny::config(), 25, 16);
  check_rest(base);

  // Whatever grows with a run is foreseen to the byte: the rest stays the same.
  const auto check_same_rest = [&](const RunConfig& config, Index first, Index second) {
    const Both other = forecast_and_run(config, first, second);
    CHECK(other.run.bytes_up != base.run.bytes_up);
    CHECK(other.more_up() == base.more_up());
    CHECK(other.more_down() == base.more_down());
  };
  RunConfig config = tiny::config();
  SUBCASE("samples, with a last batch of one and of many") { check_same_rest(config, 49, 28); }
  SUBCASE("batch") {
    config.training.batch = 4;
    check_same_rest(config, 25, 16);
  }
  SUBCASE("batches of several chunks") {
    config.model.width = 32;
    config.training.batch = 32;
    check_same_rest(config, 65, 34);
  }
  SUBCASE("optimiser's slots") {
    config.training.optimizer.ewc = 1;
    check_same_rest(config, 25, 16);
  }
  SUBCASE("epochs of a turn, each with its cost in BARRIER_ACK") {
    config.training.local_epochs = 2;
    config.training.epochs = 8;
    check_same_rest(config, 25, 16);
  }
  SUBCASE("another cut") {
    config.cut = "features.2";
    const Both other = forecast_and_run(config, 25, 16);
    // HELLO_OK describes another front.
    CHECK(other.more_up() == base.more_up());
    CHECK(std::abs(other.more_down() - base.more_down()) < 400);
  }
}

TEST_CASE("wire forecast: a barrier inside a turn costs a front and a little control") {
  RunConfig config = tiny::config();
  config.barriers = {.steps = 2, .seconds = 0};
  const Both none = forecast_and_run(tiny::config(), 32, 33),
             inside = forecast_and_run(config, 32, 33, 1);
  CHECK(inside.forecast.barriers == none.forecast.barriers + 4);
  CHECK(inside.run.bytes_up > none.run.bytes_up + 4000);
  CHECK(std::abs(inside.more_up() - none.more_up()) < 4 * 100);
  CHECK(std::abs(inside.more_down() - none.more_down()) < 4 * 160);
}

TEST_CASE("wire forecast: without batches on the wire only fronts travel") {
  RunConfig config = tiny::config();
  config.method = Method::random_gradient;
  const Both both = forecast_and_run(config, 25, 16), more = forecast_and_run(config, 49, 28);
  CHECK(both.forecast.values_formula == 0);
  CHECK(both.run.values_formula == 0);
  CHECK(both.forecast.bytes_up == more.forecast.bytes_up);
  CHECK(both.run.bytes_up == more.run.bytes_up);
  check_rest(both);
}

TEST_CASE("time forecast: ways and work of a turn, one after the other or beside each other") {
  // A byte takes a microsecond each way.
  const net::LinkSpeed link = net::parse_link_speed("8mbit,10ms").value();
  TurnWire wire;
  wire.steps = 10;
  wire.barriers = 1;
  wire.grant_bytes = 50'000;
  wire.barrier_bytes = 30'000;
  wire.steps_up = 200'000;
  wire.steps_down = 100'000;
  const StepSeconds step{.device = 0.02, .server = 0.005, .update = 0.003, .handling = 0.001};
  const double around = 0.05 + 0.01 + 0.03 + 0.01;
  CHECK(turn_seconds(wire, step, false, link) ==
        doctest::Approx(around + 10 * (0.02 + 0.03 + 0.01 + 0.005 + 0.001)));
  // Behind a frozen front the longer of the two counts.
  CHECK(turn_seconds(wire, step, true, link) ==
        doctest::Approx(around + 10 * (0.03 + 0.01 + 0.005 + 0.001)));
  StepSeconds slow = step;
  slow.device = 0.2;
  CHECK(turn_seconds(wire, slow, true, link) == doctest::Approx(around + 10 * (0.2 + 0.001)));
  // A server that is not through takes the next step later.
  slow = step;
  slow.update = 0.5;
  CHECK(turn_seconds(wire, slow, false, link) == doctest::Approx(around + 10 * 0.505));
  CHECK(turn_seconds(wire, step, false, std::nullopt) == doctest::Approx(10 * 0.026));
  // Method local: no step crosses the network; cached: nothing does.
  wire.steps_up = wire.steps_down = 0;
  CHECK(turn_seconds(wire, step, false, link) == doctest::Approx(around + 10 * 0.02));
  wire.cached = true;
  CHECK(turn_seconds(wire, step, true, link) == doctest::Approx(10 * 0.008));
}

}  // namespace wire_forecast_test
