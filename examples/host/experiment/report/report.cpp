#include "host/experiment/report/report.hpp"

#include "host/experiment/methods/methods_page.hpp"
#include "host/experiment/report/charts.hpp"
#include "host/experiment/report/rows.hpp"
#include "host/experiment/report/samples.hpp"
#include "host/experiment/report/settings.hpp"
#include "host/page/html_page.hpp"
#include "host/report/progress.hpp"
#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {
namespace {

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
                        "paper. Computing is processor time, so that other work on this machine "
                        "adds nothing. The server's energy is not counted."));
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
