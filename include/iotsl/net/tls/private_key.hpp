#pragma once
// A key of our own: Ed25519 (RFC 8032). Its signatures need no random numbers, so that a board
// which has just been switched on cannot give its key away by a bad one, as with P-256; there is
// nothing about it to choose; key and signature are the shortest.

#include "iotsl/net/tls/absent.hpp"
#include "iotsl/net/tls/pin.hpp"

#if IOTSL_TLS

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

IOTSL_NAMESPACE_BEGIN
namespace net {

namespace detail {

/// Releases what OpenSSL has made.
struct OpensslRelease {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
template <class V>
using OpensslHandle = std::unique_ptr<V, OpensslRelease>;

/// What OpenSSL could not do, with its own words.
inline IOTSL_COLD Failure openssl_failure(const char* what) {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  ERR_clear_error();
  return failure(ErrorCode::other, "TLS: ", what, ": ",
                 reason != nullptr ? reason : "no reason given");
}

/// SHA-256 of what `encode` (i2d_...) writes; zeros where it writes nothing.
template <class V>
Pin pin_of(int (*encode)(const V*, unsigned char**), const V* key) {
  unsigned char* der = nullptr;
  const int size = encode(key, &der);
  if (size <= 0) return {};
  const Pin pin = sha256(ByteSpan(der, static_cast<std::size_t>(size)));
  OPENSSL_free(der);
  return pin;
}

}  // namespace detail

class PrivateKey {
 public:
  /// The 32 secret bytes of which everything else follows (RFC 8032, 5.1.5).
  using Seed = std::array<std::uint8_t, 32>;

  static Result<PrivateKey> generate() {
    PrivateKey out(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    if (!out.key_) return detail::openssl_failure("cannot make a key");
    return out;
  }
  static Result<PrivateKey> from_seed(const Seed& seed) {
    PrivateKey out(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
    if (!out.key_) return detail::openssl_failure("cannot use the key");
    return out;
  }
  /// To be wiped by who has written it down.
  Result<Seed> seed() const {
    Seed out{};
    std::size_t size = out.size();
    if (EVP_PKEY_get_raw_private_key(key_.get(), out.data(), &size) != 1 || size != out.size())
      return detail::openssl_failure("cannot read the key");
    return out;
  }
  static void wipe(void* secret, std::size_t bytes) { OPENSSL_cleanse(secret, bytes); }

  Pin pin() const { return detail::pin_of<EVP_PKEY>(&i2d_PUBKEY, key_.get()); }
  EVP_PKEY* handle() const { return key_.get(); }

 private:
  explicit PrivateKey(EVP_PKEY* key) : key_(key) {}
  detail::OpensslHandle<EVP_PKEY> key_;
};

}  // namespace net
IOTSL_NAMESPACE_END

#endif
