#include "host/experiment/methods/methods_page.hpp"

#include <cmath>

#include "host/experiment/methods/figures.hpp"
#include "host/experiment/methods/knowledge.hpp"
#include "host/experiment/report/line_style.hpp"
#include "host/experiment/report/rows.hpp"
#include "host/report/progress.hpp"
#include "iotsl/privacy/statement.hpp"

namespace iotsl::tool {
namespace {

using Format = std::string (*)(double);

std::string as_percent(double v) { return format_number(v, 2) + " %"; }
std::string as_count(double v) { return format_number(v, v == std::floor(v) ? 0 : 1); }
std::string as_bytes(double v) { return v > 0 ? format_bytes(v) : "0"; }
std::string as_large(double v) { return v > 0 ? format_large(v) : "0"; }

/// Mean and deviation; `none` where no seed has the number.
std::string cell(const Statistic& s, Format format, std::string_view none) {
  if (s.count == 0) return std::string(none);
  std::string out = format(s.mean);
  if (s.count > 1 && s.deviation > 0) out += " &plusmn; " + format(s.deviation);
  if (s.count < s.of) out += concat(" (", s.count, " of ", s.of, " seeds)");
  return out;
}

constexpr std::string_view dash = "&ndash;", not_reached = "not reached";

/// Of a device: no joules and no seconds where there is none, or where it does not tell them.
std::string device_cell(const MethodFigures& f, const Statistic& s, Format format) {
  if (s.count == 0 || s.mean > 0)
    return concat(f.training_untold && s.mean > 0 ? "&ge; " : "", cell(s, format, dash));
  return std::string(f.training_untold ? "not told" : dash);
}

/// The epsilon of all that leaves a device, and of the generators where that is another one.
std::string epsilon_cell(const MethodFigures& f) {
  const auto text = [](double epsilon) {
    return std::isfinite(epsilon) ? concat(privacy::rounded_up(epsilon)) : std::string("none");
  };
  std::string out = text(f.run_epsilon);
  if (f.generator_epsilon && std::isfinite(*f.generator_epsilon) && !std::isfinite(f.run_epsilon))
    out += concat(" (generators: ", text(*f.generator_epsilon), ")");
  return out;
}

/// What is wrong with a curve, or why some of its seeds are missing.
std::string missing_text(const CurveResult& curve) {
  if (curve.missing.empty()) return "";
  const MissingRun& first = curve.missing.front();
  if (!first.failed()) return first.reason.message;
  return concat("failed", curve.runs.empty() ? "" : concat(" with seed ", first.seed), ": ",
                first.reason.message);
}

std::string label_cell(const ExperimentResult& result, const CurveResult& curve) {
  return concat("<span class=\"swatch c", line_style(result.experiment, *curve.spec).colour,
                "\"></span>", escape(curve.spec->label));
}

/// The cells of a row behind the method's name.
HtmlRow whole_run_cells(const ExperimentResult& result, const CurveResult& curve) {
  const std::string missing = escape(missing_text(curve));
  if (curve.runs.empty()) {
    HtmlRow out(10, std::string(dash));
    out.front() = absence(curve);
    out.push_back(missing);
    return out;
  }
  const MethodFigures f = figures_of(result, curve);
  const std::string learns = escape(server_learns(options_of(result.experiment, *curve.spec, 1)));
  return {cell(f.chosen, as_percent, dash),
          cell(f.final, as_percent, dash),
          cell(f.epochs_until, as_count, not_reached),
          concat(f.training_untold && f.seconds_until.count > 0 ? "&ge; " : "",
                 cell(f.seconds_until, show_duration, not_reached)),
          cell(f.values, as_large, dash),
          cell(f.bytes_up, as_bytes, dash),
          cell(f.bytes_down, as_bytes, dash),
          device_cell(f, f.joules, show_joules),
          device_cell(f, f.awake_seconds, show_duration),
          epsilon_cell(f),
          missing.empty() ? learns : concat(learns, "; ", missing)};
}

HtmlRow whole_run_head(const ExperimentResult& result) {
  const std::string until = concat(" until ", format_tick(result.experiment.threshold()), " %");
  return {"",
          "test accuracy, chosen",
          "final",
          "device epochs" + until,
          "time" + until,
          "values",
          "bytes up",
          "bytes down",
          "joules of a device",
          "a device awake",
          "epsilon of all that leaves it",
          "what the server learns"};
}

/// The panels of the experiment, in order.
std::vector<std::string_view> panels_of(const ExperimentResult& result) {
  std::vector<std::string_view> out;
  for (const CurveResult& curve : result.curves)
    if (out.empty() || out.back() != curve.spec->panel) out.push_back(curve.spec->panel);
  return out;
}

void add_until_table(HtmlPage& page, const ExperimentResult& result, std::string_view panel) {
  std::vector<HtmlRow> rows;
  for (const CurveResult& curve : result.curves) {
    if (curve.spec->panel != panel || curve.runs.empty()) continue;
    const MethodFigures f = figures_of(result, curve);
    if (f.epochs_until.count == 0) continue;
    rows.push_back({label_cell(result, curve), cell(f.epochs_until, as_count, dash),
                    device_cell(f, f.seconds_until, show_duration),
                    cell(f.bytes_until, as_bytes, dash),
                    device_cell(f, f.joules_until, show_joules),
                    device_cell(f, f.awake_until, show_duration)});
  }
  if (rows.empty()) return;
  page.paragraph(concat("Spent until the validation accuracy exceeds ",
                        format_tick(result.experiment.threshold()),
                        " % (0 device epochs: after pre-training alone), by those that reach it:"));
  page.table(
      {"", "device epochs", "time", "bytes both ways", "joules of a device", "a device awake"},
      rows);
}

}  // namespace

void add_method_tables(HtmlPage& page, const ExperimentResult& result) {
  const Experiment& e = result.experiment;
  for (const std::string_view panel : panels_of(result)) {
    page.heading(panel);
    std::vector<HtmlRow> rows;
    for (const CurveResult& curve : result.curves) {
      if (curve.spec->panel != panel) continue;
      rows.push_back({label_cell(result, curve)});
      for (std::string& each : whole_run_cells(result, curve))
        rows.back().push_back(std::move(each));
    }
    page.table(whole_run_head(result), rows, 1, 1);
    page.paragraph(concat(sizes_text(result, panel), "; ", e.sizes.epochs,
                          " device epochs, which of one net on all data are ",
                          (e.sizes.epochs + e.spec->devices - 1) / e.spec->devices,
                          " passes over all of them."));
    add_until_table(page, result, panel);
  }
  page.heading("How to read it");
  page.paragraph(concat(
      "The test accuracy is that of the device epoch with the highest validation accuracy; the "
      "threshold of ",
      format_tick(e.threshold()),
      " % was fixed before the runs and is judged on the validation part, which no device has. Values "
      "are those of Table I with the parameters of generators; bytes are what passed the "
      "connections, frames, optimiser state and generators included, of all devices together and of "
      "the whole run."));
  page.paragraph(
      concat("Joules and times of devices are calculated, not measured: ", e.energy.origin(),
             ". The time until the threshold is that of such devices and of the server "
             "here: the longest training of a generator, pre-training, and turns that "
             "follow each other (FedAvg: the longest of each round). A private device does not "
             "say how long it has trained its generator: its joules and times are "
             "without that."));
  page.paragraph(concat(
      "Epsilon is of one image and of all that leaves a device, at delta ",
      to_text(Json(e.common.generator.delta)),
      "; none: nothing is promised, since smashed data or weights of the same images go to the "
      "server, who can make images of smashed data that look much like those of the device (iotsl "
      "audit smashed); fewer bits on the wire hide nothing."));
}

std::string format_method_tables(const ExperimentResult& result) {
  std::string out;
  for (const std::string_view panel : panels_of(result)) {
    out += concat(panel, "\n");
    for (const CurveResult& curve : result.curves) {
      if (curve.spec->panel != panel) continue;
      std::string label(curve.spec->label);
      label.resize(std::max<std::size_t>(label.size(), 28), ' ');
      out += "  " + label;
      if (curve.runs.empty()) {
        out += concat(missing_text(curve), "\n");
        continue;
      }
      const MethodFigures f = figures_of(result, curve);
      out += plain_text(concat(
          "chosen ", cell(f.chosen, as_percent, dash), ", final ", cell(f.final, as_percent, dash),
          "; ", cell(f.epochs_until, as_count, "never"), " device epochs until ",
          format_tick(result.experiment.threshold()), " %; up ", cell(f.bytes_up, as_bytes, dash),
          ", down ", cell(f.bytes_down, as_bytes, dash), ", ",
          device_cell(f, f.joules, show_joules), " a device, epsilon ", epsilon_cell(f), "\n"));
    }
  }
  return out;
}

}  // namespace iotsl::tool
