#include "host/experiment/report/rows.hpp"

#include <algorithm>
#include <cmath>

#include "host/page/html_page.hpp"
#include "host/report/progress.hpp"

namespace iotsl::tool {

namespace {

std::string plain_name(const ExperimentResult& result, Measure measure) {
  const std::string until = concat(" until ", format_tick(result.experiment.threshold()), " %");
  switch (measure) {
    case Measure::best:
      return "test accuracy at the chosen point";
    case Measure::late_best:
      return "test accuracy at the point chosen in the second half of the epochs";
    case Measure::late_mean:
      return "mean test accuracy in the second half of the epochs";
    case Measure::pretrained:
      return "test accuracy after pre-training alone";
    case Measure::epochs_until:
      return "device epochs" + until;
    case Measure::values_until:
      return concat("values sent", until, ", F = ", smashed_values(result), " a sample");
    case Measure::seconds_until:
      return "training time" + until;
    case Measure::joules_until:
      return concat("joules of all devices in their turns", until);
    case Measure::full_values_until:
      return concat("values sent", until, ", generators included");
    case Measure::full_seconds_until:
      return concat("training time", until, ", generators and pre-training included");
    case Measure::full_joules_until:
      return concat("joules of all devices", until, ", generators included");
    case Measure::watts:
      return "mean power of a device in its turns";
    case Measure::epoch_joules:
      return "joules of a device for an epoch";
    case Measure::final:
      return "test accuracy of the last epoch";
    case Measure::late_spread:
      return "standard deviation of the last 20 test accuracies";
    case Measure::late_range:
      break;
  }
  return "highest less lowest of the last 20 test accuracies";
}

/// Spent until the threshold.
bool is_until(Measure measure) {
  switch (measure) {
    case Measure::epochs_until:
    case Measure::values_until:
    case Measure::seconds_until:
    case Measure::joules_until:
    case Measure::full_values_until:
    case Measure::full_seconds_until:
    case Measure::full_joules_until:
      return true;
    default:
      return false;
  }
}

/// Of a point that is chosen, or of a threshold that is judged.
bool is_chosen(Measure measure) {
  return is_until(measure) || measure == Measure::best || measure == Measure::late_best;
}

const PaperNumber& paper_number(const ExperimentResult& result, const RowSpec& row) {
  return result.experiment.fashion() ? row.fashion : row.mnist;
}

}  // namespace

std::string measure_name(const ExperimentResult& result, const RowSpec& row) {
  const std::string name = plain_name(result, row.measure);
  if (row.against.empty()) return name;
  return concat(name, ", against ", result.curve(row.against).spec->label);
}

std::string measure_unit(const RowSpec& row) {
  if (!row.against.empty()) return "%";
  switch (row.measure) {
    case Measure::epochs_until:
    case Measure::values_until:
    case Measure::full_values_until:
      return "";
    case Measure::seconds_until:
    case Measure::full_seconds_until:
      return "s";
    case Measure::joules_until:
    case Measure::full_joules_until:
    case Measure::epoch_joules:
      return "J";
    case Measure::watts:
      return "W";
    default:
      return "%";
  }
}

std::string show_duration(double seconds) {
  return seconds < 60 ? format_number(seconds, 1) + " s" : format_seconds(seconds);
}

std::string show_change(double percent) {
  return concat(percent < 0 ? "&minus;" : "+", format_number(std::abs(percent), 1), " %");
}

std::string show_joules(double joules) {
  return (joules >= 1e4  ? format_large(joules)
          : joules >= 10 ? format_number(joules, 1)
                         : format_number(joules, joules >= 1 ? 2 : 4)) +
         " J";
}

std::string show(const RowSpec& row, double value) {
  if (!row.against.empty()) return show_change(value);
  switch (row.measure) {
    case Measure::values_until:
    case Measure::full_values_until:
      return value < 1e4 ? format_number(value, 0) : format_large(value);
    case Measure::seconds_until:
    case Measure::full_seconds_until:
      return show_duration(value);
    case Measure::joules_until:
    case Measure::full_joules_until:
    case Measure::epoch_joules:
      return show_joules(value);
    case Measure::watts:
      return format_number(value, 2) + " W";
    case Measure::epochs_until:
      return format_tick(value);
    default:
      return format_number(value, 2) + " %";
  }
}

std::string show_paper(const ExperimentResult& result, const RowSpec& row) {
  const PaperNumber& paper = paper_number(result, row);
  if (!paper.value) return "&ndash;";
  const Experiment& e = result.experiment;
  const ExperimentSizes& theirs = e.spec->paper;
  const double threshold = e.fashion() ? theirs.threshold_fashion : theirs.threshold_mnist;
  return concat(paper.about, paper.about.empty() ? "" : " ", show(row, *paper.value),
                is_until(row.measure) && threshold != e.threshold()
                    ? concat(" (at ", format_tick(threshold), " %)")
                    : "");
}

bool paper_has_numbers(const ExperimentResult& result) {
  const auto& rows = result.experiment.spec->rows;
  return std::any_of(rows.begin(), rows.end(), [&](const RowSpec& row) {
    return paper_number(result, row).value.has_value();
  });
}

bool choice_matters(const ExperimentResult& result) {
  const auto& rows = result.experiment.spec->rows;
  return std::any_of(rows.begin(), rows.end(),
                     [](const RowSpec& row) { return is_chosen(row.measure); });
}

std::string show(const RowSpec& row, const Statistic& s) {
  const bool of_last = row.measure == Measure::late_spread || row.measure == Measure::late_range;
  if (s.count == 0) return of_last ? "fewer than 20 evaluations" : "not reached";
  std::string out = show(row, s.mean);
  if (s.count > 1)
    out += concat(" &plusmn; ", row.against.empty() ? show(row, s.deviation)
                                                    : format_number(s.deviation, 1) + " %");
  if (s.count < s.of) out += concat(" (", s.count, " of ", s.of, " seeds)");
  return out;
}

std::string_view absence(const CurveResult& curve) {
  return curve.missing.empty() || !curve.missing.front().failed() ? "not run yet" : "failed";
}

std::string show_measured(const ExperimentResult& result, const RowSpec& row, ChosenBy by) {
  if (by == ChosenBy::test && !is_chosen(row.measure)) return "";
  for (const std::string_view key : {row.curve, row.against})
    if (!key.empty() && result.curve(key).runs.empty())
      return std::string(absence(result.curve(key)));
  return show(row, measured(result, row, by));
}

std::string plain_text(std::string html) {
  const auto replace = [&](std::string_view from, std::string_view to) {
    for (std::size_t at; (at = html.find(from)) != html.npos;) html.replace(at, from.size(), to);
  };
  replace(" &times; 10<sup>", "e");
  replace("</sup>", "");
  replace("&plusmn;", "+-");
  replace("&minus;", "-");
  replace("&ndash;", "-");
  replace("&ge;", ">=");
  return html;
}

}  // namespace iotsl::tool
