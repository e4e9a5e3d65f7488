#pragma once
// A run whose devices are processes of this machine.

#include "host/report/run_report.hpp"
#include "iotsl/split/records/evaluation_sets.hpp"

namespace iotsl::tool {

/// The server in this process, and one iotsl-device process for each device over loopback, with its
/// log in config.out. A device that is killed is started again.
Result<split::RunSummary> run_with_device_processes(const RunOptions& options,
                                                    const split::RunConfig& config,
                                                    RunReport& report, const data::Dataset& train,
                                                    const split::EvaluationSets& sets,
                                                    const std::string& manifest);

}  // namespace iotsl::tool
