#pragma once
// Where a server listens, as people write it.

#include <cstdint>
#include <string>
#include <string_view>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// HOST:PORT, also [v6]:PORT.
struct Address {
  std::string host;
  std::uint16_t port = 0;
};

inline Result<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const auto wrong = [&](const char* why) {
    return failure(ErrorCode::usage, "address '", text, "': ", why, "; expected HOST:PORT");
  };
  if (colon == std::string_view::npos || colon == 0) return wrong("no host or no port");
  std::string_view host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  for (char c : digits) {
    if (c < '0' || c > '9' || port > 65535) return wrong("port is no number in 0..65535");
    port = port * 10 + static_cast<unsigned>(c - '0');
  }
  if (host.find_first_of("[]") != host.npos) return wrong("host has a bracket of its own");
  if (host.empty()) return wrong("no host or no port");
  if (digits.empty() || port > 65535) return wrong("port is no number in 0..65535");
  return Address{std::string(host), static_cast<std::uint16_t>(port)};
}

/// As parse_address reads it.
inline std::string to_string(const Address& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return concat(is_v6 ? "[" : "", address.host, is_v6 ? "]:" : ":", address.port);
}

}  // namespace net
IOTSL_NAMESPACE_END
