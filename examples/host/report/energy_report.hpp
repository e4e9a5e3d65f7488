#pragma once
// Joules in a run's report: of its devices by a model, of this machine by a meter.

#include "host/options/run_options.hpp"

namespace iotsl::tool {

/// What the joules of the run's devices are calculated with. Ends the command where the model
/// cannot be read.
split::EnergyAssumptions energy_assumptions(const RunOptions& options);

/// Member "energy" of a run's summary.
Json energy_json(const RunOptions& options, const split::RunSummary& summary);

/// The same as lines for a terminal.
std::string format_energy(const RunOptions& options, const split::RunSummary& summary);

/// Measures this machine while a run goes on.
class RunMeter {
 public:
  /// Ends the command where --meter names a meter that cannot be read (auto does without), or
  /// --power-model no model: before hours of training, not behind them.
  explicit RunMeter(const RunOptions& options);
  /// Puts what was measured into the summary, or why nothing was.
  void finish(split::RunSummary& summary);

 private:
  std::unique_ptr<measure::EnergyMeter> meter_;
  std::string origin_note_, why_not_;
};

}  // namespace iotsl::tool
