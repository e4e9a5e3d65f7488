#pragma once
// From the finished runs of an experiment to the numbers that are reported: statistics over the
// seeds, the table "paper | ours", and the costs.

#include <optional>

#include "host/experiment/runs.hpp"

namespace iotsl::tool {

/// Mean and standard deviation (n - 1) of one number over the seeds.
struct Statistic {
  double mean = 0, deviation = 0;
  std::size_t count = 0;  ///< seeds that have the number: a threshold may stay out of reach
  std::size_t of = 0;     ///< seeds
};

/// One point of a curve.
struct CurvePoint {
  std::uint64_t epoch = 0;  ///< device epochs behind it; 0: pre-trained only
  Statistic accuracy = {};  ///< %
};

/// What a curve cost: up to the threshold where it was reached, else all of it. Seconds are those
/// of this machine, on which devices take turns.
struct Costs {
  Statistic epochs;
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
  bool until_threshold = false;                     ///< every seed has reached it
};

struct CurveResult {
  const CurveSpec* spec = nullptr;
  std::vector<FinishedRun> runs = {};  ///< one per seed
  std::vector<CurvePoint> points = {};
  Costs costs = {};
};

struct ExperimentResult {
  Experiment experiment;
  std::vector<CurveResult> curves = {};
  double seconds = 0;  ///< of all runs together, earlier starts included

  const CurveResult& curve(std::string_view key) const;
};

ExperimentResult summarize(const Experiment& experiment, std::vector<FinishedRun> runs);

/// The number of a row over the seeds.
Statistic measured(const ExperimentResult& result, const RowSpec& row);

/// "highest test accuracy", "device epochs until 99 %", ...; and its unit, empty for counts.
std::string measure_name(const ExperimentResult& result, Measure measure);
std::string measure_unit(Measure measure);

/// Writes results.json and epochs.csv (a line per device epoch and run) into the experiment's
/// folder.
void write_results(const ExperimentResult& result);

/// File names in the experiment's folder.
inline constexpr std::string_view results_name = "results.json", csv_name = "epochs.csv";

}  // namespace iotsl::tool
