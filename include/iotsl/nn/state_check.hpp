#pragma once
// Whether the state of a model can be one: what a training that went wrong, or a file of another
// program, leaves must not pass for weights.

#include "iotsl/core/finite.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

template <class T>
struct StateJudge {
  std::string prefix = {};
  Result<void> status = {};

  void parameter(const char* name, Tensor<T>& t) {
    if (status && !all_finite(t)) status = wrong(name, "has NaN or Inf");
  }
  void buffer(const char* name, Tensor<T>& t) {
    parameter(name, t);
    if (!status || std::string_view(name) != "running_var") return;
    for (const T value : t.values())
      if (value < T(0)) {
        status = wrong(name, concat("has ", value, ", a variance is at least 0"));
        return;
      }
  }
  void counter(const char* name, Counter& c) {
    if (status && c.value() < 0)
      status = wrong(name, concat("is ", c.value(), ", a count is at least 0"));
  }

 private:
  Failure wrong(const char* name, const std::string& what) const {
    return failure(ErrorCode::data, "tensor '", prefix, name, "' ", what);
  }
};

}  // namespace detail

/// Every number is finite, and no variance or count below 0; the failure names the tensor.
template <class Model>
Result<void> check_state(const Model& model) {
  detail::StateJudge<typename Model::Scalar> judge;
  model.visit_state(judge);
  return judge.status;
}

IOTSL_NAMESPACE_END
