#pragma once
// How long a turn will take: what its device and the server compute, and what a network makes of
// its bytes.

#include <algorithm>
#include <optional>

#include "iotsl/measure/energy/power_model.hpp"
#include "iotsl/net/link/link_speed.hpp"
#include "iotsl/split/records/wire_forecast.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What one step costs, in seconds.
struct StepSeconds {
  double device = 0;    ///< forward, backward, update
  double server = 0;    ///< up to the gradient that is sent
  double update = 0;    ///< what is left of the step on the server
  double handling = 0;  ///< beside it: messages made, checked, moved
};

/// Seconds from one step to the next. `on_the_way`: of its messages. `frozen`: the front's weights
/// stay, so that a device computes a batch ahead.
///
/// A step is a way up and a way down, one after the other; the server takes the next one when it
/// has finished the last.
inline double step_seconds(const StepSeconds& step, double on_the_way, bool frozen) {
  const double away = on_the_way + step.server + step.handling;
  const double one = frozen ? std::max(step.device + step.handling, away) : step.device + away;
  return std::max(one, step.server + step.update);
}

/// Seconds of a turn without barriers on the disk and evaluation. `link`: none passes everything
/// at once. `frozen` as in step_seconds().
///
/// Around the steps are the grant, and at each barrier what the device hands
/// over and the server's answer, behind the last one with a word and half a round trip more.
inline double turn_seconds(const TurnWire& wire, const StepSeconds& step, bool frozen,
                           const std::optional<net::LinkSpeed>& link) {
  const auto steps = static_cast<double>(wire.steps);
  if (wire.cached) return steps * (step.server + step.update);
  const auto passing = [&](std::uint64_t bytes) { return link ? link->seconds(bytes) : 0.0; };
  const double round_trip = link ? net::to_seconds(link->round_trip) : 0;
  const double hand_overs =
      passing(wire.grant_bytes) + round_trip +
      static_cast<double>(wire.barriers) * (passing(wire.barrier_bytes) + round_trip);
  if (wire.steps_up == 0) return hand_overs + steps * step.device;
  const double on_the_way =
      (passing(wire.steps_up) + passing(wire.steps_down)) / steps + round_trip;
  return hand_overs + steps * step_seconds(step, on_the_way, frozen);
}

/// What its device does in a turn. What computing and the server leave of the turn's time it is on
/// the network, in either direction by the bytes. Arguments as of turn_seconds().
inline measure::DeviceTimes turn_times(const TurnWire& wire, const StepSeconds& step, bool frozen,
                                       const std::optional<net::LinkSpeed>& link) {
  measure::DeviceTimes out;
  if (wire.cached) return out;
  const auto steps = static_cast<double>(wire.steps);
  out.computing = steps * step.device;
  out.awake = std::max(out.computing, turn_seconds(wire, step, frozen, link));
  const double server = wire.steps_up > 0 ? steps * step.server : 0;
  const double network = std::max(0.0, out.awake - out.computing - server);
  const auto hand_overs = static_cast<double>(wire.barriers * wire.barrier_bytes);
  const double up = static_cast<double>(wire.steps_up) + hand_overs,
               down = static_cast<double>(wire.steps_down + wire.grant_bytes);
  out.sending = network * up / (up + down);
  out.receiving = network * down / (up + down);
  return out;
}

}  // namespace split
IOTSL_NAMESPACE_END
