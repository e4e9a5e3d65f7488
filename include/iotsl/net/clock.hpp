#pragma once
// Time on the wire is the steady clock only: a Raspberry Pi before the 5 has no clock at boot. What
// was computed is counted by the thread's own clock.

#include <time.h>

#include <chrono>
#include <cstdint>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// A point on the steady clock, or a span of it.
using Microseconds = std::int64_t;
inline constexpr Microseconds second_us = 1'000'000;
/// A limit that is never reached (a century).
inline constexpr Microseconds for_ever = 3'155'760'000 * second_us;

inline Microseconds steady_now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Processor time of the calling thread so far. A span of it is what the steady clock would have
/// shown if nothing else had wanted the processor; where the thread shares its work out, it waits
/// for the others without counting, and they compute beside it.
inline Microseconds thread_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return Microseconds{time.tv_sec} * second_us + time.tv_nsec / 1000;
}

inline double to_seconds(Microseconds span) { return static_cast<double>(span) * 1e-6; }

}  // namespace net
IOTSL_NAMESPACE_END
