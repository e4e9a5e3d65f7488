#include "host/experiment/report/charts.hpp"

#include <algorithm>

#include "host/experiment/report/line_style.hpp"
#include "host/experiment/report/rows.hpp"
#include "host/page/svg_chart.hpp"

namespace iotsl::tool {
namespace {

/// One kind of work as the axis of a chart.
struct WorkAxis {
  double Work::*kind;
  std::string name, label;
  double unit = 1;  ///< of a tick
  bool whole = true;
};

/// The kinds of work that some run has done.
std::vector<WorkAxis> work_axes(const ExperimentResult& result) {
  double most_bytes = 0, most_joules = 0;
  for (const CurveResult& curve : result.curves)
    for (const CurvePoint& point : curve.points) {
      most_bytes = std::max(most_bytes, point.work.bytes);
      most_joules = std::max(most_joules, point.work.joules);
    }
  std::vector<WorkAxis> out{
      {&Work::epochs, "device epochs", "device epochs (one device's pass over its images)"},
      {&Work::steps, "optimiser steps", "optimiser steps of the network, pre-training included"}};
  if (result.experiment.spec->epochs_only) out.pop_back();
  if (result.experiment.spec->compares_methods) out.erase(out.begin());
  if (most_bytes == 0 || result.experiment.spec->epochs_only) return out;
  const bool large = most_bytes > 2e9;
  out.push_back({&Work::bytes, "bytes",
                 concat("bytes on the wire, generators included, ", large ? "GB" : "MB"),
                 large ? 1e9 : 1e6, false});
  if (most_joules > 0)
    out.push_back(
        {&Work::joules, "joules",
         concat("joules of all devices, generators included", most_joules > 2e4 ? ", kJ" : ""),
         most_joules > 2e4 ? 1e3 : 1, false});
  return out;
}

/// A line for every curve, so that a legend is the same in all charts. Points only where the axis
/// has a place for them.
ChartLine line_of(const ExperimentResult& result, const CurveResult& curve, const WorkAxis& axis) {
  ChartLine out{.label = std::string(curve.spec->label),
                .style = line_style(result.experiment, *curve.spec)};
  if (curve.runs.empty()) {
    out.label += concat(": ", absence(curve));
    return out;
  }
  const bool untold = axis.kind == &Work::joules && keeps_training_secret(curve.runs.front());
  if (!curve.points.empty() && curve.points.back().work.*axis.kind == 0) {
    out.label += untold                       ? ": not told"
                 : axis.kind == &Work::joules ? ": no device"
                                              : ": sends nothing";
    return out;
  }
  if (untold) out.label += ": without generators";
  for (const CurvePoint& point : curve.points)
    out.points.push_back(
        {point.work.*axis.kind / axis.unit, point.accuracy.mean, point.accuracy.deviation});
  return out;
}

/// The line below the charts of a panel.
std::string chart_caption(const ExperimentResult& result, std::string_view panel) {
  std::string out = sizes_text(result, panel);
  if (result.experiment.seeds > 1) out += "; lines: mean over the seeds, bands: standard deviation";
  return out + ".";
}

}  // namespace

void add_charts(HtmlPage& page, const ExperimentResult& result) {
  const Experiment& e = result.experiment;
  const double guessing = chance(result);
  struct PanelChart {
    std::string_view panel;
    Chart chart;
  };
  std::vector<PanelChart> charts;
  for (const WorkAxis& axis : work_axes(result))
    for (const CurveResult& curve : result.curves) {
      const std::string_view panel = curve.spec->panel;
      const std::string title = concat(panel, ", over ", axis.name);
      if (charts.empty() || charts.back().chart.title != title) {
        charts.push_back(
            {panel, {.title = title, .x_label = axis.label, .y_label = "test accuracy, %"}});
        Chart& chart = charts.back().chart;
        chart.whole_ticks = axis.whole;
        // Methods differ by powers of ten in what they send.
        chart.log_x = e.spec->compares_methods;
        if (chart.log_x) chart.x_label += " (logarithmic)";
        if (guessing > 0) chart.marks.push_back({"chance", guessing});
        if (e.threshold() > 0)
          chart.marks.push_back({concat(format_tick(e.threshold()), " %"), e.threshold()});
      }
      charts.back().chart.lines.push_back(line_of(result, curve, axis));
    }
  for (const PanelChart& each : charts)
    page.figure(draw_chart(each.chart), chart_caption(result, each.panel));
}

void add_energy_chart(HtmlPage& page, const ExperimentResult& result) {
  Chart chart{.title = "Energy of all devices",
              .x_label = "device epochs (one device's pass over its images)",
              .y_label = "joules"};
  double most = 0;
  for (const CurveResult& curve : result.curves) {
    ChartLine line{.label = std::string(curve.spec->label),
                   .style = line_style(result.experiment, *curve.spec)};
    if (curve.runs.empty()) continue;
    line.points.push_back({0, curve.costs.generator_joules.mean});
    for (const CurvePoint& point : curve.points) {
      most = std::max(most, point.work.joules);
      line.points.push_back({point.work.epochs, point.work.joules});
    }
    chart.lines.push_back(std::move(line));
  }
  chart.y_max = most > 0 ? 1.05 * most : 1;
  page.figure(draw_chart(chart), chart_caption(result, ""));
}

}  // namespace iotsl::tool
