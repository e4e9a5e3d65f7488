#pragma once
// Products of bfloat16 operands, for those who ask for them.

#include "iotsl/kernels/bf16/products.hpp"
#include "iotsl/ops/product_precision.hpp"

IOTSL_NAMESPACE_BEGIN

inline ProductPrecision ProductPrecision::bfloat16() {
  if (!simd::multiplies_bfloat16())
    fail("ProductPrecision::bfloat16: target ", simd::name(simd::active_target()),
         " on this CPU has no AVX-512 BF16");
  ProductPrecision out;
  out.bf16_ = &kernels::bf16_products;
  return out;
}

IOTSL_NAMESPACE_END
