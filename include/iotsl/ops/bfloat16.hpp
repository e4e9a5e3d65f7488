#pragma once
// Products of bfloat16 operands, for those who ask for them.

#include "iotsl/kernels/bf16/products.hpp"
#include "iotsl/ops/product_precision.hpp"

IOTSL_NAMESPACE_BEGIN

/// An Error where simd::multiplies_bfloat16() is false.
inline ProductPrecision bfloat16_products() {
  if (!simd::multiplies_bfloat16())
    fail("bfloat16_products: target ", simd::name(simd::active_target()),
         " on this CPU has no AVX-512 BF16");
  return ProductPrecision(kernels::bf16_products);
}

IOTSL_NAMESPACE_END
