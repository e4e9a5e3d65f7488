#pragma once
// What the operands of matrix products and convolutions are rounded to, for those who say it and
// compute none.

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {
struct Bf16Products;
}

/// The operands of a matrix product or a convolution and of its gradients: float as they are, or
/// rounded to bfloat16 (8 significant bits, the exponents of float), which bfloat16_products() of
/// ops/bfloat16.hpp gives. Sums are float either way. A program that never asks for bfloat16 does
/// not contain the kernels for it.
class ProductPrecision {
 public:
  constexpr ProductPrecision() = default;  ///< float
  explicit constexpr ProductPrecision(const kernels::Bf16Products& products) : bf16_(&products) {}

  /// Null for float.
  constexpr const kernels::Bf16Products* bf16() const { return bf16_; }

 private:
  const kernels::Bf16Products* bf16_ = nullptr;
};

IOTSL_NAMESPACE_END
