#pragma once
// What a layer costs, for those who count and build none.

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN

/// What a layer costs for one sample, counted as the paper does (section V-C): a convolution is its
/// multiply-adds and bias, batch norm 2 per output, ReLU 1 per output, a pool 1 per input, a linear
/// layer its multiply-adds, dropout nothing; activations are 4 bytes per output.
struct LayerCost {
  Index parameters = 0;
  Index operations = 0;
  Index activation_bytes = 0;

  LayerCost& operator+=(const LayerCost& other) {
    parameters += other.parameters;
    operations += other.operations;
    activation_bytes += other.activation_bytes;
    return *this;
  }
};

namespace detail {
inline Index elements_per_sample(const Shape& shape) {
  Index n = 1;
  for (int d = 1; d < shape.rank(); ++d) n *= shape[d];
  return n;
}
inline Index activation_bytes(const Shape& output) { return 4 * elements_per_sample(output); }
}  // namespace detail

IOTSL_NAMESPACE_END
