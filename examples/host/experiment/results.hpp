#pragma once
// From the finished runs of an experiment to the numbers that are reported: statistics over the
// seeds, the table "paper | ours", and the costs.

#include "host/experiment/measures.hpp"

namespace iotsl::tool {

/// One point of a curve.
struct CurvePoint {
  std::uint64_t epoch = 0;    ///< epochs of the run behind it; 0: pre-trained only
  Work work = {};             ///< mean over the seeds
  Statistic accuracy = {};    ///< on the test set, %
  Statistic validation = {};  ///< on the validation part, %; without one, of no seed
};

/// Test accuracy (%) after as much work as every curve of the experiment has at least done.
struct EqualWork {
  Work most;  ///< 0 bytes: nothing was sent
  /// Of each curve, in the order of the result. Bytes: of no seed where nothing is sent.
  std::vector<Statistic> at_epochs, at_steps, at_bytes;
};

/// What a curve cost: up to the threshold where it was reached, else all of it. Seconds are those
/// of this machine, on which devices take turns.
struct Costs {
  Statistic epochs;          ///< device epochs
  Statistic values;          ///< the paper's sum: Table I, nothing else
  Statistic training_bytes;  ///< measured on the links, all extras included
  Statistic training_seconds;
  // What the full sum adds; zeros without generators.
  Statistic generator_values;                       ///< parameters of generators sent up and down
  Statistic upload_bytes;                           ///< generators to the server
  Statistic imputation_bytes;                       ///< plans and generators to the devices
  Statistic gan_seconds;                            ///< on all devices together
  Statistic longest_gan_seconds;                    ///< on one: devices train at the same time
  Statistic pretraining_seconds;                    ///< with generating the data set
  Statistic full_values, full_bytes, full_seconds;  ///< everything together
  Statistic turn_joules, generator_joules, full_joules;  ///< of all devices
  Statistic awake_seconds;                               ///< of a device, on average
  bool until_threshold = false;                          ///< every seed has reached it
};

struct CurveResult {
  const CurveSpec* spec = nullptr;
  std::vector<FinishedRun> runs = {};  ///< one per seed but those that are missing
  std::vector<MissingRun> missing = {};
  std::vector<CurvePoint> points = {};
  Costs costs = {};
};

struct ExperimentResult {
  Experiment experiment;
  std::vector<CurveResult> curves = {};
  EqualWork equal_work = {};
  double seconds = 0;  ///< of all runs together, earlier starts included

  const CurveResult& curve(std::string_view key) const;
};

ExperimentResult summarize(const Experiment& experiment, CarriedOut runs);

/// A run that has ended, of the first curve that has one. There is one.
const FinishedRun& first_run(const ExperimentResult& result);

/// "6000 training images over 5 devices, 660 for validation, 2000 test images, vgg16bn-compact of
/// width 16, 2 seeds", of the runs of one panel or, where none is named, of all: for the line below
/// a chart.
std::string sizes_text(const ExperimentResult& result, std::string_view panel = "");

/// The number of a row over the seeds.
Statistic measured(const ExperimentResult& result, const RowSpec& row, ChosenBy by);

/// Accuracy of guessing, %: of the classes that the runs were tested on.
double chance(const ExperimentResult& result);

/// Whether the runs have a validation part to choose by.
bool has_validation(const ExperimentResult& result);

/// Values that a sample sends over the cut (F of Table I) in the runs; 0: none sends any.
std::uint64_t smashed_values(const ExperimentResult& result);

/// Of no seed: mean null. Of one: deviation null.
Json to_json(const Statistic& s);

/// Writes results.json and epochs.csv (a line per device epoch and run) into the experiment's
/// folder.
void write_results(const ExperimentResult& result);

/// File names in the experiment's folder.
inline constexpr std::string_view results_name = "results.json", csv_name = "epochs.csv";

}  // namespace iotsl::tool
