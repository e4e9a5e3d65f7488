#pragma once
// The wire of a run in one process.

#include "iotsl/net/link/link.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {
namespace detail {

/// Moves what `from` has to send to `to`, as long as `to` has nothing to handle; the bytes moved.
inline Result<std::size_t> move_bytes(net::Link& from, net::Link& to) {
  net::Bytes wire;
  std::size_t moved = 0;
  while (from.wants_to_send() && !to.has_message()) {
    wire.clear();
    from.produce(wire, net::chunk_content_bytes, 0);
    moved += wire.size();
    const Result<void> taken = to.receive(wire, 0);
    if (!taken) return taken.failure();
  }
  return moved;
}

}  // namespace detail
}  // namespace split
IOTSL_NAMESPACE_END
