#pragma once
// libgomp lets its threads spin for about 10 ms after each parallel region, on the core that the
// peer process needs. It reads OMP_WAIT_POLICY before main, so the only way to set it is to start
// again.

#include <unistd.h>

#include <cstdlib>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

/// Starts this program again with OMP_WAIT_POLICY=passive, unless the user has set the variable.
/// Goes on without it where that is impossible. Call it first in main.
inline void restart_with_passive_wait(char** argv) {
#if IOTSL_OPENMP
  if (std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  if (::setenv("OMP_WAIT_POLICY", "passive", 1) == 0) ::execv("/proc/self/exe", argv);
#else
  static_cast<void>(argv);
#endif
}

IOTSL_NAMESPACE_END
