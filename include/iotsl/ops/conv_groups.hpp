#pragma once
// Which kernels compute a convolution: those of one group, or those that its options name.

#include "iotsl/kernels/conv2d/grouped.hpp"
#include "iotsl/ops/conv_options.hpp"

IOTSL_NAMESPACE_BEGIN

inline ConvGroups::ConvGroups(Index count) : count_(count) {
  // One group is the convolution as it is, so that a program with nothing else stays small.
  if (count != 1) kernels_ = &kernels::grouped_conv;
}

namespace detail {

template <class T>
void conv_forward(const kernels::ConvShape& s, const ConvGroups& groups, const T* x, const T* w,
                  const std::type_identity_t<T>* bias, T* y) {
  if (groups.count() == 1) return kernels::conv2d(s, x, w, bias, y);
  if constexpr (std::is_same_v<T, float>)
    groups.kernels()->forward(s, groups.count(), x, w, bias, y);
  else
    kernels::grouped_conv2d(s, groups.count(), x, w, bias, y);
}

template <class T>
void conv_input_grad(const kernels::ConvShape& s, const ConvGroups& groups, const T* gy, const T* w,
                     T* gx) {
  if (groups.count() == 1) return kernels::conv2d_input_grad(s, gy, w, gx);
  if constexpr (std::is_same_v<T, float>)
    groups.kernels()->input_grad(s, groups.count(), gy, w, gx);
  else
    kernels::grouped_conv2d_input_grad(s, groups.count(), gy, w, gx);
}

template <class T>
void conv_weight_grad(const kernels::ConvShape& s, const ConvGroups& groups, const T* x,
                      const T* gy, T* gw) {
  if (groups.count() == 1) return kernels::conv2d_weight_grad(s, x, gy, gw);
  if constexpr (std::is_same_v<T, float>)
    groups.kernels()->weight_grad(s, groups.count(), x, gy, gw);
  else
    kernels::grouped_conv2d_weight_grad(s, groups.count(), x, gy, gw);
}

}  // namespace detail

IOTSL_NAMESPACE_END
