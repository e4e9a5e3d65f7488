#pragma once
// The generation log of a run, from what its server keeps of the generators.

#include "iotsl/gan/quality.hpp"
#include "iotsl/impute/generation_log.hpp"
#include "iotsl/split/records/preparation_record.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What is kept of a generator's own check.
inline void keep_quality(GeneratorRecord& record, const gan::Quality& quality) {
  record.checked = quality.checked;
  record.loss = quality.loss;
  record.accuracy = quality.accuracy;
  record.informedness = quality.informedness;
  const auto passed = quality.passed(), failed = quality.failed();
  record.passed.assign(passed.begin(), passed.end());
  record.failed.assign(failed.begin(), failed.end());
}

/// What the log needs to know of a generator of `classes` classes.
inline impute::GeneratorCheck generator_check(const GeneratorRecord& record, std::size_t classes) {
  impute::GeneratorCheck out;
  out.checked = record.checked;
  out.loss = record.loss;
  for (const std::uint64_t count : record.label_counts)
    out.trained.push_back(static_cast<Index>(count));
  out.verdicts.assign(classes, impute::Verdict::unchecked);
  for (const std::uint64_t label : record.passed) out.verdicts[label] = impute::Verdict::passed;
  for (const std::uint64_t label : record.failed) out.verdicts[label] = impute::Verdict::failed;
  return out;
}

/// `histograms` and `generators` of every device.
inline Result<impute::GenerationLog> make_generation_log(
    const std::vector<std::vector<std::uint64_t>>& histograms,
    const std::vector<GeneratorRecord>& generators, std::uint64_t seed) {
  const Result<data::CountTable> counts = impute::make_histograms(histograms);
  if (!counts) return counts.failure();
  std::vector<impute::GeneratorCheck> checks;
  for (const GeneratorRecord& each : generators)
    checks.push_back(generator_check(each, counts->front().size()));
  return impute::make_generation_log(*counts, std::move(checks), seed);
}

}  // namespace split
IOTSL_NAMESPACE_END
