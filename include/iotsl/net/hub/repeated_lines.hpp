#pragma once
// Lines for the user that come in crowds, such as one for each stranger of a flood: the first of a
// kind is told at once, the others are counted and told together.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/net/clock.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class RepeatedLines {
 public:
  /// `most_kinds`: what strangers send must not make kinds without end.
  explicit RepeatedLines(Microseconds interval = 5 * second_us, std::size_t most_kinds = 64)
      : interval_(interval), most_kinds_(most_kinds) {}

  /// The line, where it is to be told now; else it is counted. Those about one `subject`, which is
  /// known, are not counted with those about another.
  std::optional<std::string> add(std::string line, Microseconds now,
                                 std::string_view subject = {}) {
    std::string kind = concat(subject, " ", kind_of(line));
    if (kinds_.size() >= most_kinds_ && kinds_.count(kind) == 0) kind.clear();
    const auto [at, is_new] = kinds_.try_emplace(std::move(kind));
    Kind& entry = at->second;
    if (is_new) {
      entry.since = now;
      return line;
    }
    ++entry.count;
    entry.last = std::move(line);
    return std::nullopt;
  }
  /// One line for each kind that has been counted for the interval.
  std::vector<std::string> take_due(Microseconds now) { return take(now, interval_); }
  /// The same for all that is counted, at the end.
  std::vector<std::string> take_rest(Microseconds now) { return take(now, 0); }

  /// Lines that differ in their numbers, and in addresses and keys, are of one kind.
  static std::string kind_of(std::string_view line) {
    std::string out;
    for (std::size_t at = 0; at < line.size();) {
      std::size_t end = at;
      bool has_digit = false;
      for (; end < line.size() && line[end] != ' '; ++end)
        has_digit = has_digit || (line[end] >= '0' && line[end] <= '9');
      if (!has_digit) out += line.substr(at, end - at);
      out += ' ';
      at = end + 1;
    }
    return out;
  }

 private:
  struct Kind {
    Microseconds since = 0;
    std::uint64_t count = 0;
    std::string last = {};
  };
  std::vector<std::string> take(Microseconds now, Microseconds age) {
    std::vector<std::string> out;
    for (auto at = kinds_.begin(); at != kinds_.end();) {
      Kind& entry = at->second;
      if (now - entry.since < age) {
        ++at;
        continue;
      }
      if (entry.count == 0) {
        at = kinds_.erase(at);
        continue;
      }
      out.push_back(entry.count == 1 ? entry.last
                                     : concat("... ", entry.count, " more like this in ",
                                              (now - entry.since + second_us / 2) / second_us,
                                              " s, the last: ", entry.last));
      entry.since = now;
      entry.count = 0;
      ++at;
    }
    return out;
  }

  Microseconds interval_;
  std::size_t most_kinds_;
  std::map<std::string, Kind> kinds_;
};

}  // namespace net
IOTSL_NAMESPACE_END
