#pragma once
// Sixteen floats in a pair of AVX2 registers: how a CPU without AVX-512 runs the kernels of that
// target, to the same bits. For tests alone (IOTSL_WITH_AVX2X2=1); no program contains it. A struct
// of two instead of a 64-byte type, which g++ 12 refuses as an argument without AVX-512.

#include "iotsl/simd/vec_avx2.hpp"

#if IOTSL_HAVE_AVX
IOTSL_REGION_BEGIN(avx2x2)
IOTSL_NAMESPACE_BEGIN
namespace simd::avx2x2 {

struct Vec {
  avx2::Vec low, high;
};
struct Mask {
  avx2::Mask low, high;
};
inline constexpr Index lanes = 16;
inline constexpr bool words_are_pairs = false;
inline constexpr int registers = 32;  // as AVX-512, so that tiles and sums are the same
inline constexpr bool multiplies_by_lane = false;
inline constexpr int next_vecs = 0;

IOTSL_INLINE Vec load(const float* p) { return {avx2::load(p), avx2::load(p + 8)}; }
IOTSL_INLINE void store(float* p, Vec a) {
  avx2::store(p, a.low);
  avx2::store(p + 8, a.high);
}
IOTSL_INLINE Vec set1(float x) { return {avx2::set1(x), avx2::set1(x)}; }
IOTSL_INLINE Vec zero() { return {avx2::zero(), avx2::zero()}; }
IOTSL_INLINE Vec load1(const float* p) { return set1(*p); }
IOTSL_INLINE Vec load1_next(const float*& p) { return load1(p++); }
IOTSL_INLINE Vec load_partial(const float* p, Index count) {
  if (count <= 8) return {avx2::load_partial(p, count), avx2::zero()};
  return {avx2::load(p), avx2::load_partial(p + 8, count - 8)};
}
IOTSL_INLINE void store_partial(float* p, Vec a, Index count) {
  if (count <= 8) return avx2::store_partial(p, a.low, count);
  avx2::store(p, a.low);
  avx2::store_partial(p + 8, a.high, count - 8);
}

#define IOTSL_ONE(type, f) \
  IOTSL_INLINE type f(Vec a) { return {avx2::f(a.low), avx2::f(a.high)}; }
#define IOTSL_TWO(type, f, operand)                          \
  IOTSL_INLINE type f(operand a, operand b) {                \
    return {avx2::f(a.low, b.low), avx2::f(a.high, b.high)}; \
  }
#define IOTSL_THREE(f, first)                                               \
  IOTSL_INLINE Vec f(first a, Vec b, Vec c) {                               \
    return {avx2::f(a.low, b.low, c.low), avx2::f(a.high, b.high, c.high)}; \
  }
IOTSL_TWO(Vec, add, Vec)
IOTSL_TWO(Vec, sub, Vec)
IOTSL_TWO(Vec, mul, Vec)
IOTSL_TWO(Vec, div, Vec)
IOTSL_THREE(fma, Vec)
IOTSL_THREE(fnma, Vec)
IOTSL_ONE(Vec, sqrt)
IOTSL_ONE(Vec, neg)
IOTSL_ONE(Vec, abs)
IOTSL_TWO(Vec, min, Vec)
IOTSL_TWO(Vec, max, Vec)
IOTSL_TWO(Mask, less, Vec)
IOTSL_TWO(Mask, less_equal, Vec)
IOTSL_TWO(Mask, equal, Vec)
IOTSL_ONE(Mask, is_nan)
IOTSL_TWO(Mask, both, Mask)
IOTSL_TWO(Mask, either, Mask)
IOTSL_THREE(select, Mask)
IOTSL_ONE(Vec, round_small)
IOTSL_ONE(Vec, pow2)
IOTSL_ONE(Vec, exponent)
IOTSL_ONE(Vec, mantissa)
#undef IOTSL_ONE
#undef IOTSL_TWO
#undef IOTSL_THREE

IOTSL_INLINE float reduce_add(Vec a) { return avx2::reduce_add(avx2::add(a.low, a.high)); }
IOTSL_INLINE float reduce_max(Vec a) { return avx2::reduce_max(avx2::max(a.low, a.high)); }

IOTSL_INLINE Vec load_bytes(const std::uint8_t* p) {
  return {avx2::load_bytes(p), avx2::load_bytes(p + 8)};
}
IOTSL_INLINE void store_bytes(std::uint8_t* p, Vec a) {
  avx2::store_bytes(p, a.low);
  avx2::store_bytes(p + 8, a.high);
}

IOTSL_INLINE Vec even_lanes(Vec a, Vec b) {
  return {avx2::even_lanes(a.low, a.high), avx2::even_lanes(b.low, b.high)};
}
IOTSL_INLINE Vec odd_lanes(Vec a, Vec b) {
  return {avx2::odd_lanes(a.low, a.high), avx2::odd_lanes(b.low, b.high)};
}
IOTSL_INLINE Vec zip_low(Vec a, Vec b) {
  return {avx2::zip_low(a.low, b.low), avx2::zip_high(a.low, b.low)};
}
IOTSL_INLINE Vec zip_high(Vec a, Vec b) {
  return {avx2::zip_low(a.high, b.high), avx2::zip_high(a.high, b.high)};
}

/// dst[j][i] = src[i][j] for i, j < 16; strides in floats.
IOTSL_INLINE void transpose(const float* src, Index src_stride, float* dst, Index dst_stride) {
  for (Index i = 0; i < 16; i += 8)
    for (Index j = 0; j < 16; j += 8)
      avx2::transpose(src + i * src_stride + j, src_stride, dst + j * dst_stride + i, dst_stride);
}

/// The same for i < rows, j < cols of at most 16.
IOTSL_INLINE void transpose_partial(Index rows, Index cols, const float* src, Index src_stride,
                                    float* dst, Index dst_stride) {
  for (Index i = 0; i < rows; i += 8)
    for (Index j = 0; j < cols; j += 8)
      avx2::transpose_partial(rows - i < 8 ? rows - i : 8, cols - j < 8 ? cols - j : 8,
                              src + i * src_stride + j, src_stride, dst + j * dst_stride + i,
                              dst_stride);
}

}  // namespace simd::avx2x2
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
