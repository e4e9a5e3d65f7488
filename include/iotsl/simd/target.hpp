#pragma once
// Which targets of the list this CPU can run, which is in use, and its tables of kernels.

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <span>

#include "iotsl/config.hpp"
#include "iotsl/core/error.hpp"
#include "iotsl/core/threads/sync.hpp"
#include "iotsl/simd/targets.hpp"

IOTSL_NAMESPACE_BEGIN
namespace simd {

#define IOTSL_ENUMERATOR(target) target,
/// The targets of this build (simd/targets.hpp).
enum class Target { IOTSL_TARGETS(IOTSL_ENUMERATOR) };
#undef IOTSL_ENUMERATOR

namespace detail {
#define IOTSL_NAME(target) #target,
inline constexpr const char* target_names[] = {IOTSL_TARGETS(IOTSL_NAME)};
#undef IOTSL_NAME
}  // namespace detail

inline const char* name(Target target) {
  const auto i = static_cast<std::size_t>(target);
  return i < std::size(detail::target_names) ? detail::target_names[i] : "unknown target";
}

/// Whether this build contains the target and this CPU (and its operating system) can run it.
inline bool reachable(Target target) {
#if IOTSL_HAVE_AVX
  __builtin_cpu_init();
#endif
  switch (target) {
#define IOTSL_RUNS(target) \
  case Target::target:     \
    return IOTSL_RUNS_##target;
    IOTSL_TARGETS(IOTSL_RUNS)
#undef IOTSL_RUNS
  }
  return false;
}

namespace detail {
inline std::span<const Target> find_reachable() {
  static Target list[std::size(target_names)];
  std::size_t count = 0;
  for (std::size_t i = 0; i < std::size(target_names); ++i)
    if (const auto t = static_cast<Target>(i); reachable(t)) list[count++] = t;
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

/// Whether there are kernels for products of bfloat16 beside those of the active target, and this
/// CPU can run them (simd/vec_avx512bf16.hpp).
inline bool multiplies_bfloat16() {
#if IOTSL_HAVE_AVX
#if IOTSL_WITH_AVX2X2
  if (active_target() == Target::avx2x2) return true;
#endif
  static const bool runs = IOTSL_RUNS_avx512bf16;
  return runs && active_target() == Target::avx512;
#else
  return false;
#endif
}

/// Makes `target` the active one (tests and benchmarks); an Error if it is not reachable here.
inline void set_target(Target target) {
  if (!reachable(target)) fail("set_target: ", name(target), " cannot run here");
  detail::active().store_relaxed(static_cast<int>(target));
}

namespace detail {
/// `tables` has one entry per target, in the order of the list.
template <class Table>
const Table& of_active_target(std::initializer_list<const Table*> tables) {
  return tables.size() == 1 ? **tables.begin() : *tables.begin()[static_cast<int>(active_target())];
}
}  // namespace detail

}  // namespace simd
IOTSL_NAMESPACE_END

// IOTSL_TARGET_TABLE(t) is the object `t` of the active target's namespace: `avx2::t`.
#define IOTSL_ADDRESS_IN_(target, table) &target::table,
#define IOTSL_TARGET_TABLE(table) \
  (::iotsl::simd::detail::of_active_target({IOTSL_TARGETS(IOTSL_ADDRESS_IN_, table)}))

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
