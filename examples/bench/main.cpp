// iotsl-bench: how fast the engine is on this machine.

#include <unistd.h>

#include <optional>

#include "bench/machine/roofline.hpp"
#include "bench/options.hpp"
#include "bench/report/print.hpp"
#include "bench/work/workloads.hpp"
#include "iotsl/core/local_time.hpp"
#include "iotsl/core/memory.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/simd/target.hpp"
#include "support/exit_code.hpp"
#include "support/standard_output.hpp"
#include "support/wait_policy.hpp"

namespace iotsl::bench {
namespace {

#if defined(__clang__)
constexpr const char* compiler = "clang " __clang_version__;
#else
constexpr const char* compiler = "g++ " __VERSION__;
#endif

/// A workload with one number of threads, and its samples so far.
struct Measurement {
  Workload workload;
  int threads = 1;
  bool is_share = false;  ///< of the roofline, not of the machine itself
  std::vector<double> samples;
};

void warn(const std::string& text) { std::fprintf(stderr, "iotsl-bench: %s\n", text.c_str()); }

/// What is to be measured, in the order of the report.
std::vector<Measurement> plan(const Options& options, const Scale& scale, const Machine& machine) {
  std::vector<int> teams{1};
  if (options.threads > 1) teams.push_back(options.threads);
  std::vector<Measurement> out;
  for (const int threads : teams)
    for (Workload& w : roofline_workloads(scale, machine, threads))
      out.push_back({std::move(w), threads, false, {}});
  Workloads rows = kernel_workloads(scale);
  for (Workload& step : step_workloads(scale)) rows.push_back(std::move(step));
  for (const Workload& w : rows)
    for (const int threads : teams)
      if (w.name.find(options.filter) != std::string::npos) out.push_back({w, threads, true, {}});
  return out;
}

/// Leaves out what the memory is too small for.
void drop_too_large(std::vector<Measurement>& measurements, Report& report) {
  const double available = static_cast<double>(available_bytes(report.machine));
  std::erase_if(measurements, [&](const Measurement& m) {
    const bool too_large = m.workload.memory_bytes > 0.8 * available;
    if (too_large && m.threads == 1)
      report.warnings.push_back(concat(m.workload.name, " is left out: it takes some ",
                                       static_cast<long>(m.workload.memory_bytes * 1e-6),
                                       " MB, and ", static_cast<long>(available * 1e-6),
                                       " are available"));
    return too_large;
  });
}

void measure(std::vector<Measurement>& measurements, const Scale& scale,
             const std::string& sysfs_root, BoardRecord& board) {
  add_look(board, read_board(sysfs_root), true);
  const bool shows_progress = ::isatty(STDERR_FILENO) != 0;
  for (int round = 0; round < scale.rounds; ++round) {
    Run run;
    for (std::size_t i = 0; i < measurements.size(); ++i) {
      Measurement& m = measurements[i];
      const bool is_prepared =
          i > 0 && m.is_share && measurements[i - 1].workload.name == m.workload.name;
      if (shows_progress)
        std::fprintf(stderr, "\r\033[Kround %d of %d, %zu of %zu: %s", round + 1, scale.rounds,
                     i + 1, measurements.size(), m.workload.name.c_str());
      set_threads(m.threads);
      if (!is_prepared) {
        run = nullptr;
        trim_memory();
        run = m.workload.prepare();
      }
      take_samples(run, scale.seconds, m.samples);
      add_look(board, read_board(sysfs_root), false);
    }
  }
  if (shows_progress) std::fputs("\r\033[K", stderr);
}

void fill_rows(Report& report, const std::vector<Measurement>& measurements) {
  for (const Measurement& m : measurements)
    report.rows.push_back({.name = m.workload.name,
                           .threads = m.threads,
                           .seconds = summarize(m.samples),
                           .samples = m.samples.size(),
                           .flops = m.workload.work.flops,
                           .bytes = m.workload.work.bytes});
  for (std::size_t i = 0; i < measurements.size(); ++i)
    if (measurements[i].is_share)
      set_share(report.rows[i], roofline_of(report, report.rows[i].threads));
}

Report describe(const Options& options) {
  Report out;
  out.version = IOTSL_VERSION_STRING;
  out.compiler = compiler;
  out.date = local_time("%Y-%m-%d %H:%M");
  out.target = simd::name(simd::active_target());
  for (const simd::Target target : simd::reachable_targets())
    out.targets.push_back(simd::name(target));
  out.quick = options.quick;
  out.machine = read_machine(options.sysfs_root);
  return out;
}

/// The exit code.
Result<int> run(Options options) {
  std::optional<Report> earlier;
  if (!options.compare.empty()) {
    Result<Report> loaded = load_report(options.compare);
    if (!loaded) return failure(loaded.failure().code, "--compare ", loaded.failure().message);
    earlier = std::move(*loaded);
  }
  if (!options.json.empty()) {
    const std::string folder = iotsl::detail::parent_folder(options.json);
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
      return failure(ErrorCode::usage, "--json ", options.json, ": cannot write to ", folder, ": ",
                     std::strerror(errno));
  }
  Report report = describe(options);
  if (options.threads == 0) options.threads = threads();
  const Scale& scale = options.quick ? quick_scale : full_scale;
  std::vector<Measurement> measurements = plan(options, scale, report.machine);
  if (!measurements.back().is_share)
    return failure(ErrorCode::usage, "--filter ", options.filter,
                   ": no row has that in its name; iotsl-bench --list has the names");
  if (options.list) {
    for (const Measurement& m : measurements)
      if (m.threads == 1) std::printf("%s\n", m.workload.name.c_str());
    return 0;
  }
  drop_too_large(measurements, report);
  measure(measurements, scale, options.sysfs_root, report.board);
  fill_rows(report, measurements);
  for (std::string& warning : board_warnings(report.board))
    report.warnings.push_back(std::move(warning));
  print_machine(report);
  print_rows(report);
  for (const std::string& warning : report.warnings) warn(warning);
  if (!options.json.empty())
    if (const Result<void> saved = save_report(options.json, report); !saved)
      return saved.failure();
  if (!earlier) return 0;
  const Result<Comparison> comparison = compare(*earlier, report);
  if (!comparison)
    return failure(comparison.failure().code, "--compare ", options.compare, ": ",
                   comparison.failure().message);
  print_comparison(*comparison, options.compare);
  return comparison->count(Verdict::slower) > 0 ? exit_code_slower : 0;
}

int report_failure(const Failure& why) {
  warn(make_printable(why.message, true));
  return exit_code(why.code);
}

int run_program(int argc, char** argv) {
  const Result<Options> options = parse_options(argc, argv);
  if (!options) return report_failure(options.failure());
  if (options->help) {
    std::fputs(usage, stdout);
    return 0;
  }
  if (options->version) {
    std::puts("iotsl-bench " IOTSL_VERSION_STRING);
    return 0;
  }
  const Result<int> code = run(*options);
  return code ? *code : report_failure(code.failure());
}

}  // namespace
}  // namespace iotsl::bench

int main(int argc, char** argv) {
  iotsl::restart_with_short_waits(argv);
#if IOTSL_EXCEPTIONS
  try {
    return iotsl::finish_output("iotsl-bench", iotsl::bench::run_program(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "iotsl-bench: %s\n", error.what());
    return 1;
  }
#else
  return iotsl::finish_output("iotsl-bench", iotsl::bench::run_program(argc, argv));
#endif
}
