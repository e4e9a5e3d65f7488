#pragma once
// Element-wise functions. An output may be one of the inputs.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

template <class T>
T unary(Unary op, T x) {
  switch (op) {
    case Unary::neg:
      return -x;
    case Unary::exp:
      return scalar_math::exp(x);
    case Unary::log:
      return scalar_math::log(x);
    case Unary::sqrt:
      return scalar_math::sqrt(x);
    case Unary::rsqrt:
      return T(1) / scalar_math::sqrt(x);
    case Unary::square:
      return x * x;
    case Unary::reciprocal:
      return T(1) / x;
    case Unary::sigmoid:
      return T(1) / (T(1) + scalar_math::exp(-x));
    case Unary::tanh:
      return scalar_math::tanh(x);
    case Unary::relu:
      return x < T(0) ? T(0) : x;  // NaN stays NaN
    case Unary::abs:
      return scalar_math::abs(x);
  }
  return x;
}

template <class T>
T binary(Binary op, T a, T b) {
  switch (op) {
    case Binary::add:
      return a + b;
    case Binary::sub:
      return a - b;
    case Binary::mul:
      return a * b;
    case Binary::div:
      return a / b;
    case Binary::relu_grad:
      return b > T(0) ? a : T(0);
  }
  return a;
}

/// y[i] = op(x[i])
template <class T>
void unary(Unary op, Index n, const T* x, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = unary(op, x[i]);
}

/// y[i] = scale * x[i] + shift, rounded once
template <class T>
void affine(Index n, Scalar<T> scale, const T* x, Scalar<T> shift, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = scalar_math::fma(scale, x[i], shift);
}

/// y[i] = op(a[i], b[i])
template <class T>
void binary(Binary op, Index n, const T* a, const T* b, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = binary(op, a[i], b[i]);
}

/// y[i] += alpha * x[i], rounded once
template <class T>
void axpy(Index n, Scalar<T> alpha, const T* x, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = scalar_math::fma(alpha, x[i], y[i]);
}

/// y[out_shape] = op(a, b) with element strides per dimension; stride 0 repeats an operand. y is
/// dense and row-major, and overlaps an operand only where that operand is dense as well.
template <class T>
void binary_broadcast(Binary op, const Index out_shape[4], const T* a, const Index a_strides[4],
                      const T* b, const Index b_strides[4], T* y) {
  for (Index i = 0; i < out_shape[0]; ++i)
    for (Index j = 0; j < out_shape[1]; ++j)
      for (Index k = 0; k < out_shape[2]; ++k)
        for (Index l = 0; l < out_shape[3]; ++l)
          *y++ = binary(
              op, a[i * a_strides[0] + j * a_strides[1] + k * a_strides[2] + l * a_strides[3]],
              b[i * b_strides[0] + j * b_strides[1] + k * b_strides[2] + l * b_strides[3]]);
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
