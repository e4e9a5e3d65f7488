#pragma once
// What a peer is known by: the SHA-256 of its public key.

#include "iotsl/core/hash.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// SHA-256 of a SubjectPublicKeyInfo in DER (RFC 7469, 2.4), as
/// `openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum` prints it.
using Pin = Sha256Digest;

/// The first digits of a pin, enough for a person to tell one key from another.
inline std::string short_text(const Pin& pin) { return to_hex(ByteSpan(pin).first(6)); }

}  // namespace net
IOTSL_NAMESPACE_END
