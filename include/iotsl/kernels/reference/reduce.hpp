#pragma once
// Sums over dimensions, and their adjoint, the broadcast.

#include "iotsl/kernels/reference/accumulator.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

/// y[kept dims] = sum of x[shape] over every dimension d whose bit d is set in `dims_mask`. A sum
/// over nothing is 0.
template <class T>
void reduce_sum(const Index shape[4], unsigned dims_mask, const T* x, T* y) {
  Index outer[4], inner[4], strides[4];
  Index stride = 1;
  for (int d = 3; d >= 0; --d) {
    const bool summed = ((dims_mask >> d) & 1U) != 0;
    outer[d] = summed ? 1 : shape[d];
    inner[d] = summed ? shape[d] : 1;
    strides[d] = stride;
    stride *= shape[d];
  }
  const auto at = [&](Index i, Index j, Index k, Index l) {
    return i * strides[0] + j * strides[1] + k * strides[2] + l * strides[3];
  };
  for (Index i = 0; i < outer[0]; ++i)
    for (Index j = 0; j < outer[1]; ++j)
      for (Index k = 0; k < outer[2]; ++k)
        for (Index l = 0; l < outer[3]; ++l) {
          const T* from = x + at(i, j, k, l);
          Accumulator<T> sum = 0;
          for (Index a = 0; a < inner[0]; ++a)
            for (Index b = 0; b < inner[1]; ++b)
              for (Index c = 0; c < inner[2]; ++c)
                for (Index d = 0; d < inner[3]; ++d) sum += from[at(a, b, c, d)];
          *y++ = static_cast<T>(sum);
        }
}

/// y[out_shape] = x with element strides per dimension; stride 0 repeats x along a dimension.
template <class T>
void broadcast(const Index out_shape[4], const T* x, const Index x_strides[4], T* y) {
  for (Index i = 0; i < out_shape[0]; ++i)
    for (Index j = 0; j < out_shape[1]; ++j)
      for (Index k = 0; k < out_shape[2]; ++k)
        for (Index l = 0; l < out_shape[3]; ++l)
          *y++ = x[i * x_strides[0] + j * x_strides[1] + k * x_strides[2] + l * x_strides[3]];
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
