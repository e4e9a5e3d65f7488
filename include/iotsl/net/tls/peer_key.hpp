#pragma once
// What is looked at of a peer's certificate: its key.

#include "iotsl/net/tls/private_key.hpp"

#if IOTSL_TLS

#include <algorithm>
#include <vector>

IOTSL_NAMESPACE_BEGIN
namespace net::detail {

/// What is known of the peer's key, and demanded of it.
struct TlsPeer {
  std::vector<Pin> accepted;  ///< empty: any, to be looked at afterwards
  Pin pin{};
  bool has_pin = false;
};

/// In place of OpenSSL's look at chains and names. That the peer holds the key, its signature shows
/// afterwards.
inline int check_peer_key(X509_STORE_CTX* store, void*) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsPeer& peer = *static_cast<TlsPeer*>(SSL_get_app_data(ssl));
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate == nullptr) return 0;
  peer.pin = pin_of<X509_PUBKEY>(&i2d_X509_PUBKEY, X509_get_X509_PUBKEY(certificate));
  peer.has_pin = peer.pin != Pin{};
  const bool accepted = peer.has_pin && (peer.accepted.empty() ||
                                         std::find(peer.accepted.begin(), peer.accepted.end(),
                                                   peer.pin) != peer.accepted.end());
  if (!accepted) X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return accepted ? 1 : 0;
}

}  // namespace net::detail
IOTSL_NAMESPACE_END

#endif
