#pragma once
// The kernels of products whose operands are bfloat16 numbers: those of gemm and convolution,
// compiled once more with words that are pairs (simd/vec_avx512bf16.hpp), and what makes such
// words.

#include "iotsl/kernels/conv2d/table.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// Rows of floats to words. An odd one is paired with zero.
struct RoundTable {
  /// words[i] = (x[2 i], x[2 i + 1]), `count` floats in all.
  void (*neighbours)(Index count, const float* x, float* words);
  /// words[i] = (first[i], second[i]); `second` may be null.
  void (*rows)(Index count, const float* first, const float* second, float* words);
};

/// What a target that multiplies pairs has beside its other kernels.
struct Bf16Table {
  const GemmTable* gemm;
  const ConvTable* conv;
  const RoundTable* round;
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#if IOTSL_HAVE_AVX && !IOTSL_LINK_ENGINE
#define IOTSL_TARGET avx512bf16
IOTSL_REGION_BEGIN(avx512bf16)
#include "iotsl/kernels/bf16/target-inl.hpp"
IOTSL_REGION_END
#undef IOTSL_TARGET
#if IOTSL_WITH_AVX2X2
#define IOTSL_TARGET avx2x2bf16
IOTSL_REGION_BEGIN(avx2x2bf16)
#include "iotsl/kernels/bf16/target-inl.hpp"
IOTSL_REGION_END
#undef IOTSL_TARGET
#endif
#endif

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// Those beside the active target; null where there are none, or this CPU cannot run them.
#if IOTSL_LINK_ENGINE
const Bf16Table* bf16_table();
#else
#if !IOTSL_EMIT_ENGINE
inline
#endif
    const Bf16Table*
    bf16_table() {
  if (!simd::multiplies_bfloat16()) return nullptr;
#if IOTSL_HAVE_AVX
#if IOTSL_WITH_AVX2X2
  if (simd::active_target() == simd::Target::avx2x2) return &avx2x2bf16::bf16_table;
#endif
  return &avx512bf16::bf16_table;
#else
  return nullptr;
#endif
}
#endif

}  // namespace kernels

IOTSL_NAMESPACE_END
