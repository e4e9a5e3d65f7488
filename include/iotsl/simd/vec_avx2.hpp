#pragma once
// Eight floats in an AVX2 register with FMA. The list of functions is in simd/vec.hpp.
//
// Compiler vectors and the builtins that g++ and clang share, instead of intrinsics: immintrin.h
// costs up to a second of compile time per translation unit.

#include "iotsl/core/shape.hpp"
#include "iotsl/simd/targets.hpp"
#include "iotsl/simd/transpose_floats.hpp"

#if IOTSL_HAVE_AVX
IOTSL_REGION_BEGIN(avx2)
IOTSL_NAMESPACE_BEGIN
namespace simd::avx2 {

typedef float Floats __attribute__((vector_size(32)));
typedef int Ints __attribute__((vector_size(32)));
typedef unsigned Words __attribute__((vector_size(32)));
typedef float Floats4 __attribute__((vector_size(16)));
typedef int Ints4 __attribute__((vector_size(16)));
typedef short Shorts __attribute__((vector_size(16)));
typedef long long Longs2 __attribute__((vector_size(16)));
#if defined(__clang__)
typedef unsigned char Bytes __attribute__((vector_size(8)));
#else
typedef char Bytes __attribute__((vector_size(16)));
#endif
typedef float UnalignedFloats __attribute__((vector_size(32), aligned(4), may_alias));

struct Vec {
  Floats v;
};
struct Mask {
  Floats v;
};
inline constexpr Index lanes = 8;
inline constexpr bool words_are_pairs = false;
inline constexpr int registers = 16;
inline constexpr bool multiplies_by_lane = false;
inline constexpr int next_vecs = 0;

IOTSL_INLINE Vec load(const float* p) { return {*reinterpret_cast<const UnalignedFloats*>(p)}; }
IOTSL_INLINE void store(float* p, Vec a) { *reinterpret_cast<UnalignedFloats*>(p) = a.v; }
IOTSL_INLINE Vec set1(float x) { return {Floats{x, x, x, x, x, x, x, x}}; }
IOTSL_INLINE Vec zero() { return {Floats{}}; }
IOTSL_INLINE Vec load1(const float* p) { return set1(*p); }
IOTSL_INLINE Vec load1_next(const float*& p) { return load1(p++); }

IOTSL_INLINE Ints first_lanes(Index count) {
  const int n = static_cast<int>(count);
  return Ints{n, n, n, n, n, n, n, n} > Ints{0, 1, 2, 3, 4, 5, 6, 7};
}
IOTSL_INLINE Vec load_partial(const float* p, Index count) {
  return {__builtin_ia32_maskloadps256(reinterpret_cast<const Floats*>(p), first_lanes(count))};
}
IOTSL_INLINE void store_partial(float* p, Vec a, Index count) {
  __builtin_ia32_maskstoreps256(reinterpret_cast<Floats*>(p), first_lanes(count), a.v);
}

IOTSL_INLINE Vec add(Vec a, Vec b) { return {a.v + b.v}; }
IOTSL_INLINE Vec sub(Vec a, Vec b) { return {a.v - b.v}; }
IOTSL_INLINE Vec mul(Vec a, Vec b) { return {a.v * b.v}; }
IOTSL_INLINE Vec div(Vec a, Vec b) { return {a.v / b.v}; }
IOTSL_INLINE Vec fma(Vec a, Vec b, Vec c) { return {__builtin_ia32_vfmaddps256(a.v, b.v, c.v)}; }
IOTSL_INLINE Vec fnma(Vec a, Vec b, Vec c) {
#if defined(__clang__)
  return {__builtin_ia32_vfmaddps256(-a.v, b.v, c.v)};  // one instruction all the same
#else
  return {__builtin_ia32_vfnmaddps256(a.v, b.v, c.v)};
#endif
}
IOTSL_INLINE Vec sqrt(Vec a) { return {__builtin_ia32_sqrtps256(a.v)}; }
IOTSL_INLINE Vec neg(Vec a) { return {-a.v}; }
IOTSL_INLINE Vec abs(Vec a) { return {(Floats)((Ints)a.v & 0x7FFFFFFF)}; }
IOTSL_INLINE Vec min(Vec a, Vec b) { return {__builtin_ia32_minps256(a.v, b.v)}; }
IOTSL_INLINE Vec max(Vec a, Vec b) { return {__builtin_ia32_maxps256(a.v, b.v)}; }

// The predicates of vcmpps: ordered and quiet, so that a NaN is neither less nor equal.
IOTSL_INLINE Mask less(Vec a, Vec b) { return {__builtin_ia32_cmpps256(a.v, b.v, 0x11)}; }
IOTSL_INLINE Mask less_equal(Vec a, Vec b) { return {__builtin_ia32_cmpps256(a.v, b.v, 0x12)}; }
IOTSL_INLINE Mask equal(Vec a, Vec b) { return {__builtin_ia32_cmpps256(a.v, b.v, 0x00)}; }
IOTSL_INLINE Mask is_nan(Vec a) { return {__builtin_ia32_cmpps256(a.v, a.v, 0x03)}; }
IOTSL_INLINE Mask both(Mask a, Mask b) { return {(Floats)((Ints)a.v & (Ints)b.v)}; }
IOTSL_INLINE Mask either(Mask a, Mask b) { return {(Floats)((Ints)a.v | (Ints)b.v)}; }
IOTSL_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {__builtin_ia32_blendvps256(b.v, a.v, m.v)};
}

IOTSL_INLINE Floats4 low_half(Floats a) { return __builtin_shufflevector(a, a, 0, 1, 2, 3); }
IOTSL_INLINE Floats4 high_half(Floats a) { return __builtin_ia32_vextractf128_ps256(a, 1); }

IOTSL_INLINE float reduce_add(Vec a) {
  Floats4 s = low_half(a.v) + high_half(a.v);
  s = s + __builtin_shufflevector(s, s, 2, 3, 2, 3);
  return s[0] + s[1];
}
IOTSL_INLINE float reduce_max(Vec a) {
  Floats4 s = __builtin_ia32_maxps(low_half(a.v), high_half(a.v));
  s = __builtin_ia32_maxps(s, __builtin_shufflevector(s, s, 2, 3, 2, 3));
  s = __builtin_ia32_maxps(s, __builtin_shufflevector(s, s, 1, 1, 1, 1));
  return s[0];
}

/// The nearest integer, ties to even, for |a| < 2^22.
IOTSL_INLINE Vec round_small(Vec a) {
  return {__builtin_ia32_roundps256(a.v, 8)};  // to nearest, without the inexact flag
}
/// 2^n for integral n in [-126, 127].
IOTSL_INLINE Vec pow2(Vec n) {
  return {(Floats)((__builtin_convertvector(n.v, Ints) + 127) << 23)};
}
/// e and m of a = m * 2^e with m in [1, 2), for positive normal a.
IOTSL_INLINE Vec exponent(Vec a) {
  return {__builtin_convertvector((Ints)((Words)a.v >> 23) - 127, Floats)};
}
IOTSL_INLINE Vec mantissa(Vec a) { return {(Floats)(((Ints)a.v & 0x007FFFFF) | 0x3F800000)}; }

/// Lanes that hold whole numbers from 0 to 255, as bytes.
IOTSL_INLINE Vec load_bytes(const std::uint8_t* p) {
#if defined(__clang__)
  Bytes bytes;
  __builtin_memcpy(&bytes, p, 8);
  return {__builtin_convertvector(__builtin_convertvector(bytes, Ints), Floats)};
#else
  long long bytes;
  __builtin_memcpy(&bytes, p, 8);
  return {
      __builtin_convertvector((Ints)__builtin_ia32_pmovzxbd256((Bytes)Longs2{bytes, 0}), Floats)};
#endif
}
IOTSL_INLINE void store_bytes(std::uint8_t* p, Vec a) {
  const Ints n = __builtin_convertvector(a.v, Ints);
  const Shorts pairs =
      __builtin_ia32_packssdw128((Ints4)low_half((Floats)n), (Ints4)high_half((Floats)n));
  const long long bytes = ((Longs2)__builtin_ia32_packuswb128(pairs, pairs))[0];
  __builtin_memcpy(p, &bytes, 8);
}

// Within each half: the first or last two lanes of a and b in turn; those two lanes of a, then of
// b.
IOTSL_INLINE Floats weave_first(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
}
IOTSL_INLINE Floats weave_last(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
}
IOTSL_INLINE Floats join_first(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
}
IOTSL_INLINE Floats join_last(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
}
IOTSL_INLINE Vec low_halves(Floats a, Floats b) {
  return {__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)};
}
IOTSL_INLINE Vec high_halves(Floats a, Floats b) {
  return {__builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)};
}

IOTSL_INLINE Vec even_lanes(Vec a, Vec b) {
  return {__builtin_shufflevector(a.v, b.v, 0, 2, 4, 6, 8, 10, 12, 14)};
}
IOTSL_INLINE Vec odd_lanes(Vec a, Vec b) {
  return {__builtin_shufflevector(a.v, b.v, 1, 3, 5, 7, 9, 11, 13, 15)};
}
IOTSL_INLINE Vec zip_low(Vec a, Vec b) {
  return {__builtin_shufflevector(a.v, b.v, 0, 8, 1, 9, 2, 10, 3, 11)};
}
IOTSL_INLINE Vec zip_high(Vec a, Vec b) {
  return {__builtin_shufflevector(a.v, b.v, 4, 12, 5, 13, 6, 14, 7, 15)};
}

/// Both transposes: of a whole block no mask is needed.
template <bool whole>
IOTSL_INLINE void transpose_block(Index rows, Index cols, const float* src, Index src_stride,
                                  float* dst, Index dst_stride) {
  Floats row[8];
  IOTSL_UNROLL
  for (int i = 0; i < 8; ++i) {
    const float* from = src + i * src_stride;
    row[i] = (whole ? load(from) : i < rows ? load_partial(from, cols) : zero()).v;
  }
  // pair[k][g]: columns k and 4 + k of rows 4 g .. 4 g + 3
  Floats pair[4][2];
  IOTSL_UNROLL
  for (int g = 0; g < 2; ++g) {
    const Floats a0 = weave_first(row[4 * g], row[4 * g + 1]);
    const Floats a1 = weave_last(row[4 * g], row[4 * g + 1]);
    const Floats a2 = weave_first(row[4 * g + 2], row[4 * g + 3]);
    const Floats a3 = weave_last(row[4 * g + 2], row[4 * g + 3]);
    pair[0][g] = join_first(a0, a2);
    pair[1][g] = join_last(a0, a2);
    pair[2][g] = join_first(a1, a3);
    pair[3][g] = join_last(a1, a3);
  }
  IOTSL_UNROLL
  for (int j = 0; j < 8; ++j) {
    const Vec turned =
        j < 4 ? low_halves(pair[j][0], pair[j][1]) : high_halves(pair[j - 4][0], pair[j - 4][1]);
    float* to = dst + j * dst_stride;
    if (whole)
      store(to, turned);
    else if (j < cols)
      store_partial(to, turned, rows);
  }
}

/// dst[j][i] = src[i][j] for i, j < 8; strides in floats.
IOTSL_INLINE void transpose(const float* src, Index src_stride, float* dst, Index dst_stride) {
  transpose_block<true>(8, 8, src, src_stride, dst, dst_stride);
}
/// The same for i < rows, j < cols of at most 8.
[[gnu::noinline]] inline void transpose_partial(Index rows, Index cols, const float* src,
                                                Index src_stride, float* dst, Index dst_stride) {
  if (rows * cols <= 2 * lanes)  // vectors are no faster than so few single floats
    transpose_floats(rows, cols, src, src_stride, dst, dst_stride);
  else
    transpose_block<false>(rows, cols, src, src_stride, dst, dst_stride);
}

}  // namespace simd::avx2
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
