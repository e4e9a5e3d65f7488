#pragma once
// Numbers of a finished run: what the rows of an experiment's table ask for, and the work behind
// each of its points.

#include <span>

#include "host/experiment/runs.hpp"

namespace iotsl::tool {

/// Mean and standard deviation (n - 1) of one number over the seeds.
struct Statistic {
  double mean = 0, deviation = 0;
  std::size_t count = 0;  ///< seeds that have the number: a threshold may stay out of reach
  std::size_t of = 0;     ///< seeds
};
Statistic statistic(const std::vector<std::optional<double>>& values);

/// number_of(run), which may have none, over the seeds.
template <class NumberOf>
Statistic over_seeds(std::span<const FinishedRun> runs, const NumberOf& number_of) {
  std::vector<std::optional<double>> values;
  for (const FinishedRun& run : runs) values.push_back(number_of(run));
  return statistic(values);
}

/// By which accuracy a point is chosen and a threshold judged. A run without a validation part has
/// its last evaluation for the chosen point, and only the test set for a threshold.
enum class ChosenBy { validation, test };

/// The work behind a state of a run, in units that mean the same for every method.
struct Work {
  double epochs =
      0;  ///< passes over the images of one device; one of `central` is one of each device
  double steps = 0;   ///< optimiser steps of the network, pre-training included
  double bytes = 0;   ///< on the wire, both ways: turns, generators and imputation; `central`: none
  double joules = 0;  ///< of all devices, turns and generators; `central`: none
};

/// Of the run's first `epochs` epochs.
Work work_after(const FinishedRun& run, std::size_t epochs);

/// Test accuracy (%) of the last state that was evaluated within `most` of one kind of work;
/// nothing where there is none. Nothing is chosen.
std::optional<double> accuracy_within(const FinishedRun& run, double Work::*kind, double most);

/// The first epochs of the run whose accuracy exceeds `threshold` (%), as their number.
std::optional<std::size_t> epochs_until(const FinishedRun& run, double threshold, ChosenBy by);

/// What a row of the table asks for, in the unit of its measure.
std::optional<double> measure_run(const FinishedRun& run, Measure measure, double threshold,
                                  ChosenBy by);

/// Joules of all devices in the first `epochs` epochs, by the experiment's model.
double turn_joules(const FinishedRun& run, std::size_t epochs);
/// Of all devices for their generators.
double generator_joules(const FinishedRun& run);
/// Whether devices have trained generators and do not say how long that took, as private ones do:
/// their joules and times are without it.
bool keeps_training_secret(const FinishedRun& run);
/// Seconds that a device was awake, on average: in its turns, and for its generator.
double awake_seconds(const FinishedRun& run, std::size_t epochs);

/// The sum of field(record) over the first `epochs` epochs.
template <class Field>
double sum_of(const FinishedRun& run, std::size_t epochs, const Field& field) {
  double sum = 0;
  for (std::size_t i = 0; i < epochs; ++i) sum += static_cast<double>(field(run.epochs[i]));
  return sum;
}
inline double values_of_epoch(const measure::EpochRecord& r) {
  return static_cast<double>(r.values_formula);
}
inline double bytes_of_epoch(const measure::EpochRecord& r) {
  return static_cast<double>(r.bytes_up + r.bytes_down);
}
inline double pretraining_seconds(const split::PreparationRecord& p) {
  return p.pretraining.seconds_generation + p.pretraining.training.seconds;
}
inline double seconds_of_epoch(const measure::EpochRecord& r) {
  return r.seconds_device + r.seconds_server + r.seconds_network;
}

}  // namespace iotsl::tool
