#pragma once
// Convolution and its two adjoints; meaning as in reference/conv2d.hpp. float
// runs on the active SIMD target, every other type on the reference loops.

#include "iotsl/kernels/conv2d/algorithm.hpp"
#include "iotsl/kernels/conv2d/correlate.hpp"
#include "iotsl/kernels/conv2d/patches/forward.hpp"
#include "iotsl/kernels/conv2d/patches/input_grad.hpp"
#include "iotsl/kernels/conv2d/patches/weight_grad.hpp"
#include "iotsl/kernels/conv2d/weight_grad.hpp"
#include "iotsl/kernels/conv2d/winograd.hpp"
#include "iotsl/kernels/conv2d/winograd_weight_grad.hpp"
#include "iotsl/kernels/reference/conv2d.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

inline AxisMap rows_of(const ConvShape& s) {
  return AxisMap(AxisMap::Kind::forward, s.p, s.r, s.h, s.stride_h, s.pad_h, s.dilation_h);
}
inline AxisMap cols_of(const ConvShape& s) {
  return AxisMap(AxisMap::Kind::forward, s.q, s.s, s.w, s.stride_w, s.pad_w, s.dilation_w);
}

// `algorithm`: one that fits the shape; patches are of floats alone.

template <class Operands>
void conv2d_by(Operands operands, ConvAlgorithm algorithm, const ConvShape& s, const float* x,
               const float* w, const float* bias, float* y) {
  if (algorithm == ConvAlgorithm::patches) return patch_forward(s, x, w, bias, y);
  const AxisMap row = rows_of(s), col = cols_of(s);
  const Index taps = s.r * s.s;
  const Correlation c{s.n, s.c, s.h, s.w, s.k, &row, &col, 1, 1, s.c * taps, taps};
  if (algorithm == ConvAlgorithm::winograd)
    winograd_correlate(operands, c, s.pad_h, s.pad_w, false, x, w, bias, y);
  else
    correlate(operands, c, x, w, bias, y);
}

template <class Operands>
void conv2d_input_grad_by(Operands operands, ConvAlgorithm algorithm, const ConvShape& s,
                          const float* gy, const float* w, float* gx) {
  if (algorithm == ConvAlgorithm::patches) return patch_input_grad(s, gy, w, gx);
  const Index taps = s.r * s.s;
  const AxisMap row(AxisMap::Kind::adjoint, s.h, s.r, s.p, s.stride_h, s.pad_h, s.dilation_h);
  const AxisMap col(AxisMap::Kind::adjoint, s.w, s.s, s.q, s.stride_w, s.pad_w, s.dilation_w);
  const Correlation c{s.n,  s.k,        s.p,        s.q,  s.c,       &row,
                      &col, s.stride_h, s.stride_w, taps, s.c * taps};
  if (algorithm == ConvAlgorithm::winograd)
    winograd_correlate(operands, c, 2 - s.pad_h, 2 - s.pad_w, true, gy, w, nullptr, gx);
  else
    correlate(operands, c, gy, w, nullptr, gx);
}

template <class Operands>
void conv2d_weight_grad_by(Operands operands, ConvAlgorithm algorithm, const ConvShape& s,
                           const float* x, const float* gy, float* gw) {
  if (algorithm == ConvAlgorithm::patches) return patch_weight_grad(s, x, gy, gw);
  const AxisMap row = rows_of(s), col = cols_of(s);
  const WeightGrad g{s.n, s.c, s.h, s.w, s.k, &row, &col, s.stride_w};
  if (algorithm == ConvAlgorithm::winograd)
    winograd_weight_grad(operands, g, s.pad_h, s.pad_w, x, gy, gw);
  else
    weight_grad(operands, g, x, gy, gw);
}

}  // namespace detail

/// y[n,k,p,q] = bias[k] + sum over c,r,s of x[n,c,h,w] w[k,c,r,s]. `bias` may
/// be null.
template <class T>
void conv2d(const ConvShape& s, const T* x, const T* w, const std::type_identity_t<T>* bias, T* y) {
  if constexpr (std::is_same_v<T, float>)
    detail::conv2d_by(detail::FloatOperands{}, choose_algorithm(ConvOperation::forward, s), s, x, w,
                      bias, y);
  else
    reference::conv2d(s, x, w, bias, y);
}

/// gx[n,c,h,w] = sum over k,p,q of gy[n,k,p,q] w[k,c,r,s]: the adjoint in x.
template <class T>
void conv2d_input_grad(const ConvShape& s, const T* gy, const T* w, T* gx) {
  if constexpr (std::is_same_v<T, float>)
    detail::conv2d_input_grad_by(detail::FloatOperands{},
                                 choose_algorithm(ConvOperation::input_grad, s), s, gy, w, gx);
  else
    reference::conv2d_input_grad(s, gy, w, gx);
}

/// gw[k,c,r,s] = sum over n,p,q of gy[n,k,p,q] x[n,c,h,w]: the adjoint in w.
template <class T>
void conv2d_weight_grad(const ConvShape& s, const T* x, const T* gy, T* gw) {
  if constexpr (std::is_same_v<T, float>)
    detail::conv2d_weight_grad_by(detail::FloatOperands{},
                                  choose_algorithm(ConvOperation::weight_grad, s), s, x, gy, gw);
  else
    reference::conv2d_weight_grad(s, x, gy, gw);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
