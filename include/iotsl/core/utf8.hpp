#pragma once
// Names that people and other programs have given: well-formed UTF-8 or not, and how they are
// printed.

#include <string>
#include <string_view>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

/// Bytes of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7), or 0.
inline std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned lead = at(0);
  if (lead < 0x80) return text.empty() ? 0 : 1;
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return at(i) >= low && at(i) <= high;
  };
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    // No overlong forms (E0 80..9F) and no surrogates (ED A0..BF).
    const bool second = follows(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && follows(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = follows(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

/// Whether the character of `length` bytes at the start of `text` steers a terminal: C0, DEL, C1,
/// or a change of the direction of writing.
inline bool is_control(std::string_view text, std::size_t length) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (length == 1) return at(0) < 0x20 || at(0) == 0x7F;
  if (length == 2) return at(0) == 0xC2 && at(1) < 0xA0;  // U+0080 to U+009F
  if (length != 3 || at(0) != 0xE2) return false;
  // U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069
  return at(1) == 0x80 ? at(2) == 0x8E || at(2) == 0x8F || (at(2) >= 0xA8 && at(2) <= 0xAE)
                       : at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9;
}

}  // namespace detail

inline bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = detail::utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// Whether a terminal would obey a character of this text instead of showing it.
inline bool has_control_characters(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = detail::utf8_length(text);
    if (detail::is_control(text, length)) return true;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return false;
}

/// The text with \xNN in place of control characters and of bytes that are no UTF-8.
inline std::string printable(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const std::size_t length = detail::utf8_length(text);
    const std::size_t taken = length == 0 ? 1 : length;
    if (length != 0 && !detail::is_control(text, length))
      out.append(text.substr(0, length));
    else
      for (const char c : text.substr(0, taken)) {
        const auto byte = static_cast<unsigned char>(c);
        out.append("\\x").append(1, hex[byte >> 4]).append(1, hex[byte & 15]);
      }
    text.remove_prefix(taken);
  }
  return out;
}

IOTSL_NAMESPACE_END
