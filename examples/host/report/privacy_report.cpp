#include "host/report/privacy_report.hpp"

#include <algorithm>
#include <cmath>

#include "iotsl/privacy/statement.hpp"

namespace iotsl::tool {
namespace {

/// The devices' data are disjoint, so the weakest promise is the run's.
double largest_delta(const split::PreparationRecord& p) {
  double out = 0;
  for (const split::GeneratorRecord& each : p.generators) out = std::max(out, each.privacy.delta);
  return out;
}

/// A run may have a front that nobody can steer, and still give its samples away.
constexpr const char* kept_line =
    "every smashed sample was sent once and is kept, with its label, in the run folder (cache/); "
    "the front never changed, but what was sent is not private: images can be reconstructed";

}  // namespace

bool RunPromise::is_private() const {
  return preparation != nullptr && !preparation->generators.empty() &&
         std::isfinite(preparation->epsilon());
}

std::string privacy_line(const RunPromise& run) {
  if (!run.is_private()) return privacy::no_privacy_line;
  return privacy::run_statement(run.preparation->epsilon(), largest_delta(*run.preparation),
                                run.generator_only);
}

std::string format_privacy(const RunPromise& run) {
  std::string out = privacy_line(run) + "\n";
  if (run.keeps_smashed) out += concat("  ", kept_line, "\n");
  if (!run.is_private()) return out;
  for (std::size_t d = 0; d < run.preparation->generators.size(); ++d) {
    const privacy::PrivacyCard& card = run.preparation->generators[d].privacy;
    out += concat(
        "  device ", d, ": ", card.mode, ", epsilon ", privacy::rounded_up(card.release.epsilon),
        ", ", card.releases, card.releases == 1 ? " release" : " releases",
        card.releases == 1
            ? std::string()
            : concat(" with epsilon ", privacy::rounded_up(card.all_releases.epsilon), " together"),
        ", ", card.records, " images, N delta ", card.records_times_delta,
        card.new_data_declared ? "; new data declared" : "", "\n");
  }
  for (const std::string& each : run.preparation->generators.front().privacy.not_covered)
    if (!run.generator_only || each != privacy::split_training_not_covered)
      out += concat("  not covered: ", each, "\n");
  return out;
}

Json privacy_json(const RunPromise& run) {
  Json out = Json::object();
  out["statement"] = privacy_line(run);
  if (run.keeps_smashed) out["kept_smashed_samples"] = kept_line;
  out["private_generators"] = run.is_private();
  out["whole_run"] = run.is_private() && run.generator_only;
  if (!run.is_private()) return out;
  out["epsilon"] = run.preparation->epsilon();
  out["delta"] = largest_delta(*run.preparation);
  Json devices = Json::array();
  for (const split::GeneratorRecord& each : run.preparation->generators)
    devices.push_back(to_json_fields(each.privacy));
  out["devices"] = devices;
  return out;
}

}  // namespace iotsl::tool
