#include "host/experiment/results.hpp"

#include <cmath>

#include "host/experiment/methods/figures.hpp"
#include "host/experiment/report/rows.hpp"
#include "host/files/json_file.hpp"
#include "host/page/html_page.hpp"
#include "host/report/run_report.hpp"
#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {

Json to_json(const Statistic& s) {
  Json out = Json::object();
  out["mean"] = s.count > 0 ? Json(s.mean) : Json();
  out["deviation"] = s.count > 1 ? Json(s.deviation) : Json();
  out["seeds"] = s.of;
  out["seeds_with_value"] = s.count;
  return out;
}

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

Json to_json(const CurveResult& curve) {
  Json out = Json::object();
  out["key"] = curve.spec->key;
  out["label"] = curve.spec->label;
  out["method"] = to_string(curve.spec->method);
  out["partition"] = curve.spec->partition;
  Json runs = Json::array();
  for (const FinishedRun& run : curve.runs) {
    Json entry = Json::object();
    entry["seed"] = run.seed;
    entry["folder"] = run.folder;
    entry["config"] = run.config;
    entry["weights_sha256"] = run.weights_sha256;
    entry["seconds"] = run.seconds;
    entry["bytes_up"] = run.bytes_up;
    entry["bytes_down"] = run.bytes_down;
    entry["values_formula"] = run.values_formula;
    entry["smashed_values"] = run.smashed_values;
    const measure::ChosenPoint chosen = measure::choose_point(run.epochs);
    entry["chosen_epoch"] = chosen.epoch != 0 ? Json(chosen.epoch) : Json();
    entry["chosen_validation_accuracy"] =
        chosen.validation_accuracy ? Json(*chosen.validation_accuracy) : Json();
    entry["chosen_test_accuracy"] = chosen.epoch != 0 ? Json(chosen.test_accuracy) : Json();
    if (run.preparation) entry["preparation"] = to_json(*run.preparation);
    runs.push_back(entry);
  }
  out["runs"] = runs;
  Json missing = Json::array();
  for (const MissingRun& run : curve.missing) {
    Json entry = Json::object();
    entry["seed"] = run.seed;
    entry["failed"] = run.failed();
    entry["reason"] = run.reason.message;
    missing.push_back(entry);
  }
  out["missing"] = missing;
  Json points = Json::array();
  for (const CurvePoint& point : curve.points) {
    Json entry = to_json(point.accuracy);
    entry["epoch"] = point.epoch;
    entry["device_epochs"] = point.work.epochs;
    entry["steps"] = point.work.steps;
    entry["bytes"] = point.work.bytes;
    entry["joules"] = point.work.joules;
    entry["validation"] = to_json(point.validation);
    points.push_back(entry);
  }
  out["test_accuracy_percent"] = points;
  Json costs = Json::object();
  costs["until_threshold"] = curve.costs.until_threshold;
  costs["epochs"] = to_json(curve.costs.epochs);
  costs["values_formula"] = to_json(curve.costs.values);
  costs["training_bytes"] = to_json(curve.costs.training_bytes);
  costs["training_seconds"] = to_json(curve.costs.training_seconds);
  costs["generator_values"] = to_json(curve.costs.generator_values);
  costs["upload_bytes"] = to_json(curve.costs.upload_bytes);
  costs["imputation_bytes"] = to_json(curve.costs.imputation_bytes);
  costs["gan_seconds"] = to_json(curve.costs.gan_seconds);
  costs["longest_gan_seconds"] = to_json(curve.costs.longest_gan_seconds);
  costs["pretraining_seconds"] = to_json(curve.costs.pretraining_seconds);
  costs["full_values"] = to_json(curve.costs.full_values);
  costs["full_bytes"] = to_json(curve.costs.full_bytes);
  costs["full_seconds"] = to_json(curve.costs.full_seconds);
  costs["turn_joules"] = to_json(curve.costs.turn_joules);
  costs["generator_joules"] = to_json(curve.costs.generator_joules);
  costs["full_joules"] = to_json(curve.costs.full_joules);
  costs["awake_seconds"] = to_json(curve.costs.awake_seconds);
  out["costs"] = costs;
  return out;
}

Json to_json(const EqualWork& equal, const std::vector<CurveResult>& curves) {
  Json out = Json::object();
  out["device_epochs"] = equal.most.epochs;
  out["steps"] = equal.most.steps;
  out["bytes"] = equal.most.bytes;
  Json rows = Json::array();
  for (std::size_t i = 0; i < curves.size(); ++i) {
    Json row = Json::object();
    row["curve"] = curves[i].spec->key;
    row["at_device_epochs"] = to_json(equal.at_epochs[i]);
    row["at_steps"] = to_json(equal.at_steps[i]);
    row["at_bytes"] = to_json(equal.at_bytes[i]);
    rows.push_back(row);
  }
  out["test_accuracy_percent"] = rows;
  return out;
}

Json to_json(const ExperimentResult& result) {
  const Experiment& e = result.experiment;
  Json out = Json::object();
  out["format"] = "iotsl-experiment-1";
  out["experiment"] = e.spec->name;
  out["title"] = e.title();
  out["scale"] = e.scale == Scale::quick ? "quick" : "paper";
  out["dataset"] = e.common.data.dataset;
  out["command"] = e.command;
  out["seeds"] = e.seeds;
  out["threshold_percent"] = e.threshold() > 0 ? Json(e.threshold()) : Json();
  out["chance_percent"] = chance(result);
  out["model"] = e.sizes.model;
  out["width"] = e.sizes.width;
  out["schedule"] = e.schedule_text();
  out["validation"] = e.common.data.validation;
  out["energy_origin"] = e.energy.origin();
  out["seconds"] = result.seconds;
  Json table = Json::array();
  for (const RowSpec& row : e.spec->rows) {
    const PaperNumber& paper = e.fashion() ? row.fashion : row.mnist;
    Json entry = Json::object();
    entry["curve"] = row.curve;
    entry["measure"] = measure_name(result, row);
    entry["unit"] = measure_unit(row);
    entry["paper"] = paper.value ? Json(*paper.value) : Json();
    entry["paper_about"] = paper.about;
    entry["ours"] = to_json(measured(result, row, ChosenBy::validation));
    entry["ours_chosen_on_test"] = to_json(measured(result, row, ChosenBy::test));
    table.push_back(entry);
  }
  out["table"] = table;
  out["equal_work"] = to_json(result.equal_work, result.curves);
  Json curves = Json::array();
  for (const CurveResult& curve : result.curves) {
    Json entry = to_json(curve);
    if (e.spec->compares_methods && !curve.runs.empty())
      entry["figures"] = to_json(figures_of(result, curve));
    curves.push_back(entry);
  }
  out["curves"] = curves;
  return out;
}

std::string to_csv(const ExperimentResult& result) {
  std::string out =
      "curve,seed,epoch,round,device,samples,steps,learning_rate,loss,train_accuracy,test_loss,"
      "test_accuracy,validation_loss,validation_accuracy,seconds_device,seconds_server,seconds_network,seconds_barrier,"
      "seconds_evaluate,bytes_up,bytes_down,values_formula,peak_memory_bytes\n";
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs)
      for (const measure::EpochRecord& r : run.epochs) {
        const auto known = [](bool is_known, double v) {
          return is_known ? to_text(Json(v)) : std::string();
        };
        out += concat(
            curve.spec->key, ",", run.seed, ",", r.epoch, ",", r.round, ",", r.device, ",",
            r.samples, ",", r.steps, ",", known(true, r.learning_rate), ",",
            known(r.has_training, r.loss), ",", known(r.has_training, r.train_accuracy), ",",
            known(r.evaluated, r.test_loss), ",", known(r.evaluated, r.test_accuracy), ",",
            known(r.has_validation, r.validation_loss), ",",
            known(r.has_validation, r.validation_accuracy), ",", known(true, r.seconds_device), ",",
            known(true, r.seconds_server), ",", known(true, r.seconds_network), ",",
            known(true, r.seconds_barrier), ",", known(true, r.seconds_evaluate), ",", r.bytes_up,
            ",", r.bytes_down, ",", r.values_formula, ",", r.peak_memory_bytes, "\n");
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

void write_results(const ExperimentResult& result) {
  const std::string& folder = result.experiment.out;
  expect(write_json(join_path(folder, results_name), to_json(result)));
  expect(write_file_atomic(join_path(folder, csv_name), to_csv(result)));
}

}  // namespace iotsl::tool
