#pragma once
// How many files and sockets the system lets this process hold.

#include <sys/resource.h>

#include <cstdint>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// What a server holds beside its connections: streams, listener, wake-up, a run's files, and
/// devices that come back before their dead connection is noticed.
inline constexpr std::uint64_t spare_handles = 16;

/// The process's own limit on open files, and the system's, which it may be raised to.
struct HandleLimits {
  std::uint64_t soft = 0, hard = 0;
};
inline HandleLimits handle_limits() {
  rlimit limits{};
  if (::getrlimit(RLIMIT_NOFILE, &limits) != 0) return {~std::uint64_t{0}, ~std::uint64_t{0}};
  return {limits.rlim_cur, limits.rlim_max};
}

/// Makes room for a server of `devices`: raises the process's own limit where the system's allows
/// it. The failure names limit and need.
inline Result<void> ensure_handles(std::uint64_t devices) {
  const std::uint64_t needed = devices + spare_handles;
  const HandleLimits limits = handle_limits();
  if (limits.soft >= needed) return {};
  rlimit raised{};
  raised.rlim_cur = static_cast<rlim_t>(needed);
  raised.rlim_max = static_cast<rlim_t>(limits.hard);
  if (needed <= limits.hard && ::setrlimit(RLIMIT_NOFILE, &raised) == 0) return {};
  return failure(ErrorCode::usage, "too few open files are allowed: ", devices, " devices need ",
                 needed, ", the limit is ", limits.hard, " (ulimit -n)");
}

}  // namespace net
IOTSL_NAMESPACE_END
