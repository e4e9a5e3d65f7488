#pragma once
// The page of an experiment: one HTML file that needs nothing beside itself.

#include "host/experiment/results.hpp"

namespace iotsl::tool {

inline constexpr std::string_view report_name = "report.html";

/// Writes report.html into the experiment's folder: curves, the paper's numbers beside ours, costs,
/// settings, and the command that repeats it.
void write_report(const ExperimentResult& result);

/// The table "paper | ours" as text for a terminal.
std::string format_table(const ExperimentResult& result);

}  // namespace iotsl::tool
