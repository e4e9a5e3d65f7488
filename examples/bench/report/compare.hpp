#pragma once
// One report against an earlier one.

#include "bench/report/report.hpp"

namespace iotsl::bench {

struct ComparedRow {
  std::string name;
  int threads = 1;
  double before = 0, now = 0;  ///< medians in seconds
  Verdict verdict = Verdict::same;

  /// Above 1: faster than before.
  double ratio() const { return before / now; }
};

struct Comparison {
  std::vector<ComparedRow> rows;              ///< in both reports
  std::vector<std::string> notes;             ///< what else differs than the speed
  std::size_t only_before = 0, only_now = 0;  ///< rows without a partner

  std::size_t count(Verdict verdict) const {
    std::size_t n = 0;
    for (const ComparedRow& row : rows) n += row.verdict == verdict ? 1 : 0;
    return n;
  }
};

/// Seconds of the same work are compared: a row of that name that does other work, as those of the
/// machine do with --quick, is no partner. A failure where the two have no row in common.
inline Result<Comparison> compare(const Report& before, const Report& now) {
  Comparison out;
  std::size_t other_work = 0;
  for (const Row& row : now.rows) {
    const Row* earlier = before.find(row.name, row.threads);
    const bool is_same =
        earlier != nullptr && earlier->flops == row.flops && earlier->bytes == row.bytes;
    if (!is_same) {
      ++out.only_now;
      other_work += earlier != nullptr ? 1 : 0;
      continue;
    }
    out.rows.push_back({row.name, row.threads, earlier->seconds.median, row.seconds.median,
                        judge(earlier->seconds, row.seconds)});
  }
  out.only_before = before.rows.size() - out.rows.size();
  if (out.rows.empty())
    return failure(ErrorCode::data, "has no row of this measurement; its ", before.rows.size(),
                   " rows are of ",
                   before.quick != now.quick ? (before.quick ? "a --quick one" : "a full one")
                                             : "other sizes or threads");
  const auto note = [&](const char* what, const std::string& was, const std::string& is) {
    if (was != is) out.notes.push_back(concat(what, ": ", was, " there, ", is, " here"));
  };
  note("another size", before.quick ? "--quick" : "full", now.quick ? "--quick" : "full");
  if (other_work > 0)
    out.notes.push_back(concat(other_work, " rows of the same name do other work there"));
  note("another processor", before.machine.cpu, now.machine.cpu);
  note("another board", before.machine.board, now.machine.board);
  note("another architecture", before.machine.architecture, now.machine.architecture);
  note("another number of cores", concat(before.machine.cores), concat(now.machine.cores));
  note("another target", before.target, now.target);
  note("another version", before.version, now.version);
  note("another compiler", before.compiler, now.compiler);
  for (const std::string& warning : before.warnings)
    out.notes.push_back(concat("of the compared file: ", warning));
  return out;
}

}  // namespace iotsl::bench
