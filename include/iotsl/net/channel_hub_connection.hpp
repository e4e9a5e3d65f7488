#pragma once
// One connection of a hub: its socket with TLS around it or none, its link, and how it ends. Of the
// network thread alone.

#include "iotsl/net/channel_stream.hpp"
#include "iotsl/net/link.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

struct HubConnection {
  HubConnection(ChannelStream connected, Link fresh, Microseconds now)
      : stream(std::move(connected)), link(std::move(fresh)), accepted(now) {}

  ChannelStream stream;
  Link link;
  Microseconds accepted;
  bool opened = false;  ///< the compute thread knows of it
  std::string device;   ///< whose key was shown
  bool closing = false;
  bool cut = false;       ///< the link is not used any more
  bool finished = false;  ///< our side of the connection is shut
  Microseconds close_by = 0;
  Failure why;  ///< it is closed

  const std::string& peer() const { return stream.channel().peer(); }
  bool wants_to_write() const {
    return stream.is_unsent() || (!cut && stream.ready() && link.wants_to_send());
  }
  Result<void> write(StreamBuffers& buffers, Microseconds now) {
    return stream.write(buffers, [&](Bytes& out) {
      if (!cut) link.produce(out, 4 * chunk_content_bytes, now);
    });
  }

  /// Closes when everything queued has been sent.
  void begin_close(Microseconds by) {
    if (closing) return;
    closing = true;
    close_by = by;
  }
  /// Says why, then closes; nothing of the peer is looked at any more.
  void refuse(const std::string& text, Microseconds by) {
    why = failure(ErrorCode::network, peer(), ": ", text);
    link.send_last(
        make_message(ErrorMessage{WireError::identity, true, 0, text.substr(0, max_text_bytes)}));
    begin_close(by);
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
};

}  // namespace net
IOTSL_NAMESPACE_END
