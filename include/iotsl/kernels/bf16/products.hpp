#pragma once
// Matrix product and convolutions of float arrays whose values are rounded to bfloat16 (nearest,
// ties to even) before they are multiplied; sums are float. Winograd rounds what it has
// transformed, so that its error is some five times that of the rounded operands: at most 3e-2 of
// the largest output, where the direct form is within float's rounding of the product of the
// rounded operands.

#include "iotsl/kernels/bf16/operands.hpp"
#include "iotsl/kernels/bf16/products_table.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels {

/// Whether the drivers can round the operands: every tap meets the image somewhere.
constexpr bool bf16_applies(const ConvShape& s) {
  const auto meets = [](Index out, Index taps, Index in, Index stride, Index pad, Index dilation) {
    for (Index t = 0; t < taps; ++t) {
      bool any = false;
      for (Index o = 0; o < out && !any; ++o)
        any = o * stride + t * dilation >= pad && o * stride + t * dilation < in + pad;
      if (!any) return false;
    }
    return true;
  };
  return meets(s.p, s.r, s.h, s.stride_h, s.pad_h, s.dilation_h) &&
         meets(s.q, s.s, s.w, s.stride_w, s.pad_w, s.dilation_w);
}

/// Whether bfloat16 is taken, a function of the shape alone: not with few channels, whose words
/// would be half empty, and not on maps so small that taps never meet them, where weights that are
/// read once are the work. `bench/winograd_rule bf16` times both.
constexpr bool bf16_pays(const ConvShape& s) { return s.c >= 16 && s.k >= 16 && bf16_applies(s); }

#if !IOTSL_LINK_ENGINE
namespace detail {

inline void conv2d_bf16(const ConvShape& s, const float* x, const float* w, const float* bias,
                        float* y) {
  const ConvAlgorithm algorithm = choose_algorithm(ConvOperation::forward, s);
  if (bf16_pays(s))
    conv2d_by(Bf16Operands{}, algorithm, s, x, w, bias, y);
  else
    conv2d_by(FloatOperands{}, algorithm, s, x, w, bias, y);
}
inline void conv2d_input_grad_bf16(const ConvShape& s, const float* gy, const float* w, float* gx) {
  const ConvAlgorithm algorithm = choose_algorithm(ConvOperation::input_grad, s);
  if (bf16_pays(s))
    conv2d_input_grad_by(Bf16Operands{}, algorithm, s, gy, w, gx);
  else
    conv2d_input_grad_by(FloatOperands{}, algorithm, s, gy, w, gx);
}
inline void conv2d_weight_grad_bf16(const ConvShape& s, const float* x, const float* gy,
                                    float* gw) {
  const ConvAlgorithm algorithm = choose_algorithm(ConvOperation::weight_grad, s);
  if (bf16_pays(s))
    conv2d_weight_grad_by(Bf16Operands{}, algorithm, s, x, gy, gw);
  else
    conv2d_weight_grad_by(FloatOperands{}, algorithm, s, x, gy, gw);
}
inline void gemm_bf16(bool trans_a, bool trans_b, Index m, Index n, Index k, const float* a,
                      const float* b, float* c) {
  gemm_by(Bf16Operands{}, trans_a, trans_b, m, n, k, a, b, c);
}

}  // namespace detail
#endif

#if IOTSL_LINK_ENGINE
extern const Bf16Products bf16_products;
#else
#if IOTSL_EMIT_ENGINE
extern const Bf16Products bf16_products;
#else
inline
#endif
const Bf16Products bf16_products{&detail::conv2d_bf16, &detail::conv2d_input_grad_bf16,
                                 &detail::conv2d_weight_grad_bf16, &detail::gemm_bf16};
#endif

}  // namespace kernels
IOTSL_NAMESPACE_END
