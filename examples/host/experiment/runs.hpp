#pragma once
// The runs of an experiment: their options, carrying them out one after the other, and taking up
// what an earlier start of the same experiment has left.

#include <memory>
#include <optional>

#include "host/experiment/table.hpp"
#include "host/options/run_options.hpp"
#include "iotsl/measure/metrics.hpp"
#include "iotsl/split/records/device_energy.hpp"
#include "iotsl/split/records/preparation_record.hpp"

namespace iotsl::tool {

enum class Scale { quick, paper };

/// An experiment as it was asked for.
struct Experiment {
  std::shared_ptr<const ExperimentSpec> spec;  ///< without the curves that say nothing here
  Scale scale = Scale::quick;
  ExperimentSizes sizes;  ///< of the scale, or given
  /// What every run has in common: data set, batch, optimiser, transport, ... Its partition,
  /// method, seed and folder are set for each run.
  RunOptions common;
  std::uint64_t seeds = 1;
  std::string out;
  bool overwrite = false;
  std::string command;              ///< that repeats it
  std::optional<ImageSpec> images;  ///< known before the set is loaded; none: those of MNIST
  std::string pack_sha256;          ///< of a packed set's training images; empty: of another set
  Index limit_iid = 0;  ///< training images of equal shares, where the others take a part; 0: all
  split::EnergyAssumptions energy;

  bool fashion() const { return common.data.dataset == "fashion-mnist"; }
  std::string title() const;
  /// Test accuracy to be reached, %; 0: none.
  double threshold() const { return fashion() ? sizes.threshold_fashion : sizes.threshold_mnist; }
  /// Device epochs over which the rate of every run falls; 0: it is constant.
  Index schedule_epochs() const;
  /// "cosine over 40 device epochs".
  std::string schedule_text() const;
  /// "0.001, cosine over 40 device epochs in every run", and which runs are excepted.
  std::string rate_text() const;
};

struct PlannedRun {
  const CurveSpec* curve = nullptr;
  std::uint64_t seed = 1;
  RunOptions options;
};

/// The experiment without curves of a constant rate, and their rows: for one whose rates are all
/// constant.
std::shared_ptr<const ExperimentSpec> without_constant_rates(const ExperimentSpec& spec);

/// The experiment with the curves of these keys only, and their rows. Ends the command where it has
/// none of that key, or one takes the generators of a curve that is left out.
std::shared_ptr<const ExperimentSpec> with_curves(const ExperimentSpec& spec,
                                                  const std::vector<std::string>& keys);

/// All options of one run: what the experiment has in common, with what its curve has of its own.
RunOptions options_of(const Experiment& experiment, const CurveSpec& curve, std::uint64_t seed);

/// Curve by curve, seed by seed. Touches no file.
std::vector<PlannedRun> plan_runs(const Experiment& experiment);

/// Writes the tables of partitions that have no name of their own, which the runs then read.
void write_partition_tables(const Experiment& experiment);

/// A run that has ended.
struct FinishedRun {
  const CurveSpec* curve = nullptr;
  std::uint64_t seed = 1;
  std::string folder = {};
  Json config = {};  ///< its config.json
  std::vector<measure::EpochRecord> epochs = {};
  std::uint64_t bytes_up = 0, bytes_down = 0, values_formula = 0;
  std::uint64_t smashed_values = 0;  ///< F of Table I; 0: nothing is sent
  std::uint64_t training_images = 0, validation_images = 0;
  std::string weights_sha256 = {};
  double seconds = 0;
  std::optional<split::PreparationRecord> preparation = {};  ///< of method iotsl
  split::EnergyAssumptions energy = {};                      ///< the experiment's
};

/// A run without results: it has failed, or was not reached before the user stopped.
struct MissingRun {
  const CurveSpec* curve = nullptr;
  std::uint64_t seed = 1;
  Failure reason = {};
  bool failed() const { return reason.code != ErrorCode::stopped; }
};

/// Whether an earlier start has left the results of this run.
bool has_ended(const PlannedRun& run);

/// Ends the command where the options of a run do not go together, or its folder holds a run with
/// other options: before anything is trained.
void check_runs(const Experiment& experiment, const std::vector<PlannedRun>& runs);

/// How a stopped experiment goes on.
std::string_view going_on(const Experiment& experiment);

/// What has become of the runs of an experiment.
struct CarriedOut {
  std::vector<FinishedRun> finished;
  std::vector<MissingRun> missing;
  bool stopped = false;
};

/// All runs, one after the other: each is carried out, goes on where it was interrupted, or where
/// it has ended its results are taken; standard error says which. One that fails, or whose files
/// are damaged, does not keep the others from theirs. Once the user has stopped, those that have
/// ended before are still taken.
CarriedOut carry_out_all(const Experiment& experiment, const std::vector<PlannedRun>& runs);

}  // namespace iotsl::tool
