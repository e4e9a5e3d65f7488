#include "host/experiment/results.hpp"

#include <cmath>

#include "host/page/html_page.hpp"
#include "host/run/run_report.hpp"
#include "iotsl/core/file.hpp"

namespace iotsl::tool {
namespace {

Statistic statistic(const std::vector<std::optional<double>>& values) {
  Statistic out{.of = values.size()};
  double sum = 0, squares = 0;
  for (const auto& value : values)
    if (value) sum += *value, ++out.count;
  if (out.count == 0) return out;
  out.mean = sum / static_cast<double>(out.count);
  for (const auto& value : values)
    if (value) squares += (*value - out.mean) * (*value - out.mean);
  if (out.count > 1) out.deviation = std::sqrt(squares / static_cast<double>(out.count - 1));
  return out;
}

template <class NumberOf>
Statistic over_seeds(const std::vector<FinishedRun>& runs, const NumberOf& number_of) {
  std::vector<std::optional<double>> values;
  for (const FinishedRun& run : runs) values.push_back(number_of(run));
  return statistic(values);
}

/// The first device epoch with that test accuracy (%), as a count of epochs.
std::optional<std::size_t> epochs_until(const FinishedRun& run, double threshold) {
  for (std::size_t i = 0; i < run.epochs.size(); ++i)
    if (run.epochs[i].evaluated && 100 * run.epochs[i].test_accuracy >= threshold) return i + 1;
  return std::nullopt;
}

template <class Field>
double sum_of(const FinishedRun& run, std::size_t epochs, const Field& field) {
  double sum = 0;
  for (std::size_t i = 0; i < epochs; ++i) sum += static_cast<double>(field(run.epochs[i]));
  return sum;
}

double values_of(const measure::EpochRecord& r) { return static_cast<double>(r.values_formula); }
double bytes_of_epoch(const measure::EpochRecord& r) {
  return static_cast<double>(r.bytes_up + r.bytes_down);
}
double seconds_of(const measure::EpochRecord& r) {
  return r.seconds_device + r.seconds_server + r.seconds_network;
}

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
double pretraining_seconds(const split::PreparationRecord& p) {
  return p.pretraining.seconds_generation + p.pretraining.training.seconds;
}

std::optional<double> measure_run(const FinishedRun& run, Measure measure, double threshold) {
  const std::size_t first = measure == Measure::best ? 0 : run.epochs.size() / 2;
  double highest = 0, sum = 0;
  std::size_t count = 0;
  switch (measure) {
    case Measure::best:
    case Measure::late_best:
    case Measure::late_mean:
      for (std::size_t i = first; i < run.epochs.size(); ++i) {
        if (!run.epochs[i].evaluated) continue;
        highest = std::max(highest, 100 * run.epochs[i].test_accuracy);
        sum += 100 * run.epochs[i].test_accuracy;
        ++count;
      }
      if (count == 0) return std::nullopt;
      return measure == Measure::late_mean ? sum / static_cast<double>(count) : highest;
    case Measure::pretrained:
      if (!run.preparation || !run.preparation->pretraining.done) return std::nullopt;
      return 100 * run.preparation->pretraining.test_accuracy;
    case Measure::epochs_until:
    case Measure::values_until:
    case Measure::seconds_until:
      break;
  }
  const std::optional<std::size_t> epochs = epochs_until(run, threshold);
  if (!epochs) return std::nullopt;
  if (measure == Measure::values_until) return sum_of(run, *epochs, values_of);
  if (measure == Measure::seconds_until) return sum_of(run, *epochs, seconds_of);
  return static_cast<double>(*epochs);
}

std::vector<CurvePoint> points_of(const std::vector<FinishedRun>& runs) {
  std::vector<CurvePoint> out;
  if (runs.front().curve->pretrain) {
    CurvePoint start;
    start.accuracy = over_seeds(
        runs, [](const FinishedRun& run) { return measure_run(run, Measure::pretrained, 0); });
    out.push_back(start);
  }
  for (std::size_t i = 0; i < runs.front().epochs.size(); ++i) {
    CurvePoint point{.epoch = i + 1};
    point.accuracy = over_seeds(runs, [&](const FinishedRun& run) -> std::optional<double> {
      if (i >= run.epochs.size() || !run.epochs[i].evaluated) return std::nullopt;
      return 100 * run.epochs[i].test_accuracy;
    });
    if (point.accuracy.count > 0) out.push_back(point);
  }
  return out;
}

Costs costs_of(const std::vector<FinishedRun>& runs, double threshold) {
  Costs out;
  out.until_threshold = threshold > 0;
  for (const FinishedRun& run : runs)
    out.until_threshold = out.until_threshold && epochs_until(run, threshold);
  const auto counted = [&](const FinishedRun& run) {
    return out.until_threshold ? *epochs_until(run, threshold) : run.epochs.size();
  };
  out.epochs =
      over_seeds(runs, [&](const FinishedRun& run) { return static_cast<double>(counted(run)); });
  const auto summed = [&](double (*field)(const measure::EpochRecord&)) {
    return over_seeds(runs,
                      [&](const FinishedRun& run) { return sum_of(run, counted(run), field); });
  };
  out.values = summed(values_of);
  out.training_bytes = summed(bytes_of_epoch);
  out.training_seconds = summed(seconds_of);
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
  out.full_values = together(values_of, generator_values);
  out.full_bytes = together(bytes_of_epoch, upload_bytes, imputation_bytes);
  out.full_seconds = together(seconds_of, gan_seconds, pretraining_seconds);
  return out;
}

Json to_json(const Statistic& s) {
  Json out = Json::object();
  out["mean"] = s.count > 0 ? Json(s.mean) : Json();
  out["deviation"] = s.count > 1 ? Json(s.deviation) : Json();
  out["seeds"] = s.of;
  out["seeds_with_value"] = s.count;
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
    if (run.preparation) entry["preparation"] = to_json(*run.preparation);
    runs.push_back(entry);
  }
  out["runs"] = runs;
  Json points = Json::array();
  for (const CurvePoint& point : curve.points) {
    Json entry = to_json(point.accuracy);
    entry["epoch"] = point.epoch;
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
  out["costs"] = costs;
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
  out["seconds"] = result.seconds;
  Json table = Json::array();
  for (const RowSpec& row : e.spec->rows) {
    const PaperNumber& paper = e.fashion() ? row.fashion : row.mnist;
    Json entry = Json::object();
    entry["curve"] = row.curve;
    entry["measure"] = measure_name(result, row.measure);
    entry["unit"] = measure_unit(row.measure);
    entry["paper"] = paper.value >= 0 ? Json(paper.value) : Json();
    entry["paper_about"] = paper.about;
    entry["ours"] = to_json(measured(result, row));
    table.push_back(entry);
  }
  out["table"] = table;
  Json curves = Json::array();
  for (const CurveResult& curve : result.curves) curves.push_back(to_json(curve));
  out["curves"] = curves;
  return out;
}

std::string to_csv(const ExperimentResult& result) {
  std::string out =
      "curve,seed,epoch,round,device,samples,steps,learning_rate,loss,train_accuracy,test_loss,"
      "test_accuracy,seconds_device,seconds_server,seconds_network,seconds_barrier,"
      "seconds_evaluate,bytes_up,bytes_down,values_formula,peak_memory_bytes\n";
  for (const CurveResult& curve : result.curves)
    for (const FinishedRun& run : curve.runs)
      for (const measure::EpochRecord& r : run.epochs) {
        const auto known = [](bool is_known, double v) {
          return is_known ? to_text(Json(v)) : std::string();
        };
        out +=
            concat(curve.spec->key, ",", run.seed, ",", r.epoch, ",", r.round, ",", r.device, ",",
                   r.samples, ",", r.steps, ",", known(true, r.learning_rate), ",",
                   known(r.has_training, r.loss), ",", known(r.has_training, r.train_accuracy), ",",
                   known(r.evaluated, r.test_loss), ",", known(r.evaluated, r.test_accuracy), ",",
                   known(true, r.seconds_device), ",", known(true, r.seconds_server), ",",
                   known(true, r.seconds_network), ",", known(true, r.seconds_barrier), ",",
                   known(true, r.seconds_evaluate), ",", r.bytes_up, ",", r.bytes_down, ",",
                   r.values_formula, ",", r.peak_memory_bytes, "\n");
      }
  return out;
}

}  // namespace

const CurveResult& ExperimentResult::curve(std::string_view key) const {
  for (const CurveResult& result : curves)
    if (result.spec->key == key) return result;
  fail("experiment ", experiment.spec->name, ": has no curve ", key);
}

ExperimentResult summarize(const Experiment& experiment, std::vector<FinishedRun> runs) {
  ExperimentResult out{.experiment = experiment};
  for (const CurveSpec& spec : experiment.spec->curves) {
    CurveResult curve{.spec = &spec};
    for (FinishedRun& run : runs)
      if (run.curve == &spec) curve.runs.push_back(std::move(run));
    curve.points = points_of(curve.runs);
    curve.costs = costs_of(curve.runs, experiment.threshold());
    for (const FinishedRun& run : curve.runs) out.seconds += run.seconds;
    out.curves.push_back(std::move(curve));
  }
  return out;
}

Statistic measured(const ExperimentResult& result, const RowSpec& row) {
  return over_seeds(result.curve(row.curve).runs, [&](const FinishedRun& run) {
    return measure_run(run, row.measure, result.experiment.threshold());
  });
}

std::string measure_name(const ExperimentResult& result, Measure measure) {
  const std::string until = concat(" until ", format_tick(result.experiment.threshold()), " %");
  switch (measure) {
    case Measure::best:
      return "highest test accuracy";
    case Measure::late_best:
      return "highest test accuracy in the second half of the epochs";
    case Measure::late_mean:
      return "mean test accuracy in the second half of the epochs";
    case Measure::pretrained:
      return "test accuracy after pre-training alone";
    case Measure::epochs_until:
      return "device epochs" + until;
    case Measure::values_until:
      return "values sent" + until;
    case Measure::seconds_until:
      break;
  }
  return "training time" + until;
}

std::string measure_unit(Measure measure) {
  switch (measure) {
    case Measure::epochs_until:
    case Measure::values_until:
      return "";
    case Measure::seconds_until:
      return "s";
    default:
      return "%";
  }
}

void write_results(const ExperimentResult& result) {
  const std::string& folder = result.experiment.out;
  expect(write_file_atomic(join_path(folder, results_name), to_text(to_json(result), 2) + "\n"));
  expect(write_file_atomic(join_path(folder, csv_name), to_csv(result)));
}

}  // namespace iotsl::tool
