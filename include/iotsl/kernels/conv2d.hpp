#pragma once
// Convolution and its two adjoints; meaning as in reference/conv2d.hpp.

#include "iotsl/kernels/reference/conv2d.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void conv2d(const ConvShape& s, const T* x, const T* w, const std::type_identity_t<T>* bias, T* y) {
  reference::conv2d(s, x, w, bias, y);
}

template <class T>
void conv2d_input_grad(const ConvShape& s, const T* gy, const T* w, T* gx) {
  reference::conv2d_input_grad(s, gy, w, gx);
}

template <class T>
void conv2d_weight_grad(const ConvShape& s, const T* x, const T* gy, T* gw) {
  reference::conv2d_weight_grad(s, x, gy, gw);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
