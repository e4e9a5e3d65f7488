#pragma once
// A socket with TLS around it, or none: plain bytes in and out. Both ends of ISL move their frames
// through it.

#include <optional>

#include "iotsl/net/channel.hpp"
#include "iotsl/net/messages/messages.hpp"
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

  /// What has arrived, in `buffers`.
  struct Arrived {
    ByteSpan plain;
    bool any = false;  ///< the socket has given bytes, even where they say nothing yet
  };
  /// Reads what has arrived, as much as `buffers` hold. A failure ends the connection; where the
  /// peer does not speak as it should, problem() tells how.
  Result<Arrived> read(StreamBuffers& buffers) { return read(buffers, buffers.socket.size()); }
  /// The same, at most so many bytes of the socket.
  Result<Arrived> read(StreamBuffers& buffers, std::size_t most) {
    const Result<std::size_t> got =
        channel_.read_some(std::span(buffers.socket).first(std::min(most, buffers.socket.size())));
    if (!got) return got.failure();
    const ByteSpan input = ByteSpan(buffers.socket).first(*got);
    if (input.empty()) return Arrived{};
    if (!tls_) {
      constexpr std::uint8_t handshake_record = 22;
      const bool is_first = channel_.bytes_in() == input.size();
      if (!is_first || input[0] != handshake_record) return Arrived{input, true};
      problem_ = TlsProblem::tls_peer;
      return failure(ErrorCode::network, "the peer speaks TLS, this side plain text");
    }
    buffers.plain.clear();
    return opened(tls_->receive(input, buffers.plain), buffers);
  }
  /// A whole ClientHello waits for answer_hello(), where the session is made to hold it.
  bool holds_hello() const { return tls_ && tls_->holds_hello(); }
  /// As read(), of what has come with it.
  Result<Arrived> answer_hello(StreamBuffers& buffers) {
    buffers.plain.clear();
    return opened(tls_->answer_hello(buffers.plain), buffers);
  }
  /// Reads what has arrived and throws it away.
  Result<std::size_t> discard(StreamBuffers& buffers) { return channel_.read_some(buffers.socket); }

  /// Writes until the socket takes no more, or there is nothing more to write. `produce(Bytes&)`
  /// appends plain bytes, or nothing; it is asked once ready().
  template <class Produce>
  Result<void> write(StreamBuffers& buffers, const Produce& produce) {
    for (;;) {
      const Result<bool> flushed = flush();
      if (!flushed) return flushed.failure();
      if (!*flushed || !ready()) return {};
      Bytes& plain = tls_ ? buffers.plain : out_;
      plain.clear();
      produce(plain);
      if (plain.empty()) return {};
      if (!tls_) continue;
      const Result<void> sealed = tls_->send(plain);
      if (!sealed) return sealed;
    }
  }
  /// Writes what is left of earlier writes; true once nothing is.
  Result<bool> flush() {
    Bytes& out = tls_ ? tls_->output() : out_;
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
  /// What was produced and the socket has not taken.
  std::size_t unsent_bytes() const { return (tls_ ? tls_->output() : out_).size() - sent_; }
  bool is_unsent() const { return unsent_bytes() > 0; }

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

  /// Gives back the room of larger writes, while nothing is to be sent; it is taken again.
  void release_memory() {
    if (is_unsent()) return;
    sent_ = 0;
    Bytes().swap(out_);
    if (tls_) Bytes().swap(tls_->output());
  }

  /// Frames may pass: at once in plain text, else once both sides have shown their keys.
  bool ready() const { return !tls_ || tls_->established(); }
  TlsProblem problem() const { return problem_; }
  /// The TLS session, or null.
  const TlsSession* tls() const { return tls_ ? &*tls_ : nullptr; }
  Channel& channel() { return channel_; }
  const Channel& channel() const { return channel_; }

 private:
  Result<Arrived> opened(const Result<void>& taken, const StreamBuffers& buffers) {
    if (taken) return Arrived{buffers.plain, true};
    problem_ = tls_->problem();
    return taken.failure();
  }

  Channel channel_;
  std::optional<TlsSession> tls_;
  Bytes out_;             ///< in plain text
  std::size_t sent_ = 0;  ///< of what is to go to the socket
  TlsProblem problem_ = TlsProblem::none;
};

// For a device:

/// Whether the peer is not the server that the device trusts, or does not speak as it should.
inline bool is_wrong_peer(TlsProblem problem) {
  return problem != TlsProblem::none && problem != TlsProblem::other;
}
/// What a user can do about it.
inline Failure explain_wrong_peer(TlsProblem problem, const Failure& why, const Address& server) {
  switch (problem) {
    case TlsProblem::isl_peer:
      return failure(ErrorCode::usage, "the server ", server,
                     " speaks plain TCP, this device TLS: start the server with --identity, or "
                     "give --insecure here to let everything travel unencrypted");
    case TlsProblem::wrong_pin:
      return failure(ErrorCode::usage, server,
                     " is not the server that this device is enrolled "
                     "with: ",
                     why.message);
    default:
      return failure(ErrorCode::usage, "the server ", server, ": ", why.message);
  }
}

}  // namespace net
IOTSL_NAMESPACE_END
