#pragma once
// Which of its states a run is reported by.

#include <optional>
#include <span>

#include "iotsl/measure/metrics.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// A state of a run. Accuracies are fractions.
struct ChosenPoint {
  std::uint64_t epoch = 0;  ///< that it was evaluated after; 0: no epoch was
  std::optional<double> validation_accuracy;
  double test_accuracy = 0;
};

/// Whether the run's state after `record` takes the place of `before`: by a higher validation
/// accuracy, the first of equal ones. Without a validation part the last evaluation counts, since
/// any other choice would be made on the test set.
inline bool is_better(const EpochRecord& record, const ChosenPoint& before) {
  if (!record.evaluated) return false;
  if (!record.has_validation || !before.validation_accuracy) return true;
  return record.validation_accuracy > *before.validation_accuracy;
}

inline ChosenPoint point_of(const EpochRecord& record) {
  ChosenPoint out;
  out.epoch = record.epoch;
  out.test_accuracy = record.test_accuracy;
  if (record.has_validation) out.validation_accuracy = record.validation_accuracy;
  return out;
}

/// The point among `epochs`.
inline ChosenPoint choose_point(std::span<const EpochRecord> epochs) {
  ChosenPoint out;
  for (const EpochRecord& record : epochs)
    if (is_better(record, out)) out = point_of(record);
  return out;
}

/// Watches whether the validation accuracy still rises.
class Plateau {
 public:
  void add(const EpochRecord& record) {
    if (!record.evaluated || !record.has_validation) return;
    const bool better = is_better(record, best_);
    if (better) best_ = point_of(record);
    since_ = better || record.round == 0 ? 0 : since_ + 1;
  }
  /// Evaluations on a validation part since the best one. Those of the first round count for
  /// nothing: until every device has had its turn the accuracy says who came last.
  std::uint64_t evaluations_without_gain() const { return since_; }

 private:
  ChosenPoint best_;
  std::uint64_t since_ = 0;
};

}  // namespace measure
IOTSL_NAMESPACE_END
