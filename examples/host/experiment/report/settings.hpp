#pragma once
// What the runs of an experiment's page were told, and what they were: to repeat them.

#include "host/experiment/results.hpp"
#include "host/page/html_page.hpp"

namespace iotsl::tool {

/// The settings in which the runs agree, and a row for each run.
void add_settings(HtmlPage& page, const ExperimentResult& result);

}  // namespace iotsl::tool
