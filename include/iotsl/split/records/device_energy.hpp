#pragma once
// Joules of the devices of a run, by a model of what one draws.

#include <span>

#include "iotsl/measure/energy/power_model.hpp"
#include "iotsl/net/link/link_speed.hpp"
#include "iotsl/split/records/preparation_record.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// The device that is meant, where it is not the one that the run has timed.
struct EnergyAssumptions {
  measure::PowerModel model;
  double slowdown = 1;  ///< how many times as long it computes as was measured
  /// The network that its messages pass: bytes at the rate, and a round trip for every step, one
  /// after the other. Nothing: what was measured.
  std::optional<net::LinkSpeed> link = {};

  measure::DeviceTimes times(const measure::EpochRecord& r) const {
    if (!link) return measure::device_times(r, slowdown);
    // The server has seen its batches and answered them; not so with methods local and fedavg,
    // whose turns have other messages, and where there is one net.
    const std::uint64_t round_trips = r.has_training && r.bytes_down > 0 ? r.steps : 0;
    const double network = link->seconds(r.bytes_up) + link->seconds(r.bytes_down) +
                           static_cast<double>(round_trips) * net::to_seconds(link->round_trip);
    return measure::device_times(r, slowdown, network);
  }
  /// Of the training of a device's generator; its upload is short beside it, and not counted.
  measure::DeviceTimes times(const GeneratorRecord& generator) const {
    const double computing = slowdown * generator.seconds_training;
    return {.awake = computing, .computing = computing};
  }

  /// Which model, and of what its seconds are.
  std::string origin() const { return model.origin() + of_seconds(); }
  /// The same without whose figures they are.
  std::string figures() const { return model.figures() + of_seconds(); }

 private:
  std::string of_seconds() const {
    std::string out = "; computing by processor time of the run";
    if (slowdown != 1) out += concat(", times ", slowdown);
    return out + (link ? concat("; network calculated as ", to_string(*link))
                       : std::string("; network by the clock"));
  }
};

/// What one device has done and drawn. The paper counts the turns only.
struct DeviceEnergy {
  double turn_joules = 0, generator_joules = 0;
  double awake_seconds = 0;  ///< both together

  double joules() const { return turn_joules + generator_joules; }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("turn_joules", self.turn_joules);
    f("generator_joules", self.generator_joules);
    f("awake_seconds", self.awake_seconds);
  }
};

/// Of each device of a run. `preparation`: null where nothing came before the turns.
inline std::vector<DeviceEnergy> device_energy(const EnergyAssumptions& assumed,
                                               std::span<const measure::EpochRecord> epochs,
                                               const PreparationRecord* preparation) {
  std::vector<DeviceEnergy> out;
  const auto add = [&](std::size_t device, const measure::DeviceTimes& times,
                       double DeviceEnergy::*joules) {
    if (out.size() <= device) out.resize(device + 1);
    out[device].*joules += assumed.model.joules(times);
    out[device].awake_seconds += times.awake;
  };
  for (const measure::EpochRecord& r : epochs)
    add(r.device, assumed.times(r), &DeviceEnergy::turn_joules);
  if (preparation != nullptr)
    for (std::size_t d = 0; d < preparation->generators.size(); ++d)
      add(d, assumed.times(preparation->generators[d]), &DeviceEnergy::generator_joules);
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
