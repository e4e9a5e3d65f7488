#pragma once
// TLS 1.3 as both ends of ISL speak it, and nothing else of it: one version, one kind of key, two
// ciphers, no tickets, no resumption, no early data.

#include "iotsl/net/tls/peer_key.hpp"

#if IOTSL_TLS

#include <sys/auxv.h>

IOTSL_NAMESPACE_BEGIN
namespace net {

namespace detail {

/// Whether the processor has instructions for AES; without them ChaCha20 is faster, and its time
/// does not depend on the data. x86-64 is taken to have them, as all have since 2011; the bits of
/// ARM are those of <asm/hwcap.h>.
inline bool has_aes() {
#if defined(__aarch64__)
  return (::getauxval(AT_HWCAP) & (1ul << 3)) != 0;
#elif defined(__arm__)
  return (::getauxval(AT_HWCAP2) & 1ul) != 0;
#else
  return true;
#endif
}

/// A certificate as TLS wants one around a key. Nobody reads its name or its dates: it is made anew
/// at every start and holds for ever.
inline Result<OpensslHandle<X509>> make_certificate(const PrivateKey& key) {
  OpensslHandle<X509> out(X509_new());
  const auto* common_name = reinterpret_cast<const unsigned char*>("iotsl");
  const bool made = out && X509_set_version(out.get(), X509_VERSION_3) == 1 &&
                    ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 1) == 1 &&
                    ASN1_TIME_set_string(X509_getm_notBefore(out.get()), "19700101000000Z") == 1 &&
                    ASN1_TIME_set_string(X509_getm_notAfter(out.get()), "99991231235959Z") == 1 &&
                    X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_ASC,
                                               common_name, -1, -1, 0) == 1 &&
                    X509_set_issuer_name(out.get(), X509_get_subject_name(out.get())) == 1 &&
                    X509_set_pubkey(out.get(), key.handle()) == 1 &&
                    X509_sign(out.get(), key.handle(), nullptr) > 0;
  if (!made) return openssl_failure("cannot make a certificate");
  return out;
}

}  // namespace detail

/// The settings and the key of one side; sessions are made of it, and may outlive it.
class TlsContext {
 public:
  static Result<TlsContext> make(TlsRole role, const PrivateKey& key) {
    // Not the machine's openssl.cnf: what is accepted is said here.
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) != 1)
      return detail::openssl_failure("cannot start");
    const bool serves = role == TlsRole::server;
    TlsContext out(SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method()));
    SSL_CTX* const ssl = out.context_.get();
    if (ssl == nullptr) return detail::openssl_failure("cannot make a context");
    // The server follows the device, which is the slower one.
    const char* const ciphers = detail::has_aes()
                                    ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
                                    : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_CTX_clear_options(ssl, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ssl, 4096);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | (serves ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       nullptr);
    SSL_CTX_set_cert_verify_callback(ssl, &detail::check_peer_key, nullptr);
    const auto certificate = detail::make_certificate(key);
    if (!certificate) return certificate.failure();
    const bool set = SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
                     SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
                     SSL_CTX_set_ciphersuites(ssl, ciphers) == 1 &&
                     SSL_CTX_set1_groups_list(ssl, "X25519") == 1 &&
                     SSL_CTX_set1_sigalgs_list(ssl, "ed25519") == 1 &&
                     SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
                     SSL_CTX_use_certificate(ssl, certificate->get()) == 1 &&
                     SSL_CTX_use_PrivateKey(ssl, key.handle()) == 1;
    if (!set) return detail::openssl_failure("cannot set up");
    return out;
  }
  const std::shared_ptr<SSL_CTX>& handle() const { return context_; }

 private:
  explicit TlsContext(SSL_CTX* context) : context_(context, detail::OpensslRelease{}) {}
  std::shared_ptr<SSL_CTX> context_;
};

}  // namespace net
IOTSL_NAMESPACE_END

#endif
