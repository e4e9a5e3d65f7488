#include "host/experiment/measures.hpp"

#include <cmath>

namespace iotsl::tool {

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

Work work_after(const FinishedRun& run, std::size_t epochs) {
  Work out;
  const double devices = static_cast<double>(expect(get_int(run.config, "devices", 1, 1024)));
  out.epochs = static_cast<double>(epochs) * (pools_data(run.curve->method) ? devices : 1);
  out.steps = sum_of(run, epochs, [](const measure::EpochRecord& r) { return r.steps; });
  out.bytes = sum_of(run, epochs, bytes_of_epoch);
  if (run.preparation) {
    out.steps += static_cast<double>(run.preparation->pretraining.training.iterations);
    out.bytes += static_cast<double>(run.preparation->bytes_up() + run.preparation->bytes_down());
  }
  return out;
}

std::optional<double> accuracy_within(const FinishedRun& run, double Work::*kind, double most) {
  std::optional<double> out;
  if (work_after(run, 0).*kind <= most)
    out = measure_run(run, Measure::pretrained, 0, ChosenBy::test);
  for (std::size_t i = 0; i < run.epochs.size(); ++i)
    if (run.epochs[i].evaluated && work_after(run, i + 1).*kind <= most)
      out = 100 * run.epochs[i].test_accuracy;
  return out;
}

std::optional<std::size_t> epochs_until(const FinishedRun& run, double threshold, ChosenBy by) {
  for (std::size_t i = 0; i < run.epochs.size(); ++i) {
    const measure::EpochRecord& r = run.epochs[i];
    const bool by_validation = by == ChosenBy::validation && r.has_validation;
    if (r.evaluated && 100 * (by_validation ? r.validation_accuracy : r.test_accuracy) > threshold)
      return i + 1;
  }
  return std::nullopt;
}

namespace {

/// Test accuracy (%) of the chosen one of these epochs.
std::optional<double> accuracy_of_chosen(std::span<const measure::EpochRecord> epochs,
                                         ChosenBy by) {
  const measure::ChosenPoint chosen = measure::choose_point(epochs);
  if (chosen.epoch == 0) return std::nullopt;
  if (by == ChosenBy::validation) return 100 * chosen.test_accuracy;
  double highest = 0;
  for (const measure::EpochRecord& r : epochs)
    if (r.evaluated) highest = std::max(highest, 100 * r.test_accuracy);
  return highest;
}

std::optional<double> mean_accuracy(std::span<const measure::EpochRecord> epochs) {
  double sum = 0, count = 0;
  for (const measure::EpochRecord& r : epochs)
    if (r.evaluated) sum += 100 * r.test_accuracy, ++count;
  return count > 0 ? std::optional<double>(sum / count) : std::nullopt;
}

}  // namespace

std::optional<double> measure_run(const FinishedRun& run, Measure measure, double threshold,
                                  ChosenBy by) {
  const std::span<const measure::EpochRecord> all = run.epochs;
  const auto late = all.subspan(all.size() / 2);
  switch (measure) {
    case Measure::best:
      return accuracy_of_chosen(all, by);
    case Measure::late_best:
      return accuracy_of_chosen(late, by);
    case Measure::late_mean:
      return mean_accuracy(late);
    case Measure::pretrained:
      if (!run.preparation || !run.preparation->pretraining.done) return std::nullopt;
      return 100 * run.preparation->pretraining.test_accuracy;
    case Measure::epochs_until:
    case Measure::values_until:
    case Measure::seconds_until:
      break;
  }
  const std::optional<std::size_t> epochs = epochs_until(run, threshold, by);
  if (!epochs) return std::nullopt;
  if (measure == Measure::values_until) return sum_of(run, *epochs, values_of_epoch);
  if (measure == Measure::seconds_until) return sum_of(run, *epochs, seconds_of_epoch);
  return work_after(run, *epochs).epochs;
}

}  // namespace iotsl::tool
