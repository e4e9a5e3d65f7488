#pragma once
// What a step of a run costs on this machine, measured in a few of them.

#include "host/run/run_setup.hpp"
#include "iotsl/split/records/time_forecast.hpp"

namespace iotsl::tool {

/// What a few steps cost.
struct StepCost {
  split::StepSeconds step;
  double evaluate_seconds = 0;  ///< for one test sample
  double barrier_seconds = 0;   ///< writing one
  std::uint64_t device_bytes = 0;
  std::uint64_t samples = 0;  ///< that the device held meanwhile
};

/// What the forecast of a run's wire begins with.
struct RunShape {
  split::WireSizes sizes;
  std::size_t rank = 0;  ///< of a smashed batch
};
RunShape shape_of(const RunOptions& options, const split::RunConfig& config);

/// Two turns of one device with a few batches over loopback, or with --link over a network as far
/// away; the second one is warm, and counts.
StepCost sample_steps(const RunOptions& options, const split::RunConfig& planned,
                      const data::Dataset& train, const data::Dataset& test,
                      const data::Manifest& manifest);

/// Seconds of a whole run on this machine with so many steps and barriers, each evaluation on
/// `judged` samples of the test set and the validation part.
double run_seconds(const StepCost& cost, const split::RunConfig& config, std::uint64_t steps,
                   std::uint64_t barriers, Index judged);
/// Of these, what is neither device's nor wire's nor the server's part in the steps.
double seconds_beside_steps(const StepCost& cost, const split::RunConfig& config,
                            std::uint64_t barriers, Index judged);

}  // namespace iotsl::tool
