#pragma once
// The vector types of all targets of this build, one namespace each: simd::baseline, simd::avx2,
// simd::avx512, simd::neon. Every one has the same functions on Vec (`lanes` floats) and Mask:
//
//   load store load_partial store_partial   memory; partial: the first `count` lanes
//   load1 set1 zero   the same in all lanes, load1 from memory; load1_next moves the address on
//   add sub mul div fma(a,b,c)=a*b+c fnma=c-a*b neg abs sqrt
//   min max            a<b ? a : b and a>b ? a : b: the second operand where one is NaN
//   less less_equal equal is_nan -> Mask; select(m,a,b) both either
//   reduce_add reduce_max   lanes paired by halves, always in that order
//   round_small pow2 exponent mantissa   the pieces exp and log are made of
//   load_bytes store_bytes   lanes that are whole numbers from 0 to 255
//   even_lanes odd_lanes   of a, then of b;  zip_low zip_high   a0 b0 a1 b1 ..., in two halves
//   transpose          a block of lanes x lanes floats; transpose_partial a part of one
//   words_are_pairs        false; true where a word of memory is two bfloat16 numbers and there is
//                          dot_pairs(a,b,c) (simd/vec_avx512bf16.hpp)
//   multiplies_by_lane     true where there are, beyond these:
//     mla_lane<i>(a,b,c)=a[i]*b+c, mla(a,b,c)=a*b+c that rounds alike
//     mla_outer(a,step,b,step,acc)   acc[i][v]+=a[i]*b[v], a of floats, b of vectors, both in a
//                          row in memory; then their addresses move by any step
//     load_run             1, 2 or (of 32 registers) 4 vectors in a row, then the address moves by
//                          any step; store_run (of 16 registers) one
//   next_vecs          0, or so many vectors in a row load_next loads and moves the address over as
//                      one instruction
//
// Only fma() and fnma() fuse, and only where the target has the instruction: the baseline rounds
// twice. mla and mla_lane round once on AArch64, twice on 32-bit ARM.

#include "iotsl/core/shape.hpp"
#include "iotsl/simd/target.hpp"

#if IOTSL_HAVE_BASELINE
#include "iotsl/simd/vec_baseline.hpp"
#endif
#if IOTSL_HAVE_AVX
#include "iotsl/simd/vec_avx2.hpp"
#include "iotsl/simd/vec_avx512.hpp"
#include "iotsl/simd/vec_avx512bf16.hpp"
#if IOTSL_WITH_AVX2X2
#include "iotsl/simd/vec_avx2x2.hpp"
#include "iotsl/simd/vec_avx2x2bf16.hpp"
#endif
#endif
#if IOTSL_HAVE_NEON
#include "iotsl/simd/vec_neon_a32.hpp"
#include "iotsl/simd/vec_neon_a64.hpp"
#endif
