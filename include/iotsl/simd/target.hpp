#pragma once
// Instruction-set targets: which exist in this build, which this CPU can run, which is in use, and
// the pragmas that open and close a region of code compiled for one of them.
//
// A region changes only the functions inside it, so no -march flag is needed. System headers must
// come before the first region: their inline functions would otherwise be compiled for it.
// Contraction of a*b+c is off inside every region, because compilers contract differently at
// different optimisation levels; kernels say fma() where they mean it.

#include <cstdlib>
#include <cstring>
#include <span>

#include "iotsl/config.hpp"
#include "iotsl/core/error.hpp"
#include "iotsl/core/sync.hpp"

// Which targets this build contains. Each has a vector header simd/vec_<name>.hpp and a pair of
// region macros below; foreach_target.hpp lists them.
#if !defined(IOTSL_BASELINE_ONLY) && defined(__x86_64__)
#define IOTSL_HAVE_AVX2 1
#else
#define IOTSL_HAVE_AVX2 0
#endif
#if !defined(IOTSL_BASELINE_ONLY) && defined(__ARM_NEON)
#define IOTSL_HAVE_NEON 1
#else
#define IOTSL_HAVE_NEON 0
#endif
// Where NEON is in the compiler's own baseline there is nothing to choose at run time.
#define IOTSL_HAVE_BASELINE (!IOTSL_HAVE_NEON)

#if defined(__clang__)
#define IOTSL_REGION_BEGIN_BASELINE _Pragma("clang fp contract(off)")
#define IOTSL_REGION_BEGIN_NEON _Pragma("clang fp contract(off)")
#define IOTSL_REGION_BEGIN_AVX2     \
  _Pragma("clang fp contract(off)") \
      _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define IOTSL_REGION_END_BASELINE _Pragma("clang fp contract(on)")
#define IOTSL_REGION_END_NEON _Pragma("clang fp contract(on)")
#define IOTSL_REGION_END_AVX2 _Pragma("clang attribute pop") _Pragma("clang fp contract(on)")
#define IOTSL_UNROLL _Pragma("clang loop unroll(full)")
#else
// A plain `g++ file.cpp` does not optimise; the kernels of such a program still are.
#if defined(__OPTIMIZE__)
#define IOTSL_REGION_BEGIN_BASELINE \
  _Pragma("GCC push_options") _Pragma("GCC optimize(\"fp-contract=off\")")
#else
#define IOTSL_REGION_BEGIN_BASELINE \
  _Pragma("GCC push_options") _Pragma("GCC optimize(\"O2,fp-contract=off\")")
#endif
#define IOTSL_REGION_BEGIN_NEON IOTSL_REGION_BEGIN_BASELINE
#define IOTSL_REGION_BEGIN_AVX2 IOTSL_REGION_BEGIN_BASELINE _Pragma("GCC target(\"avx2,fma\")")
#define IOTSL_REGION_END_BASELINE _Pragma("GCC pop_options")
#define IOTSL_REGION_END_NEON IOTSL_REGION_END_BASELINE
#define IOTSL_REGION_END_AVX2 IOTSL_REGION_END_BASELINE
#define IOTSL_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__GNUC__) || defined(__clang__)
#define IOTSL_INLINE __attribute__((always_inline)) inline
#else
#define IOTSL_INLINE inline
#endif

IOTSL_NAMESPACE_BEGIN
namespace simd {

enum class Target { baseline, avx2, neon };

inline const char* name(Target target) {
  switch (target) {
    case Target::avx2:
      return "avx2";
    case Target::neon:
      return "neon";
    default:
      return "baseline";
  }
}

/// Whether this build contains the target and this CPU (and its operating system) can run it.
inline bool reachable(Target target) {
  switch (target) {
    case Target::baseline:
      return IOTSL_HAVE_BASELINE;
    case Target::neon:
      return IOTSL_HAVE_NEON;
    case Target::avx2:
#if IOTSL_HAVE_AVX2
      __builtin_cpu_init();
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
      return false;
#endif
  }
  return false;
}

namespace detail {
inline std::span<const Target> find_reachable() {
  static Target list[3];
  std::size_t count = 0;
  for (Target t : {Target::baseline, Target::avx2, Target::neon})
    if (reachable(t)) list[count++] = t;
  return {list, count};
}

// IOTSL_TARGET=baseline in the environment asks for a target; one that cannot run is ignored.
inline Target initial_target(std::span<const Target> list) {
  if (const char* wanted = std::getenv("IOTSL_TARGET"))
    for (Target t : list)
      if (std::strcmp(wanted, name(t)) == 0) return t;
  return list.back();
}
}  // namespace detail

/// The targets that can run here, the preferred one last.
inline std::span<const Target> reachable_targets() {
  static const std::span<const Target> list = detail::find_reachable();
  return list;
}

namespace detail {
inline iotsl::detail::Shared<int>& active() {
  static iotsl::detail::Shared<int> target{static_cast<int>(initial_target(reachable_targets()))};
  return target;
}
}  // namespace detail

/// The target whose kernels are called now: the best reachable one, or that of IOTSL_TARGET.
inline Target active_target() { return static_cast<Target>(detail::active().load_relaxed()); }

/// Makes `target` the active one (tests and benchmarks); an Error if it is not reachable here.
inline void set_target(Target target) {
  if (!reachable(target)) fail("set_target: ", name(target), " cannot run here");
  detail::active().store_relaxed(static_cast<int>(target));
}

}  // namespace simd
IOTSL_NAMESPACE_END

// IOTSL_TABLE(Type, t) in namespace kernels is the function t() that returns the table of the
// active target.
#if IOTSL_LINK_ENGINE
#define IOTSL_TABLE(type, table) const type& table();
#elif IOTSL_EMIT_ENGINE
#define IOTSL_TABLE(type, table) \
  const type& table() { return IOTSL_TARGET_TABLE(table); }
#else
#define IOTSL_TABLE(type, table) \
  inline const type& table() { return IOTSL_TARGET_TABLE(table); }
#endif

// IOTSL_TARGET_TABLE(t) is the object `t` of the active target's namespace: `avx2::t`.
#if IOTSL_HAVE_AVX2
#define IOTSL_TARGET_TABLE(table) \
  (::iotsl::simd::active_target() == ::iotsl::simd::Target::avx2 ? avx2::table : baseline::table)
#elif IOTSL_HAVE_NEON
#define IOTSL_TARGET_TABLE(table) (neon::table)
#else
#define IOTSL_TARGET_TABLE(table) (baseline::table)
#endif
