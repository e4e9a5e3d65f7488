#pragma once
// What is refused before an experiment begins.

#include <CLI/CLI.hpp>

#include "host/experiment/runs.hpp"

namespace iotsl::tool {

/// Ends the command where an option that was given means nothing to any run of the figure, or its
/// folder is that of another figure or has a name that no file of a run could say.
void check_experiment(const CLI::App& command, const Experiment& experiment);

}  // namespace iotsl::tool
