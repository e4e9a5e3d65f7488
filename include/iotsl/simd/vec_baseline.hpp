#pragma once
// Four floats in a compiler vector (SSE2 on x86, plain code elsewhere): runs on every CPU of the
// architecture. The list of functions is in simd/vec.hpp. fma() rounds twice here.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/shape.hpp"
#include "iotsl/simd/targets.hpp"
#include "iotsl/simd/transpose_floats.hpp"

#if IOTSL_HAVE_BASELINE

IOTSL_REGION_BEGIN(baseline)
IOTSL_NAMESPACE_BEGIN
namespace simd::baseline {

typedef float Floats __attribute__((vector_size(16)));
typedef std::int32_t Ints __attribute__((vector_size(16)));
typedef std::int16_t Shorts __attribute__((vector_size(16)));
typedef float UnalignedFloats __attribute__((vector_size(16), aligned(4), may_alias));

struct Vec {
  Floats v;
};
struct Mask {
  Ints v;
};
inline constexpr Index lanes = 4;
inline constexpr bool words_are_pairs = false;
inline constexpr int registers = 16;
inline constexpr bool multiplies_by_lane = false;
inline constexpr int next_vecs = 0;

IOTSL_INLINE Vec load(const float* p) { return {reinterpret_cast<const UnalignedFloats*>(p)[0]}; }
IOTSL_INLINE void store(float* p, Vec a) { reinterpret_cast<UnalignedFloats*>(p)[0] = a.v; }
IOTSL_INLINE Vec set1(float x) { return {Floats{x, x, x, x}}; }
IOTSL_INLINE Vec zero() { return set1(0.0F); }
IOTSL_INLINE Vec load1(const float* p) { return set1(*p); }
IOTSL_INLINE Vec load1_next(const float*& p) { return load1(p++); }

IOTSL_INLINE Vec load_partial(const float* p, Index count) {
  return {Floats{count > 0 ? p[0] : 0.0F, count > 1 ? p[1] : 0.0F, count > 2 ? p[2] : 0.0F,
                 count > 3 ? p[3] : 0.0F}};
}
IOTSL_INLINE void store_partial(float* p, Vec a, Index count) {
  if (count > 0) p[0] = a.v[0];
  if (count > 1) p[1] = a.v[1];
  if (count > 2) p[2] = a.v[2];
  if (count > 3) p[3] = a.v[3];
}

IOTSL_INLINE Vec add(Vec a, Vec b) { return {a.v + b.v}; }
IOTSL_INLINE Vec sub(Vec a, Vec b) { return {a.v - b.v}; }
IOTSL_INLINE Vec mul(Vec a, Vec b) { return {a.v * b.v}; }
IOTSL_INLINE Vec div(Vec a, Vec b) { return {a.v / b.v}; }
IOTSL_INLINE Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
IOTSL_INLINE Vec fnma(Vec a, Vec b, Vec c) { return {c.v - a.v * b.v}; }
IOTSL_INLINE Vec neg(Vec a) { return {-a.v}; }
IOTSL_INLINE Vec abs(Vec a) {
  const Ints magnitude = {0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF};
  return {(Floats)((Ints)a.v & magnitude)};
}

IOTSL_INLINE Mask less(Vec a, Vec b) { return {a.v < b.v}; }
IOTSL_INLINE Mask less_equal(Vec a, Vec b) { return {a.v <= b.v}; }
IOTSL_INLINE Mask equal(Vec a, Vec b) { return {a.v == b.v}; }
IOTSL_INLINE Mask is_nan(Vec a) { return {a.v != a.v}; }
IOTSL_INLINE Mask both(Mask a, Mask b) { return {a.v & b.v}; }
IOTSL_INLINE Mask either(Mask a, Mask b) { return {a.v | b.v}; }
IOTSL_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {(Floats)((m.v & (Ints)a.v) | (~m.v & (Ints)b.v))};
}

#if defined(__SSE2__)
IOTSL_INLINE Vec min(Vec a, Vec b) { return {__builtin_ia32_minps(a.v, b.v)}; }
IOTSL_INLINE Vec max(Vec a, Vec b) { return {__builtin_ia32_maxps(a.v, b.v)}; }
IOTSL_INLINE Vec sqrt(Vec a) { return {__builtin_ia32_sqrtps(a.v)}; }
#else
IOTSL_INLINE Vec min(Vec a, Vec b) { return select(less(a, b), a, b); }
IOTSL_INLINE Vec max(Vec a, Vec b) { return select(less(b, a), a, b); }
IOTSL_INLINE Vec sqrt(Vec a) {
  return {Floats{scalar_math::sqrt(a.v[0]), scalar_math::sqrt(a.v[1]), scalar_math::sqrt(a.v[2]),
                 scalar_math::sqrt(a.v[3])}};
}
#endif

IOTSL_INLINE float reduce_add(Vec a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
IOTSL_INLINE float reduce_max(Vec a) {
  const float even = a.v[0] > a.v[2] ? a.v[0] : a.v[2];
  const float odd = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return even > odd ? even : odd;
}

/// The nearest integer, ties to even, for |a| < 2^22.
IOTSL_INLINE Vec round_small(Vec a) {
  const Floats magic = set1(12582912.0F).v;  // 1.5 * 2^23: its last place is 1
  return {(a.v + magic) - magic};
}
/// 2^n for integral n in [-126, 127].
IOTSL_INLINE Vec pow2(Vec n) {
  const Ints i = __builtin_convertvector(n.v, Ints);
  return {(Floats)((i + 127) << 23)};
}
/// e and m of a = m * 2^e with m in [1, 2), for positive normal a.
IOTSL_INLINE Vec exponent(Vec a) {
  return {__builtin_convertvector(((Ints)a.v >> 23) - 127, Floats)};
}
IOTSL_INLINE Vec mantissa(Vec a) { return {(Floats)(((Ints)a.v & 0x007FFFFF) | 0x3F800000)}; }

/// Lanes that hold whole numbers from 0 to 255, as bytes.
IOTSL_INLINE Vec load_bytes(const std::uint8_t* p) {
  return {__builtin_convertvector((Ints{p[0], p[1], p[2], p[3]}), Floats)};
}
IOTSL_INLINE void store_bytes(std::uint8_t* p, Vec a) {
  const Ints n = __builtin_convertvector(a.v, Ints);
#if defined(__SSE2__)
  const Shorts pairs = __builtin_ia32_packssdw128(n, n);
  const int bytes = ((Ints)__builtin_ia32_packuswb128(pairs, pairs))[0];
  __builtin_memcpy(p, &bytes, 4);
#else
  for (int i = 0; i < 4; ++i) p[i] = static_cast<std::uint8_t>(n[i]);
#endif
}

IOTSL_INLINE Vec even_lanes(Vec a, Vec b) {
  return {__builtin_shufflevector(a.v, b.v, 0, 2, 4, 6)};
}
IOTSL_INLINE Vec odd_lanes(Vec a, Vec b) { return {__builtin_shufflevector(a.v, b.v, 1, 3, 5, 7)}; }
IOTSL_INLINE Vec zip_low(Vec a, Vec b) { return {__builtin_shufflevector(a.v, b.v, 0, 4, 1, 5)}; }
IOTSL_INLINE Vec zip_high(Vec a, Vec b) { return {__builtin_shufflevector(a.v, b.v, 2, 6, 3, 7)}; }

/// dst[j][i] = src[i][j] for i, j < 4; strides in floats.
IOTSL_INLINE void transpose(const float* src, Index src_stride, float* dst, Index dst_stride) {
  const Floats a = load(src).v, b = load(src + src_stride).v;
  const Floats c = load(src + 2 * src_stride).v, d = load(src + 3 * src_stride).v;
#if defined(__SSE2__)
  const Floats ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Floats ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Floats cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Floats cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(dst, {__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5)});
  store(dst + dst_stride, {__builtin_shufflevector(ab0, cd0, 2, 3, 6, 7)});
  store(dst + 2 * dst_stride, {__builtin_shufflevector(ab1, cd1, 0, 1, 4, 5)});
  store(dst + 3 * dst_stride, {__builtin_shufflevector(ab1, cd1, 2, 3, 6, 7)});
#else
  store(dst, {Floats{a[0], b[0], c[0], d[0]}});
  store(dst + dst_stride, {Floats{a[1], b[1], c[1], d[1]}});
  store(dst + 2 * dst_stride, {Floats{a[2], b[2], c[2], d[2]}});
  store(dst + 3 * dst_stride, {Floats{a[3], b[3], c[3], d[3]}});
#endif
}

/// The same for i < rows, j < cols of at most 4: vectors are no faster with so few floats.
IOTSL_INLINE void transpose_partial(Index rows, Index cols, const float* src, Index src_stride,
                                    float* dst, Index dst_stride) {
  transpose_floats(rows, cols, src, src_stride, dst, dst_stride);
}

}  // namespace simd::baseline
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
