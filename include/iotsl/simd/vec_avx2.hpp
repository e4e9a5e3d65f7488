#pragma once
// Eight floats in an AVX2 register with FMA. The list of functions is in simd/vec.hpp.

#include "iotsl/core/shape.hpp"
#include "iotsl/simd/target.hpp"

#if IOTSL_HAVE_AVX2
// immintrin.h costs a second of compile time per translation unit, nearly all of it AVX-512. GCC's
// parts of it only ask to come from there; a later #include <immintrin.h> still adds the rest.
#if defined(__GNUC__) && !defined(__clang__) && !defined(_IMMINTRIN_H_INCLUDED)
#define _IMMINTRIN_H_INCLUDED
#include <smmintrin.h>

#include <avxintrin.h>

#include <avx2intrin.h>
#include <fmaintrin.h>
#undef _IMMINTRIN_H_INCLUDED
#else
#include <immintrin.h>
#endif

IOTSL_REGION_BEGIN_AVX2
IOTSL_NAMESPACE_BEGIN
namespace simd::avx2 {

struct Vec {
  __m256 v;
};
struct Mask {
  __m256 v;
};
inline constexpr Index lanes = 8;
inline constexpr int registers = 16;

IOTSL_INLINE Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
IOTSL_INLINE void store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
IOTSL_INLINE Vec set1(float x) { return {_mm256_set1_ps(x)}; }
IOTSL_INLINE Vec zero() { return {_mm256_setzero_ps()}; }

IOTSL_INLINE __m256i first_lanes(Index count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
IOTSL_INLINE Vec load_partial(const float* p, Index count) {
  return {_mm256_maskload_ps(p, first_lanes(count))};
}
IOTSL_INLINE void store_partial(float* p, Vec a, Index count) {
  _mm256_maskstore_ps(p, first_lanes(count), a.v);
}

IOTSL_INLINE Vec add(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
IOTSL_INLINE Vec sub(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
IOTSL_INLINE Vec mul(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
IOTSL_INLINE Vec div(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
IOTSL_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
IOTSL_INLINE Vec fnma(Vec a, Vec b, Vec c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
IOTSL_INLINE Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.v)}; }
IOTSL_INLINE Vec neg(Vec a) { return {_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0F))}; }
IOTSL_INLINE Vec abs(Vec a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.v)}; }
IOTSL_INLINE Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
IOTSL_INLINE Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }

IOTSL_INLINE Mask less(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
IOTSL_INLINE Mask less_equal(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
IOTSL_INLINE Mask equal(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
IOTSL_INLINE Mask is_nan(Vec a) { return {_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q)}; }
IOTSL_INLINE Mask both(Mask a, Mask b) { return {_mm256_and_ps(a.v, b.v)}; }
IOTSL_INLINE Mask either(Mask a, Mask b) { return {_mm256_or_ps(a.v, b.v)}; }
IOTSL_INLINE Vec select(Mask m, Vec a, Vec b) { return {_mm256_blendv_ps(b.v, a.v, m.v)}; }

IOTSL_INLINE float reduce_add(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
IOTSL_INLINE float reduce_max(Vec a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/// 2^n for integral n in [-126, 127].
IOTSL_INLINE Vec pow2(Vec n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))};
}
/// e and m of a = m * 2^e with m in [1, 2), for positive normal a.
IOTSL_INLINE Vec exponent(Vec a) {
  const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(a.v), 23);
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)))};
}
IOTSL_INLINE Vec mantissa(Vec a) {
  const __m256i bits = _mm256_and_si256(_mm256_castps_si256(a.v), _mm256_set1_epi32(0x007FFFFF));
  return {_mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x3F800000)))};
}

/// Lanes that hold whole numbers from 0 to 255, as bytes.
IOTSL_INLINE Vec load_bytes(const std::uint8_t* p) {
  return {_mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}
IOTSL_INLINE void store_bytes(std::uint8_t* p, Vec a) {
  const __m256i n = _mm256_cvttps_epi32(a.v);
  const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(pairs, pairs));
}

/// dst[j][i] = src[i][j] for i, j < 8; strides in floats.
IOTSL_INLINE void transpose(const float* src, Index src_stride, float* dst, Index dst_stride) {
  const __m256 r0 = _mm256_loadu_ps(src), r1 = _mm256_loadu_ps(src + src_stride);
  const __m256 r2 = _mm256_loadu_ps(src + 2 * src_stride);
  const __m256 r3 = _mm256_loadu_ps(src + 3 * src_stride);
  const __m256 r4 = _mm256_loadu_ps(src + 4 * src_stride);
  const __m256 r5 = _mm256_loadu_ps(src + 5 * src_stride);
  const __m256 r6 = _mm256_loadu_ps(src + 6 * src_stride);
  const __m256 r7 = _mm256_loadu_ps(src + 7 * src_stride);
  const __m256 a0 = _mm256_unpacklo_ps(r0, r1), a1 = _mm256_unpackhi_ps(r0, r1);
  const __m256 a2 = _mm256_unpacklo_ps(r2, r3), a3 = _mm256_unpackhi_ps(r2, r3);
  const __m256 a4 = _mm256_unpacklo_ps(r4, r5), a5 = _mm256_unpackhi_ps(r4, r5);
  const __m256 a6 = _mm256_unpacklo_ps(r6, r7), a7 = _mm256_unpackhi_ps(r6, r7);
  const __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xEE);
  const __m256 b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xEE);
  const __m256 b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xEE);
  const __m256 b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xEE);
  _mm256_storeu_ps(dst, _mm256_permute2f128_ps(b0, b4, 0x20));
  _mm256_storeu_ps(dst + dst_stride, _mm256_permute2f128_ps(b1, b5, 0x20));
  _mm256_storeu_ps(dst + 2 * dst_stride, _mm256_permute2f128_ps(b2, b6, 0x20));
  _mm256_storeu_ps(dst + 3 * dst_stride, _mm256_permute2f128_ps(b3, b7, 0x20));
  _mm256_storeu_ps(dst + 4 * dst_stride, _mm256_permute2f128_ps(b0, b4, 0x31));
  _mm256_storeu_ps(dst + 5 * dst_stride, _mm256_permute2f128_ps(b1, b5, 0x31));
  _mm256_storeu_ps(dst + 6 * dst_stride, _mm256_permute2f128_ps(b2, b6, 0x31));
  _mm256_storeu_ps(dst + 7 * dst_stride, _mm256_permute2f128_ps(b3, b7, 0x31));
}

/// The nearest integer, ties to even, for |a| < 2^22.
IOTSL_INLINE Vec round_small(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

}  // namespace simd::avx2
IOTSL_NAMESPACE_END
IOTSL_REGION_END_AVX2
#endif
