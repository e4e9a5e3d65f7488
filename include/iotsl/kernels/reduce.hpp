#pragma once
// Sums over dimensions and broadcasts; meaning as in reference/reduce.hpp.

#include "iotsl/kernels/reference/reduce.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void reduce_sum(const Index shape[4], unsigned dims_mask, const T* x, T* y) {
  reference::reduce_sum(shape, dims_mask, x, y);
}

template <class T>
void broadcast(const Index out_shape[4], const T* x, const Index x_strides[4], T* y) {
  reference::broadcast(out_shape, x, x_strides, y);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
