#pragma once
// One connection of a hub: its socket with TLS around it or none, its link, between them the
// emulated network, if there is one, and how it ends. Of the network thread alone.

#include <optional>

#include "iotsl/net/channel_stream.hpp"
#include "iotsl/net/link/emulated_line.hpp"
#include "iotsl/net/link/link.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

struct HubConnection {
  /// Frames take their time on it, TLS's handshake does not.
  struct Network {
    EmulatedLine up, down;
  };

  HubConnection(ChannelStream connected, Link fresh, const std::optional<LinkSpeed>& emulated,
                Microseconds now)
      : stream(std::move(connected)), link(std::move(fresh)), accepted(now) {
    if (emulated) network = {EmulatedLine(*emulated), EmulatedLine(*emulated)};
  }

  ChannelStream stream;
  Link link;
  std::optional<Network> network;
  Microseconds accepted;
  bool opened = false;            ///< it has said HELLO: the compute thread knows of it
  std::string device;             ///< whose key was shown
  std::optional<Pin> told_key;    ///< the server's next one, which the device was told
  short watched = -1;             ///< what its socket is watched for; -1: it is not
  bool is_counted = true;         ///< the mailbox knows how much it has left to send
  std::uint64_t moved_bytes = 0;  ///< at the last look at idle connections
  bool closing = false;
  bool cut = false;       ///< the link is not used any more
  bool finished = false;  ///< our side of the connection is shut
  Microseconds close_by = 0;
  Failure why;  ///< it is closed

  const std::string& peer() const { return stream.channel().peer(); }
  /// All that was to be sent is with the socket.
  bool is_flushed() const {
    return !stream.is_unsent() && !has_frames() && (!network || network->down.empty());
  }
  /// The peer has sent its last byte, and all of them are here.
  bool has_ended() const { return stream.channel().closed() && (!network || network->up.empty()); }
  /// What the link has given and the socket has not taken.
  std::size_t unsent_bytes() const {
    return stream.unsent_bytes() + (network ? network->down.held_bytes() : 0);
  }

  /// What the connection waits for: its socket, and a time where its network has one.
  struct Wait {
    pollfd socket;
    Microseconds until = for_ever;
  };
  /// `room`: the compute thread takes messages.
  Wait wait(bool room, Microseconds now) {
    bool to_read = (room || closing) && !stream.holds_hello();
    bool to_write = stream.is_unsent() || has_frames();
    Microseconds until = for_ever;
    if (network) {
      const auto& [up, down] = *network;
      if (room && !closing) until = up.next_arrival();
      if (room && !closing && !up.accepts(now)) {
        until = std::min(until, up.accepts_from());
        to_read = false;
      }
      to_write = stream.is_unsent();
      if (!to_write) until = std::min(until, down.next_arrival());
      if (!to_write && has_frames()) until = std::min(until, down.accepts_from());
    }
    // poll passes over -1: of a peer that has gone, but whose last bytes are on their way.
    const int handle = stream.channel().closed() ? -1 : stream.channel().handle();
    return {{handle, static_cast<short>((to_read ? POLLIN : 0) | (to_write ? POLLOUT : 0)), 0},
            until};
  }

  /// Writes as much as the socket takes, and no more than is fair to the others.
  Result<void> write(StreamBuffers& buffers, Microseconds now) {
    std::size_t left = std::size_t{1} << 20;
    return stream.write(buffers, [&](Bytes& out) {
      if (left > 0) fill(out, now);
      left -= std::min(left, out.size());
    });
  }
  /// Gives back the room that larger messages took, where nothing has moved since the last call.
  void rest() {
    const Channel& channel = stream.channel();
    const std::uint64_t moved = channel.bytes_in() + channel.bytes_out();
    if (moved == moved_bytes) {
      stream.release_memory();
      link.release_memory();
    }
    moved_bytes = moved;
  }

  /// Closes when everything queued has been sent.
  void begin_close(Microseconds by) {
    if (closing) return;
    closing = true;
    close_by = by;
  }
  /// Says why, then closes; nothing of the peer is looked at any more.
  void refuse(const std::string& text, Microseconds by, WireError code = WireError::identity) {
    end(text, by, {code, true, 0, text.substr(0, max_text_bytes)});
  }
  /// The same for a peer that may come back, a second later.
  void send_away(const std::string& text, Microseconds by, WireError code) {
    end(text, by, {code, false, 1000, text.substr(0, max_text_bytes)});
  }
  /// The same where no session came about.
  void refuse_unsealed(const Failure& problem, Microseconds by) {
    why = failure(problem.code, peer(), ": ", problem.message);
    const auto say = [&](const char* text) {
      stream.refuse_in_plain({WireError::identity, true, 0, text});
    };
    if (stream.problem() == TlsProblem::isl_peer)
      say("this server speaks TLS: give --identity DIR, which iotsl-device enroll makes");
    if (stream.problem() == TlsProblem::tls_peer) say("this server does not speak TLS");
    cut = true;
    begin_close(by);
  }

 private:
  void end(const std::string& text, Microseconds by, const ErrorMessage& last) {
    why = failure(ErrorCode::network, peer(), ": ", text);
    link.send_last(make_message(last));
    begin_close(by);
  }
  bool has_frames() const { return !cut && stream.ready() && link.wants_to_send(); }
  /// What the socket is to take next.
  void fill(Bytes& out, Microseconds now) {
    if (!network) {
      if (!cut) link.produce(out, 4 * chunk_content_bytes, now);
      return;
    }
    EmulatedLine& line = network->down;
    Bytes frames;
    while (has_frames() && line.accepts(now)) {
      frames.clear();
      link.produce(frames, 1, now);
      line.push(frames, now);
    }
    line.take(out, now);
  }
};

}  // namespace net
IOTSL_NAMESPACE_END
