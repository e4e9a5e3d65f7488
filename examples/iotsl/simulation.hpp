#pragma once
// A whole run on this machine: what `iotsl simulate` and the experiments carry out.

#include "run_options.hpp"

namespace iotsl::tool {

/// Steps of the turns of a run, with those on samples that imputation adds. Ends the command where
/// a class cannot be had.
Index total_steps(const split::RunConfig& config, const data::Manifest& manifest);

/// Trains as `options` say: loads the data, draws the partition (or, with options.resume, takes
/// that of the run), makes the run folder and runs the devices and the server over
/// options.transport. Progress goes to standard error; the folder gets summary.json at the end.
/// Ends the command where the options do not fit together or the data are not there.
Result<split::RunSummary> simulate(RunOptions& options);

}  // namespace iotsl::tool
