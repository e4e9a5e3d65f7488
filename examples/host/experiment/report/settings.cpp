#include "host/experiment/report/settings.hpp"

#include <algorithm>

#include "host/experiment/report/rows.hpp"

namespace iotsl::tool {
namespace {

/// A setting as a name and its value.
using Setting = std::pair<std::string, std::string>;

/// The settings in which all runs that have them agree: those of all runs, and those that only some
/// have, such as those with generators.
struct SharedSettings {
  std::vector<Setting> of_all, of_some;
};

SharedSettings shared_settings(const ExperimentResult& result) {
  std::vector<const Json*> configs;
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs) configs.push_back(&run.config);
  SharedSettings out;
  std::vector<std::string> seen;
  for (const Json* config : configs)
    for (const JsonMember& member : config->as_object()) {
      if (member.key == "data" || member.key == "generators") continue;  // paths
      if (std::find(seen.begin(), seen.end(), member.key) != seen.end()) continue;
      seen.push_back(member.key);
      std::size_t have = 0, agree = 0;
      for (const Json* other : configs) {
        const Json* value = other->find(member.key);
        have += value != nullptr;
        agree += value != nullptr && *value == member.value;
      }
      if (agree != have) continue;
      const std::string text =
          member.value.is_string() ? member.value.as_string() : to_text(member.value);
      (have == configs.size() ? out.of_all : out.of_some).emplace_back(member.key, text);
    }
  return out;
}

}  // namespace

void add_settings(HtmlPage& page, const ExperimentResult& result) {
  page.heading("Settings");
  const SharedSettings shared = shared_settings(result);
  page.paragraph("The same in all runs:");
  page.pairs(shared.of_all);
  if (!shared.of_some.empty()) {
    page.paragraph("The same in all runs that have it, such as those with generators:");
    page.pairs(shared.of_some);
  }
  std::vector<HtmlRow> rows;
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs) {
      std::uint64_t samples = 0;
      const auto devices = static_cast<std::size_t>(result.experiment.spec->devices);
      for (std::size_t i = 0; i < std::min(devices, run.epochs.size()); ++i)
        samples += run.epochs[i].samples;
      rows.push_back({escape(curve.spec->label), escape(to_string(curve.spec->method)),
                      escape(curve.spec->partition), std::to_string(run.seed),
                      std::to_string(run.epochs.size()), std::to_string(samples),
                      show_duration(run.seconds),
                      concat("<code>", escape(run.weights_sha256.substr(0, 12)), "</code>")});
    }
  page.table({"run", "method", "partition", "seed", "device epochs", "samples of a round", "time",
              "weights (sha256)"},
             rows, 3);
}

}  // namespace iotsl::tool
