#pragma once
// The generation log of Algorithm 1: which generator gives which class, how many samples of it, and
// from which seed. Pre-training makes its data set of it, and Algorithm 2 looks for partners in it.

#include <algorithm>
#include <cmath>

#include "iotsl/core/json/fields.hpp"
#include "iotsl/core/random.hpp"
#include "iotsl/core/scalar_math.hpp"
#include "iotsl/impute/histogram.hpp"

IOTSL_NAMESPACE_BEGIN
namespace impute {

/// What a generator's quality check has found of one class.
enum class Verdict { unchecked, passed, failed };

/// What is known of one device's generator.
struct GeneratorCheck {
  bool checked = false;                ///< else `loss` says nothing
  double loss = 0;                     ///< of its own quality check, the lower the better
  std::vector<Verdict> verdicts = {};  ///< of each class; empty: none was checked
  /// Samples of each class that it was trained on; empty: the device's whole histogram.
  std::vector<Index> trained = {};
};

/// Samples of one class that one generator gives.
struct GenerationEntry {
  std::uint32_t device = 0;   ///< whose generator it is
  std::uint32_t label = 0;    ///< `class` in the file
  std::uint64_t count = 0;    ///< samples in the data set for pre-training
  std::uint64_t seed = 0;     ///< of their latents
  std::uint64_t trained = 0;  ///< samples of the class that the generator was trained on

  friend bool operator==(const GenerationEntry&, const GenerationEntry&) = default;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("device", self.device);
    f("class", self.label);
    f("count", self.count);
    f("seed", self.seed);
    f("trained", self.trained);
  }
};

/// One class of one generator.
struct ClassOfGenerator {
  std::uint32_t device = 0;
  std::uint32_t label = 0;  ///< `class` in the file

  friend bool operator==(const ClassOfGenerator&, const ClassOfGenerator&) = default;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("device", self.device);
    f("class", self.label);
  }
};

/// How good a generator is as a whole.
struct GeneratorGrade {
  bool checked = false;
  /// The loss of its check as a share of what guessing costs, log(classes): few classes are easily
  /// told apart.
  double relative_loss = 0;

  /// Whether to be preferred; one that was not checked never is.
  friend bool operator<(const GeneratorGrade& a, const GeneratorGrade& b) {
    if (!a.checked || !b.checked) return a.checked && !b.checked;
    return a.relative_loss < b.relative_loss;
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("checked", self.checked);
    f("relative_loss", self.relative_loss);
  }
};

struct GenerationLog {
  std::string format = "iotsl-generation-2";
  std::vector<GeneratorGrade> generators;  ///< of each device
  std::vector<GenerationEntry> entries;    ///< by device, then by class
  std::vector<ClassOfGenerator> struck;    ///< failed the check, another generator has passed
  std::vector<ClassOfGenerator>
      used_though_failed;  ///< failed the check, and used: nobody has passed

  std::uint64_t samples() const {
    std::uint64_t sum = 0;
    for (const GenerationEntry& entry : entries) sum += entry.count;
    return sum;
  }
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("generators", self.generators);
    f("entries", self.entries);
    f("struck", self.struck);
    f("used_though_failed", self.used_though_failed);
  }
};

namespace detail {

/// Fills in what `checks` leave to the histograms, and refuses what no generator can be.
inline Result<void> complete_checks(const data::CountTable& histograms,
                                    std::vector<GeneratorCheck>& checks) {
  const auto bad = [](const auto&... parts) {
    return failure(ErrorCode::data, "generation log: ", parts...);
  };
  if (checks.size() != histograms.size())
    return bad(checks.size(), " generators for ", histograms.size(), " devices");
  for (std::size_t d = 0; d < checks.size(); ++d) {
    GeneratorCheck& check = checks[d];
    const std::size_t classes = histograms[d].size();
    if (check.trained.empty()) check.trained = histograms[d];
    if (check.verdicts.empty()) check.verdicts.assign(classes, Verdict::unchecked);
    if (check.trained.size() != classes || check.verdicts.size() != classes)
      return bad("the generator of device ", d, " has ", check.trained.size(), " classes and ",
                 check.verdicts.size(), " verdicts, expected ", classes);
    if (check.checked && !std::isfinite(check.loss))
      return bad("the loss of the generator of device ", d, " is ", check.loss,
                 ", expected a number");
    for (std::size_t c = 0; c < classes; ++c)
      if (check.trained[c] < 0 || check.trained[c] > max_class_count)
        return bad("the generator of device ", d, " was trained on ", check.trained[c],
                   " samples of class ", c, ", expected 0 to ", max_class_count);
  }
  return {};
}

inline GeneratorGrade grade(const GeneratorCheck& check) {
  const auto known =
      std::count_if(check.trained.begin(), check.trained.end(), [](Index n) { return n > 0; });
  // A judge of one class is always right: its loss says nothing.
  if (!check.checked || known < 2) return {};
  return {true, check.loss / scalar_math::log(static_cast<double>(known))};
}

/// Who gives one class: the devices, ascending, and how many samples each.
struct Givers {
  std::vector<std::size_t> devices;
  std::vector<Index> counts;
};

/// All whose generators were trained on the class, with as many samples as the device holds. Where
/// some have passed the check, those that have failed it are struck, and their samples are shared
/// out among those that have passed: the data set stays as large as the devices' own together.
inline Givers find_givers(const data::CountTable& histograms,
                          const std::vector<GeneratorCheck>& checks, std::size_t label,
                          GenerationLog& log) {
  Givers out;
  Index passed = 0, orphaned = 0;
  for (const GeneratorCheck& check : checks)
    passed += check.trained[label] > 0 && check.verdicts[label] == Verdict::passed;
  for (std::size_t d = 0; d < checks.size(); ++d) {
    if (checks[d].trained[label] == 0) continue;
    const ClassOfGenerator place{static_cast<std::uint32_t>(d), static_cast<std::uint32_t>(label)};
    const bool failed = checks[d].verdicts[label] == Verdict::failed;
    if (failed && passed > 0) {
      log.struck.push_back(place);
      orphaned += histograms[d][label];
      continue;
    }
    if (failed) log.used_though_failed.push_back(place);
    out.devices.push_back(d);
    out.counts.push_back(histograms[d][label]);
  }
  for (std::size_t i = 0; i < out.devices.size() && passed > 0; ++i) {
    if (checks[out.devices[i]].verdicts[label] != Verdict::passed) continue;
    const Index share = orphaned / passed--;
    out.counts[i] += share;
    orphaned -= share;
  }
  return out;
}

}  // namespace detail

/// The log for devices with these histograms, which must have passed check_histograms(), and one
/// generator for each. First of all a class that has failed its check is struck from a generator
/// where another device's generator has passed it.
inline Result<GenerationLog> make_generation_log(const data::CountTable& histograms,
                                                 std::vector<GeneratorCheck> checks,
                                                 std::uint64_t seed) {
  if (Result<void> good = detail::complete_checks(histograms, checks); !good) return good.failure();
  GenerationLog out;
  for (const GeneratorCheck& check : checks) out.generators.push_back(detail::grade(check));
  for (std::size_t c = 0; c < histograms.front().size(); ++c) {
    const detail::Givers givers = detail::find_givers(histograms, checks, c, out);
    for (std::size_t i = 0; i < givers.devices.size(); ++i) {
      const std::size_t d = givers.devices[i];
      const auto words = Random(seed, Stream::generation, static_cast<std::uint32_t>(d)).block(c);
      out.entries.push_back({.device = static_cast<std::uint32_t>(d),
                             .label = static_cast<std::uint32_t>(c),
                             .count = static_cast<std::uint64_t>(givers.counts[i]),
                             // 53 bits, which every JSON reader keeps.
                             .seed = ((std::uint64_t{words[0]} << 32) | words[1]) >> 11,
                             .trained = static_cast<std::uint64_t>(checks[d].trained[c])});
    }
  }
  std::stable_sort(out.entries.begin(), out.entries.end(),
                   [](const auto& a, const auto& b) { return a.device < b.device; });
  return out;
}

/// What the checks have changed, as text for people; empty where all classes have passed.
inline std::string format_failed_classes(const std::vector<ClassOfGenerator>& struck,
                                         const std::vector<ClassOfGenerator>& used_though_failed) {
  const auto list = [](const std::vector<ClassOfGenerator>& from) {
    std::string out;
    for (const ClassOfGenerator& each : from)
      out += concat(out.empty() ? "" : ", ", each.label, " of device ", each.device);
    return out;
  };
  std::string out;
  if (!struck.empty()) out = concat("not used, since another's is better: class ", list(struck));
  if (!used_though_failed.empty())
    out += concat(out.empty() ? "" : "; ", "used although failed, since nobody's is better: class ",
                  list(used_though_failed));
  return out;
}

}  // namespace impute
IOTSL_NAMESPACE_END
