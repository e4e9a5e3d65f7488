#pragma once
// The names of TLS in a build without OpenSSL: none of them can be made, and who asks is told why.
// So code that carries either needs no #if.

#include "iotsl/net/messages/codec.hpp"
#include "iotsl/net/tls/pin.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// Of a session that could not be set up.
enum class TlsProblem {
  none,
  isl_peer,     ///< the peer speaks frames in plain text, this side TLS
  tls_peer,     ///< the other way round
  not_tls,      ///< the peer speaks something else
  wrong_pin,    ///< the peer's key is not the one that was expected
  pin_refused,  ///< the peer does not accept our key
  other
};

/// Which end of a connection this is.
enum class TlsRole { server, client };

#if !IOTSL_TLS

inline IOTSL_COLD Failure no_tls() {
  return failure(ErrorCode::usage,
                 "this program was built without TLS: build it where OpenSSL 3 is installed "
                 "(Debian: libssl-dev), or give --insecure to send everything unencrypted");
}

class PrivateKey {
 public:
  using Seed = std::array<std::uint8_t, 32>;
  static Result<PrivateKey> generate() { return no_tls(); }
  static Result<PrivateKey> from_seed(const Seed&) { return no_tls(); }
  Result<Seed> seed() const { return no_tls(); }
  static void wipe(void*, std::size_t) {}
  Pin pin() const { return {}; }

 private:
  PrivateKey() = default;
};

class TlsContext {
 public:
  static Result<TlsContext> make(TlsRole, const PrivateKey&) { return no_tls(); }

 private:
  TlsContext() = default;
};

class TlsSession {
 public:
  static TlsSession server(const TlsContext&) { return {}; }
  static TlsSession holding_server(const TlsContext&) { return {}; }
  static Result<TlsSession> client(const TlsContext&, std::vector<Pin>) { return no_tls(); }
  Result<void> receive(ByteSpan, Bytes&) { return no_tls(); }
  bool holds_hello() const { return false; }
  Result<void> answer_hello(Bytes&) { return no_tls(); }
  Result<void> send(ByteSpan) { return no_tls(); }
  void finish() {}
  Bytes& output() { return output_; }
  const Bytes& output() const { return output_; }
  bool established() const { return false; }
  bool peer_finished() const { return false; }
  Pin peer_pin() const { return {}; }
  Result<Sha256Digest> exporter(std::string_view) const { return no_tls(); }
  TlsProblem problem() const { return TlsProblem::other; }

 private:
  TlsSession() = default;
  Bytes output_;
};

#endif

}  // namespace net
IOTSL_NAMESPACE_END
