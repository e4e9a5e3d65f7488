#pragma once
// Strict, bounded reader of JSON text (RFC 8259).

#include <charconv>
#include <system_error>

#include "iotsl/core/heap_sort.hpp"
#include "iotsl/core/json/value.hpp"
#include "iotsl/core/text.hpp"

IOTSL_NAMESPACE_BEGIN

/// What parse_json accepts at most. Memory grows with the text that was read, about 60 bytes for
/// each value, never with anything that the text announces.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{64} << 20;
  std::size_t max_values = std::size_t{4} << 20;
  int max_depth = 64;
};

namespace detail {

inline void append_utf8(std::string& out, unsigned code) {
  const auto put = [&](unsigned byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

class JsonParser {
 public:
  JsonParser(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

  Result<Json> parse() {
    Json value;
    if (text_.size() > limits_.max_bytes) {
      error(limits_.max_bytes,
            concat("text has ", text_.size(), " bytes, limit is ", limits_.max_bytes));
    } else if (parse_value(value, 0)) {
      skip_space();
      if (at_ != text_.size()) error(at_, "text goes on after the value");
    }
    if (!message_.empty()) return Failure{ErrorCode::data, std::move(message_)};
    return value;
  }

 private:
  bool error(std::size_t offset, std::string_view what) {
    if (message_.empty()) message_ = concat("json: byte ", offset, ": ", what);
    return false;
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  bool parse_value(Json& out, int depth) {
    skip_space();
    if (at_ == text_.size()) return error(at_, "text ends where a value is expected");
    if (++values_ > limits_.max_values)
      return error(at_, concat("more than ", limits_.max_values, " values"));
    switch (text_[at_]) {
      case '{':
        return enter(depth) && parse_object(out, depth + 1);
      case '[':
        return enter(depth) && parse_array(out, depth + 1);
      case '"': {
        std::string text;
        if (!parse_string(text)) return false;
        out = Json(std::move(text));
        return true;
      }
      case 't':
        return parse_word("true", Json(true), out);
      case 'f':
        return parse_word("false", Json(false), out);
      case 'n':
        return parse_word("null", Json(), out);
      default:
        return parse_number(out);
    }
  }

  bool enter(int depth) {
    if (depth < limits_.max_depth) return true;
    return error(at_, concat("nested deeper than ", limits_.max_depth));
  }

  bool parse_word(std::string_view word, Json value, Json& out) {
    if (text_.substr(at_, word.size()) != word) return error(at_, "not a value");
    at_ += word.size();
    out = std::move(value);
    return true;
  }

  bool parse_array(Json& out, int depth) {
    JsonArray elements;
    ++at_;
    skip_space();
    if (peek() == ']') {
      ++at_;
    } else {
      for (bool more = true; more;) {
        elements.emplace_back();
        if (!parse_value(elements.back(), depth) || !separator(']', more)) return false;
      }
    }
    out = Json(std::move(elements));
    return true;
  }

  bool parse_object(Json& out, int depth) {
    JsonObject members;
    std::vector<std::size_t> offsets;
    ++at_;
    skip_space();
    if (peek() == '}') {
      ++at_;
    } else {
      for (bool more = true; more;) {
        skip_space();
        offsets.push_back(at_);
        members.emplace_back();
        if (peek() != '"') return error(at_, "expected a key in quotes");
        if (!parse_string(members.back().key)) return false;
        skip_space();
        if (peek() != ':') return error(at_, "expected ':' after the key");
        ++at_;
        if (!parse_value(members.back().value, depth) || !separator('}', more)) return false;
      }
    }
    if (!keys_differ(members, offsets)) return false;
    out = Json(std::move(members));
    return true;
  }

  /// Reads ',' (more follows) or the closing bracket.
  bool separator(char close, bool& more) {
    skip_space();
    more = peek() == ',';
    if (!more && peek() != close) return error(at_, concat("expected ',' or '", close, "'"));
    ++at_;
    return true;
  }

  // Sorting keeps a hostile object with many keys at n log n.
  bool keys_differ(const JsonObject& members, const std::vector<std::size_t>& offsets) {
    std::vector<std::size_t> order(members.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    heap_sort(order.data(), order.size(), [&](std::size_t a, std::size_t b) {
      const int sign = members[a].key.compare(members[b].key);
      return sign != 0 ? sign < 0 : a < b;
    });
    for (std::size_t i = 1; i < order.size(); ++i)
      if (members[order[i - 1]].key == members[order[i]].key)
        return error(offsets[order[i]], concat("key '", members[order[i]].key, "' appears twice"));
    return true;
  }

  bool parse_string(std::string& out) {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c == '\\') {
        if (!parse_escape(out)) return false;
        continue;
      }
      if (static_cast<unsigned char>(c) < 0x20) return error(at_, "control character in a string");
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) return error(at_, "invalid UTF-8");
      out.append(text_, at_, length);
      at_ += length;
    }
    return error(at_, "text ends inside a string");
  }

  bool parse_escape(std::string& out) {
    const std::size_t start = at_++;
    const char c = peek();
    if (c == 'u') {
      unsigned code = 0;
      if (!parse_hex4(start, code)) return false;
      if (code >= 0xDC00 && code <= 0xDFFF) return error(start, "low surrogate without a high one");
      if (code >= 0xD800 && code <= 0xDBFF) {
        unsigned low = 0;
        if (text_.substr(at_, 2) != "\\u") return error(start, "high surrogate without a low one");
        ++at_;
        if (!parse_hex4(start, low)) return false;
        if (low < 0xDC00 || low > 0xDFFF) return error(start, "high surrogate without a low one");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      append_utf8(out, code);
      return true;
    }
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view characters = "\"\\/\b\f\n\r\t";
    const std::size_t which = c == '\0' ? std::string_view::npos : names.find(c);
    if (which == std::string_view::npos) return error(start, "bad escape");
    out.push_back(characters[which]);
    ++at_;
    return true;
  }

  /// Four hexadecimal digits after the 'u' at the current place.
  bool parse_hex4(std::size_t start, unsigned& code) {
    const std::string_view digits = text_.substr(at_ + 1, 4);
    bool valid = digits.size() == 4;
    for (const char c : digits) {
      const auto digit = std::string_view("0123456789abcdefABCDEF").find(c);
      valid = valid && digit != std::string_view::npos;
      code = code << 4 | static_cast<unsigned>(digit < 16 ? digit : digit - 6);
    }
    if (!valid) return error(start, "\\u needs four hexadecimal digits");
    at_ += 5;
    return true;
  }

  std::size_t skip_digits() {
    const std::size_t start = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ - start;
  }

  bool parse_number(Json& out) {
    const std::size_t start = at_;
    bool integral = true;
    if (peek() == '-') ++at_;
    const bool leading_zero = peek() == '0';
    const std::size_t digits = skip_digits();
    if (digits == 0) return error(start, "not a value");
    if (leading_zero && digits > 1) return error(start, "number with a leading zero");
    if (peek() == '.') {
      integral = false;
      ++at_;
      if (skip_digits() == 0) return error(start, "number without digits after the point");
    }
    if (peek() == 'e' || peek() == 'E') {
      integral = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (skip_digits() == 0) return error(start, "number without digits in the exponent");
    }
    const char* begin = text_.data() + start;
    const char* end = text_.data() + at_;
    std::int64_t exact = 0;
    // "-0" is left to the double, which keeps the sign.
    if (integral && std::string_view(begin, at_ - start) != "-0" &&
        std::from_chars(begin, end, exact).ec == std::errc()) {
      out = Json(exact);
      return true;
    }
    double value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc())
      return error(start, "number beyond the range of a double");
    out = Json(value);
    return true;
  }

  std::string_view text_;
  JsonLimits limits_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  std::string message_;
};

}  // namespace detail

/// Reads one JSON text. Refuses everything that RFC 8259 does not allow (trailing commas, comments,
/// bad escapes, control characters, lone surrogates, invalid UTF-8), and moreover keys that appear
/// twice and numbers beyond a double. A failure gives the byte offset.
inline Result<Json> parse_json(std::string_view text, JsonLimits limits = {}) {
  return detail::JsonParser(text, limits).parse();
}

IOTSL_NAMESPACE_END
