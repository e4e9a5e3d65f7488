#pragma once
// What a step of a run costs on this machine, measured in a few of them.

#include "host/options/run_options.hpp"

namespace iotsl::tool {

/// What a few steps cost.
struct StepCost {
  double step_seconds = 0;      ///< of device, server and the wire
  double device_seconds = 0;    ///< of these, on the device
  double evaluate_seconds = 0;  ///< for one test sample
  double barrier_seconds = 0;   ///< writing one
  std::uint64_t device_bytes = 0;
  std::uint64_t samples = 0;  ///< that the device held meanwhile
};

/// Two turns of one device with a few batches over loopback; the second one is warm, and counts.
StepCost sample_steps(const RunOptions& options, const split::RunConfig& planned,
                      const data::Dataset& train, const data::Dataset& test,
                      const data::Manifest& manifest);

/// Seconds of a whole run with so many steps and barriers, each evaluation on `judged` samples of
/// the test set and the validation part.
double run_seconds(const StepCost& cost, const split::RunConfig& config, std::uint64_t steps,
                   std::uint64_t barriers, Index judged);

}  // namespace iotsl::tool
