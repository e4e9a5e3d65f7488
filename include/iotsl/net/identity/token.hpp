#pragma once
// The token that a device is enrolled with: where its server is, which key the server has, and a
// secret that only the two of them know. It is good once, and for no longer than its device waits.

#include "iotsl/core/system_random.hpp"
#include "iotsl/net/address.hpp"
#include "iotsl/net/tls/pin.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// 256 random bits.
using EnrollSecret = Sha256Digest;

/// What the exporter of RFC 8446 is asked for in an enrolment.
inline constexpr std::string_view enroll_exporter_label = "EXPORTER-iotsl-enroll";

struct EnrollToken {
  Address server;
  Pin server_pin{};
  EnrollSecret secret{};
};

/// What every token begins with.
inline constexpr std::string_view token_begin = "iotsl1/";

/// One line: `iotsl1/HOST:PORT/PIN/SECRET`, the last two in 64 hexadecimal digits each.
inline std::string to_text(const EnrollToken& token) {
  return concat(token_begin, to_string(token.server), "/", to_hex(token.server_pin), "/",
                to_hex(token.secret));
}

/// The failure never quotes the text: it is a secret.
inline Result<EnrollToken> parse_token(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  const auto wrong = [](const char* why) {
    return failure(ErrorCode::usage, "token: ", why,
                   "; expected the whole line that iotsl device add has printed");
  };
  if (!text.starts_with(token_begin)) return wrong("does not begin with iotsl1/");
  text.remove_prefix(token_begin.size());
  const std::size_t first = text.find('/');
  const std::size_t second = first == text.npos ? first : text.find('/', first + 1);
  if (second == text.npos) return wrong("is cut off");
  EnrollToken out;
  const Result<Address> server = parse_address(text.substr(0, first));
  if (!server || server->port == 0) return wrong("has no address HOST:PORT");
  out.server = *server;
  if (!parse_hex(text.substr(first + 1, second - first - 1), out.server_pin) ||
      !parse_hex(text.substr(second + 1), out.secret))
    return wrong("has not 64 hexadecimal digits twice");
  return out;
}

inline Result<EnrollSecret> new_enroll_secret() {
  EnrollSecret out{};
  const Result<void> filled = fill_random(out);
  if (!filled) return filled.failure();
  return out;
}

/// The public name of a secret, by which the server finds it.
inline Sha256Digest enroll_id(const EnrollSecret& secret) {
  return hmac_sha256(secret, bytes_of("iotsl enrolment: name of the token"));
}

/// What a device shows to be enrolled: that it knows the secret, in this session only (`exporter`)
/// and for this key only (`own`).
inline Sha256Digest enroll_proof(const EnrollSecret& secret, const Sha256Digest& exporter,
                                 const Pin& own) {
  std::array<std::uint8_t, 2 * sizeof(Sha256Digest)> message;
  std::copy(exporter.begin(), exporter.end(), message.begin());
  std::copy(own.begin(), own.end(), message.begin() + sizeof(Sha256Digest));
  return hmac_sha256(secret, message);
}

}  // namespace net
IOTSL_NAMESPACE_END
