#include "host/experiment/runs.hpp"

#include <cstdio>

#include "host/experiment/calibration.hpp"
#include "host/files/json_file.hpp"
#include "host/report/run_report.hpp"
#include "host/run/simulation.hpp"
#include "host/run/stop_request.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/split/records/checkpoint.hpp"

namespace iotsl::tool {
namespace {

/// Options that may differ between two starts of an experiment: they change no result.
bool is_free(std::string_view option) {
  return option == "data" || option == "threads" || option == "barrier-steps" ||
         option == "barrier-seconds" || option == "offline-limit" || option == "min-devices";
}

/// A table of the experiment, and generators of another of its runs, lie in its folder, which may
/// have moved.
std::string comparable(const JsonMember& member) {
  if (!member.value.is_string()) return to_text(member.value);
  const std::string& text = member.value.as_string();
  if (member.key == "generators") return text.substr(std::min(text.size(), text.rfind("/runs/")));
  if (member.key != "partition") return to_text(member.value);
  if (!text.starts_with("table:")) return text;
  return concat("table:", text.substr(text.find_last_of("/:") + 1));
}

/// The first option in which the two differ, with both values; empty where they agree.
std::string difference(const Json& old_config, const Json& new_config) {
  for (const JsonMember& member : new_config.as_object()) {
    if (is_free(member.key)) continue;
    const Json* old_value = old_config.find(member.key);
    if (old_value == nullptr) return concat(member.key, " was not given");
    const std::string before = comparable({member.key, *old_value}), now = comparable(member);
    if (before != now) return concat(member.key, " is ", before, ", not ", now);
  }
  for (const JsonMember& member : old_config.as_object())
    if (!is_free(member.key) && new_config.find(member.key) == nullptr)
      return concat(member.key, " is ", to_text(member.value), ", now it is not given");
  return {};
}

FinishedRun read_finished(const PlannedRun& run, const std::string& folder) {
  FinishedRun out{.curve = run.curve, .seed = run.seed, .folder = folder};
  out.config = read_json_object(join_path(folder, "config.json"));
  const std::string path = join_path(folder, summary_name);
  const Json summary = read_json_object(path);
  JsonReader read(summary);
  read("bytes_up", out.bytes_up);
  read("bytes_down", out.bytes_down);
  read("values_formula", out.values_formula);
  read.later("smashed_values", out.smashed_values);
  read("weights_sha256", out.weights_sha256);
  read("seconds", out.seconds);
  Result<void> status = read.status();
  const auto epochs = get_array(summary, "epochs");
  if (status && !epochs) status = epochs.failure();
  for (std::size_t i = 0; status && i < (*epochs)->size(); ++i) {
    auto record = measure::parse_record((**epochs)[i]);
    if (record)
      out.epochs.push_back(std::move(*record));
    else
      status = record.failure();
  }
  if (!status) fail_command(ErrorCode::data, path, ": ", status.failure().message);
  const data::Manifest manifest = expect(data::load_manifest(join_path(folder, "manifest.json")));
  for (const std::vector<Index>& device : manifest.devices) out.training_images += device.size();
  out.validation_images = manifest.validation.size();
  if (has_generators(run.options.method)) out.preparation = expect(split::read_preparation(folder));
  return out;
}

}  // namespace

std::string Experiment::title() const {
  const std::string& set = common.data.dataset;
  const std::string_view set_name = set == "mnist"           ? "MNIST"
                                    : set == "fashion-mnist" ? "Fashion-MNIST"
                                    : set == "glyphs"        ? "built-in digits"
                                    : set == "faces"         ? "drawn faces"
                                    : set == "celeba"        ? "CelebA"
                                                             : "a packed set";
  return concat(fashion() ? spec->figure_fashion : spec->figure_mnist, ": ", spec->title, " (",
                set_name, ")");
}

Index Experiment::schedule_epochs() const {
  if (common.training.schedule == Schedule::constant) return 0;
  return sizes.schedule_epochs > 0 ? sizes.schedule_epochs
                                   : std::max(sizes.epochs, sizes.iotsl_epochs);
}

std::string Experiment::schedule_text() const {
  const Index epochs = schedule_epochs();
  return epochs == 0
             ? std::string("constant")
             : concat(to_string(common.training.schedule), " over ", epochs, " device epochs");
}

std::string Experiment::rate_text() const {
  const auto& curves = spec->curves;
  const bool excepted = std::any_of(curves.begin(), curves.end(),
                                    [](const CurveSpec& curve) { return curve.constant_rate; });
  std::string calibrated;
  for (const CurveSpec& curve : curves) {
    if (!curve.calibrated) continue;
    if (calibrated.empty())
      calibrated = concat("; calibrated: ", describe(calibration_of(common.data.dataset)));
    if (curve.pretrain)
      calibrated += concat("; ", curve.label, " in its turns, pre-trained with ",
                           optimizer_text(common.training.optimizer), " as the others are");
  }
  return concat(to_text(Json(common.training.optimizer.lr)), ", ", schedule_text(), " in every run",
                excepted ? " but those of a constant rate" : "", calibrated);
}

namespace {

/// The experiment without the curves that `is_wanted` refuses, and without their rows.
template <class IsWanted>
std::shared_ptr<const ExperimentSpec> keep_curves(const ExperimentSpec& spec,
                                                  const IsWanted& is_wanted) {
  auto out = std::make_shared<ExperimentSpec>(spec);
  std::erase_if(out->curves, [&](const CurveSpec& curve) { return !is_wanted(curve); });
  const auto has = [&](std::string_view key) {
    return std::any_of(out->curves.begin(), out->curves.end(),
                       [&](const CurveSpec& curve) { return curve.key == key; });
  };
  std::erase_if(out->rows, [&](const RowSpec& row) {
    return !has(row.curve) || (!row.against.empty() && !has(row.against));
  });
  for (const CurveSpec& curve : out->curves)
    if (!curve.generators_of.empty() && !has(curve.generators_of))
      fail_command(ErrorCode::usage, "--curves: ", curve.key, " takes the generators of ",
                   curve.generators_of, ", which is not among them");
  return out;
}

}  // namespace

std::shared_ptr<const ExperimentSpec> without_constant_rates(const ExperimentSpec& spec) {
  return keep_curves(spec, [](const CurveSpec& curve) { return !curve.constant_rate; });
}

std::shared_ptr<const ExperimentSpec> with_curves(const ExperimentSpec& spec,
                                                  const std::vector<std::string>& keys) {
  std::string known;
  for (const CurveSpec& curve : spec.curves) known += concat(known.empty() ? "" : ", ", curve.key);
  for (const std::string& key : keys)
    if (std::none_of(spec.curves.begin(), spec.curves.end(),
                     [&](const CurveSpec& curve) { return curve.key == key; }))
      fail_command(ErrorCode::usage, "--curves ", key, ": ", spec.name, " has ", known);
  return keep_curves(spec, [&](const CurveSpec& curve) {
    return std::find(keys.begin(), keys.end(), curve.key) != keys.end();
  });
}

namespace {

constexpr std::string_view partition_folder = "partitions";

std::string table_path(const Experiment& experiment, std::string_view name) {
  return join_path(experiment.out, concat(partition_folder, "/", name, ".txt"));
}

/// Epochs and schedule of a curve. An epoch of one net on all data is one of every device.
void set_epochs(TrainingOptions& training, const Experiment& experiment, const CurveSpec& curve) {
  const ExperimentSizes& sizes = experiment.sizes;
  const Index of_one = pools_data(curve.method) ? experiment.spec->devices : 1;
  const auto passes = [&](Index device_epochs) { return (device_epochs + of_one - 1) / of_one; };
  training.epochs =
      passes(has_generators(curve.method) || sizes.epochs == 0 ? sizes.iotsl_epochs : sizes.epochs);
  if (curve.calibrated && sizes.calibrated_epochs > 0)
    training.epochs = passes(sizes.calibrated_epochs);
  training.schedule_epochs = 0;
  if (curve.constant_rate || curve.calibrated) training.schedule = Schedule::constant;
  if (training.schedule != Schedule::constant)
    training.schedule_epochs = passes(experiment.schedule_epochs());
}

}  // namespace

namespace {

/// The table for as many training images of a class as this start takes. It leaves a tenth of them
/// to the validation part; of a larger one there is as much less for the devices.
std::string table_text(const Experiment& experiment, const NamedTable& table) {
  if (table.of == 0) return std::string(table.text);
  const Index of_class = experiment.sizes.per_class;
  const Index trained = of_class - std::max<Index>(1, of_class / 10);
  const double part = std::min(1.0, (1 - experiment.common.data.validation) / (1 - 0.1));
  const auto scaled = [&](Index count) {
    return static_cast<Index>(static_cast<double>(count * trained / table.of) * part);
  };
  std::string out;
  for (const auto& row : expect(data::parse_count_table(table.text))) {
    for (const Index count : row)
      out += concat(out.empty() || out.back() == '\n' ? "" : " ", scaled(count));
    out += "\n";
  }
  return out;
}

}  // namespace

void write_partition_tables(const Experiment& experiment) {
  if (!experiment.spec->tables.empty())
    expect(create_folders(join_path(experiment.out, partition_folder)));
  for (const NamedTable& table : experiment.spec->tables) {
    const std::string path = table_path(experiment, table.name);
    const std::string text = table_text(experiment, table);
    // The options of a run on a packed set do not say how many images of a class it took.
    if (!experiment.overwrite && !experiment.pack_sha256.empty() && file_exists(path) &&
        expect(read_text_file(path)) != text)
      fail_command(ErrorCode::usage, "--out: ", path,
                   " is of another --per-class; choose another folder or give --overwrite");
    expect(write_file_atomic(path, text));
  }
}

namespace {

/// The generators of a curve that names its own; an epsilon or a noise that the command was given
/// takes the place of the curve's.
void set_generator(GeneratorOptions& o, const CurveSpec& curve) {
  if (curve.generator.empty()) return;
  o.kind = curve.generator;
  if (curve.epsilon == 0) {
    o.privacy.clear();
    o.epsilon = o.noise_multiplier = o.clip = 0;
    o.critics = 0;
  } else if (o.epsilon == 0 && o.noise_multiplier == 0) {
    o.epsilon = curve.epsilon;
  }
}

}  // namespace

RunOptions options_of(const Experiment& experiment, const CurveSpec& curve, std::uint64_t seed) {
  const ExperimentSpec& spec = *experiment.spec;
  const ExperimentSizes& sizes = experiment.sizes;
  RunOptions o = experiment.common;
  o.energy.power_model.clear();  // the page calculates, with what this start was given
  o.energy.slowdown = 0;
  o.method = curve.method;
  if (pools_data(o.method)) o.transport = "none";  // there is nothing to send
  o.data.partition = curve.partition;
  for (const NamedTable& table : spec.tables)
    if (table.name == curve.partition)
      o.data.partition = concat("table:", table_path(experiment, table.name));
  o.data.devices = spec.devices;
  o.data.seed = seed;
  o.data.limit_train = sizes.limit_train;
  if (curve.partition == "iid" && sizes.limit_train == 0) o.data.limit_train = experiment.limit_iid;
  o.data.limit_test = spec.test_per_class > 0 ? 0 : sizes.limit_test;
  o.test_per_class = spec.test_per_class;
  o.model.spec.name = sizes.model;
  o.model.spec.width = sizes.width;
  set_epochs(o.training, experiment, curve);
  if (curve.calibrated) {
    if (curve.pretrain) {  // as the others: the rate was chosen for the turns of SL
      const OptimizerOptions others = o.training.optimizer;
      o.preparation.pretrain_optimizer = {.kind = others.kind, .lr = others.lr, .momentum = {}};
      if (others.momentum != 0) o.preparation.pretrain_optimizer.momentum = others.momentum;
    }
    o.training.optimizer = {.kind = OptimizerKind::sgd, .lr = calibration_of(o.data.dataset).rate};
  }
  o.training.replay = curve.replays ? sizes.replay : 0;
  o.training.wire = curve.wire;
  if (caches(o.method)) o.training.frozen_front = true;
  if (!curve.generators_of.empty())
    o.preparation.generators = join_path(
        experiment.out, concat("runs/", curve.generators_of, "-seed", seed, "/generators"));
  o.preparation.pretrain = curve.pretrain;
  o.preparation.impute = curve.impute;
  o.preparation.generator_only = curve.generator_only;
  o.preparation.pretrain_iterations = sizes.pretrain_iterations;
  set_generator(o.generator, curve);
  o.gan_preset = sizes.gan_preset;
  if (o.gan.empty()) o.gan = sizes.gan;
  if (takes_image_size(o.data)) {
    o.data.image_size = std::to_string(sizes.image_side);
    o.data.per_class = sizes.per_class;
  }
  o.gan_width = sizes.gan_width;
  o.gan_iterations = sizes.gan_iterations;
  o.out = join_path(experiment.out, concat("runs/", curve.key, "-seed", seed));
  return o;
}

std::vector<PlannedRun> plan_runs(const Experiment& experiment) {
  std::vector<PlannedRun> out;
  for (const CurveSpec& curve : experiment.spec->curves)
    for (std::uint64_t seed = 1; seed <= experiment.seeds; ++seed)
      out.push_back({&curve, seed, options_of(experiment, curve, seed)});
  return out;
}

bool has_ended(const PlannedRun& run) {
  return file_exists(join_path(run.options.out, summary_name));
}

namespace {

/// Ends the command where the folder of the run holds one with other options or of another set.
void refuse_other_run(const Experiment& experiment, const PlannedRun& run) {
  const std::string& folder = run.options.out;
  std::string other =
      difference(read_json_object(join_path(folder, "config.json")), to_json(run.options));
  const std::string inputs = join_path(folder, run_inputs_name);
  if (other.empty() && !experiment.pack_sha256.empty() && file_exists(inputs)) {
    const Json json = read_json_object(inputs);
    const Json* was = json.find("train_sha256");
    if (was != nullptr && !(*was == Json(experiment.pack_sha256)))
      other = concat("its training images have the sha256 ", to_text(*was), ", not ",
                     experiment.pack_sha256);
  }
  if (!other.empty())
    fail_command(ErrorCode::usage, "--out: ", folder, " holds another run: ", other,
                 "; choose another folder or give --overwrite");
}

bool holds_run(const Experiment& experiment, const PlannedRun& run) {
  return !experiment.overwrite && file_exists(join_path(run.options.out, "config.json"));
}

}  // namespace

void check_runs(const Experiment& experiment, const std::vector<PlannedRun>& runs) {
  for (const PlannedRun& run : runs) {
    try {
      if (holds_run(experiment, run)) refuse_other_run(experiment, run);
    } catch (const CommandFailure& ended) {
      // Damaged files of one run are that run's failure, not the others'.
      if (ended.failure.code == ErrorCode::usage) throw;
    }
    RunOptions options = run.options;
    if (experiment.images) options.model.spec.images = *experiment.images;
    (void)to_config(options);
  }
}

namespace {

FinishedRun carry_out(const Experiment& experiment, const PlannedRun& run) {
  RunOptions options = run.options;
  const std::string& folder = run.options.out;
  const auto say = [&](const char* what) {
    std::fprintf(stderr, "%s: %s\n", folder.c_str(), what);
  };
  options.overwrite = experiment.overwrite;
  if (holds_run(experiment, run)) {
    refuse_other_run(experiment, run);
    if (has_ended(run)) {
      say("has ended before, its results are taken");
      return read_finished(run, folder);
    }
    if (expect(split::has_begun(folder))) {
      say("was interrupted, goes on");
      options.resume = folder;
    } else {
      say("had not begun, starts anew");
      options.overwrite = true;
    }
  } else {
    say("starts");
  }
  (void)expect(simulate(options));
  return read_finished(run, folder);
}

}  // namespace

std::string_view going_on(const Experiment& experiment) {
  return experiment.overwrite ? "the same command without --overwrite goes on from there"
                              : "the same command goes on from there";
}

CarriedOut carry_out_all(const Experiment& experiment, const std::vector<PlannedRun>& runs) {
  CarriedOut out;
  for (const PlannedRun& run : runs) {
    if (out.stopped && (experiment.overwrite || !has_ended(run))) {
      out.missing.push_back({run.curve, run.seed, {ErrorCode::stopped, "not run yet"}});
      continue;
    }
    Result<FinishedRun> done = [&]() -> Result<FinishedRun> {
      try {
        return carry_out(experiment, run);
      } catch (const CommandFailure& ended) {  // what a command of its own would have ended with
        return ended.failure;
      }
    }();
    if (done) {
      done->energy = experiment.energy;
      out.finished.push_back(std::move(*done));
      continue;
    }
    out.stopped = stop_requested();
    const Failure reason =
        out.stopped ? Failure{ErrorCode::stopped, concat("stopped; ", going_on(experiment))}
                    : done.failure();
    std::fprintf(stderr, "%s: %s%s\n", run.options.out.c_str(),
                 out.stopped ? "" : "has failed: ", reason.message.c_str());
    out.missing.push_back({run.curve, run.seed, reason});
  }
  return out;
}

}  // namespace iotsl::tool
