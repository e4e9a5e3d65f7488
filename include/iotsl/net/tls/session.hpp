#pragma once
// One end of a TLS 1.3 session without its socket: the socket's bytes go in and out, plain bytes on
// the other side. Both ends prove that they hold a key; names, chains and dates of the certificates
// around the keys are ignored on purpose, since a board may not know what day it is.

#include "iotsl/net/tls/client_hello.hpp"
#include "iotsl/net/tls/context.hpp"

#if IOTSL_TLS

IOTSL_NAMESPACE_BEGIN
namespace net {

namespace detail {

/// The bytes of a socket as OpenSSL reads and writes them, without a buffer of its own.
struct TlsWire {
  ByteSpan input;  ///< while receive() runs
  Bytes output;
};

inline int read_wire(BIO* bio, char* to, int size) {
  TlsWire& wire = *static_cast<TlsWire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (wire.input.empty() || size <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t count = std::min(wire.input.size(), static_cast<std::size_t>(size));
  std::memcpy(to, wire.input.data(), count);
  wire.input = wire.input.subspan(count);
  return static_cast<int>(count);
}
inline int write_wire(BIO* bio, const char* from, int size) {
  Bytes& output = static_cast<TlsWire*>(BIO_get_data(bio))->output;
  BIO_clear_retry_flags(bio);
  output.insert(output.end(), from, from + size);
  return size;
}
inline long control_wire(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}
inline const BIO_METHOD* wire_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "iotsl wire");
    if (made == nullptr) fail("TLS: no memory");
    BIO_meth_set_read(made, &read_wire);
    BIO_meth_set_write(made, &write_wire);
    BIO_meth_set_ctrl(made, &control_wire);
    return made;
  }();
  return method;
}

}  // namespace detail

class TlsSession {
 public:
  /// What a peer may send before the session stands. Ours sends some 600 bytes.
  static constexpr std::size_t max_handshake_bytes = 16 << 10;

  /// The server's end. Takes the key of any device, which peer_pin() tells afterwards. Costs next
  /// to nothing until a whole ClientHello is there.
  static TlsSession server(const TlsContext& context) {
    return TlsSession(context, TlsRole::server, {});
  }
  /// The same, but a whole ClientHello waits for answer_hello().
  static TlsSession holding_server(const TlsContext& context) {
    TlsSession out = server(context);
    out.holds_ = true;
    return out;
  }
  /// The device's end, whose first bytes wait in output(). `accepted`: pins of the server, one or
  /// more.
  static Result<TlsSession> client(const TlsContext& context, std::vector<Pin> accepted) {
    if (accepted.empty()) fail("TLS: a client needs the pin of its server");
    TlsSession out(context, TlsRole::client, std::move(accepted));
    const Result<void> begun = out.begin();
    if (!begun) return begun.failure();
    Bytes nothing;
    const Result<void> greeted = out.advance(nothing);
    if (!greeted) return greeted.failure();
    return out;
  }

  /// Takes bytes of the socket and appends what they say to `plain`. After a failure problem()
  /// tells its kind, and output() may hold an alert for the peer.
  Result<void> receive(ByteSpan input, Bytes& plain) {
    if (problem_ != TlsProblem::none) return failed("the session was given up earlier");
    if (!is_established_) {
      handshake_bytes_ += input.size();
      if (handshake_bytes_ > max_handshake_bytes)
        return failed(concat("more than ", max_handshake_bytes, " bytes before the session stood"));
    }
    if (!ssl_) return receive_hello(input, plain);
    if (role_ == TlsRole::client && !heard_) {
      const Result<void> checked = check_answer(input);
      if (!checked) return checked;
    }
    wire_->input = input;
    const Result<void> done = advance(plain);
    wire_->input = {};
    return done;
  }
  /// A whole ClientHello waits: nothing was spent on it yet.
  bool holds_hello() const { return hello_is_whole_ && !ssl_; }
  /// Makes the session for it; as receive().
  Result<void> answer_hello(Bytes& plain) {
    const Result<void> begun = begin();
    if (!begun) return begun;
    wire_->input = hello_;
    const Result<void> done = advance(plain);
    wire_->input = {};
    Bytes().swap(hello_);
    return done;
  }
  /// Seals plain bytes; what is to be sent waits in output(). Only where established().
  Result<void> send(ByteSpan plain) {
    if (!is_established_) fail("TLS: send before the session stands");
    ERR_clear_error();
    std::size_t put = 0;
    if (!plain.empty() && SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &put) != 1)
      return failed(detail::openssl_failure("cannot send").message);
    return {};
  }
  /// Says that nothing more will be sent.
  void finish() {
    if (is_established_ && problem_ == TlsProblem::none) SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  /// Bytes for the socket; to be cleared by who sends them.
  Bytes& output() { return wire_->output; }
  const Bytes& output() const { return wire_->output; }

  /// Both sides have shown their keys.
  bool established() const { return is_established_; }
  /// The peer has said that nothing more will come.
  bool peer_finished() const { return peer_finished_; }
  /// Of an established session.
  const Pin& peer_pin() const { return peer_->pin; }
  TlsProblem problem() const { return problem_; }

  /// A secret of this session that both ends know and nobody else (RFC 8446, 7.5).
  Result<Sha256Digest> exporter(std::string_view label) const {
    Sha256Digest out{};
    if (!is_established_ ||
        SSL_export_keying_material(ssl_.get(), out.data(), out.size(), label.data(), label.size(),
                                   nullptr, 0, 0) != 1)
      return failure(ErrorCode::network, "TLS: the session has no secret to share");
    return out;
  }

 private:
  TlsSession(const TlsContext& context, TlsRole role, std::vector<Pin> accepted)
      : context_(context.handle()),
        wire_(std::make_unique<detail::TlsWire>()),
        peer_(std::make_unique<detail::TlsPeer>()),
        role_(role) {
    peer_->accepted = std::move(accepted);
  }

  Result<void> begin() {
    ssl_.reset(SSL_new(context_.get()));
    BIO* const bio = ssl_ ? BIO_new(detail::wire_method()) : nullptr;
    if (bio == nullptr) return failed(detail::openssl_failure("cannot make a session").message);
    BIO_set_data(bio, wire_.get());
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_app_data(ssl_.get(), peer_.get());
    if (role_ == TlsRole::server)
      SSL_set_accept_state(ssl_.get());
    else
      SSL_set_connect_state(ssl_.get());
    return {};
  }

  /// A server's first bytes are kept until they are a whole ClientHello.
  Result<void> receive_hello(ByteSpan input, Bytes& plain) {
    hello_.insert(hello_.end(), input.begin(), input.end());
    switch (inspect_first_bytes(hello_)) {
      case FirstBytes::incomplete:
        return {};
      case FirstBytes::isl:
        return failed("the peer speaks ISL in plain text, this side TLS", TlsProblem::isl_peer);
      case FirstBytes::other:
        return failed("the peer does not speak TLS", TlsProblem::not_tls);
      case FirstBytes::whole_hello:
        break;
    }
    hello_is_whole_ = true;
    return holds_ ? Result<void>{} : answer_hello(plain);
  }
  /// A server answers with a handshake record or an alert.
  Result<void> check_answer(ByteSpan input) {
    if (input.empty()) return {};
    heard_ = true;
    if (input[0] == 22 || input[0] == 21) return {};
    if (input[0] == (frame_magic & 0xFF))
      return failed("the peer speaks ISL in plain text, this side TLS", TlsProblem::isl_peer);
    return failed("the peer does not speak TLS", TlsProblem::not_tls);
  }

  Result<void> advance(Bytes& plain) {
    ERR_clear_error();
    if (!is_established_) {
      const int done = SSL_do_handshake(ssl_.get());
      if (done != 1) return wait_or_fail(done);
      is_established_ = true;
    }
    for (;;) {
      constexpr std::size_t record_bytes = 16 << 10;
      const std::size_t before = plain.size();
      plain.resize(before + record_bytes);
      const int got = SSL_read(ssl_.get(), plain.data() + before, record_bytes);
      plain.resize(before + static_cast<std::size_t>(std::max(got, 0)));
      if (got <= 0) return wait_or_fail(got);
    }
  }
  Result<void> wait_or_fail(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ) return {};
    if (error == SSL_ERROR_ZERO_RETURN) {
      peer_finished_ = true;
      return {};
    }
    return explain();
  }
  Result<void> explain() {
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    if (peer_->has_pin && !peer_->accepted.empty() && !is_established_ &&
        SSL_get_verify_result(ssl_.get()) == X509_V_ERR_CERT_UNTRUSTED)
      return failed(concat("the peer's key has the pin ", short_text(peer_->pin), "..., expected ",
                           short_text(peer_->accepted.front()), "..."),
                    TlsProblem::wrong_pin);
    if (reason == SSL_AD_REASON_OFFSET + SSL_AD_BAD_CERTIFICATE)
      return failed("the peer expects another key of this side", TlsProblem::pin_refused);
    return failed(detail::openssl_failure(is_established_ ? "session" : "handshake").message);
  }
  Failure failed(std::string why, TlsProblem problem = TlsProblem::other) {
    problem_ = problem;
    return failure(ErrorCode::network, why);
  }

  std::shared_ptr<SSL_CTX> context_;
  std::unique_ptr<detail::TlsWire> wire_;
  std::unique_ptr<detail::TlsPeer> peer_;
  detail::OpensslHandle<SSL> ssl_;  ///< goes before what its callbacks use
  Bytes hello_;
  std::size_t handshake_bytes_ = 0;
  TlsRole role_;
  TlsProblem problem_ = TlsProblem::none;
  bool is_established_ = false, peer_finished_ = false;
  bool holds_ = false, hello_is_whole_ = false;
  bool heard_ = false;  ///< the client has seen what its server speaks
};

}  // namespace net
IOTSL_NAMESPACE_END

#endif
