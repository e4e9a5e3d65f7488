#pragma once
// UTF-8, and text from elsewhere that goes to a terminal, a log, a page or a file.

#include <algorithm>
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

/// Bytes of the character at the start of `text`; 0 where it could move a cursor, end a line, turn
/// the direction of writing, or is no UTF-8.
inline std::size_t printable_length(std::string_view text) {
  const std::size_t length = utf8_length(text);
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const bool c0 = length == 1 && (at(0) < 0x20 || at(0) == 0x7F);
  const bool c1 = length == 2 && at(0) == 0xC2 && at(1) < 0xA0;  // terminals obey these as well
  // U+2028 and U+2029 end lines; U+061C, U+200E, U+200F, U+202A..U+202E, U+2066..U+2069 turn the
  // direction.
  const bool turns =
      (length == 2 && at(0) == 0xD8 && at(1) == 0x9C) ||
      (length == 3 && at(0) == 0xE2 &&
       ((at(1) == 0x80 && ((at(2) >= 0xA8 && at(2) <= 0xAE) || at(2) == 0x8E || at(2) == 0x8F)) ||
        (at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9)));
  return c0 || c1 || turns ? 0 : length;
}

/// `text` with what `append(out, byte)` adds in place of each byte that is not printable.
template <class Append>
std::string replace_unprintable(std::string_view text, const Append& append) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = printable_length(text);
    if (length == 0)
      append(out, text[0]);
    else
      out.append(text.substr(0, length));
    text.remove_prefix(std::max<std::size_t>(1, length));
  }
  return out;
}

/// Whether every character has a length that is not 0.
inline bool consists_of(std::string_view text, std::size_t (*length_of)(std::string_view)) {
  while (!text.empty()) {
    const std::size_t length = length_of(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace detail

/// Whether a text is valid UTF-8.
inline bool is_utf8(std::string_view text) {
  return detail::consists_of(text, &detail::utf8_length);
}

/// Whether `text` is UTF-8 in one line without control characters, as a name has to be.
inline bool is_printable(std::string_view text) {
  return detail::consists_of(text, &detail::printable_length);
}

/// `text` with '?' for every byte of what is not printable, but for ends of lines where `lines`.
inline std::string make_printable(std::string_view text, bool lines = false) {
  return detail::replace_unprintable(text, [lines](std::string& out, char byte) {
    out.push_back(lines && byte == '\n' ? '\n' : '?');
  });
}

/// `text` with `\xNN` for every byte of what is not printable: a name that must be found again.
inline std::string escaped(std::string_view text) {
  return detail::replace_unprintable(text, [](std::string& out, char byte) {
    constexpr char hex[] = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    out.append("\\x").append(1, hex[value >> 4]).append(1, hex[value & 15]);
  });
}

IOTSL_NAMESPACE_END
