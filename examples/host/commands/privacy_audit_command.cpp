// iotsl privacy audit

#include <cstdio>
#include <memory>
#include <optional>

#include "host/commands/command.hpp"
#include "iotsl/core/json/json.hpp"
#include "iotsl/moments/audit/membership.hpp"
#include "iotsl/moments/audit/parts.hpp"

namespace iotsl::tool {
namespace {

using moments::Canaries;
using moments::PartAudit;

struct AuditOptions {
  Index canaries = 1000;
  std::optional<std::uint64_t> seed;
  double mu = 2, delta = 1e-5;
  bool json = false;
};

/// Where random numbers come from: the operating system, or a seed that repeats everything.
class AuditKeys {
 public:
  explicit AuditKeys(const std::optional<std::uint64_t>& seed)
      : seeded_(seed.has_value()),
        seed_(seed ? *seed : load_le<std::uint64_t>(expect(privacy::new_noise_key()).data())) {}

  std::uint64_t seed() const { return seed_; }
  /// Of one training; `number` tells it from the others.
  privacy::ChaChaKey operator()(std::uint64_t number) const {
    if (!seeded_) return expect(privacy::new_noise_key());
    privacy::ChaChaKey out = privacy::seeded_noise_key(seed_);
    store_le(out.data() + 8, number);
    return out;
  }

 private:
  bool seeded_;
  std::uint64_t seed_;
};

struct Membership {
  double with_noise, without, error;
};

struct AuditReport {
  std::uint64_t seed;
  Index members;
  std::vector<PartAudit> parts;
  Membership membership;

  /// Names of the parts that fail.
  std::string failed() const {
    std::string out;
    for (const PartAudit& part : parts)
      if (!part.passes()) out += (out.empty() ? "" : ", ") + part.part;
    return out;
  }
};

/// Images of each class that the attacker draws.
constexpr Index membership_draws = 200;

AuditReport run_audit(const AuditOptions& o) {
  const AuditKeys keys(o.seed);
  const Canaries canaries = moments::make_canaries({}, o.canaries, keys.seed());
  const auto members = static_cast<Index>(canaries.members().size());
  moments::Settings s;
  AuditReport out{keys.seed(), members, {}, {}};
  out.parts = moments::audit(canaries, s, o.mu, o.delta, [&](moments::Part part) {
    return keys(static_cast<std::uint64_t>(part));
  });
  s.mu = o.mu;
  const auto area = [&](bool noise) {
    s.noise = noise;
    return moments::membership_area(canaries, s, keys(noise ? 3 : 4), membership_draws,
                                    keys.seed());
  };
  out.membership = {area(true), area(false),
                    moments::roc_area_error(static_cast<double>(members),
                                            static_cast<double>(o.canaries - members))};
  return out;
}

Json range(double middle, double tolerance) {
  Json out = Json::array();
  out.push_back(middle - tolerance);
  out.push_back(middle + tolerance);
  return out;
}

Json part_json(const PartAudit& part) {
  Json out = Json::object();
  out["part"] = part.part;
  out["numbers"] = part.numbers;
  out["mu"] = part.mu;
  out["mu_stated"] = part.stated_mu;
  out["mu_estimate"] = part.estimate;
  out["mu_error"] = part.estimate_error;
  out["mu_range"] = range(part.mu, part.mu_tolerance());
  out["share_of_bound"] = part.share;
  out["spread"] = part.spread;
  out["spread_range"] = range(1, part.spread_tolerance());
  out["left_of_sums"] = part.left;
  out["left_range"] = range(0, PartAudit::left_tolerance);
  out["largest_change"] = part.change;
  out["epsilon"] = part.epsilon;
  out["epsilon_one_run"] = part.one_run.epsilon;
  out["guesses"] = part.one_run.guesses;
  out["correct"] = part.one_run.correct;
  out["passes"] = part.passes();
  return out;
}

void print_json(const AuditOptions& o, const AuditReport& report) {
  Json out = Json::object();
  out["canaries"] = o.canaries;
  out["members"] = report.members;
  out["seed"] = std::to_string(report.seed);  // 64 bits, which a number in JSON has not
  out["seeded_noise"] = o.seed.has_value();
  out["delta"] = o.delta;
  Json parts = Json::array();
  for (const PartAudit& part : report.parts) parts.push_back(part_json(part));
  out["parts"] = parts;
  Json membership = Json::object();
  membership["auc_private"] = report.membership.with_noise;
  membership["auc_not_private"] = report.membership.without;
  membership["auc_error"] = report.membership.error;
  out["membership"] = membership;
  out["passes"] = report.failed().empty();
  std::printf("%s\n", to_text(out, 2).c_str());
}

/// What a part that fails has outside of its range.
void print_faults(const PartAudit& part) {
  const char* name = part.part.c_str();
  if (!part.mu_stated())
    std::printf("  %s: bound and noise that it states are mu %.6f, expected %.6f\n", name,
                part.stated_mu, part.mu);
  if (!part.mu_good())
    std::printf("  %s: canaries show mu %.3f, expected %.3f to %.3f\n", name, part.estimate,
                part.mu - part.mu_tolerance(), part.mu + part.mu_tolerance());
  if (!part.spread_good())
    std::printf("  %s: s is %.4f, expected %.4f to %.4f\n", name, part.spread,
                1 - part.spread_tolerance(), 1 + part.spread_tolerance());
  if (!part.left_good())
    std::printf(
        "  %s: %.2f standard deviations of the sums are left in the noise, expected -4 to 4\n",
        name, part.left);
  if (!part.change_good())
    std::printf("  %s: one canary moves the exact sums by %.6f of the bound, expected at most 1\n",
                name, part.change);
  if (!part.one_run_good())
    std::printf("  %s: epsilon is at least %.3f, promised %.3f\n", name, part.one_run.epsilon,
                part.epsilon);
}

void print_text(const AuditOptions& o, const AuditReport& report) {
  std::printf("%lld canaries, %lld of them in; seed %llu%s\n", static_cast<long long>(o.canaries),
              static_cast<long long>(report.members), static_cast<unsigned long long>(report.seed),
              o.seed ? ", the noise too" : ", noise of the system");
  std::printf("each part alone at mu %g: epsilon %.4g at delta %g\n\n", o.mu,
              report.parts[0].epsilon, o.delta);
  std::printf("%-8s %8s  %-16s %-15s %-7s %-17s %-6s %-8s %-15s\n", "part", "numbers",
              "mu estimate", "range", "s", "range", "left", "moved", "epsilon above");
  for (const PartAudit& part : report.parts)
    std::printf(
        "%-8s %8lld  %.3f +- %.3f   %.3f - %.3f   %-7.4f %.4f - %.4f   %-6.2f %-8.6f %-6.3f  %s\n",
        part.part.c_str(), static_cast<long long>(part.numbers), part.estimate, part.estimate_error,
        part.mu - part.mu_tolerance(), part.mu + part.mu_tolerance(), part.spread,
        1 - part.spread_tolerance(), 1 + part.spread_tolerance(), part.left, part.change,
        part.one_run.epsilon, part.passes() ? "passes" : "FAILS");
  for (const PartAudit& part : report.parts) print_faults(part);
  std::printf(
      "\ns: rms of the noise over the stated sigma. left: of the sums in it, -4 to 4. moved: what one "
      "canary changes in the exact sums, over the\nbound, at most 1. epsilon above: shown by one run, 95 %% confidence, from "
      "the release alone.\n");
  std::printf(
      "membership by distance, area under the curve (0.5 tells nothing, +- %.3f): private %.3f, "
      "without noise %.3f\n",
      report.membership.error, report.membership.with_noise, report.membership.without);
}

void audit(const AuditOptions& o) {
  if (!moments::audit_mu_range.contains(o.mu))
    fail_command(ErrorCode::usage, "--mu ", o.mu, ": expected ", moments::audit_mu_range);
  if (const Result<void> good = privacy::check_delta(o.delta); !good)
    fail_command(ErrorCode::usage, "--", good.failure().message);
  const AuditReport report = run_audit(o);
  if (o.json)
    print_json(o, report);
  else
    print_text(o, report);
  std::fflush(stdout);
  if (const std::string failed = report.failed(); !failed.empty())
    fail_command(ErrorCode::other, "the audit fails: ", failed);
}

}  // namespace

void add_privacy_audit_command(CLI::App& privacy) {
  auto o = std::make_shared<AuditOptions>();
  CLI::App* command = privacy.add_subcommand(
      "audit",
      "Try on made images whether a moments release has the noise that it states; 1 where not");
  command->add_option("--canaries", o->canaries, "Images that are made to be noticed")
      ->check(between(moments::min_canaries, moments::max_canaries))
      ->capture_default_str();
  command->add_option("--seed", o->seed,
                      "Of canaries and noise, to repeat an audit; default: both from the system");
  command->add_option("--mu", o->mu, "That each part alone is tried with")->capture_default_str();
  command->add_option("--delta", o->delta, "Of the epsilons")->capture_default_str();
  command->add_flag("--json", o->json, "Print one JSON object");
  command->callback([o] { audit(*o); });
}

}  // namespace iotsl::tool
