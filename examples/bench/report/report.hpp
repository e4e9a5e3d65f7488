#pragma once
// What a measurement leaves: a JSON file that can be compared with another one.

#include "bench/machine/machine.hpp"
#include "bench/report/spread.hpp"

namespace iotsl::bench {

/// One thing, measured with one number of threads.
struct Row {
  std::string name;
  int threads = 1;
  Spread seconds;  ///< of one run
  std::uint64_t samples = 0;
  double flops = 0;  ///< of one run, by the plain definition: a multiply-add is two
  double bytes = 0;  ///< of one run: inputs, outputs and weights, once for each pass over them
  double share =
      0;  ///< of the roofline: its bound divided by the median; 0: not a share of anything
  std::string bound = {};  ///< what bounds it: compute, L2 or memory; empty like `share`

  double flops_per_second() const { return flops / seconds.median; }
  double bytes_per_second() const { return bytes / seconds.median; }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("name", self.name);
    f("threads", self.threads);
    f("seconds", self.seconds);
    f("samples", self.samples);
    f("flops", self.flops);
    f("bytes", self.bytes);
    f("share", self.share);
    f("bound", self.bound);
  }
  friend bool operator==(const Row&, const Row&) = default;
};

struct Report {
  static constexpr const char* format_name = "iotsl-bench 1";
  std::string format = format_name;
  std::string version, compiler, date;
  std::vector<std::string> targets;  ///< that this processor can run
  std::string target;                ///< of the rows
  bool quick = false;
  Machine machine;
  BoardRecord board;
  std::vector<std::string> warnings;
  std::vector<Row> rows;

  const Row* find(std::string_view name, int threads) const {
    for (const Row& row : rows)
      if (row.name == name && row.threads == threads) return &row;
    return nullptr;
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("format", self.format);
    f("version", self.version);
    f("compiler", self.compiler);
    f("date", self.date);
    f("targets", self.targets);
    f("target", self.target);
    f("quick", self.quick);
    f("machine", self.machine);
    f("board", self.board);
    f("warnings", self.warnings);
    f("rows", self.rows);
  }
  friend bool operator==(const Report&, const Report&) = default;
};

/// The report of a JSON text. A failure names the member that is wrong and what it should be.
inline Result<Report> parse_report(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json) return json.failure();
  const Result<std::string> format = get_string(*json, "format");
  if (!format || *format != Report::format_name)
    return failure(ErrorCode::data, "expected a file of iotsl-bench --json, with \"format\": \"",
                   Report::format_name, "\", found ",
                   format ? concat('"', make_printable(*format), '"') : format.failure().message);
  Result<Report> report = parse_json_fields<Report>(*json);
  if (!report) return report;
  for (const Row& row : report->rows) {
    const Spread& s = row.seconds;
    const bool ordered = s.least > 0 && s.least <= s.lower_quartile &&
                         s.lower_quartile <= s.median && s.median <= s.upper_quartile;
    if (!ordered)
      return failure(ErrorCode::data, "row '", row.name,
                     "': expected seconds above 0 with least <= lower_quartile <= median <= "
                     "upper_quartile, found ",
                     s.least, ", ", s.lower_quartile, ", ", s.median, ", ", s.upper_quartile);
  }
  return report;
}

inline Result<Report> load_report(const std::string& path) {
  const Result<std::string> text = read_text_file(path, 16 << 20);
  if (!text) return text.failure();
  Result<Report> report = parse_report(*text);
  if (!report) return failure(ErrorCode::data, path, ": ", report.failure().message);
  return report;
}

inline Result<void> save_report(const std::string& path, const Report& report) {
  return write_file_atomic(path, to_text(to_json_fields(report), 2) + "\n");
}

}  // namespace iotsl::bench
