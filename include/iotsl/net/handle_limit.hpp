#pragma once
// How many files and sockets the system lets this process hold.

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// What a server holds beside its connections: streams, listener, wake-up, a run's files, and
/// devices that come back before their dead connection is noticed.
inline constexpr std::uint64_t spare_handles = 32;
/// Of them, those that no connection is given: a checkpoint can always be opened.
inline constexpr std::uint64_t file_handles = 8;
/// For peers that are not known yet, where the system's limit leaves room for them.
inline constexpr std::uint64_t stranger_handles = 1024;

/// The process's own limit on open files, and the system's, which it may be raised to.
struct HandleLimits {
  std::uint64_t soft = 0, hard = 0;
};
inline HandleLimits handle_limits() {
  rlimit limits{};
  if (::getrlimit(RLIMIT_NOFILE, &limits) != 0) return {~std::uint64_t{0}, ~std::uint64_t{0}};
  return {limits.rlim_cur, limits.rlim_max};
}

/// Makes room for a server of `devices`, and as far as it goes for strangers: raises the process's
/// own limit where the system's allows it. The failure names limit and need.
inline Result<void> ensure_handles(std::uint64_t devices) {
  const std::uint64_t needed = devices + spare_handles;
  const HandleLimits limits = handle_limits();
  const std::uint64_t wanted = std::min(limits.hard, needed + stranger_handles);
  if (limits.soft >= wanted && limits.soft >= needed) return {};
  rlimit raised{};
  raised.rlim_cur = static_cast<rlim_t>(wanted);
  raised.rlim_max = static_cast<rlim_t>(limits.hard);
  const bool is_raised = ::setrlimit(RLIMIT_NOFILE, &raised) == 0;
  if (needed <= (is_raised ? wanted : limits.soft)) return {};
  return failure(ErrorCode::usage, "too few open files are allowed: ", devices, " devices need ",
                 needed, ", the limit is ", limits.hard, " (ulimit -n)");
}

}  // namespace net
IOTSL_NAMESPACE_END
