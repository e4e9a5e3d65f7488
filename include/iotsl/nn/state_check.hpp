#pragma once
// Whether the state of a model can be one: what a training that went wrong, or a file of another
// program, leaves must not pass for weights.

#include "iotsl/core/finite.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN

/// Every number is finite, and no variance or count below 0; the failure names the tensor.
template <class Model>
Result<void> check_state(const Model& model) {
  using T = typename Model::Scalar;
  for (const StateEntry<T>& entry : state_entries<T>(model)) {
    const auto wrong = [&](const auto&... what) {
      return failure(ErrorCode::data, "tensor '", entry.name, "' ", what...);
    };
    if (entry.kind == StateKind::counter) {
      if (entry.counter->value() < 0)
        return wrong("is ", entry.counter->value(), ", a count is at least 0");
      continue;
    }
    if (!all_finite(entry.tensor)) return wrong("has NaN or Inf");
    if (!entry.name.ends_with("running_var")) continue;
    for (const T value : entry.tensor.values())
      if (value < T(0)) return wrong("has ", value, ", a variance is at least 0");
  }
  return {};
}

IOTSL_NAMESPACE_END
