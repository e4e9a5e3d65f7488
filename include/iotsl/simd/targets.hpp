#pragma once
// The list of instruction-set targets, and the pragmas around code that is compiled for one of
// them.
//
// A new target is a name in the list and two lines about it here, and its header
// simd/vec_<name>.hpp, which vec.hpp includes; everything else is derived from the list.
//
// A region changes only the functions inside it, so no -march flag is needed. System headers must
// come before the first region: their inline functions would otherwise be compiled for it.
// Contraction of a*b+c is off inside every region, because compilers contract differently at
// different optimisation levels; kernels say fma() where they mean it.

#include "iotsl/config.hpp"

// The targets of this build, the preferred one last, and which vector headers they need. A name is
// the target's namespace too.
#if !defined(IOTSL_BASELINE_ONLY) && defined(__x86_64__)
#define IOTSL_HAVE_BASELINE 1
#define IOTSL_HAVE_AVX 1
#define IOTSL_TARGET_0 baseline
#define IOTSL_TARGET_1 avx2
#if IOTSL_WITH_AVX2X2
#define IOTSL_TARGET_2 avx2x2
#define IOTSL_TARGET_3 avx512
#else
#define IOTSL_TARGET_2 avx512
#endif
#elif !defined(IOTSL_BASELINE_ONLY) && defined(__ARM_NEON)
// In the compiler's own baseline: there is nothing to choose at run time.
#define IOTSL_HAVE_NEON 1
#define IOTSL_TARGET_0 neon
#else
#define IOTSL_HAVE_BASELINE 1
#define IOTSL_TARGET_0 baseline
#endif

// What the compiler may use for a target, and whether this CPU and its system can run it.
#define IOTSL_FEATURES_baseline
#define IOTSL_RUNS_baseline true
#define IOTSL_FEATURES_neon
#define IOTSL_RUNS_neon true
#define IOTSL_FEATURES_avx2 IOTSL_COMPILE_FOR("avx2,fma")
#define IOTSL_RUNS_avx2 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#define IOTSL_FEATURES_avx2x2 IOTSL_FEATURES_avx2
#define IOTSL_RUNS_avx2x2 IOTSL_RUNS_avx2
#define IOTSL_FEATURES_avx512 IOTSL_COMPILE_FOR("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#define IOTSL_RUNS_avx512                                                                        \
  (IOTSL_RUNS_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && \
   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))

// Beside the list, for products of bfloat16 (simd/vec_avx512bf16.hpp): what they need beyond
// avx512.
#define IOTSL_FEATURES_avx512bf16 \
  IOTSL_COMPILE_FOR("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
#define IOTSL_RUNS_avx512bf16 (IOTSL_RUNS_avx512 && __builtin_cpu_supports("avx512bf16"))
#define IOTSL_FEATURES_avx2x2bf16 IOTSL_FEATURES_avx2

// IOTSL_TARGETS(X, arguments...) is X(name, arguments...) for every target of the list.
#define IOTSL_APPLY_(X, target, ...) X(target __VA_OPT__(, ) __VA_ARGS__)
#define IOTSL_TARGETS_1_(X, ...) IOTSL_APPLY_(X, IOTSL_TARGET_0 __VA_OPT__(, ) __VA_ARGS__)
#define IOTSL_TARGETS_3_(X, ...)                             \
  IOTSL_TARGETS_1_(X __VA_OPT__(, ) __VA_ARGS__)             \
  IOTSL_APPLY_(X, IOTSL_TARGET_1 __VA_OPT__(, ) __VA_ARGS__) \
  IOTSL_APPLY_(X, IOTSL_TARGET_2 __VA_OPT__(, ) __VA_ARGS__)
#if defined(IOTSL_TARGET_3)
#define IOTSL_TARGETS(X, ...)                    \
  IOTSL_TARGETS_3_(X __VA_OPT__(, ) __VA_ARGS__) \
  IOTSL_APPLY_(X, IOTSL_TARGET_3 __VA_OPT__(, ) __VA_ARGS__)
#elif defined(IOTSL_TARGET_2)
#define IOTSL_TARGETS(X, ...) IOTSL_TARGETS_3_(X __VA_OPT__(, ) __VA_ARGS__)
#else
#define IOTSL_TARGETS(X, ...) IOTSL_TARGETS_1_(X __VA_OPT__(, ) __VA_ARGS__)
#endif

// IOTSL_REGION_BEGIN(target) ... IOTSL_REGION_END
#define IOTSL_PRAGMA(text) _Pragma(#text)
#define IOTSL_FEATURES_OF_(target) IOTSL_FEATURES_##target
#if defined(__clang__)
#define IOTSL_COMPILE_FOR(list) \
  IOTSL_PRAGMA(clang attribute(__attribute__((target(list))), apply_to = function))
#if defined(__x86_64__)
#define IOTSL_CONTRACT_OFF_ _Pragma("float_control(push)") _Pragma("clang fp contract(off)")
#define IOTSL_CONTRACT_BACK_ _Pragma("float_control(pop)")
#else  // where it cannot be restored: clang's default
#define IOTSL_CONTRACT_OFF_ _Pragma("clang fp contract(off)")
#define IOTSL_CONTRACT_BACK_ _Pragma("clang fp contract(on)")
#endif
#define IOTSL_REGION_BEGIN(target) \
  IOTSL_CONTRACT_OFF_ _Pragma("clang attribute push") IOTSL_FEATURES_OF_(target)
#define IOTSL_REGION_END _Pragma("clang attribute pop") IOTSL_CONTRACT_BACK_
#define IOTSL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define IOTSL_COMPILE_FOR(list) IOTSL_PRAGMA(GCC target(list))
// A plain `g++ file.cpp` does not optimise, -Os not for speed; the kernels of such programs still
// are.
#if defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#define IOTSL_OPTIMIZE_ _Pragma("GCC optimize(\"fp-contract=off\")")
#else
#define IOTSL_OPTIMIZE_ _Pragma("GCC optimize(\"O2,fp-contract=off\")")
#endif
#define IOTSL_REGION_BEGIN(target) \
  _Pragma("GCC push_options") IOTSL_OPTIMIZE_ IOTSL_FEATURES_OF_(target)
#define IOTSL_REGION_END _Pragma("GCC pop_options")
#define IOTSL_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__GNUC__) || defined(__clang__)
#define IOTSL_INLINE __attribute__((always_inline)) inline
#else
#define IOTSL_INLINE inline
#endif
