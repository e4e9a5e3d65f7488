#pragma once
// JSON: values and their members, the strict reader, the deterministic writer.

#include <charconv>

#include "iotsl/core/json/parse.hpp"
#include "iotsl/core/json/value.hpp"
#include "iotsl/core/scalar_math.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

inline void write_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    constexpr std::string_view characters = "\"\\\b\f\n\r\t";
    constexpr std::string_view names = "\"\\bfnrt";
    const std::size_t which = characters.find(c);
    const std::size_t length = utf8_length(text.substr(i));
    if (which != std::string_view::npos) {
      out.push_back('\\');
      out.push_back(names[which]);
    } else if (byte < 0x20) {
      constexpr char hex[] = "0123456789abcdef";
      out.append("\\u00");
      out.push_back(hex[byte >> 4]);
      out.push_back(hex[byte & 15]);
    } else if (length == 0) {
      out.append("\xEF\xBF\xBD");  // U+FFFD: what we write must always be readable again
    } else {
      out.append(text, i, length);
    }
    i += length == 0 ? 1 : length;
  }
  out.push_back('"');
}

inline void write_json_double(std::string& out, double v) {
  if (!scalar_math::isfinite(v)) {
    out.append("null");
    return;
  }
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  const std::string_view written(text, static_cast<std::size_t>(end - text));
  out.append(written);
  if (written.find_first_of(".e") == std::string_view::npos) out.append(".0");
}

inline void write_json(std::string& out, const Json& value, int indent, int depth) {
  const auto line = [&](int level) {
    if (indent < 0) return;
    out.push_back('\n');
    out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(level), ' ');
  };
  if (value.is_null()) {
    out.append("null");
  } else if (value.is_bool()) {
    out.append(value.as_bool() ? "true" : "false");
  } else if (value.is_stored_int()) {
    out.append(std::to_string(value.as_int()));
  } else if (value.is_number()) {
    write_json_double(out, value.as_double());
  } else if (value.is_string()) {
    write_json_string(out, value.as_string());
  } else if (value.is_array()) {
    out.push_back('[');
    bool first = true;
    bool nested = false;
    for (const Json& element : value.as_array()) nested |= element.size() != 0;
    // Arrays of plain values stay on one line: a manifest holds thousands of indices.
    for (const Json& element : value.as_array()) {
      if (!first) out.append(indent < 0 || nested ? "," : ", ");
      if (nested) line(depth + 1);
      write_json(out, element, indent, depth + 1);
      first = false;
    }
    if (nested) line(depth);
    out.push_back(']');
  } else {
    out.push_back('{');
    bool first = true;
    for (const JsonMember& member : value.as_object()) {
      if (!first) out.push_back(',');
      line(depth + 1);
      write_json_string(out, member.key);
      out.append(indent < 0 ? ":" : ": ");
      write_json(out, member.value, indent, depth + 1);
      first = false;
    }
    if (!first) line(depth);
    out.push_back('}');
  }
}

}  // namespace detail

/// Writes JSON text: members in their order, doubles with the fewest digits that read back to the
/// same value, not-a-number and infinity as null. `indent` < 0 writes one line without spaces.
inline std::string to_text(const Json& value, int indent = -1) {
  std::string out;
  detail::write_json(out, value, indent, 0);
  return out;
}

IOTSL_NAMESPACE_END
