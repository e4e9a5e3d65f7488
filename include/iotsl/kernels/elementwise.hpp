#pragma once
// Element-wise functions on ranges; meaning and aliasing as in reference/elementwise.hpp.

#include "iotsl/kernels/reference/elementwise.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void unary(Unary op, Index n, const T* x, T* y) {
  reference::unary(op, n, x, y);
}

template <class T>
void affine(Index n, Scalar<T> scale, const T* x, Scalar<T> shift, T* y) {
  reference::affine(n, scale, x, shift, y);
}

template <class T>
void binary(Binary op, Index n, const T* a, const T* b, T* y) {
  reference::binary(op, n, a, b, y);
}

template <class T>
void axpy(Index n, Scalar<T> alpha, const T* x, T* y) {
  reference::axpy(n, alpha, x, y);
}

template <class T>
void binary_broadcast(Binary op, const Index out_shape[4], const T* a, const Index a_strides[4],
                      const T* b, const Index b_strides[4], T* y) {
  reference::binary_broadcast(op, out_shape, a, a_strides, b, b_strides, y);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
