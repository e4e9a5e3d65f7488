#pragma once
// How a row of the table "paper | ours" is named, and how its numbers look.

#include "host/experiment/results.hpp"

namespace iotsl::tool {

/// "test accuracy at the chosen point", "device epochs until 99 %", ..., against which curve.
std::string measure_name(const ExperimentResult& result, const RowSpec& row);
/// Empty for counts.
std::string measure_unit(const RowSpec& row);

/// Numbers of a row in its unit, as HTML.
std::string show(const RowSpec& row, double value);
std::string show(const RowSpec& row, const Statistic& s);
/// The paper's number of the experiment's data set, and its threshold where ours is another one.
std::string show_paper(const ExperimentResult& result, const RowSpec& row);
/// The number of a row, or that its curve has no run that has ended. Empty for a choice on the test
/// set where nothing is chosen.
std::string show_measured(const ExperimentResult& result, const RowSpec& row, ChosenBy by);
/// Whether the paper has a number for one of the rows.
bool paper_has_numbers(const ExperimentResult& result);
/// Whether one of the rows is another one where its point is chosen on the test set.
bool choice_matters(const ExperimentResult& result);
/// "failed" or "not run yet", of a curve without a run that has ended.
std::string_view absence(const CurveResult& curve);

/// 12.3 s, or 1:02:05 from a minute on.
std::string show_duration(double seconds);
/// "+42.6 %", "-84.5 %" with a minus as people write it.
std::string show_change(double percent);
/// Joules with three or four digits: 0.1234 J, 12.3 J, 3.17 x 10^4 J.
std::string show_joules(double joules);

/// HTML of these for terminals, which have neither sub nor superscript.
std::string plain_text(std::string html);

}  // namespace iotsl::tool
