#pragma once
// A whole run on this machine: what `iotsl simulate` and the experiments carry out.

#include "host/run/run_setup.hpp"
#include "iotsl/data/manifest.hpp"
#include "iotsl/impute/plan.hpp"

namespace iotsl::tool {

/// What imputation will add, as far as it does not depend on the quality of the generators: the
/// counts are right, the partners may be others. Empty where the run has none.
impute::Plan imputation_of(const split::RunConfig& config, const data::Manifest& manifest);

/// Samples that each device goes over in one epoch.
std::vector<std::uint64_t> turn_samples(const split::RunConfig& config,
                                        const data::Manifest& manifest);

/// Steps of the turns of a run, with those on samples that imputation adds. Ends the command where
/// a class cannot be had.
Index total_steps(const split::RunConfig& config, const data::Manifest& manifest);

/// Numbers that the server keeps beside each parameter at most, in pre-training or in the turns.
std::uint64_t most_kept_per_parameter(const split::RunConfig& config);

/// Looks at what would end a run later than it need: the devices' shares in `manifest` (none where
/// each knows its own), the net and the weights of --init, the files of --generators. Ends the
/// command where one is wrong.
void check_run(const split::RunConfig& config, const data::Manifest& manifest);

/// Trains as `options` say: loads the data, draws the partition (or, with options.resume, takes
/// that of the run), makes the run folder and runs the devices and the server over
/// options.transport. Progress goes to standard error; the folder gets summary.json at the end.
/// Ends the command where the options do not fit together or the data are not there.
Result<split::RunSummary> simulate(RunOptions& options);

}  // namespace iotsl::tool
