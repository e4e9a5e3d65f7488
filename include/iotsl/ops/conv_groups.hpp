#pragma once
// Which kernels compute a convolution: those of one group in float, or those that its options name.

#include "iotsl/kernels/bf16/products_table.hpp"
#include "iotsl/kernels/conv2d/grouped.hpp"
#include "iotsl/ops/conv_options.hpp"

IOTSL_NAMESPACE_BEGIN

inline ConvGroups::ConvGroups(Index count) : count_(count) {
  // One group is the convolution as it is, so that a program with nothing else stays small.
  if (count != 1) kernels_ = &kernels::grouped_conv;
}

namespace detail {

template <class T>
void conv_forward(const kernels::ConvShape& s, const Conv2dOptions& options, const T* x, const T* w,
                  const std::type_identity_t<T>* bias, T* y) {
  const ConvGroups& groups = options.groups;
  if constexpr (std::is_same_v<T, float>)
    if (const kernels::Bf16Products* bf16 = options.precision.bf16(); bf16 && groups.count() == 1)
      return bf16->conv2d(s, x, w, bias, y);
  if (groups.count() == 1) return kernels::conv2d(s, x, w, bias, y);
  if constexpr (std::is_same_v<T, float>)
    groups.kernels()->forward(s, groups.count(), x, w, bias, y);
  else
    kernels::grouped_conv2d(s, groups.count(), x, w, bias, y);
}

template <class T>
void conv_input_grad(const kernels::ConvShape& s, const Conv2dOptions& options, const T* gy,
                     const T* w, T* gx) {
  const ConvGroups& groups = options.groups;
  if constexpr (std::is_same_v<T, float>)
    if (const kernels::Bf16Products* bf16 = options.precision.bf16(); bf16 && groups.count() == 1)
      return bf16->conv2d_input_grad(s, gy, w, gx);
  if (groups.count() == 1) return kernels::conv2d_input_grad(s, gy, w, gx);
  if constexpr (std::is_same_v<T, float>)
    groups.kernels()->input_grad(s, groups.count(), gy, w, gx);
  else
    kernels::grouped_conv2d_input_grad(s, groups.count(), gy, w, gx);
}

template <class T>
void conv_weight_grad(const kernels::ConvShape& s, const Conv2dOptions& options, const T* x,
                      const T* gy, T* gw) {
  const ConvGroups& groups = options.groups;
  if constexpr (std::is_same_v<T, float>)
    if (const kernels::Bf16Products* bf16 = options.precision.bf16(); bf16 && groups.count() == 1)
      return bf16->conv2d_weight_grad(s, x, gy, gw);
  if (groups.count() == 1) return kernels::conv2d_weight_grad(s, x, gy, gw);
  if constexpr (std::is_same_v<T, float>)
    groups.kernels()->weight_grad(s, groups.count(), x, gy, gw);
  else
    kernels::grouped_conv2d_weight_grad(s, groups.count(), x, gy, gw);
}

}  // namespace detail

IOTSL_NAMESPACE_END
