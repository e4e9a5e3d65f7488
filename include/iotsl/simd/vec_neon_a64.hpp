#pragma once
// What simd/vec_neon.hpp has on AArch64 alone: 32 registers, a fused multiply-add
// by lane, loads of several registers.

#include "iotsl/simd/vec_neon.hpp"

#if IOTSL_HAVE_NEON && defined(__aarch64__)
IOTSL_REGION_BEGIN(neon)
IOTSL_NAMESPACE_BEGIN
namespace simd::neon {

inline constexpr int registers = 32;
inline constexpr int next_vecs = 2;

IOTSL_INLINE Vec load1_next(const float*& p) { return load1(p++); }
IOTSL_INLINE void load_next(const float*& p, Vec (&to)[2]) {
  __asm__("ldp %q0, %q1, [%2], #32" : "=w"(to[0].v), "=w"(to[1].v), "+r"(p) : : "memory");
}

/// One, two or four vectors in a row; then the address moves on.
template <int n>
IOTSL_INLINE void load_run(const float*& p, Index step, Vec (&to)[n]) {
  static_assert(n == 1 || n == 2 || n == 4);
#if defined(__clang__)
  for (int i = 0; i < n; ++i) to[i] = load(p + i * lanes);
  p += step;
#else
  // One instruction that moves the address on too; of the intrinsics g++ makes two.
  const Index bytes = step * static_cast<Index>(sizeof(float));
  if constexpr (n == 4) {
    float32x4x4_t v;
    __asm__("ld1 {%S0.4s - %V0.4s}, [%1], %2" : "=w"(v), "+r"(p) : "r"(bytes) : "memory");
    for (int i = 0; i < n; ++i) to[i] = {v.val[i]};
  } else if constexpr (n == 2) {
    float32x4x2_t v;
    __asm__("ld1 {%S0.4s - %T0.4s}, [%1], %2" : "=w"(v), "+r"(p) : "r"(bytes) : "memory");
    for (int i = 0; i < n; ++i) to[i] = {v.val[i]};
  } else {
    __asm__("ld1 {%0.4s}, [%1], %2" : "=w"(to[0].v), "+r"(p) : "r"(bytes) : "memory");
  }
#endif
}

// The instruction by name: of the intrinsic g++ makes broadcasts, for which no register is free.
template <int lane>
IOTSL_INLINE Vec mla_lane(Vec a, Vec b, Vec c) {
  __asm__("fmla %0.4s, %1.4s, %2.s[%3]" : "+w"(c.v) : "w"(b.v), "w"(a.v), "n"(lane));
  return c;
}
IOTSL_INLINE Vec mla(Vec a, Vec b, Vec c) { return fma(a, b, c); }

template <int Rows, int Vecs>
IOTSL_INLINE void mla_outer(const float*& a, Index a_step, const float*& b, Index b_step,
                            Vec (&acc)[Rows][Vecs]) {
  static_assert(Rows == 4 || Rows == 6);
  Vec av[(Rows + lanes - 1) / lanes], bv[Vecs];
  load_run(a, a_step, av);
  load_run(b, b_step, bv);
  IOTSL_UNROLL
  for (int v = 0; v < Vecs; ++v) {
    acc[0][v] = mla_lane<0>(av[0], bv[v], acc[0][v]);
    acc[1][v] = mla_lane<1>(av[0], bv[v], acc[1][v]);
    acc[2][v] = mla_lane<2>(av[0], bv[v], acc[2][v]);
    acc[3][v] = mla_lane<3>(av[0], bv[v], acc[3][v]);
    if constexpr (Rows == 6) {
      acc[4][v] = mla_lane<0>(av[1], bv[v], acc[4][v]);
      acc[5][v] = mla_lane<1>(av[1], bv[v], acc[5][v]);
    }
  }
}

IOTSL_INLINE Vec div(Vec a, Vec b) { return {vdivq_f32(a.v, b.v)}; }
IOTSL_INLINE Vec sqrt(Vec a) { return {vsqrtq_f32(a.v)}; }

/// dst[j][i] = src[i][j] for i, j < 4; strides in floats.
IOTSL_INLINE void transpose(const float* src, Index src_stride, float* dst, Index dst_stride) {
  const float32x4_t a = vld1q_f32(src), b = vld1q_f32(src + src_stride);
  const float32x4_t c = vld1q_f32(src + 2 * src_stride), d = vld1q_f32(src + 3 * src_stride);
  const float32x4_t ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const float32x4_t ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const float32x4_t cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const float32x4_t cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  vst1q_f32(dst, __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5));
  vst1q_f32(dst + dst_stride, __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7));
  vst1q_f32(dst + 2 * dst_stride, __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5));
  vst1q_f32(dst + 3 * dst_stride, __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7));
}

}  // namespace simd::neon
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
