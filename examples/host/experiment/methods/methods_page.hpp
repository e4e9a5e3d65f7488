#pragma once
// The table of methods, as a part of the experiment's page and as text for a terminal.

#include "host/experiment/results.hpp"
#include "host/page/html_page.hpp"

namespace iotsl::tool {

/// A table for each panel: how far each method comes and what it costs, and what is spent until the
/// threshold.
void add_method_tables(HtmlPage& page, const ExperimentResult& result);

/// The first of these tables, of every panel, as lines of text.
std::string format_method_tables(const ExperimentResult& result);

}  // namespace iotsl::tool
