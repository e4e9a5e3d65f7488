#pragma once
// What simd/vec_neon.hpp has on 32-bit ARM alone: 16 registers in halves, and
// addresses that move with a load or a store at no cost, but no loads at a distance.

#include <type_traits>

#include "iotsl/simd/vec_neon.hpp"

#if IOTSL_HAVE_NEON && !defined(__aarch64__)
IOTSL_REGION_BEGIN(neon)
IOTSL_NAMESPACE_BEGIN
namespace simd::neon {

inline constexpr int registers = 16;
inline constexpr int next_vecs = 1;

// By name: compilers compute every address anew.
IOTSL_INLINE Vec load1_next(const float*& p) {
  Vec a;
  __asm__("vld1.32 {%e0[], %f0[]}, [%1]!" : "=w"(a.v), "+r"(p) : : "memory");
  return a;
}
IOTSL_INLINE void load_next(const float*& p, Vec (&to)[1]) {
  __asm__("vld1.32 {%e0, %f0}, [%1]!" : "=w"(to[0].v), "+r"(p) : : "memory");
}

constexpr std::ptrdiff_t bytes(Index floats) {
  return static_cast<std::ptrdiff_t>(floats) * std::ptrdiff_t{sizeof(float)};
}
/// One or two vectors in a row; then the address moves on.
template <int n>
IOTSL_INLINE void load_run(const float*& p, Index step, Vec (&to)[n]) {
  static_assert(n == 1 || n == 2);
#if defined(__clang__)
  for (int i = 0; i < n; ++i) to[i] = load(p + i * lanes);
  p += step;
#else
  if constexpr (n == 2) {
    float32x4x2_t v;
    __asm__("vld1.32 %h0, [%1], %2" : "=w"(v), "+r"(p) : "r"(bytes(step)) : "memory");
    for (int i = 0; i < n; ++i) to[i] = {v.val[i]};
  } else {
    __asm__("vld1.32 {%e0, %f0}, [%1], %2" : "=w"(to[0].v), "+r"(p) : "r"(bytes(step)) : "memory");
  }
#endif
}
/// One vector; then the address moves on.
IOTSL_INLINE void store_run(float*& p, Index step, Vec a) {
  __asm__ volatile("vst1.32 {%e1, %f1}, [%0], %2"
                   : "+r"(p)
                   : "w"(a.v), "r"(bytes(step))
                   : "memory");
}

// VFMA takes no lane. VMLA does, and rounds the product as well.
template <int lane>
IOTSL_INLINE Vec mla_lane(Vec a, Vec b, Vec c) {
  if constexpr (lane < 2)
    __asm__("vmla.f32 %q0, %q1, %e2[%c3]" : "+w"(c.v) : "w"(b.v), "t"(a.v), "n"(lane));
  else
    __asm__("vmla.f32 %q0, %q1, %f2[%c3]" : "+w"(c.v) : "w"(b.v), "t"(a.v), "n"(lane - 2));
  return c;
}
IOTSL_INLINE Vec mla(Vec a, Vec b, Vec c) {
  __asm__("vmla.f32 %q0, %q1, %q2" : "+w"(c.v) : "w"(a.v), "w"(b.v));
  return c;
}

// By halves of registers, three of which hold the six factors: no register is free for a fourth.
template <int Rows, int Vecs>
IOTSL_INLINE void mla_outer(const float*& a, Index a_step, const float*& b, Index b_step,
                            Vec (&acc)[Rows][Vecs]) {
  static_assert(Rows == 4 || Rows == 6);
  float32x2_t av[Rows / 2];
#if defined(__clang__)
  for (int i = 0; i < Rows / 2; ++i) av[i] = vld1_f32(a + 2 * i);
  a += a_step;
#else
  std::conditional_t<Rows == 6, float32x2x3_t, float32x2x2_t> run;
  __asm__("vld1.32 %h0, [%1], %2" : "=t"(run), "+r"(a) : "r"(bytes(a_step)) : "memory");
  for (int i = 0; i < Rows / 2; ++i) av[i] = run.val[i];
#endif
  Vec bv[Vecs];
  load_run(b, b_step, bv);
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    IOTSL_UNROLL
    for (int v = 0; v < Vecs; ++v)  // volatile: in this order, or clang runs out of registers
      __asm__ volatile("vmla.f32 %q0, %q1, %P2[%c3]"
                       : "+w"(acc[i][v].v)
                       : "w"(bv[v].v), "t"(av[i / 2]), "n"(i % 2));
  }
}

// There is no vector division or root of full precision.
IOTSL_INLINE Vec from_lanes(float a, float b, float c, float d) {
  const float values[4] = {a, b, c, d};
  return load(values);
}
IOTSL_INLINE Vec div(Vec a, Vec b) {
  return from_lanes(lane0(a) / lane0(b), lane1(a) / lane1(b), lane2(a) / lane2(b),
                    lane3(a) / lane3(b));
}
IOTSL_INLINE Vec sqrt(Vec a) {
  return from_lanes(scalar_math::sqrt(lane0(a)), scalar_math::sqrt(lane1(a)),
                    scalar_math::sqrt(lane2(a)), scalar_math::sqrt(lane3(a)));
}

/// dst[j][i] = src[i][j] for i, j < 4; strides in floats.
IOTSL_INLINE void transpose(const float* src, Index src_stride, float* dst, Index dst_stride) {
  Vec a[1], b[1], c[1], d[1];
  load_run(src, src_stride, a);
  load_run(src, src_stride, b);
  load_run(src, src_stride, c);
  load_run(src, src_stride, d);
  float32x4x2_t ab = vtrnq_f32(a[0].v, b[0].v), cd = vtrnq_f32(c[0].v, d[0].v);
  // Halves change places: of intrinsics g++ makes four copies for each.
  __asm__("vswp %f0, %e1" : "+w"(ab.val[0]), "+w"(cd.val[0]));
  __asm__("vswp %f0, %e1" : "+w"(ab.val[1]), "+w"(cd.val[1]));
  store_run(dst, dst_stride, {ab.val[0]});
  store_run(dst, dst_stride, {ab.val[1]});
  store_run(dst, dst_stride, {cd.val[0]});
  store_run(dst, dst_stride, {cd.val[1]});
}

}  // namespace simd::neon
IOTSL_NAMESPACE_END
IOTSL_REGION_END
#endif
