#include "host/report/energy_report.hpp"

#include <cstdio>

#include "host/options/energy_options.hpp"

namespace iotsl::tool {
namespace {

struct Joules {
  double turns = 0, generators = 0;
};
Joules sum_of(const std::vector<split::DeviceEnergy>& devices) {
  Joules out;
  for (const split::DeviceEnergy& each : devices) {
    out.turns += each.turn_joules;
    out.generators += each.generator_joules;
  }
  return out;
}

/// None where no device takes part, or none was timed (one net, --transport none).
std::vector<split::DeviceEnergy> devices_of(const RunOptions& options, const split::RunSummary& s) {
  if (pools_data(options.method)) return {};
  auto out = split::device_energy(energy_assumptions(options), s.epochs,
                                  s.preparation ? &*s.preparation : nullptr);
  double awake = 0;
  for (const split::DeviceEnergy& each : out) awake += each.awake_seconds;
  if (awake == 0) out.clear();
  return out;
}

/// A private device says nothing that depends on its samples, and so not the time of its generator.
bool hides_times(const split::RunSummary& s) {
  if (!s.preparation) return false;
  const auto& all = s.preparation->generators;
  return std::any_of(all.begin(), all.end(), [](const split::GeneratorRecord& each) {
    return each.privacy.mode != privacy::PrivacyMode::off && each.seconds_training == 0;
  });
}

}  // namespace

split::EnergyAssumptions energy_assumptions(const RunOptions& options) {
  return energy_assumptions(options.energy);
}

Json energy_json(const RunOptions& options, const split::RunSummary& s) {
  const std::vector<split::DeviceEnergy> devices = devices_of(options, s);
  Json out = Json::object();
  Json& each = out["devices"] = Json::array();
  for (const split::DeviceEnergy& device : devices) each.push_back(to_json_fields(device));
  const Joules sum = sum_of(devices);
  out["turn_joules"] = devices.empty() ? Json() : Json(sum.turns);
  out["generator_joules"] = devices.empty() ? Json() : Json(sum.generators);
  std::string origin =
      devices.empty() ? std::string("no device was timed") : energy_assumptions(options).origin();
  if (hides_times(s)) origin += "; private devices do not tell how long their generators took";
  out["origin"] = origin;
  out["machine"] = s.machine_energy ? to_json_fields(*s.machine_energy) : Json();
  if (!s.machine_energy) out["no_meter"] = s.no_meter;
  return out;
}

std::string format_energy(const RunOptions& options, const split::RunSummary& s) {
  std::string out;
  if (const auto devices = devices_of(options, s); !devices.empty()) {
    const Joules sum = sum_of(devices);
    char line[128];
    std::snprintf(line, sizeof line, "energy           %.1f J of all devices in their turns",
                  sum.turns);
    out += line;
    if (sum.generators > 0) {
      std::snprintf(line, sizeof line, ", %.1f J for their generators", sum.generators);
      out += line;
    }
    out += concat("\n                 ", energy_assumptions(options).figures(), "\n");
  }
  if (s.machine_energy) {
    char line[128];
    std::snprintf(line, sizeof line, "this machine     %.1f J in %.1f s, ",
                  s.machine_energy->joules, s.machine_energy->seconds);
    out += concat(line, s.machine_energy->origin, "\n");
  }
  return out;
}

RunMeter::RunMeter(const RunOptions& options) {
  energy_assumptions(options);
  const std::string& asked = options.energy.meter;
  const measure::MeterChoice choice = expect(measure::parse_meter(asked.empty() ? "auto" : asked));
  if (choice.kind == "off") {
    why_not_ = "--meter off";
    return;
  }
  const std::string& root = options.energy.meter_root;
  auto reader = measure::EnergyReader::open(choice, root.empty() ? "/" : root);
  if (reader) {
    auto meter = measure::EnergyMeter::start(std::move(*reader));
    if (meter)
      meter_ = std::move(*meter);
    else
      why_not_ = meter.failure().message;
  } else {
    why_not_ = reader.failure().message;
  }
  if (!meter_ && choice.kind != "auto")
    fail_command(ErrorCode::usage, "--meter ", asked, ": ", why_not_);
  if (!options.resume.empty()) origin_note_ = "; since the run was resumed";
}

void RunMeter::finish(split::RunSummary& summary) {
  summary.no_meter = why_not_;
  if (!meter_) return;
  Result<measure::Energy> measured = meter_->finish();
  if (measured) {
    measured->origin += origin_note_;
    summary.machine_energy = std::move(*measured);
  } else {
    summary.no_meter = measured.failure().message;
  }
}

}  // namespace iotsl::tool
