#pragma once
// What --partition asks for: iid, classes:C, classes-random:C, random:A|B|C, dirichlet:ALPHA,
// table:FILE.

#include <charconv>
#include <string>

#include "iotsl/core/files/file.hpp"
#include "iotsl/data/count_table.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// A parsed --partition.
struct PartitionSpec {
  enum class Kind { iid, classes, classes_random, random, dirichlet, table };
  Kind kind = Kind::iid;
  std::string text = "iid";  ///< as given, for messages and the manifest
  Index classes = 0;         ///< classes:C and classes-random:C
  std::uint64_t draw = 0;    ///< random: 1, 2, 3 for A, B, C
  double alpha = 0;          ///< dirichlet:ALPHA
  CountTable table;          ///< table:FILE, one row per device
};

namespace detail {

template <class... Parts>
IOTSL_COLD Failure bad_partition(const PartitionSpec& spec, const Parts&... parts) {
  return failure(ErrorCode::usage, "--partition ", spec.text, ": ", parts...);
}

}  // namespace detail

/// Reads the text of --partition; table:FILE reads the file. A failure names the option.
inline Result<PartitionSpec> parse_partition(std::string_view text) {
  PartitionSpec spec;
  spec.text = text;
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view value = colon == text.npos ? "" : text.substr(colon + 1);
  const char* end = value.data() + value.size();
  if (text == "iid") return spec;
  if (kind == "classes" || kind == "classes-random") {
    spec.kind =
        kind == "classes" ? PartitionSpec::Kind::classes : PartitionSpec::Kind::classes_random;
    const auto [stop, status] = std::from_chars(value.data(), end, spec.classes);
    if (status != std::errc() || stop != end || spec.classes < 1)
      return detail::bad_partition(spec, "expected ", kind,
                                   ":C with C classes per device, at least 1");
    return spec;
  }
  if (kind == "random") {
    spec.kind = PartitionSpec::Kind::random;
    if (value != "A" && value != "B" && value != "C")
      return detail::bad_partition(spec, "expected random:A, random:B or random:C");
    spec.draw = static_cast<std::uint64_t>(value[0] - 'A' + 1);
    return spec;
  }
  if (kind == "dirichlet") {
    spec.kind = PartitionSpec::Kind::dirichlet;
    const auto [stop, status] = std::from_chars(value.data(), end, spec.alpha);
    if (status != std::errc() || stop != end || !(spec.alpha >= 1e-3 && spec.alpha <= 1e6))
      return detail::bad_partition(spec,
                                   "expected dirichlet:ALPHA with ALPHA from 0.001 to 1000000");
    return spec;
  }
  if (kind == "table" && !value.empty()) {
    spec.kind = PartitionSpec::Kind::table;
    const std::string path(value);
    auto content = read_text_file(path, std::uint64_t{1} << 20);
    if (!content)
      return failure(ErrorCode::data, "--partition ", text, ": ", content.failure().message);
    auto table = parse_count_table(*content);
    if (!table)
      return failure(ErrorCode::data, "--partition ", text, ": ", table.failure().message);
    spec.table = std::move(*table);
    return spec;
  }
  return detail::bad_partition(spec,
                               "expected iid, classes:C, classes-random:C, random:A|B|C, "
                               "dirichlet:ALPHA or table:FILE");
}

}  // namespace data
IOTSL_NAMESPACE_END
