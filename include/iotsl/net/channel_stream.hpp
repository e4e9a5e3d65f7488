#pragma once
// A connection as a link uses it: a socket, in plain text or with TLS between it and the frames.
// Both ends of ISL move their bytes through it.

#include <optional>

#include "iotsl/net/channel.hpp"
#include "iotsl/net/link.hpp"
#include "iotsl/net/tls/session.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Room for bytes on their way, shared by all streams of a thread.
struct StreamBuffers {
  explicit StreamBuffers(std::size_t socket_bytes) : socket(socket_bytes) {}
  Bytes socket;  ///< read at once
  Bytes plain = {};
};

class ChannelStream {
 public:
  explicit ChannelStream(Channel channel, std::optional<TlsSession> tls = std::nullopt)
      : channel_(std::move(channel)), tls_(std::move(tls)) {}

  /// Reads what has arrived, as much as `buffers` hold, and gives the link what is in it; the bytes
  /// that the socket gave. A failure ends the connection.
  Result<std::size_t> read(StreamBuffers& buffers, Link& link, Microseconds now) {
    const Result<std::size_t> got = channel_.read_some(buffers.socket);
    if (!got || *got == 0) return got;
    const ByteSpan input = ByteSpan(buffers.socket).first(*got);
    const Result<void> taken =
        tls_ ? open_sealed(input, buffers.plain, link, now) : take(input, link, now);
    if (!taken) return taken.failure();
    return got;
  }
  /// Reads what has arrived and throws it away.
  Result<std::size_t> discard(StreamBuffers& buffers) { return channel_.read_some(buffers.socket); }

  /// Writes what the link wants to send, until the socket takes no more. `until`: bytes that are
  /// taken from the link at a time.
  Result<void> write(StreamBuffers& buffers, Link& link, std::size_t until, Microseconds now) {
    for (;;) {
      const Result<bool> flushed = flush();
      if (!flushed) return flushed.failure();
      if (!*flushed || !ready() || !link.wants_to_send()) return {};
      if (!tls_) {
        link.produce(out_, until, now);
        continue;
      }
      buffers.plain.clear();
      link.produce(buffers.plain, until, now);
      const Result<void> sealed = tls_->send(buffers.plain);
      if (!sealed) return sealed;
    }
  }
  /// Writes what is left of earlier writes; true once nothing is.
  Result<bool> flush() {
    Bytes& out = output();
    while (sent_ < out.size()) {
      const Result<std::size_t> put = channel_.write_some(ByteSpan(out).subspan(sent_));
      if (!put) return put.failure();
      if (*put == 0) return false;
      sent_ += *put;
    }
    out.clear();
    sent_ = 0;
    return true;
  }
  bool wants_to_write(const Link& link) const {
    return has_output() || (ready() && link.wants_to_send());
  }
  bool has_output() const {
    return sent_ < (tls_ ? const_cast<TlsSession&>(*tls_).output() : out_).size();
  }
  /// To a peer that speaks the other of TLS and plain text: ERROR as plain frames have it, which it
  /// understands or takes as a sign.
  void refuse_in_plain(const ErrorMessage& error) {
    tls_.reset();
    out_.clear();
    sent_ = 0;
    FrameWriter().write(out_, ErrorMessage::type, 0, encode(error));
  }

  /// Says that nothing more will be sent; the peer's last bytes can still be read.
  void finish_writing() {
    if (tls_) {
      tls_->finish();
      [[maybe_unused]] const Result<bool> best_effort = flush();
    }
    channel_.finish_writing();
  }

  /// Frames may pass: at once in plain text, else once both sides have shown their keys.
  bool ready() const { return !tls_ || tls_->established(); }
  TlsProblem problem() const { return problem_; }
  /// The TLS session, or null.
  const TlsSession* tls() const { return tls_ ? &*tls_ : nullptr; }
  Channel& channel() { return channel_; }
  const Channel& channel() const { return channel_; }

 private:
  Bytes& output() { return tls_ ? tls_->output() : out_; }

  Result<void> take(ByteSpan input, Link& link, Microseconds now) {
    constexpr std::uint8_t handshake_record = 22;
    if (channel_.bytes_in() == input.size() && input[0] == handshake_record) {
      problem_ = TlsProblem::tls_peer;
      return failure(ErrorCode::network, "the peer speaks TLS, this side plain text");
    }
    return link.receive(input, now);
  }
  Result<void> open_sealed(ByteSpan input, Bytes& plain, Link& link, Microseconds now) {
    plain.clear();
    const bool was_ready = ready();
    const Result<void> taken = tls_->receive(input, plain);
    // The time limits of the link are for what follows the handshake.
    if (!was_ready && ready()) link.restart(now);
    if (!taken) problem_ = tls_->problem();
    // Messages that were complete before a failure are still handled.
    const Result<void> received = link.receive(plain, now);
    return taken ? received : taken;
  }

  Channel channel_;
  std::optional<TlsSession> tls_;
  Bytes out_;             ///< in plain text
  std::size_t sent_ = 0;  ///< of output()
  TlsProblem problem_ = TlsProblem::none;
};

}  // namespace net
IOTSL_NAMESPACE_END
