#include "host/experiment/report/report.hpp"

#include <cmath>

#include "host/experiment/methods/methods_page.hpp"
#include "host/experiment/report/line_style.hpp"
#include "host/experiment/report/rows.hpp"
#include "host/experiment/report/samples.hpp"
#include "host/page/html_page.hpp"
#include "host/page/svg_chart.hpp"
#include "host/report/progress.hpp"
#include "iotsl/core/files/file.hpp"

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

/// For each kind of work one chart per panel, in the order of the curves.
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

/// Joules over device epochs: the slope is what an epoch costs.
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

std::string show_accuracy(const Statistic& s) {
  if (s.count == 0) return "&ndash;";
  std::string out = format_number(s.mean, 2) + " %";
  if (s.count > 1) out += concat(" &plusmn; ", format_number(s.deviation, 2));
  if (s.count < s.of) out += concat(" (", s.count, " of ", s.of, " seeds)");
  return out;
}

void add_equal_work(HtmlPage& page, const ExperimentResult& result) {
  const EqualWork& equal = result.equal_work;
  page.heading("At equal work");
  page.paragraph(
      "Test accuracy at the last evaluation within as much work as every run has at least done. An "
      "epoch of IoTSL with imputation takes more steps than one of SL, since the device's data have "
      "grown, and pre-training takes steps of its own. The training of the generators is not among "
      "the steps; its seconds are below. One net on all data counts an epoch as one of each device; "
      "what moving the images to one place would send is not counted.");
  std::vector<HtmlRow> rows;
  for (std::size_t i = 0; i < result.curves.size(); ++i)
    rows.push_back({escape(result.curves[i].spec->label), show_accuracy(equal.at_epochs[i]),
                    show_accuracy(equal.at_steps[i]), show_accuracy(equal.at_bytes[i])});
  page.table(
      {"", concat("at ", format_tick(equal.most.epochs), " device epochs"),
       concat("at ", format_tick(equal.most.steps), " steps"),
       equal.most.bytes > 0 ? concat("at ", format_bytes(equal.most.bytes)) : "nothing is sent"},
      rows);
}

/// By what the numbers are chosen.
std::string choice_text(const ExperimentResult& result) {
  const double part = result.experiment.common.data.validation;
  if (part == 0)
    return "There is no validation part: the chosen point is the last evaluation, and thresholds are "
           "judged on the test set.";
  return concat(
      "Points are chosen, and thresholds judged, by a validation part: ", format_tick(100 * part),
      " % of the training images, which no device has. The accuracy is the one on the test "
      "set at the chosen point. Beside it stands what a choice on the test set would "
      "give, since the paper gives that.");
}

/// The table "paper | ours" with its head, without the columns that would say nothing.
std::vector<std::vector<std::string>> comparison_cells(const ExperimentResult& result) {
  const bool has_paper = paper_has_numbers(result), chooses = choice_matters(result);
  std::vector<std::vector<std::string>> out{{"", "measure"}};
  if (has_paper) out[0].push_back("paper");
  out[0].push_back("ours");
  if (chooses) out[0].push_back("ours, chosen on the test set");
  for (const RowSpec& row : result.experiment.spec->rows) {
    out.push_back({std::string(result.curve(row.curve).spec->label), measure_name(result, row)});
    if (has_paper) out.back().push_back(show_paper(result, row));
    out.back().push_back(show_measured(result, row, ChosenBy::validation));
    if (chooses) out.back().push_back(show_measured(result, row, ChosenBy::test));
  }
  return out;
}

void add_comparison(HtmlPage& page, const ExperimentResult& result) {
  const Experiment& e = result.experiment;
  page.heading("Paper and ours");
  if (e.spec->rows.empty()) return page.paragraph("None of the rows is of these curves.");
  std::vector<HtmlRow> rows;
  for (std::vector<std::string>& cells : comparison_cells(result)) {
    for (std::size_t i = 0; i < 2; ++i) cells[i] = escape(cells[i]);
    rows.push_back(std::move(cells));
  }
  const HtmlRow head = std::move(rows.front());
  rows.erase(rows.begin());
  page.table(head, rows, 2);
  if (!paper_has_numbers(result)) page.paragraph("The paper shows curves and gives no numbers.");
  if (choice_matters(result)) page.paragraph(choice_text(result));
  if (e.scale == Scale::quick)
    page.paragraph(
        "Our columns are of a small repetition (see the settings): a narrow net, few samples "
        "and few epochs. It is to show the same effect, not the same numbers.");
  if (e.common.data.dataset == "glyphs")
    page.paragraph("The paper has no numbers for the built-in digits; those of MNIST are shown.");
  if (e.spec->dataset == "faces" && e.common.data.dataset != "celeba")
    page.paragraph(
        concat("The paper's numbers are those of CelebA with 72,000 training images; ours "
               "are of ",
               e.common.data.dataset, "."));
  const double paper_threshold =
      e.fashion() ? e.spec->paper.threshold_fashion : e.spec->paper.threshold_mnist;
  if (e.threshold() > 0 && e.threshold() != paper_threshold)
    page.paragraph(concat("The paper's threshold is ", format_tick(paper_threshold),
                          " %; here it is ", format_tick(e.threshold()), " %."));
}

std::string show_bytes(const Statistic& s) { return s.mean > 0 ? format_bytes(s.mean) : "&ndash;"; }
std::string show_seconds(const Statistic& s) {
  return s.mean > 0 ? show_duration(s.mean) : "&ndash;";
}

/// "-84.5 %" beside the curve of method sl with the same partition and recipe; empty where there is
/// none, or where one of the two has not reached the threshold: then the sums say nothing of each
/// other.
std::string against_sl(const ExperimentResult& result, const CurveResult& curve,
                       Statistic Costs::*sum) {
  if (curve.spec->method == Method::split_learning) return "";
  for (const CurveResult& other : result.curves) {
    const bool alike = other.spec->method == Method::split_learning &&
                       other.spec->partition == curve.spec->partition &&
                       other.spec->calibrated == curve.spec->calibrated &&
                       other.spec->constant_rate == curve.spec->constant_rate &&
                       other.costs.until_threshold && curve.costs.until_threshold;
    const double before = (other.costs.*sum).mean;
    if (!alike || !(before > 0)) continue;
    const double change = 100 * ((curve.costs.*sum).mean / before - 1);
    return show_change(change);
  }
  return "";
}

void add_costs(HtmlPage& page, const ExperimentResult& result) {
  page.heading("What it cost");
  std::vector<HtmlRow> paper_rows, full_rows;
  for (const CurveResult& curve : result.curves) {
    if (curve.runs.empty()) continue;
    const Costs& c = curve.costs;
    const std::string label = escape(curve.spec->label);
    paper_rows.push_back({label, c.until_threshold ? "until the threshold" : "all epochs",
                          format_number(c.epochs.mean, c.epochs.deviation > 0 ? 1 : 0),
                          format_large(c.values.mean), against_sl(result, curve, &Costs::values),
                          format_bytes(4 * c.values.mean), show_seconds(c.training_seconds)});
    full_rows.push_back({label, show_seconds(c.gan_seconds), show_seconds(c.longest_gan_seconds),
                         show_bytes(c.upload_bytes), show_seconds(c.pretraining_seconds),
                         show_bytes(c.imputation_bytes), show_bytes(c.training_bytes),
                         show_bytes(c.full_bytes), against_sl(result, curve, &Costs::full_bytes),
                         show_seconds(c.full_seconds),
                         against_sl(result, curve, &Costs::full_seconds)});
  }
  page.paragraph(concat(
      "The paper's sum counts the turns of split learning only: smashed data, labels, gradients "
      "and the front that is handed over (Table I). A sample sends F = ",
      smashed_values(result), " values each way at width ", result.experiment.sizes.width,
      "; the paper's values are of width 64, F = ",
      result.experiment.spec->dataset == "faces" ? 262144 : 12544, " with VGG-16."));
  page.table({"", "counted", "device epochs", "values", "against SL", "in bytes", "time of turns"},
             paper_rows, 2);
  page.paragraph(
      "The full sum adds the training of the generators, their upload, pre-training and "
      "imputation. Bytes are measured, with optimiser state, batch-norm statistics and frames; "
      "seconds are of this machine, where devices and server share one processor; generators are "
      "the sum over the devices, and the longest of them. Generators and pre-training that a run has "
      "taken over count with what they have cost where they were made.");
  page.table({"", "generators, all devices", "longest", "upload", "pre-training", "imputation",
              "turns", "all bytes", "against SL", "all seconds", "against SL"},
             full_rows);
}

void add_energy(HtmlPage& page, const ExperimentResult& result) {
  page.heading("Energy of the devices");
  page.paragraph(concat("Calculated, not measured: ", result.experiment.energy.origin(),
                        ". A device counts while it computes, its messages travel and the server "
                        "makes its gradient; what it waits for its next turn does not, as in the "
                        "paper. The server's energy is not counted."));
  std::vector<HtmlRow> rows;
  for (const CurveResult& curve : result.curves) {
    const Costs& c = curve.costs;
    if (c.turn_joules.count == 0) continue;
    rows.push_back({escape(curve.spec->label),
                    c.until_threshold ? "until the threshold" : "all epochs",
                    show_joules(c.turn_joules.mean), against_sl(result, curve, &Costs::turn_joules),
                    c.generator_joules.mean > 0 ? show_joules(c.generator_joules.mean) : "&ndash;",
                    show_joules(c.full_joules.mean), against_sl(result, curve, &Costs::full_joules),
                    show_duration(c.awake_seconds.mean)});
  }
  page.table({"", "counted", "turns, all devices", "against SL", "generators", "together",
              "against SL", "a device awake"},
             rows, 2);
}

/// The pictures of each curve's first seed.
void add_samples(HtmlPage& page, const ExperimentResult& result) {
  bool first = true;
  for (const CurveResult& curve : result.curves) {
    // Of one kind of generators one picture is enough.
    if (curve.runs.empty() || !curve.spec->generators_of.empty()) continue;
    const std::optional<SamplePicture> picture = picture_of_samples(curve.runs.front());
    if (!picture) continue;
    if (first) page.heading("What the generators make");
    first = false;
    page.image(picture->png, picture->width, 1, picture->caption);
  }
}

/// Why curves or seeds are missing, where some are.
void add_missing(HtmlPage& page, const ExperimentResult& result) {
  std::vector<HtmlRow> rows;
  for (const CurveResult& curve : result.curves)
    for (const MissingRun& run : curve.missing)
      rows.push_back({escape(curve.spec->label), escape(curve.spec->partition),
                      std::to_string(run.seed), run.failed() ? "failed" : "not run yet",
                      escape(run.reason.message)});
  if (rows.empty()) return;
  page.heading("Runs without results");
  page.table({"run", "partition", "seed", "", "why"}, rows, 5);
}

/// A setting as a name and its value.
using Setting = std::pair<std::string, std::string>;

/// The settings in which all runs that have them agree: those of all runs, and those that only some
/// have, such as those with generators.
struct SharedSettings {
  std::vector<Setting> of_all, of_some;
};

SharedSettings shared_settings(const ExperimentResult& result) {
  std::vector<const Json*> configs;
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs) configs.push_back(&run.config);
  SharedSettings out;
  std::vector<std::string> seen;
  for (const Json* config : configs)
    for (const JsonMember& member : config->as_object()) {
      if (member.key == "data" || member.key == "generators") continue;  // paths
      if (std::find(seen.begin(), seen.end(), member.key) != seen.end()) continue;
      seen.push_back(member.key);
      std::size_t have = 0, agree = 0;
      for (const Json* other : configs) {
        const Json* value = other->find(member.key);
        have += value != nullptr;
        agree += value != nullptr && *value == member.value;
      }
      if (agree != have) continue;
      const std::string text =
          member.value.is_string() ? member.value.as_string() : to_text(member.value);
      (have == configs.size() ? out.of_all : out.of_some).emplace_back(member.key, text);
    }
  return out;
}

void add_settings(HtmlPage& page, const ExperimentResult& result) {
  page.heading("Settings");
  const SharedSettings shared = shared_settings(result);
  page.paragraph("The same in all runs:");
  page.pairs(shared.of_all);
  if (!shared.of_some.empty()) {
    page.paragraph("The same in all runs that have it, those with generators:");
    page.pairs(shared.of_some);
  }
  std::vector<HtmlRow> rows;
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs) {
      std::uint64_t samples = 0;
      const auto devices = static_cast<std::size_t>(result.experiment.spec->devices);
      for (std::size_t i = 0; i < std::min(devices, run.epochs.size()); ++i)
        samples += run.epochs[i].samples;
      rows.push_back({escape(curve.spec->label), escape(to_string(curve.spec->method)),
                      escape(curve.spec->partition), std::to_string(run.seed),
                      std::to_string(run.epochs.size()), std::to_string(samples),
                      show_duration(run.seconds),
                      concat("<code>", escape(run.weights_sha256.substr(0, 12)), "</code>")});
    }
  page.table({"run", "method", "partition", "seed", "device epochs", "samples of a round", "time",
              "weights (sha256)"},
             rows, 3);
}

}  // namespace

namespace {

/// ", 3x128x128, 200 images of each class, a tenth of them to test" of faces.
std::string images_text(const Experiment& e) {
  if (!takes_image_size(e.common.data)) return "";
  return concat(", 3x", e.sizes.image_side, "x", e.sizes.image_side, ", ", e.sizes.per_class,
                " images of each class, a tenth of them to test");
}

/// ". Generators: moments" where all curves that have some have the same kind.
std::string generators_text(const Experiment& e) {
  for (const CurveSpec& curve : e.spec->curves) {
    if (!has_generators(curve.method) || !curve.generator.empty()) continue;
    const GeneratorOptions& o = e.common.generator;
    const bool is_private = chosen_mode(o) != privacy::PrivacyMode::off;
    return concat(". Generators: ", to_string(chosen_kind(o)), is_private ? ", private" : "");
  }
  return "";
}

}  // namespace

void write_report(const ExperimentResult& result) {
  const Experiment& e = result.experiment;
  HtmlPage page(e.title());
  page.paragraph(e.spec->about);
  page.paragraph(concat("Data: ", e.common.data.dataset, images_text(e),
                        ". Scale: ", e.scale == Scale::quick ? "quick" : "paper",
                        ". Seeds: ", e.seeds, ". Network: ", e.sizes.model, ", width ",
                        e.sizes.width, generators_text(e), ". Learning rate: ", e.rate_text(),
                        ". All runs together took ", show_duration(result.seconds), "."));
  if (e.spec->compares_methods) add_method_tables(page, result);
  if (e.spec->judges_energy)
    add_energy_chart(page, result);
  else
    add_charts(page, result);
  if (!e.spec->compares_methods) {
    add_comparison(page, result);
    if (!e.spec->judges_energy) add_equal_work(page, result);
    add_costs(page, result);
    add_energy(page, result);
  }
  add_missing(page, result);
  add_samples(page, result);
  add_settings(page, result);
  page.heading("To repeat it");
  page.code(e.command);
  expect(write_file_atomic(join_path(e.out, report_name), page.text()));
}

namespace {

/// Rows of cells as lines of text, the first two columns aligned to the left.
std::string align(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string gap(widths[i] - row[i].size(), ' ');
      out += i < 2 ? row[i] + gap : gap + row[i];
      out += i + 1 < row.size() ? "  " : "\n";
    }
  return out;
}

}  // namespace

std::string format_table(const ExperimentResult& result) {
  const Experiment& e = result.experiment;
  if (e.spec->compares_methods)
    return concat(format_method_tables(result), "energy: ", e.energy.figures(), "\n");
  std::vector<std::vector<std::string>> rows = comparison_cells(result);
  for (std::vector<std::string>& cells : rows)
    for (std::string& cell : cells) cell = plain_text(std::move(cell));
  const std::string chosen =
      concat(align(rows), "learning rate ", e.schedule_text(), "; ",
             has_validation(result) ? "ours: chosen on the validation part"
                                    : "ours: the last evaluation, no validation part",
             "\nenergy: ", e.energy.figures(), "\n");
  if (e.spec->judges_energy) return chosen;
  const EqualWork& equal = result.equal_work;
  std::vector<std::vector<std::string>> work{
      {"at equal work", "", concat(format_tick(equal.most.epochs), " device epochs"),
       concat(format_tick(equal.most.steps), " steps"), format_bytes(equal.most.bytes)}};
  for (std::size_t i = 0; i < result.curves.size(); ++i)
    work.push_back({std::string(result.curves[i].spec->label), "",
                    plain_text(show_accuracy(equal.at_epochs[i])),
                    plain_text(show_accuracy(equal.at_steps[i])),
                    plain_text(show_accuracy(equal.at_bytes[i]))});
  return concat(chosen, "\n", align(work));
}

}  // namespace iotsl::tool
