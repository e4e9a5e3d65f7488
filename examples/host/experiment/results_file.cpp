// An experiment's results as files: results.json and, a line for every device epoch, epochs.csv.

#include <algorithm>

#include "host/experiment/methods/figures.hpp"
#include "host/experiment/report/rows.hpp"
#include "host/experiment/results.hpp"
#include "host/files/json_file.hpp"
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
  // What private generators cost is not told: then the full sums lack it.
  costs["without_generator_training"] =
      std::any_of(curve.runs.begin(), curve.runs.end(), keeps_training_secret);
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

void write_results(const ExperimentResult& result) {
  const std::string& folder = result.experiment.out;
  expect(write_json(join_path(folder, results_name), to_json(result)));
  expect(write_file_atomic(join_path(folder, csv_name), to_csv(result)));
}

}  // namespace iotsl::tool
