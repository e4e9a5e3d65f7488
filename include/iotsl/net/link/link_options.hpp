#pragma once
// The limits of a connection, for those who set them and hold none.

#include "iotsl/net/clock.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// How long this side waits for what, and how slow the other one may be.
struct LinkOptions {
  bool server = false;  ///< the side that sends HELLO_OK and JOIN_OK
  bool timers = true;   ///< false where both ends share one thread and no time passes between them
  Microseconds hello_limit = 3 * second_us;
  Microseconds handshake_limit = 5 * second_us;
  Microseconds ping_interval = 10 * second_us;
  /// Below the 25 s in which a peer that is gone is to be noticed: limits are looked at now and
  /// then only, and a busy machine does it late.
  Microseconds dead_limit = 24 * second_us;
  Microseconds busy_cap = 120 * second_us;  ///< longest announced silence that is believed
  /// How long a message waits in the handshake before its sender is told that the server is busy.
  Microseconds busy_notice = second_us;
  Microseconds slow_window = 10 * second_us;
  std::uint64_t slow_bytes_per_second = 16 << 10;
};

}  // namespace net
IOTSL_NAMESPACE_END
