#pragma once
// What a run is judged by.

#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// The test set, and where the run has one the validation part of the training set, by which the
/// run chooses. Both must outlive this.
class EvaluationSets {
 public:
  EvaluationSets(const data::Dataset& test) : test_(&test) {}  // NOLINT: a test set alone is one
  EvaluationSets(data::Dataset&&) = delete;
  /// An empty `validation` is none.
  EvaluationSets(const data::Dataset& test, const data::Dataset& validation)
      : test_(&test), validation_(validation.size() == 0 ? nullptr : &validation) {}

  const data::Dataset& test() const { return *test_; }
  /// Null where there is none.
  const data::Dataset* validation() const { return validation_; }

 private:
  const data::Dataset* test_;
  const data::Dataset* validation_ = nullptr;
};

}  // namespace split
IOTSL_NAMESPACE_END
