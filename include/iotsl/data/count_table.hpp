#pragma once
// Tables of sample counts, devices x classes: read from text, scaled to a limit, printed.

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "iotsl/core/shape.hpp"
#include "iotsl/core/text.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// counts[device][class]
using CountTable = std::vector<std::vector<Index>>;

/// Far larger than any device's class, and far from any overflow of a sum.
inline constexpr Index max_class_count = 1'000'000'000;
inline Index row_sum(const std::vector<Index>& row) {
  Index sum = 0;
  for (const Index v : row) sum += v;
  return sum;
}

/// The classes, ascending, of which no device of `counts` holds a sample.
inline std::vector<Index> classes_of_nobody(const CountTable& counts) {
  std::vector<Index> out;
  const std::size_t classes = counts.empty() ? 0 : counts.front().size();
  for (std::size_t c = 0; c < classes; ++c) {
    bool held = false;
    for (const auto& row : counts) held |= row[c] > 0;
    if (!held) out.push_back(static_cast<Index>(c));
  }
  return out;
}

/// Reads rows of whole numbers, separated by commas, semicolons or blanks. Empty lines, what
/// follows a '#' and a byte order mark are skipped; an empty cell is refused. A failure names the
/// line.
inline Result<CountTable> parse_count_table(std::string_view text) {
  constexpr std::string_view blanks = " \t\r", separators = " \t,;\r";
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return failure(ErrorCode::data,
                   "is UTF-16; expected UTF-8, as a spreadsheet writes by 'CSV UTF-8'");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  CountTable out;
  for (Index line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    rest = rest.substr(0, rest.find('#'));
    std::vector<Index> row;
    const auto skip_blanks = [&] {
      rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
    };
    bool cell_due = false;  // after a comma
    for (skip_blanks(); cell_due || !rest.empty(); skip_blanks()) {
      const std::string_view word = rest.substr(0, rest.find_first_of(separators));
      if (word.empty())
        return failure(ErrorCode::data, "line ", line, ": cell ", row.size() + 1,
                       " is empty, expected a count");
      Index value = 0;
      const auto [stop, status] = std::from_chars(word.data(), word.data() + word.size(), value);
      if (status != std::errc() || stop != word.data() + word.size() || value < 0 ||
          value > max_class_count)
        return failure(ErrorCode::data, "line ", line, ": '", escaped(word),
                       "' is not a count from 0 to ", max_class_count);
      row.push_back(value);
      rest.remove_prefix(word.size());
      skip_blanks();
      cell_due = !rest.empty() && (rest[0] == ',' || rest[0] == ';');
      if (cell_due) rest.remove_prefix(1);
    }
    if (!row.empty()) out.push_back(std::move(row));
  }
  if (out.empty()) return failure(ErrorCode::data, "holds no counts");
  return out;
}

namespace detail {
/// value * limit / total, rounded down, where both are at most `total`, which is at most 2^60: the
/// product alone may be beyond 64 bits.
inline Index scaled(Index value, Index limit, Index total) {
  Index out = 0, rest = 0;
  for (int bit = 62; bit >= 0; --bit) {
    out *= 2;
    rest = 2 * rest + ((value >> bit & 1) != 0 ? limit : 0);
    out += rest / total;
    rest %= total;
  }
  return out;
}
}  // namespace detail

/// Scales every count by min(1, limit / total), rounded down; a count above 0 stays at least 1.
inline void scale_counts(CountTable& counts, Index limit) {
  Index total = 0;
  for (const auto& row : counts)
    for (const Index v : row) total += v;
  if (limit >= total) return;
  for (auto& row : counts)
    for (Index& v : row)
      if (v > 0) v = std::max<Index>(1, detail::scaled(v, limit, total));
}

/// The table as text for people: a line per device with its total, a line of sums, the numbers of
/// samples in the validation part and of those that nobody has, and the classes that no device has.
inline std::string format_counts(const CountTable& counts, Index unused, Index validation = 0) {
  const std::size_t classes = counts.empty() ? 0 : counts.front().size();
  std::vector<Index> sums(classes + 1, 0);
  std::string out;
  const auto cell = [&](std::string_view text, std::size_t width) {
    out.append(width > text.size() ? width - text.size() : 0, ' ').append(text);
  };
  const auto line = [&](std::string_view head, const std::vector<Index>& values) {
    out.append(head).append(head.size() < 9 ? 9 - head.size() : 0, ' ');
    for (const Index v : values) cell(std::to_string(v), 7);
    out.push_back('\n');
  };
  out.append("device   ");
  for (std::size_t c = 0; c < classes; ++c) cell(std::to_string(c), 7);
  cell("total", 7);
  out.push_back('\n');
  for (std::size_t d = 0; d < counts.size(); ++d) {
    std::vector<Index> row = counts[d];
    Index total = 0;
    for (const Index v : row) total += v;
    row.push_back(total);
    for (std::size_t c = 0; c <= classes; ++c) sums[c] += row[c];
    line(std::to_string(d), row);
  }
  line("all", sums);
  if (validation > 0) {
    out.append("validation");
    cell(std::to_string(validation), 7 * (classes + 1) - 1);
    out.push_back('\n');
  }
  out.append("unused   ");
  cell(std::to_string(unused), 7 * (classes + 1));
  out.push_back('\n');
  std::string nobody;
  for (const Index c : classes_of_nobody(counts)) nobody += concat(nobody.empty() ? "" : ", ", c);
  if (!nobody.empty()) out.append(concat("no device has class ", nobody, "\n"));
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
