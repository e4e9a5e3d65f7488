#pragma once
// One connection of a hub: its socket, its link, and between them the emulated network, if there is
// one. Of the network thread alone.

#include <optional>

#include "iotsl/net/channel.hpp"
#include "iotsl/net/emulated_line.hpp"
#include "iotsl/net/link.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

struct HubConnection {
  struct Network {
    EmulatedLine up, down;
  };

  HubConnection(Channel connected, Link fresh, const std::optional<LinkSpeed>& emulated)
      : channel(std::move(connected)), link(std::move(fresh)) {
    if (emulated) network = {EmulatedLine(*emulated), EmulatedLine(*emulated)};
  }

  Channel channel;
  Link link;
  std::optional<Network> network;
  Bytes out;             ///< for the socket
  std::size_t sent = 0;  ///< of `out`
  bool closing = false;
  bool finished = false;  ///< our side of the connection is shut
  Microseconds close_by = 0;

  bool is_unsent() const { return sent < out.size(); }
  /// All that was to be sent is with the socket.
  bool is_flushed() const {
    return !is_unsent() && !link.wants_to_send() && (!network || network->down.empty());
  }
  /// The peer has sent its last byte, and all of them are here.
  bool has_ended() const { return channel.closed() && (!network || network->up.empty()); }
  /// What the link has given and the socket has not taken.
  std::size_t unsent_bytes() const {
    return out.size() - sent + (network ? network->down.held_bytes() : 0);
  }

  /// What the connection waits for: its socket, and a time where its network has one.
  struct Wait {
    pollfd socket;
    Microseconds until = for_ever;
  };
  /// `room`: the compute thread takes messages.
  Wait wait(bool room, Microseconds now) {
    bool to_read = room || closing, to_write = is_unsent() || link.wants_to_send();
    Microseconds until = for_ever;
    if (network) {
      const auto& [up, down] = *network;
      if (room && !closing) until = up.next_arrival();
      if (room && !closing && !up.accepts(now)) {
        until = std::min(until, up.accepts_from());
        to_read = false;
      }
      to_write = is_unsent();
      if (!to_write) until = std::min(until, down.next_arrival());
      if (!to_write && link.wants_to_send()) until = std::min(until, down.accepts_from());
    }
    // poll passes over -1: of a peer that has gone, but whose last bytes are on their way.
    const int handle = channel.closed() ? -1 : channel.handle();
    return {{handle, static_cast<short>((to_read ? POLLIN : 0) | (to_write ? POLLOUT : 0)), 0},
            until};
  }

  /// Writes as much as the socket takes.
  Result<void> write(Microseconds now) {
    for (;;) {
      if (!is_unsent()) {
        out.clear();
        sent = 0;
        fill(now);
        if (out.empty()) return {};
      }
      const Result<std::size_t> put = channel.write_some(ByteSpan(out).subspan(sent));
      if (!put) return put.failure();
      if (*put == 0) return {};
      sent += *put;
    }
  }

 private:
  /// What the socket is to take next.
  void fill(Microseconds now) {
    if (!network) return link.produce(out, 4 * chunk_content_bytes, now);
    EmulatedLine& line = network->down;
    Bytes frames;
    while (link.wants_to_send() && line.accepts(now)) {
      frames.clear();
      link.produce(frames, 1, now);
      line.push(frames, now);
    }
    line.take(out, now);
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
