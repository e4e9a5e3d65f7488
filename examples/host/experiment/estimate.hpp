#pragma once
// How long the runs of an experiment will take here.

#include "host/experiment/runs.hpp"

namespace iotsl::tool {

/// Seconds of each run (0: it has ended before), from a few steps and a few iterations of a
/// generator on this machine. Pre-training and `auto` generators count with their most iterations.
std::vector<double> estimate_seconds(const std::vector<PlannedRun>& runs);

}  // namespace iotsl::tool
