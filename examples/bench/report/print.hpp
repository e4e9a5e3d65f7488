#pragma once
// Reports as text.

#include <cstdio>

#include "bench/report/compare.hpp"

namespace iotsl::bench {

inline void print_machine(const Report& report) {
  const Machine& m = report.machine;
  std::printf("iotsl-bench %s (%s)\n%s%s%s, %d cores, %.1f GB, %s, %s\ntarget %s\n",
              report.version.c_str(), report.compiler.c_str(), m.board.c_str(),
              m.board.empty() ? "" : ", ", m.cpu.c_str(), m.cores,
              1e-9 * static_cast<double>(m.memory_bytes), m.architecture.c_str(), m.os.c_str(),
              report.target.c_str());
  const BoardState& board = report.board.begin;
  for (const ClockPolicy& clock : board.clocks)
    std::printf("clock: %s, %.2f of %.2f GHz\n", clock.governor.c_str(),
                1e-6 * static_cast<double>(clock.frequency_khz),
                1e-6 * static_cast<double>(clock.most_khz));
  if (board.tells_temperature)
    std::printf("temperature: %.0f C at the begin, %.0f at most\n", board.temperature_celsius,
                report.board.highest_celsius);
}

/// The spread is the middle half of the samples in percent of the median.
inline void print_rows(const Report& report) {
  std::size_t width = 0;
  for (const Row& row : report.rows) width = std::max(width, row.name.size());
  std::printf("\n%-*s  thr         ms  spread  GFLOP/s    GB/s  share of\n",
              static_cast<int>(width), "");
  for (const Row& row : report.rows) {
    const Spread& s = row.seconds;
    std::printf("%-*s %4d %10.3f %6.1f%% %8.1f %7.1f", static_cast<int>(width), row.name.c_str(),
                row.threads, 1e3 * s.median, 100 * (s.upper_quartile - s.lower_quartile) / s.median,
                1e-9 * row.flops_per_second(), 1e-9 * row.bytes_per_second());
    if (!row.bound.empty()) std::printf("   %4.2f %s", row.share, row.bound.c_str());
    std::printf("\n");
  }
}

inline void print_comparison(const Comparison& comparison, const std::string& path) {
  std::printf("\nAgainst %s (ratio above 1: faster than there)\n", path.c_str());
  for (const std::string& note : comparison.notes) std::printf("  %s\n", note.c_str());
  std::size_t width = 0;
  for (const ComparedRow& row : comparison.rows) width = std::max(width, row.name.size());
  std::printf("%-*s  thr   there ms         ms   ratio\n", static_cast<int>(width), "");
  for (const ComparedRow& row : comparison.rows)
    std::printf("%-*s %4d %10.3f %10.3f %7.2f  %s\n", static_cast<int>(width), row.name.c_str(),
                row.threads, 1e3 * row.before, 1e3 * row.now, row.ratio(), to_string(row.verdict));
  std::printf("%zu faster, %zu slower, %zu the same within the spread",
              comparison.count(Verdict::faster), comparison.count(Verdict::slower),
              comparison.count(Verdict::same));
  if (comparison.only_now + comparison.only_before > 0)
    std::printf("; %zu rows only here, %zu only there", comparison.only_now,
                comparison.only_before);
  std::printf("\n");
}

}  // namespace iotsl::bench
