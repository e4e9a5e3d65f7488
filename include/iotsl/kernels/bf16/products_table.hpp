#pragma once
// The products of bfloat16 as those see them who compute with what they are given.

#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels {

/// The four behind one pointer: a program that asks for no bfloat16 (ops/product_precision.hpp)
/// does not contain them. They need a bf16_table(). Arguments as in kernels/conv2d/conv2d.hpp and
/// kernels/gemm/gemm.hpp.
struct Bf16Products {
  void (*conv2d)(const ConvShape& s, const float* x, const float* w, const float* bias, float* y);
  void (*conv2d_input_grad)(const ConvShape& s, const float* gy, const float* w, float* gx);
  void (*conv2d_weight_grad)(const ConvShape& s, const float* x, const float* gy, float* gw);
  void (*gemm)(bool trans_a, bool trans_b, Index m, Index n, Index k, const float* a,
               const float* b, float* c);
};

}  // namespace kernels
IOTSL_NAMESPACE_END
