#pragma once
// simd/vec_avx512bf16.hpp without its instructions, on pairs of AVX2 registers: how a CPU that has
// none of them proves the kernels of bfloat16. For tests alone (IOTSL_WITH_AVX2X2=1).

#include "iotsl/simd/vec_avx2x2.hpp"

#if IOTSL_HAVE_AVX
IOTSL_REGION_BEGIN(avx2x2bf16)
IOTSL_NAMESPACE_BEGIN
namespace simd::avx2x2bf16 {

using avx2::Floats, avx2::Words, avx2::Ints;
using avx2x2::Vec, avx2x2::lanes, avx2x2::registers, avx2x2::multiplies_by_lane, avx2x2::load,
    avx2x2::store, avx2x2::load_partial, avx2x2::store_partial, avx2x2::load1, avx2x2::load1_next,
    avx2x2::zero, avx2x2::add, avx2x2::even_lanes, avx2x2::odd_lanes, avx2x2::transpose,
    avx2x2::transpose_partial, avx2x2::next_vecs;
inline constexpr bool words_are_pairs = true;

/// Zero in place of what is below 2^-126.
IOTSL_INLINE Words flush(Words a) { return (a & 0x7F800000U) == 0 ? a & 0x80000000U : a; }
IOTSL_INLINE avx2::Vec dot_pairs(avx2::Vec a, avx2::Vec b, avx2::Vec c) {
  const Words wa = (Words)a.v, wb = (Words)b.v, upper = Words{} + 0xFFFF0000U;
  const avx2::Vec second = avx2::fma({(Floats)flush(wa & upper)}, {(Floats)flush(wb & upper)}, c);
  return avx2::fma({(Floats)flush(wa << 16)}, {(Floats)flush(wb << 16)}, second);
}
IOTSL_INLINE Vec dot_pairs(Vec a, Vec b, Vec c) {
  return {dot_pairs(a.low, b.low, c.low), dot_pairs(a.high, b.high, c.high)};
}

/// The bits of bfloat16 in the low half of every word; a NaN stays one.
IOTSL_INLINE Words round(avx2::Vec a) {
  const Words w = flush((Words)a.v);
  const Words rounded = (w + 0x7FFFU + ((w >> 16) & 1U)) >> 16;
  return (w & 0x7FFFFFFFU) > 0x7F800000U ? (w >> 16) | 0x40U : rounded;
}
IOTSL_INLINE Vec pair_lanes(Vec a, Vec b) {
  return {{(Floats)(round(a.low) | round(b.low) << 16)},
          {(Floats)(round(a.high) | round(b.high) << 16)}};
}
IOTSL_INLINE Vec pair_neighbours(Vec a, Vec b) {
  return pair_lanes(even_lanes(a, b), odd_lanes(a, b));
}

}  // namespace simd::avx2x2bf16
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
