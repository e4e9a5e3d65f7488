#pragma once
// Exponential moving average of weights.

#include "iotsl/kernels/elementwise/elementwise.hpp"
#include "iotsl/nn/module.hpp"

IOTSL_NAMESPACE_BEGIN

/// Moves `average` towards `weights`: average = d average + (1 - d) weights, with
/// d = min(decay, 1 - 1/(step + 1)), so that the first steps (counted from 0) weigh as much as
/// those that follow (GS-WGAN). Both lists have the same tensors in the same order.
template <class T>
void update_average(std::vector<NamedTensor<T>>& average,
                    const std::vector<NamedTensor<T>>& weights, double decay, std::int64_t step) {
  if (average.size() != weights.size())
    fail("update_average: ", average.size(), " averages of ", weights.size(), " weights");
  const double d = std::min(decay, 1 - 1 / static_cast<double>(step + 1));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    Tensor<T>& to = average[i].tensor;
    if (!(to.shape() == weights[i].tensor.shape()))
      fail("update_average: ", weights[i].name, " ", weights[i].tensor.shape(), ", its average ",
           to.shape());
    kernels::affine(to.size(), static_cast<T>(d), to.data(), T(0), to.mutable_data());
    kernels::axpy(to.size(), static_cast<T>(1 - d), weights[i].tensor.data(), to.mutable_data());
  }
}

IOTSL_NAMESPACE_END
