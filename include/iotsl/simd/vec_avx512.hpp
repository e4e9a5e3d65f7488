#pragma once
// Sixteen floats in an AVX-512 register; masks are registers of their own. The list of functions is
// in simd/vec.hpp. Compiler vectors and builtins for the reason that vec_avx2.hpp gives.

#include "iotsl/core/shape.hpp"
#include "iotsl/simd/targets.hpp"
#include "iotsl/simd/transpose_floats.hpp"

#if IOTSL_HAVE_AVX
IOTSL_REGION_BEGIN(avx512)
IOTSL_NAMESPACE_BEGIN
namespace simd::avx512 {

typedef float Floats __attribute__((vector_size(64)));
typedef int Ints __attribute__((vector_size(64)));
typedef unsigned Words __attribute__((vector_size(64)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats4 __attribute__((vector_size(16)));
#if defined(__clang__)
typedef unsigned char Bytes __attribute__((vector_size(16)));
typedef unsigned short Bits;
#else
typedef short Bits;
#endif
typedef char Chars __attribute__((vector_size(16)));
typedef float UnalignedFloats __attribute__((vector_size(64), aligned(4), may_alias));

struct Vec {
  Floats v;
};
struct Mask {
  unsigned short bits;  ///< bit i is lane i
};
inline constexpr Index lanes = 16;
inline constexpr bool words_are_pairs = false;
inline constexpr int registers = 32;
inline constexpr bool multiplies_by_lane = false;
inline constexpr int next_vecs = 0;
inline constexpr unsigned short all_lanes = 0xFFFF;
inline constexpr int current_rounding = 4;  // that of the processor's control register

IOTSL_INLINE Vec load(const float* p) { return {*reinterpret_cast<const UnalignedFloats*>(p)}; }
IOTSL_INLINE void store(float* p, Vec a) { *reinterpret_cast<UnalignedFloats*>(p) = a.v; }
IOTSL_INLINE Vec set1(float x) { return {Floats{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}}; }
IOTSL_INLINE Vec zero() { return {Floats{}}; }
IOTSL_INLINE Vec load1(const float* p) { return set1(*p); }
IOTSL_INLINE Vec load1_next(const float*& p) { return load1(p++); }

IOTSL_INLINE unsigned short first_lanes(Index count) {
  return static_cast<unsigned short>((1U << count) - 1U);
}
IOTSL_INLINE Vec load_partial(const float* p, Index count) {
  return {__builtin_ia32_loadups512_mask(p, Floats{}, first_lanes(count))};
}
IOTSL_INLINE void store_partial(float* p, Vec a, Index count) {
  __builtin_ia32_storeups512_mask(p, a.v, first_lanes(count));
}

IOTSL_INLINE Vec add(Vec a, Vec b) { return {a.v + b.v}; }
IOTSL_INLINE Vec sub(Vec a, Vec b) { return {a.v - b.v}; }
IOTSL_INLINE Vec mul(Vec a, Vec b) { return {a.v * b.v}; }
IOTSL_INLINE Vec div(Vec a, Vec b) { return {a.v / b.v}; }
IOTSL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {__builtin_ia32_vfmaddps512_mask(a.v, b.v, c.v, all_lanes, current_rounding)};
}
IOTSL_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return {__builtin_ia32_vfmaddps512_mask(-a.v, b.v, c.v, all_lanes, current_rounding)};
}
IOTSL_INLINE Vec neg(Vec a) { return {-a.v}; }
IOTSL_INLINE Vec abs(Vec a) { return {(Floats)((Ints)a.v & 0x7FFFFFFF)}; }
#if defined(__clang__)
IOTSL_INLINE Vec sqrt(Vec a) { return {__builtin_ia32_sqrtps512(a.v, current_rounding)}; }
IOTSL_INLINE Vec min(Vec a, Vec b) { return {__builtin_ia32_minps512(a.v, b.v, current_rounding)}; }
IOTSL_INLINE Vec max(Vec a, Vec b) { return {__builtin_ia32_maxps512(a.v, b.v, current_rounding)}; }
#else
IOTSL_INLINE Vec sqrt(Vec a) {
  return {__builtin_ia32_sqrtps512_mask(a.v, Floats{}, -1, current_rounding)};
}
IOTSL_INLINE Vec min(Vec a, Vec b) {
  return {__builtin_ia32_minps512_mask(a.v, b.v, Floats{}, -1, current_rounding)};
}
IOTSL_INLINE Vec max(Vec a, Vec b) {
  return {__builtin_ia32_maxps512_mask(a.v, b.v, Floats{}, -1, current_rounding)};
}
#endif

// The predicates of vcmpps: ordered and quiet, so that a NaN is neither less nor equal.
template <int predicate>
IOTSL_INLINE Mask compare(Vec a, Vec b) {
  return {static_cast<unsigned short>(
      __builtin_ia32_cmpps512_mask(a.v, b.v, predicate, static_cast<Bits>(-1), current_rounding))};
}
IOTSL_INLINE Mask less(Vec a, Vec b) { return compare<0x11>(a, b); }
IOTSL_INLINE Mask less_equal(Vec a, Vec b) { return compare<0x12>(a, b); }
IOTSL_INLINE Mask equal(Vec a, Vec b) { return compare<0x00>(a, b); }
IOTSL_INLINE Mask is_nan(Vec a) { return compare<0x03>(a, a); }
IOTSL_INLINE Mask both(Mask a, Mask b) { return {static_cast<unsigned short>(a.bits & b.bits)}; }
IOTSL_INLINE Mask either(Mask a, Mask b) { return {static_cast<unsigned short>(a.bits | b.bits)}; }
IOTSL_INLINE Vec select(Mask m, Vec a, Vec b) {
#if defined(__clang__)
  return {__builtin_ia32_selectps_512(m.bits, a.v, b.v)};
#else
  return {__builtin_ia32_blendmps_512_mask(b.v, a.v, m.bits)};
#endif
}

IOTSL_INLINE Floats8 low_half(Floats a) {
  return __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7);
}
IOTSL_INLINE Floats8 high_half(Floats a) {
  return __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15);
}
IOTSL_INLINE float reduce_add(Vec a) {
  const Floats8 h = low_half(a.v) + high_half(a.v);
  Floats4 s = __builtin_shufflevector(h, h, 0, 1, 2, 3) + __builtin_shufflevector(h, h, 4, 5, 6, 7);
  s = s + __builtin_shufflevector(s, s, 2, 3, 2, 3);
  return s[0] + s[1];
}
IOTSL_INLINE float reduce_max(Vec a) {
  const Floats8 h = __builtin_ia32_maxps256(low_half(a.v), high_half(a.v));
  Floats4 s = __builtin_ia32_maxps(__builtin_shufflevector(h, h, 0, 1, 2, 3),
                                   __builtin_shufflevector(h, h, 4, 5, 6, 7));
  s = __builtin_ia32_maxps(s, __builtin_shufflevector(s, s, 2, 3, 2, 3));
  s = __builtin_ia32_maxps(s, __builtin_shufflevector(s, s, 1, 1, 1, 1));
  return s[0];
}

/// The nearest integer, ties to even, for |a| < 2^22.
IOTSL_INLINE Vec round_small(Vec a) {
  return {__builtin_ia32_rndscaleps_mask(a.v, 8, a.v, static_cast<Bits>(-1), current_rounding)};
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
  __builtin_memcpy(&bytes, p, 16);
  return {__builtin_convertvector(__builtin_convertvector(bytes, Ints), Floats)};
#else
  Chars bytes;
  __builtin_memcpy(&bytes, p, 16);
  return {
      __builtin_convertvector((Ints)__builtin_ia32_pmovzxbd512_mask(bytes, Ints{}, -1), Floats)};
#endif
}
IOTSL_INLINE void store_bytes(std::uint8_t* p, Vec a) {
  const Ints n = __builtin_convertvector(a.v, Ints);
  const Chars bytes = __builtin_ia32_pmovdb512_mask(n, Chars{}, all_lanes);
  __builtin_memcpy(p, &bytes, 16);
}

IOTSL_INLINE Vec even_lanes(Vec a, Vec b) {
  return {
      __builtin_shufflevector(a.v, b.v, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)};
}
IOTSL_INLINE Vec odd_lanes(Vec a, Vec b) {
  return {
      __builtin_shufflevector(a.v, b.v, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
}
IOTSL_INLINE Vec zip_low(Vec a, Vec b) {
  return {
      __builtin_shufflevector(a.v, b.v, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)};
}
IOTSL_INLINE Vec zip_high(Vec a, Vec b) {
  return {__builtin_shufflevector(a.v, b.v, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                  15, 31)};
}

// Within each quarter: the first or last two lanes of a and b in turn; those two lanes of a, then
// of b. Of the quarters: the even or the odd ones of a, then of b.
IOTSL_INLINE Floats weave_first(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
IOTSL_INLINE Floats weave_last(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
IOTSL_INLINE Floats join_first(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
IOTSL_INLINE Floats join_last(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
IOTSL_INLINE Floats even_quarters(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
IOTSL_INLINE Floats odd_quarters(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

/// Both transposes: of a whole block no mask is needed.
template <bool whole>
IOTSL_INLINE void transpose_block(Index rows, Index cols, const float* src, Index src_stride,
                                  float* dst, Index dst_stride) {
  // column[k][g]: quarter q holds column 4 q + k of rows 4 g .. 4 g + 3
  Floats column[4][4];
  IOTSL_UNROLL
  for (int g = 0; g < 4; ++g) {
    Floats row[4];
    IOTSL_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float* from = src + (4 * g + i) * src_stride;
      row[i] = (whole ? load(from) : load_partial(from, 4 * g + i < rows ? cols : 0)).v;
    }
    const Floats a0 = weave_first(row[0], row[1]), a1 = weave_last(row[0], row[1]);
    const Floats a2 = weave_first(row[2], row[3]), a3 = weave_last(row[2], row[3]);
    column[0][g] = join_first(a0, a2);
    column[1][g] = join_last(a0, a2);
    column[2][g] = join_first(a1, a3);
    column[3][g] = join_last(a1, a3);
  }
  IOTSL_UNROLL
  for (int k = 0; k < 4; ++k) {
    const Floats even0 = even_quarters(column[k][0], column[k][1]);
    const Floats even1 = even_quarters(column[k][2], column[k][3]);
    const Floats odd0 = odd_quarters(column[k][0], column[k][1]);
    const Floats odd1 = odd_quarters(column[k][2], column[k][3]);
    const Floats turned[] = {even_quarters(even0, even1), even_quarters(odd0, odd1),
                             odd_quarters(even0, even1), odd_quarters(odd0, odd1)};
    IOTSL_UNROLL
    for (int q = 0; q < 4; ++q) {
      float* to = dst + (4 * q + k) * dst_stride;
      if (whole)
        store(to, {turned[q]});
      else if (4 * q + k < cols)
        store_partial(to, {turned[q]}, rows);
    }
  }
}

/// dst[j][i] = src[i][j] for i, j < 16; strides in floats.
IOTSL_INLINE void transpose(const float* src, Index src_stride, float* dst, Index dst_stride) {
  transpose_block<true>(16, 16, src, src_stride, dst, dst_stride);
}
/// The same for i < rows, j < cols of at most 16.
[[gnu::noinline]] inline void transpose_partial(Index rows, Index cols, const float* src,
                                                Index src_stride, float* dst, Index dst_stride) {
  if (rows * cols <= 2 * lanes)  // vectors are no faster than so few single floats
    transpose_floats(rows, cols, src, src_stride, dst, dst_stride);
  else
    transpose_block<false>(rows, cols, src, src_stride, dst, dst_stride);
}

}  // namespace simd::avx512
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
