#pragma once
// A question to the server over a connection of its own, and the answer: a token that is shown, a
// run that is left.

#include "iotsl/net/channel_stream.hpp"
#include "iotsl/net/link/link.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class Inquiry {
 public:
  /// Over `stream` to `server`, which is named in failures.
  Inquiry(ChannelStream stream, Address server)
      : stream_(std::move(stream)),
        server_(std::move(server)),
        opened_(steady_now()),
        link_({}, opened_) {}

  /// Waits until both sides have shown their keys; in plain text not at all.
  Result<void> open() {
    while (!stream_.ready()) {
      Result<void> moved = move_bytes();
      if (!moved) return moved;
      if (!stream_.ready() && steady_now() - opened_ > LinkOptions{}.handshake_limit)
        return failure(ErrorCode::network, "no TLS session with ", server_, " within ",
                       LinkOptions{}.handshake_limit / second_us, " s");
    }
    link_.restart(steady_now());
    return {};
  }
  /// After open(): the server's answer, which is the last of the connection. A server that is busy
  /// with others says so meanwhile.
  Result<Message> ask(Message question) {
    const Microseconds asked = steady_now();
    link_.send(std::move(question));
    Message answer;
    for (;;) {
      const Result<void> moved = move_bytes();
      if (link_.pop(answer)) break;
      if (!moved) return moved.failure();
      if (!link_.tick(steady_now()))
        return failure(ErrorCode::network, server_, ": no answer within ",
                       (steady_now() - asked) / second_us, " s");
    }
    stream_.finish_writing();
    return answer;
  }

  const ChannelStream& stream() const { return stream_; }

 private:
  Result<void> move_bytes() {
    const auto fill = [&](Bytes& out) {
      link_.produce(out, max_payload_before_join, steady_now());
    };
    const Result<void> written = stream_.write(buffers_, fill);
    if (!written) return written;
    stream_.channel().wait(stream_.is_unsent(), tick_interval);
    const auto arrived = stream_.read(buffers_);
    const Result<void> taken =
        arrived ? link_.receive(arrived->plain, steady_now()) : arrived.failure();
    if (!taken) return failure(taken.failure().code, server_, ": ", taken.failure().message);
    if (stream_.channel().closed())
      return failure(ErrorCode::network, server_, " closed the connection");
    return {};
  }

  ChannelStream stream_;
  Address server_;
  Microseconds opened_;
  Link link_;
  StreamBuffers buffers_{16 << 10};
};

}  // namespace net
IOTSL_NAMESPACE_END
