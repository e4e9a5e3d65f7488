#include "host/experiment/results.hpp"

#include <cmath>

#include "iotsl/core/text.hpp"

namespace iotsl::tool {
namespace {

double generator_values(const split::PreparationRecord& p) {
  return static_cast<double>(p.values());
}
double upload_bytes(const split::PreparationRecord& p) { return static_cast<double>(p.bytes_up()); }
double imputation_bytes(const split::PreparationRecord& p) {
  return static_cast<double>(p.bytes_down());
}
double gan_seconds(const split::PreparationRecord& p) { return p.seconds_training(); }
double longest_gan_seconds(const split::PreparationRecord& p) {
  double longest = 0;
  for (const split::GeneratorRecord& each : p.generators)
    longest = std::max(longest, each.seconds_training);
  return longest;
}
Work mean_work(const std::vector<FinishedRun>& runs, std::size_t epochs) {
  Work sum;
  double count = 0;
  for (const FinishedRun& run : runs) {
    if (epochs > run.epochs.size()) continue;
    const Work work = work_after(run, epochs);
    sum.epochs += work.epochs;
    sum.steps += work.steps;
    sum.bytes += work.bytes;
    sum.joules += work.joules;
    ++count;
  }
  return {sum.epochs / count, sum.steps / count, sum.bytes / count, sum.joules / count};
}

std::vector<CurvePoint> points_of(const std::vector<FinishedRun>& runs) {
  std::vector<CurvePoint> out;
  if (runs.empty()) return out;
  if (runs.front().curve->pretrain) {
    CurvePoint start{.work = mean_work(runs, 0)};
    start.accuracy = over_seeds(runs, [](const FinishedRun& run) {
      return measure_run(run, Measure::pretrained, 0, ChosenBy::test);
    });
    start.validation = over_seeds(runs, [](const FinishedRun& run) -> std::optional<double> {
      if (run.epochs.empty() || !run.epochs.front().has_validation || !run.preparation)
        return std::nullopt;
      return 100 * run.preparation->pretraining.validation_accuracy;
    });
    out.push_back(start);
  }
  for (std::size_t i = 0; i < runs.front().epochs.size(); ++i) {
    CurvePoint point{.epoch = i + 1, .work = mean_work(runs, i + 1)};
    point.accuracy = over_seeds(runs, [&](const FinishedRun& run) -> std::optional<double> {
      if (i >= run.epochs.size() || !run.epochs[i].evaluated) return std::nullopt;
      return 100 * run.epochs[i].test_accuracy;
    });
    point.validation = over_seeds(runs, [&](const FinishedRun& run) -> std::optional<double> {
      if (i >= run.epochs.size() || !run.epochs[i].has_validation) return std::nullopt;
      return 100 * run.epochs[i].validation_accuracy;
    });
    if (point.accuracy.count > 0) out.push_back(point);
  }
  return out;
}

Costs costs_of(const std::vector<FinishedRun>& runs, double threshold) {
  Costs out;
  out.until_threshold = threshold > 0 && !runs.empty();
  const auto reached = [&](const FinishedRun& run) {
    return epochs_until(run, threshold, ChosenBy::validation);
  };
  for (const FinishedRun& run : runs) out.until_threshold = out.until_threshold && reached(run);
  const auto counted = [&](const FinishedRun& run) {
    return out.until_threshold ? *reached(run) : run.epochs.size();
  };
  out.epochs = over_seeds(
      runs, [&](const FinishedRun& run) { return work_after(run, counted(run)).epochs; });
  const auto summed = [&](double (*field)(const measure::EpochRecord&)) {
    return over_seeds(runs,
                      [&](const FinishedRun& run) { return sum_of(run, counted(run), field); });
  };
  out.values = summed(values_of_epoch);
  out.training_bytes = summed(bytes_of_epoch);
  out.training_seconds = summed(seconds_of_epoch);
  const auto prepared = [&](double (*of)(const split::PreparationRecord&)) {
    return over_seeds(
        runs, [&](const FinishedRun& run) { return run.preparation ? of(*run.preparation) : 0.0; });
  };
  out.generator_values = prepared(generator_values);
  out.upload_bytes = prepared(upload_bytes);
  out.imputation_bytes = prepared(imputation_bytes);
  out.gan_seconds = prepared(gan_seconds);
  out.longest_gan_seconds = prepared(longest_gan_seconds);
  out.pretraining_seconds = prepared(pretraining_seconds);
  const auto together = [&](double (*trained)(const measure::EpochRecord&), const auto&... before) {
    return over_seeds(runs, [&](const FinishedRun& run) {
      double sum = sum_of(run, counted(run), trained);
      if (run.preparation) sum += (0.0 + ... + before(*run.preparation));
      return sum;
    });
  };
  out.full_values = together(values_of_epoch, generator_values);
  out.full_bytes = together(bytes_of_epoch, upload_bytes, imputation_bytes);
  out.full_seconds = together(seconds_of_epoch, gan_seconds, pretraining_seconds);
  const auto spent = [&](const auto& of) {
    return over_seeds(runs, [&](const FinishedRun& run) -> std::optional<double> {
      if (awake_seconds(run, run.epochs.size()) == 0) return std::nullopt;
      return of(run);
    });
  };
  out.turn_joules = spent([&](const FinishedRun& run) { return turn_joules(run, counted(run)); });
  out.generator_joules = spent([](const FinishedRun& run) { return generator_joules(run); });
  out.full_joules =
      spent([&](const FinishedRun& run) { return work_after(run, counted(run)).joules; });
  out.awake_seconds =
      spent([&](const FinishedRun& run) { return awake_seconds(run, counted(run)); });
  return out;
}

/// The smallest whole of each kind of work over curves and seeds, and what every curve has come to
/// by then.
EqualWork equal_work_of(const std::vector<CurveResult>& curves) {
  EqualWork out;
  const auto fit = [](double& most, double work) {
    if (work > 0) most = most == 0 ? work : std::min(most, work);
  };
  for (const CurveResult& curve : curves)
    for (const FinishedRun& run : curve.runs) {
      const Work whole = work_after(run, run.epochs.size());
      fit(out.most.epochs, whole.epochs);
      fit(out.most.steps, whole.steps);
      fit(out.most.bytes, whole.bytes);
    }
  for (const CurveResult& curve : curves) {
    const auto within = [&](double Work::*kind) {
      return over_seeds(curve.runs, [&](const FinishedRun& run) -> std::optional<double> {
        if (work_after(run, run.epochs.size()).*kind == 0) return std::nullopt;
        return accuracy_within(run, kind, out.most.*kind);
      });
    };
    out.at_epochs.push_back(within(&Work::epochs));
    out.at_steps.push_back(within(&Work::steps));
    out.at_bytes.push_back(within(&Work::bytes));
  }
  return out;
}

}  // namespace

const CurveResult& ExperimentResult::curve(std::string_view key) const {
  for (const CurveResult& result : curves)
    if (result.spec->key == key) return result;
  fail("experiment ", experiment.spec->name, ": has no curve ", key);
}

ExperimentResult summarize(const Experiment& experiment, CarriedOut runs) {
  ExperimentResult out{.experiment = experiment};
  for (const CurveSpec& spec : experiment.spec->curves) {
    CurveResult curve{.spec = &spec};
    for (FinishedRun& run : runs.finished)
      if (run.curve == &spec) curve.runs.push_back(std::move(run));
    for (MissingRun& run : runs.missing)
      if (run.curve == &spec) curve.missing.push_back(std::move(run));
    curve.points = points_of(curve.runs);
    curve.costs = costs_of(curve.runs, experiment.threshold());
    for (const FinishedRun& run : curve.runs) out.seconds += run.seconds;
    out.curves.push_back(std::move(curve));
  }
  out.equal_work = equal_work_of(out.curves);
  return out;
}

const FinishedRun& first_run(const ExperimentResult& result) {
  for (const CurveResult& curve : result.curves)
    if (!curve.runs.empty()) return curve.runs.front();
  fail("experiment ", result.experiment.spec->name, ": no run has ended");
}

std::string sizes_text(const ExperimentResult& result, std::string_view panel) {
  const Experiment& e = result.experiment;
  std::vector<std::uint64_t> images, validation;
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs) {
      if (!panel.empty() && curve.spec->panel != panel) continue;
      images.push_back(run.training_images);
      validation.push_back(run.validation_images);
    }
  const auto range = [](const std::vector<std::uint64_t>& counts) {
    if (counts.empty()) return std::string("no");
    const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
    return *least == *most ? std::to_string(*most) : concat(*least, " to ", *most);
  };
  const std::string tested =
      e.spec->test_per_class > 0 ? concat(e.spec->test_per_class, " test images of a class")
      : e.sizes.limit_test > 0   ? concat(e.sizes.limit_test, " test images")
      : e.sizes.per_class > 0
          ? concat(std::max<Index>(1, e.sizes.per_class / 10) * e.spec->classes, " test images")
          : std::string("all test images");
  return concat(range(images), " training images over ", e.spec->devices,
                e.spec->devices == 1 ? " device, " : " devices, ", range(validation),
                " for validation, ", tested, ", ", e.sizes.model, " of width ", e.sizes.width, ", ",
                e.seeds, e.seeds == 1 ? " seed" : " seeds");
}

Statistic measured(const ExperimentResult& result, const RowSpec& row, ChosenBy by) {
  const auto number = [&](const FinishedRun& run) {
    return measure_run(run, row.measure, result.experiment.threshold(), by);
  };
  const std::vector<FinishedRun>& runs = result.curve(row.curve).runs;
  if (row.against.empty()) return over_seeds(runs, number);
  // Seed by seed: the same samples on the same devices.
  const std::vector<FinishedRun>& others = result.curve(row.against).runs;
  return over_seeds(runs, [&](const FinishedRun& run) -> std::optional<double> {
    for (const FinishedRun& other : others) {
      if (other.seed != run.seed) continue;
      const auto ours = number(run), theirs = number(other);
      if (ours && theirs && *theirs > 0) return 100 * (*ours / *theirs - 1);
    }
    return std::nullopt;
  });
}

namespace {

/// Classes of which some device has samples, by the experiment's tables.
std::size_t classes_in_tables(const ExperimentSpec& spec) {
  std::vector<bool> present(static_cast<std::size_t>(spec.classes), false);
  for (const NamedTable& table : spec.tables)
    for (const auto& row : expect(data::parse_count_table(table.text)))
      for (std::size_t label = 0; label < row.size(); ++label)
        if (row[label] > 0) present[label] = true;
  return static_cast<std::size_t>(std::count(present.begin(), present.end(), true));
}

}  // namespace

double chance(const ExperimentResult& result) {
  // The test set has the classes of the devices only.
  if (const ExperimentSpec& spec = *result.experiment.spec; spec.test_per_class > 0)
    return 100.0 / static_cast<double>(classes_in_tables(spec));
  const FinishedRun& run = first_run(result);
  std::size_t classes = 0;
  for (const measure::EpochRecord& r : run.epochs)
    if (r.evaluated) classes = r.test_class_accuracy.size();
  if (classes == 0 && run.preparation)
    classes = run.preparation->pretraining.test_class_accuracy.size();
  return classes > 0 ? 100.0 / static_cast<double>(classes) : 0;
}

bool has_validation(const ExperimentResult& result) {
  return result.experiment.common.data.validation > 0;
}

std::uint64_t smashed_values(const ExperimentResult& result) {
  std::uint64_t out = 0;
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs) out = std::max(out, run.smashed_values);
  return out;
}

}  // namespace iotsl::tool
