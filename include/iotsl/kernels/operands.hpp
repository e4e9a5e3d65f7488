#pragma once
// How the drivers of matrix products and convolutions keep what they multiply. They are written for
// words of memory: a float each, or a pair of bfloat16 numbers (bf16/operands.hpp), which lie
// beside each other along the direction that is summed.

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels::detail {

/// Every float as it is. A driver that gets another type of operands finds the overloads for it of
/// the functions that take this one first.
struct FloatOperands {
  static constexpr Index per_word = 1;
};

/// Words that hold `count` numbers.
template <class Operands>
constexpr Index words(Operands, Index count) {
  return (count + Operands::per_word - 1) / Operands::per_word;
}

}  // namespace kernels::detail
IOTSL_NAMESPACE_END
