#pragma once
// How long the runs of an experiment will take here.

#include "experiment_runs.hpp"

namespace iotsl::tool {

/// Seconds of each run that has not ended yet, from a few steps on this machine (0: it has ended).
std::vector<double> estimate_seconds(const std::vector<PlannedRun>& runs);

}  // namespace iotsl::tool
