#pragma once
// Whether a connection is protected: what a user has to say for it, the same on both sides.

#include <string>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// --identity, --tls and --insecure. With an identity everything is TLS; without one plain text is
/// spoken on loopback, and elsewhere where the user wants it so.
struct ProtectionOptions {
  std::string identity;  ///< folder; empty: none
  bool tls = false;      ///< refuse plain text on loopback, too
  bool insecure = false;

  bool uses_tls() const { return !identity.empty(); }
};

inline Result<void> check_protection(const ProtectionOptions& options) {
  if (options.insecure && (options.tls || options.uses_tls()))
    return failure(ErrorCode::usage, "--insecure: not with ", options.tls ? "--tls" : "--identity",
                   ", which is for TLS");
  if (options.tls && !options.uses_tls())
    return failure(ErrorCode::usage, "--tls needs --identity DIR, the folder of a key");
  return {};
}

}  // namespace net
IOTSL_NAMESPACE_END
