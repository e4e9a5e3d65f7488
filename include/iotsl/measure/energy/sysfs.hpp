#pragma once
// Numbers in the small files of /sys.

#include <charconv>

#include "iotsl/core/files/file.hpp"
#include "iotsl/core/text.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure::detail {

/// The first line of a file.
inline Result<std::string> read_line(const std::string& path) {
  Result<std::string> text = read_text_file(path, 4096);
  if (!text) return text.failure();
  return text->substr(0, text->find('\n'));
}

/// A whole number of that type.
template <class Number>
Result<Number> read_whole(const std::string& path) {
  const Result<std::string> line = read_line(path);
  if (!line) return line.failure();
  Number out = 0;
  const char* const end = line->data() + line->size();
  const auto [stop, error] = std::from_chars(line->data(), end, out);
  if (error != std::errc() || stop != end)
    return failure(ErrorCode::data, path, ": holds '", make_printable(line->substr(0, 40)),
                   "', expected a whole number");
  return out;
}
inline Result<std::uint64_t> read_count(const std::string& path) {
  return read_whole<std::uint64_t>(path);
}

}  // namespace measure::detail
IOTSL_NAMESPACE_END
