#pragma once
// The power models that are built in. Each figure is somebody's measurement that can be read.
//
// How far they can be trusted: the paper's own plug-in meter says 2.07e5 J in 12.28 h of training
// (Fig. 9 and 11), 4.7 W on average on a Pi 4, and that communication adds 42.6 % to what computing
// alone takes (Fig. 3). With 6.4 W for computing this leaves 2.9 W for the time on the network:
// close to the 2.7 W of an idle board that `pi4` counts there.

#include "iotsl/measure/energy/power_model.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Raspberry Pi 4 B and 5. No measurement of either that sends or receives and does nothing else
/// was found.
///
/// Others have measured 1.6 to 2.8 W idle and 5.0 to 7.2 W on four cores for the Pi 4, depending on
/// meter and load (github.com/geerlingguy/sbc-reviews/issues/4,
/// chipwired.com/raspberry-pi-power-use, github.com/gokrazy/gokrazy/issues/70), and about 3.3 W
/// idle for the Pi 5 (github.com/iiab/iiab/issues/4050); of the Pi 5's own board no undisputed pair
/// was found (github.com/geerlingguy/sbc-reviews/issues/21).
inline std::array<PowerModel, 2> built_in_power_models() {
  return {
      PowerModel{
          .name = "pi4",
          .source =
              "Raspberry Pi 4 B, J. Geerling with a USB meter, idle after boot and `stress --cpu "
              "4`, www.pidramble.com/wiki/benchmarks/power-consumption",
          .idle_watts = 2.7,
          .computing_watts = 6.4},
      PowerModel{
          .name = "pi5",
          .source = "Raspberry Pi 500, the chip of a Pi 5 at its 2.4 GHz, J. Geerling at the wall, "
                    "idle and `stress-ng --matrix 0`, github.com/geerlingguy/sbc-reviews/issues/60",
          .idle_watts = 3.1,
          .computing_watts = 9.0},
  };
}

/// The one of that name, else the file at that path.
inline Result<PowerModel> find_power_model(const std::string& name_or_path) {
  for (const PowerModel& model : built_in_power_models())
    if (model.name == name_or_path) return model;
  if (!file_exists(name_or_path))
    return failure(ErrorCode::usage, "power model '", make_printable(name_or_path),
                   "': expected pi4, pi5 or a JSON file with the watts of a device");
  return load_power_model(name_or_path);
}

}  // namespace measure
IOTSL_NAMESPACE_END
