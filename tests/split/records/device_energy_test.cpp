#include "iotsl/split/records/device_energy.hpp"

#include <doctest/doctest.h>

#include "iotsl/split/records/time_forecast.hpp"

namespace device_energy_test {

using namespace iotsl;
using namespace iotsl::split;

namespace {

measure::EpochRecord epoch_of(std::uint32_t device, std::uint64_t bytes) {
  measure::EpochRecord r;
  r.device = device;
  r.steps = 4;
  r.seconds_device = 10;
  r.seconds_server = 1;
  r.seconds_network = 3;
  r.bytes_up = r.bytes_down = bytes;
  return r;
}

EnergyAssumptions board() {
  EnergyAssumptions out;
  out.model.name = "board";
  out.model.source = "ours";
  out.model.idle_watts = 2;
  out.model.computing_watts = 5;
  return out;
}

}  // namespace

TEST_CASE("device energy: turns and generators of each device, by hand") {
  const std::vector<measure::EpochRecord> epochs{epoch_of(0, 100), epoch_of(1, 100),
                                                 epoch_of(0, 100)};
  PreparationRecord preparation;
  preparation.generators.resize(2);
  preparation.generators[1].seconds_training = 20;
  const std::vector<DeviceEnergy> devices = device_energy(board(), epochs, &preparation);
  REQUIRE(devices.size() == 2);
  // An epoch: 14 s awake at 2 W, of which 10 s at 3 W more.
  CHECK(devices[0].turn_joules == doctest::Approx(2 * 58));
  CHECK(devices[0].generator_joules == 0);
  CHECK(devices[1].turn_joules == doctest::Approx(58));
  CHECK(devices[1].generator_joules == doctest::Approx(100));
  CHECK(devices[1].joules() == doctest::Approx(158));
  CHECK(devices[1].awake_seconds == doctest::Approx(34));
  CHECK(device_energy(board(), {}, nullptr).empty());
}

TEST_CASE("device energy: another network and a slower device than those of the run") {
  EnergyAssumptions assumed = board();
  assumed.slowdown = 2;
  assumed.link = net::parse_link_speed("1mbit,250ms").value();
  // 8 s up, 8 s down, and a round trip of 0.25 s for each of the four steps.
  const measure::DeviceTimes times = assumed.times(epoch_of(0, 1'000'000));
  CHECK(times.computing == doctest::Approx(20));
  CHECK(times.sending == doctest::Approx(8.5));
  CHECK(times.receiving == doctest::Approx(8.5));
  CHECK(times.awake == doctest::Approx(38));
  CHECK(assumed.origin().find("times 2") != std::string::npos);
  CHECK(assumed.origin().find("network calculated as 1mbit,250ms") != std::string::npos);
  // A device that trains the whole net sends that, and waits for no step.
  measure::EpochRecord whole_net = epoch_of(0, 1'000'000);
  whole_net.has_training = false;
  CHECK(assumed.times(whole_net).awake == doctest::Approx(37));
  // A device alone sends nothing and waits for nobody.
  measure::EpochRecord alone = epoch_of(0, 0);
  alone.seconds_server = 0;
  CHECK(assumed.times(alone).awake == doctest::Approx(20));
}

TEST_CASE("device energy: the times of a turn that is forecast") {
  TurnWire wire;
  wire.steps = 10;
  wire.steps_up = 750'000;
  wire.steps_down = 250'000;
  const StepSeconds step{.device = 0.5, .server = 0.2, .update = 0.1};
  const auto link = net::parse_link_speed("1mbit").value();
  const measure::DeviceTimes times = turn_times(wire, step, false, link);
  CHECK(times.awake == doctest::Approx(turn_seconds(wire, step, false, link)));
  CHECK(times.awake == doctest::Approx(5 + 2 + 8));
  CHECK(times.computing == doctest::Approx(5));
  CHECK(times.sending == doctest::Approx(6));
  CHECK(times.receiving == doctest::Approx(2));
  wire.cached = true;
  CHECK(turn_times(wire, step, false, link).awake == 0);
}

}  // namespace device_energy_test
