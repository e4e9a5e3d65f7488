#pragma once
// Looks at the first bytes of a connection before anything is spent on it: whether they are a TLS
// ClientHello, and whether it is whole (RFC 8446, 4 and 5.1).

#include "iotsl/core/bytes.hpp"
#include "iotsl/net/messages/frame.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// What a peer has begun to speak.
enum class FirstBytes {
  incomplete,   ///< a ClientHello so far
  whole_hello,  ///< a ClientHello, complete
  isl,          ///< frames in plain text
  other         ///< neither, or a ClientHello of more than max_client_hello_bytes
};

/// Bytes that a ClientHello may take with the headers of its records. Ours has some 200.
inline constexpr std::size_t max_client_hello_bytes = 4096;

inline FirstBytes inspect_first_bytes(ByteSpan bytes) {
  constexpr std::uint8_t handshake_record = 22, client_hello = 1;
  constexpr std::size_t record_header = 5, message_header = 4;
  if (bytes.empty()) return FirstBytes::incomplete;
  std::uint8_t magic[4];
  store_le(magic, frame_magic);
  if (bytes[0] == magic[0]) {
    const std::size_t seen = std::min(bytes.size(), sizeof magic);
    if (!std::equal(magic, magic + seen, bytes.begin())) return FirstBytes::other;
    return seen == sizeof magic ? FirstBytes::isl : FirstBytes::incomplete;
  }
  // The message may be cut into several records; its own header says how long it is.
  std::uint8_t head[message_header]{};
  std::size_t content = 0, expected = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    if (bytes[at] != handshake_record) return FirstBytes::other;
    if (bytes.size() - at > 1 && bytes[at + 1] != 3) return FirstBytes::other;
    if (bytes.size() - at < record_header) break;
    const std::size_t length = std::size_t{bytes[at + 3]} << 8 | bytes[at + 4];
    if (length == 0 || length > max_client_hello_bytes) return FirstBytes::other;
    at += record_header;
    const std::size_t here = std::min(length, bytes.size() - at);
    for (std::size_t i = 0; i < here && content + i < message_header; ++i)
      head[content + i] = bytes[at + i];
    content += here;
    if (content > 0 && head[0] != client_hello) return FirstBytes::other;
    if (content >= message_header) {
      expected =
          message_header + (std::size_t{head[1]} << 16 | std::size_t{head[2]} << 8 | head[3]);
      if (expected > max_client_hello_bytes) return FirstBytes::other;
      if (content >= expected) return FirstBytes::whole_hello;
    }
    at += here;
  }
  return bytes.size() < max_client_hello_bytes ? FirstBytes::incomplete : FirstBytes::other;
}

}  // namespace net
IOTSL_NAMESPACE_END
