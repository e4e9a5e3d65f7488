#pragma once
// The curves of an experiment's page.

#include "host/experiment/results.hpp"
#include "host/page/html_page.hpp"

namespace iotsl::tool {

/// For each kind of work one chart per panel, in the order of the curves.
void add_charts(HtmlPage& page, const ExperimentResult& result);

/// Joules over device epochs: the slope is what an epoch costs.
void add_energy_chart(HtmlPage& page, const ExperimentResult& result);

}  // namespace iotsl::tool
