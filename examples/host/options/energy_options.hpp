#pragma once
// What the joules of a report come from.

#include "host/options/link_option.hpp"
#include "host/options/ranges.hpp"
#include "iotsl/measure/energy/meter.hpp"
#include "iotsl/measure/energy/power_models.hpp"
#include "iotsl/split/records/device_energy.hpp"

namespace iotsl::tool {

struct EnergyOptions {
  std::string power_model;  ///< empty: pi4
  double slowdown = 0;      ///< 0: not given, as timed
  std::string meter;        ///< empty: auto
  std::string meter_root;   ///< empty: /
};

inline CLI::Validator is_meter() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        const auto meter = measure::parse_meter(text);
        return meter ? "" : meter.failure().message;
      },
      "auto|off|rapl|pmic|ina[:hwmonN]");
}

/// The option of every report with joules by a model.
template <class Options, class List>
void list_power_model_option(Options& o, List& list) {
  list.given("power-model", o.power_model,
             "What a device draws: pi4 (default), pi5, or a JSON file with name, source, "
             "idle_watts, computing_watts and, where known, sending_watts and receiving_watts");
}

/// Of those whose devices were timed: a plan is told a device's seconds another way.
template <class Options, class List>
void list_slowdown_option(Options& o, List& list) {
  list.given("device-slowdown", o.slowdown,
             "How many times as long as here the devices meant would compute, in joules; "
             "default: 1",
             between(0.001, 1e6));
}

/// Options of a command that trains: what is measured on this machine meanwhile.
template <class Options, class List>
void list_meter_options(Options& o, List& list) {
  list.given("meter", o.meter,
             "Measure this machine's joules meanwhile: by RAPL, the power chip of a Pi 5 or an INA "
             "sensor; default: auto, what there is",
             is_meter());
  list.given("meter-root", o.meter_root,
             "Look for sys/ and usr/bin/vcgencmd of the meters below this folder; default: /");
}

/// Ends the command where there is no such model.
inline split::EnergyAssumptions energy_assumptions(const EnergyOptions& o) {
  return {.model = expect(measure::find_power_model(o.power_model.empty() ? "pi4" : o.power_model)),
          .slowdown = o.slowdown > 0 ? o.slowdown : 1};
}

}  // namespace iotsl::tool
