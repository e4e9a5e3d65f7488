#pragma once
// The numbers of a method's row.

#include "host/experiment/results.hpp"

namespace iotsl::tool {

/// Accuracies in %. Costs with generators and imputation, nothing left out.
struct MethodFigures {
  Statistic chosen;  ///< test accuracy at the point with the highest validation accuracy
  Statistic final;   ///< of the last evaluation
  /// Until the validation accuracy exceeds the threshold; 0 device epochs: after pre-training.
  Statistic epochs_until, seconds_until, bytes_until, joules_until, awake_until;
  // Of the whole run.
  Statistic values;                ///< Table I, and parameters of generators
  Statistic bytes_up, bytes_down;  ///< on the wire
  Statistic joules;                ///< of a device, on average
  Statistic awake_seconds;         ///< of a device, on average
  /// Of the generators' files, the weakest; infinite: none is promised; nothing: none leaves a
  /// device.
  std::optional<double> generator_epsilon;
  /// Of everything that leaves a device.
  double run_epsilon = 0;
  /// A private device does not say how long the training of its generator took: it is not in joules
  /// and times.
  bool training_untold = false;
};

/// What is not reached, or not promised, is null.
Json to_json(const MethodFigures& figures);

MethodFigures figures_of(const ExperimentResult& result, const CurveResult& curve);

/// Seconds that the first `epochs` epochs of a run take with devices and network as assumed: the
/// longest training of a generator, pre-training, and the turns, which follow each other; with
/// FedAvg the longest of each round. Without evaluation and barriers.
double elapsed_seconds(const FinishedRun& run, std::size_t epochs);

}  // namespace iotsl::tool
