#pragma once
// Four floats in a NEON register: what is alike on AArch64 (vec_neon_a64.hpp) and on 32-bit ARM
// built with -mfpu=neon-vfpv4 (vec_neon_a32.hpp). The list of functions is in simd/vec.hpp. On
// 32-bit ARM denormal numbers count as zero, before and after every operation of a vector:
// log(1e-40) is -infinity, exp(-90) is 0.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/shape.hpp"
#include "iotsl/simd/targets.hpp"
#include "iotsl/simd/transpose_floats.hpp"

#if IOTSL_HAVE_NEON
#include <arm_neon.h>

IOTSL_REGION_BEGIN(neon)
IOTSL_NAMESPACE_BEGIN
namespace simd::neon {

struct Vec {
  float32x4_t v;
};
struct Mask {
  uint32x4_t v;
};
inline constexpr Index lanes = 4;
inline constexpr bool words_are_pairs = false;
inline constexpr bool multiplies_by_lane = true;

IOTSL_INLINE Vec load(const float* p) { return {vld1q_f32(p)}; }
IOTSL_INLINE void store(float* p, Vec a) { vst1q_f32(p, a.v); }
IOTSL_INLINE Vec set1(float x) { return {vdupq_n_f32(x)}; }
IOTSL_INLINE Vec zero() { return set1(0.0F); }
IOTSL_INLINE Vec load1(const float* p) { return {vld1q_dup_f32(p)}; }
IOTSL_INLINE Vec load_partial(const float* p, Index count) {
  float32x4_t v = vdupq_n_f32(0.0F);
  if (count > 0) v = vld1q_lane_f32(p, v, 0);
  if (count > 1) v = vld1q_lane_f32(p + 1, v, 1);
  if (count > 2) v = vld1q_lane_f32(p + 2, v, 2);
  if (count > 3) v = vld1q_lane_f32(p + 3, v, 3);
  return {v};
}
IOTSL_INLINE void store_partial(float* p, Vec a, Index count) {
  if (count > 0) vst1q_lane_f32(p, a.v, 0);
  if (count > 1) vst1q_lane_f32(p + 1, a.v, 1);
  if (count > 2) vst1q_lane_f32(p + 2, a.v, 2);
  if (count > 3) vst1q_lane_f32(p + 3, a.v, 3);
}

IOTSL_INLINE Vec add(Vec a, Vec b) { return {vaddq_f32(a.v, b.v)}; }
IOTSL_INLINE Vec sub(Vec a, Vec b) { return {vsubq_f32(a.v, b.v)}; }
IOTSL_INLINE Vec mul(Vec a, Vec b) { return {vmulq_f32(a.v, b.v)}; }
IOTSL_INLINE Vec neg(Vec a) { return {vnegq_f32(a.v)}; }
IOTSL_INLINE Vec abs(Vec a) { return {vabsq_f32(a.v)}; }

IOTSL_INLINE Mask less(Vec a, Vec b) { return {vcltq_f32(a.v, b.v)}; }
IOTSL_INLINE Mask less_equal(Vec a, Vec b) { return {vcleq_f32(a.v, b.v)}; }
IOTSL_INLINE Mask equal(Vec a, Vec b) { return {vceqq_f32(a.v, b.v)}; }
IOTSL_INLINE Mask is_nan(Vec a) { return {vmvnq_u32(vceqq_f32(a.v, a.v))}; }
IOTSL_INLINE Mask both(Mask a, Mask b) { return {vandq_u32(a.v, b.v)}; }
IOTSL_INLINE Mask either(Mask a, Mask b) { return {vorrq_u32(a.v, b.v)}; }
IOTSL_INLINE Vec select(Mask m, Vec a, Vec b) { return {vbslq_f32(m.v, a.v, b.v)}; }
// Not vminq/vmaxq, which return NaN where either operand is one.
IOTSL_INLINE Vec min(Vec a, Vec b) { return select(less(a, b), a, b); }
IOTSL_INLINE Vec max(Vec a, Vec b) { return select(less(b, a), a, b); }

#if defined(__ARM_FEATURE_FMA)
IOTSL_INLINE Vec fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
IOTSL_INLINE Vec fnma(Vec a, Vec b, Vec c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
#else
IOTSL_INLINE Vec fma(Vec a, Vec b, Vec c) { return add(mul(a, b), c); }
IOTSL_INLINE Vec fnma(Vec a, Vec b, Vec c) { return sub(c, mul(a, b)); }
#endif

IOTSL_INLINE float lane0(Vec a) { return vgetq_lane_f32(a.v, 0); }
IOTSL_INLINE float lane1(Vec a) { return vgetq_lane_f32(a.v, 1); }
IOTSL_INLINE float lane2(Vec a) { return vgetq_lane_f32(a.v, 2); }
IOTSL_INLINE float lane3(Vec a) { return vgetq_lane_f32(a.v, 3); }

IOTSL_INLINE float reduce_add(Vec a) { return (lane0(a) + lane2(a)) + (lane1(a) + lane3(a)); }
IOTSL_INLINE float reduce_max(Vec a) {
  const float even = lane0(a) > lane2(a) ? lane0(a) : lane2(a);
  const float odd = lane1(a) > lane3(a) ? lane1(a) : lane3(a);
  return even > odd ? even : odd;
}

/// The nearest integer, ties to even, for |a| < 2^22.
IOTSL_INLINE Vec round_small(Vec a) {
  const Vec magic = set1(12582912.0F);  // 1.5 * 2^23: its last place is 1
  return sub(add(a, magic), magic);
}
/// 2^n for integral n in [-126, 127].
IOTSL_INLINE Vec pow2(Vec n) {
  const int32x4_t biased = vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127));
  return {vreinterpretq_f32_s32(vshlq_n_s32(biased, 23))};
}
/// e and m of a = m * 2^e with m in [1, 2), for positive normal a.
IOTSL_INLINE Vec exponent(Vec a) {
  const int32x4_t biased = vshrq_n_s32(vreinterpretq_s32_f32(a.v), 23);
  return {vcvtq_f32_s32(vsubq_s32(biased, vdupq_n_s32(127)))};
}
IOTSL_INLINE Vec mantissa(Vec a) {
  const int32x4_t bits = vandq_s32(vreinterpretq_s32_f32(a.v), vdupq_n_s32(0x007FFFFF));
  return {vreinterpretq_f32_s32(vorrq_s32(bits, vdupq_n_s32(0x3F800000)))};
}

/// Lanes that hold whole numbers from 0 to 255, as bytes.
IOTSL_INLINE Vec load_bytes(const std::uint8_t* p) {
  std::uint32_t bytes;
  __builtin_memcpy(&bytes, p, 4);
  const uint16x8_t pairs = vmovl_u8(vcreate_u8(bytes));
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(pairs)))};
}
IOTSL_INLINE void store_bytes(std::uint8_t* p, Vec a) {
  const uint16x4_t pairs = vmovn_u32(vcvtq_u32_f32(a.v));
  const uint32x2_t bytes = vreinterpret_u32_u8(vmovn_u16(vcombine_u16(pairs, pairs)));
  const std::uint32_t first = vget_lane_u32(bytes, 0);
  __builtin_memcpy(p, &first, 4);
}

IOTSL_INLINE Vec even_lanes(Vec a, Vec b) {
  return {__builtin_shufflevector(a.v, b.v, 0, 2, 4, 6)};
}
IOTSL_INLINE Vec odd_lanes(Vec a, Vec b) { return {__builtin_shufflevector(a.v, b.v, 1, 3, 5, 7)}; }
IOTSL_INLINE Vec zip_low(Vec a, Vec b) { return {__builtin_shufflevector(a.v, b.v, 0, 4, 1, 5)}; }
IOTSL_INLINE Vec zip_high(Vec a, Vec b) { return {__builtin_shufflevector(a.v, b.v, 2, 6, 3, 7)}; }

/// The same for i < rows, j < cols of at most 4: vectors are no faster with so few floats.
IOTSL_INLINE void transpose_partial(Index rows, Index cols, const float* src, Index src_stride,
                                    float* dst, Index dst_stride) {
  transpose_floats(rows, cols, src, src_stride, dst, dst_stride);
}

}  // namespace simd::neon
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
