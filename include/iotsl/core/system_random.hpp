#pragma once
// Random bytes of the operating system: for keys and secrets.

#include <sys/random.h>

#include <cerrno>

#include "iotsl/core/bytes.hpp"
#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN

/// Fills `out` with bytes that nobody can guess. Waits where a board has just been switched on and
/// has none yet.
inline Result<void> fill_random(std::span<std::uint8_t> out) {
  for (std::size_t filled = 0; filled < out.size();) {
    const auto got = ::getrandom(out.data() + filled, out.size() - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return failure(ErrorCode::other, "getrandom: the system gives no random numbers, error ",
                     errno);
    filled += static_cast<std::size_t>(got);
  }
  return {};
}

IOTSL_NAMESPACE_END
