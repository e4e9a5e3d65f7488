#pragma once
// libgomp lets its threads spin for about 10 ms after each parallel region, on the core that the
// peer process needs. Without any spinning a thread is woken for every region, which a step of
// training has hundreds of. In between lies a spin of some 10 to 50 microseconds. libgomp reads its
// variables before main, so the only way to set them is to start again.

#include <unistd.h>

#include <cstdlib>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

/// Looks at what a thread waits for. On x86 there is a pause of some 40 to 140 cycles between two
/// of them, elsewhere nothing.
#if defined(__x86_64__) || defined(__i386__)
inline constexpr const char* spin_count = "1000";
#else
inline constexpr const char* spin_count = "10000";
#endif

/// Starts this program again with OMP_WAIT_POLICY=passive and GOMP_SPINCOUNT, unless the user has
/// set one of them. Goes on without them where that is impossible. Call it first in main.
inline void restart_with_short_waits(char** argv) {
#if IOTSL_OPENMP
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (::setenv("OMP_WAIT_POLICY", "passive", 1) == 0 &&
      ::setenv("GOMP_SPINCOUNT", spin_count, 1) == 0)
    ::execv("/proc/self/exe", argv);
#else
  static_cast<void>(argv);
#endif
}

IOTSL_NAMESPACE_END
