#pragma once
// Products of bfloat16 with sums in float, on the registers of avx512: a word of memory, where the
// kernels of a product have a float, is a pair of bfloat16 numbers, the first in its low half. So
// the same tiles (kernels/gemm/gemm_tile-inl.hpp) add twice the products with each instruction.
// Beyond what moves words:
//
//   dot_pairs(a,b,c)      (c + a.second*b.second) + a.first*b.first in every lane; numbers below
//                         2^-126 count as zero
//   pair_lanes(a,b)       the pairs (a[i], b[i]), rounded to the nearest, ties to even
//   pair_neighbours(a,b)  the pairs (a[0], a[1]), (a[2], a[3]) ... of a, then those of b

#include "iotsl/simd/vec_avx512.hpp"

#if IOTSL_HAVE_AVX
IOTSL_REGION_BEGIN(avx512bf16)
IOTSL_NAMESPACE_BEGIN
namespace simd::avx512bf16 {

using avx512::Vec, avx512::lanes, avx512::registers, avx512::multiplies_by_lane, avx512::load,
    avx512::store, avx512::load_partial, avx512::store_partial, avx512::load1, avx512::load1_next,
    avx512::zero, avx512::add, avx512::zip_low, avx512::zip_high, avx512::transpose,
    avx512::transpose_partial, avx512::next_vecs;
inline constexpr bool words_are_pairs = true;

// The instructions by name: the types of their builtins differ from compiler to compiler.
IOTSL_INLINE Vec dot_pairs(Vec a, Vec b, Vec c) {
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(c.v) : "v"(a.v), "v"(b.v));
  return c;
}
IOTSL_INLINE Vec pair_neighbours(Vec a, Vec b) {
  Vec pairs;
  __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(pairs.v) : "v"(a.v), "v"(b.v));
  return pairs;
}
IOTSL_INLINE Vec pair_lanes(Vec a, Vec b) { return pair_neighbours(zip_low(a, b), zip_high(a, b)); }

}  // namespace simd::avx512bf16
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
