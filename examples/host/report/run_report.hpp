#pragma once
// What a training command shows and leaves: progress, run folder, summary.

#include <functional>

#include "host/files/run_names.hpp"
#include "host/options/run_options.hpp"
#include "host/report/progress.hpp"
#include "iotsl/data/manifest.hpp"
#include "iotsl/split/records/run_config.hpp"

namespace iotsl::tool {

/// Shows a run's progress on standard error.
class RunReport {
 public:
  /// `sample_bytes`: what a sample sends both ways, to show bytes before an epoch has been counted.
  RunReport(Index sample_bytes, bool quiet, LineTimes times = LineTimes::off);
  /// Hooks that call this report; it must outlive the run.
  split::RunHooks hooks();
  void note(const std::string& text) {
    progress_.line(text);
    if (on_status) on_status(text);
  }
  /// Every device that the run waits for was here.
  bool all_devices_came() const { return all_devices_came_; }

  std::function<void(std::uint16_t port)> on_listening;  ///< may be empty
  std::function<bool()> should_stop;                     ///< beside Ctrl-C; may be empty
  std::function<void(const std::string&)> on_status;     ///< where the run stands; may be empty
  std::function<Result<void>()> on_barrier;              ///< see RunHooks; may be empty

 private:
  void on_device(const split::DeviceArrival& arrival);
  void on_step(const split::StepProgress& step);
  void on_epoch(const measure::EpochRecord& record);

  Progress progress_;
  Index sample_bytes_;
  bool all_devices_came_ = false;
  Index epoch_samples_ = 0;
  double counted_bytes_ = 0;  // of complete epochs
};

/// Where --resume names a run that is complete, says so, prints the summary it has left, and is
/// true: nothing must be touched.
bool is_complete(const RunOptions& options);

/// Writes the summary into the run's folder.
Result<void> write_summary(const RunOptions& options, const split::RunSummary& summary);

/// What --json prints and summary.json holds.
Json to_json(const RunOptions& options, const split::RunSummary& summary);

/// Prints the summary: one JSON object with --json, else a few lines.
void print_summary(const RunOptions& options, const split::RunSummary& summary);

}  // namespace iotsl::tool
