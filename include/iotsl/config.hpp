#pragma once
// Version, feature macros and the ABI tag. Every header of the engine includes this first.

#define IOTSL_VERSION_MAJOR 0
#define IOTSL_VERSION_MINOR 1
#define IOTSL_VERSION_PATCH 0
#define IOTSL_VERSION_STRING "0.1.0"

#if !defined(__cplusplus) || __cplusplus < 202002L
#error "iotsl needs C++20: compile with -std=c++20"
#endif

// What is finite is checked, and sums have one order: both end with these flags, as does tanh of a
// large number.
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error \
    "iotsl: compile without -ffast-math, -Ofast, -ffinite-math-only and -funsafe-math-optimizations, which change results"
#endif

// Exceptions and threads are taken from the compiler's flags. Without exceptions a programming
// error calls the handler of core/error.hpp and aborts.
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define IOTSL_EXCEPTIONS 1
#define IOTSL_ABI_EXCEPTIONS exc
#else
#define IOTSL_EXCEPTIONS 0
#define IOTSL_ABI_EXCEPTIONS noexc
#endif

#if defined(_OPENMP)
#define IOTSL_OPENMP 1
#define IOTSL_ABI_THREADS omp
#else
#define IOTSL_OPENMP 0
#define IOTSL_ABI_THREADS serial
#endif

// IOTSL_BASELINE_ONLY leaves the run-time dispatch out: smallest build, portable code only. On
// 32-bit ARM the compiler's flags decide whether there is NEON, and whether it can fuse a
// multiply-add. IOTSL_WITH_AVX2X2=1 adds a target that only tests use (simd/vec_avx2x2.hpp).
#if defined(IOTSL_BASELINE_ONLY) || (defined(__arm__) && !defined(__ARM_NEON))
#define IOTSL_ABI_TARGETS baseline
#elif defined(__arm__) && !defined(__ARM_FEATURE_FMA)
#define IOTSL_ABI_TARGETS unfused
#elif IOTSL_WITH_AVX2X2
#define IOTSL_ABI_TARGETS avx2x2
#elif defined(__x86_64__)
#define IOTSL_ABI_TARGETS avx512
#else
#define IOTSL_ABI_TARGETS simd
#endif

// IOTSL_WITH_ZLIB=1 reads data that is packed with gzip; the program links zlib then.
#if defined(IOTSL_WITH_ZLIB) && IOTSL_WITH_ZLIB
#define IOTSL_READS_GZIP 1
#define IOTSL_ABI_FILES gzip
#else
#define IOTSL_READS_GZIP 0
#define IOTSL_ABI_FILES plain
#endif

// IOTSL_WITH_TLS=1 puts TLS 1.3 between sockets and frames; the program links OpenSSL 3 then.
#if defined(IOTSL_WITH_TLS) && IOTSL_WITH_TLS
#define IOTSL_TLS 1
#define IOTSL_ABI_WIRE tls
#else
#define IOTSL_TLS 0
#define IOTSL_ABI_WIRE notls
#endif

// IOTSL_FAILPOINTS=1 has named points at which tests end a program (core/failpoint.hpp). Without
// them the tag is as if there were no such thing.
#if defined(IOTSL_FAILPOINTS) && IOTSL_FAILPOINTS
#define IOTSL_ABI_POINTS _points
#else
#define IOTSL_FAILPOINTS 0
#define IOTSL_ABI_POINTS
#endif

// The tag is part of every mangled name: two translation units that were compiled with different
// settings get different symbols and cannot silently share one definition.
#define IOTSL_ABI_JOIN_(a, b, c, d, e, f) v0_1_##a##_##b##_##c##_##d##_##e##f
#define IOTSL_ABI_JOIN(a, b, c, d, e, f) IOTSL_ABI_JOIN_(a, b, c, d, e, f)
#define IOTSL_ABI_TAG                                                                         \
  IOTSL_ABI_JOIN(IOTSL_ABI_EXCEPTIONS, IOTSL_ABI_THREADS, IOTSL_ABI_TARGETS, IOTSL_ABI_FILES, \
                 IOTSL_ABI_WIRE, IOTSL_ABI_POINTS)

#define IOTSL_NAMESPACE_BEGIN \
  namespace iotsl {           \
  inline namespace IOTSL_ABI_TAG {
#define IOTSL_NAMESPACE_END \
  }                         \
  }

// Every translation unit compiles what it uses of the engine. A program of many units may compile
// the kernels and the operations on float once instead: one unit includes iotsl.hpp with
// IOTSL_EMIT_ENGINE=1, the others are compiled with IOTSL_LINK_ENGINE=1 (cmake: link
// iotsl::compiled). IOTSL_FLOAT(declaration) behind a template names its instance for that.
#if IOTSL_LINK_ENGINE
#define IOTSL_FLOAT(...) extern template __VA_ARGS__;
#elif IOTSL_EMIT_ENGINE
#define IOTSL_FLOAT(...) template __VA_ARGS__;
#else
#define IOTSL_FLOAT(...)
#endif

#if defined(__GNUC__) || defined(__clang__)
#define IOTSL_COLD __attribute__((cold))
// Runs once in a step at most, around what takes the time: compiled for size.
#define IOTSL_SMALL __attribute__((cold))
#else
#define IOTSL_COLD
#define IOTSL_SMALL
#endif
