#pragma once
// Products of a matrix with vectors, as the power iteration needs them. Matrices are [rows,cols].

#include "iotsl/kernels/reference/accumulator.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

/// Sum of a * b.
template <class T>
Accumulator<T> dot(Index n, const T* a, const T* b) {
  Accumulator<T> sum = 0;
  for (Index i = 0; i < n; ++i)
    sum += static_cast<Accumulator<T>>(a[i]) * static_cast<Accumulator<T>>(b[i]);
  return sum;
}

/// y[rows] = w v.
template <class T>
void matvec(Index rows, Index cols, const T* w, const T* v, T* y) {
  for (Index i = 0; i < rows; ++i) y[i] = static_cast<T>(dot(cols, w + i * cols, v));
}

/// y[cols] = the transpose of w times u.
template <class T>
void matvec_transposed(Index rows, Index cols, const T* w, const T* u, T* y) {
  for (Index j = 0; j < cols; ++j) {
    Accumulator<T> sum = 0;
    for (Index i = 0; i < rows; ++i)
      sum += static_cast<Accumulator<T>>(w[i * cols + j]) * static_cast<Accumulator<T>>(u[i]);
    y[j] = static_cast<T>(sum);
  }
}

/// y = alpha w + beta u v^T; y may be w.
template <class T>
void rank_one(Index rows, Index cols, T alpha, const T* w, T beta, const T* u, const T* v, T* y) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) y[i * cols + j] = alpha * w[i * cols + j] + beta * u[i] * v[j];
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
