#include "host/experiment/measures.hpp"

#include <algorithm>
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

namespace {

double devices_of(const FinishedRun& run) {
  return static_cast<double>(expect(get_int(run.config, "devices", 1, 1024)));
}

std::vector<split::DeviceEnergy> energy_after(const FinishedRun& run, std::size_t epochs) {
  if (pools_data(run.curve->method)) return {};
  return split::device_energy(run.energy, std::span(run.epochs).first(epochs),
                              run.preparation ? &*run.preparation : nullptr);
}

double sum_of(const std::vector<split::DeviceEnergy>& devices, double split::DeviceEnergy::*part) {
  double sum = 0;
  for (const split::DeviceEnergy& each : devices) sum += each.*part;
  return sum;
}

}  // namespace

double turn_joules(const FinishedRun& run, std::size_t epochs) {
  return sum_of(energy_after(run, epochs), &split::DeviceEnergy::turn_joules);
}
double generator_joules(const FinishedRun& run) {
  return sum_of(energy_after(run, 0), &split::DeviceEnergy::generator_joules);
}
bool keeps_training_secret(const FinishedRun& run) {
  return run.preparation && !run.preparation->generators.empty() &&
         run.preparation->seconds_training() == 0;
}
double awake_seconds(const FinishedRun& run, std::size_t epochs) {
  return sum_of(energy_after(run, epochs), &split::DeviceEnergy::awake_seconds) / devices_of(run);
}

Work work_after(const FinishedRun& run, std::size_t epochs) {
  Work out;
  const double devices = devices_of(run);
  out.joules = turn_joules(run, epochs) + generator_joules(run);
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

/// Test accuracies (%) of the last 20 evaluations; nothing where there are fewer.
std::vector<double> last_accuracies(std::span<const measure::EpochRecord> epochs) {
  constexpr std::size_t count = 20;
  std::vector<double> out;
  for (std::size_t i = epochs.size(); i-- > 0 && out.size() < count;)
    if (epochs[i].evaluated) out.push_back(100 * epochs[i].test_accuracy);
  if (out.size() < count) out.clear();
  return out;
}

std::optional<double> late_spread(std::span<const measure::EpochRecord> epochs) {
  std::vector<std::optional<double>> values;
  for (const double accuracy : last_accuracies(epochs)) values.emplace_back(accuracy);
  return values.empty() ? std::nullopt : std::optional<double>(statistic(values).deviation);
}

std::optional<double> late_range(std::span<const measure::EpochRecord> epochs) {
  const std::vector<double> values = last_accuracies(epochs);
  if (values.empty()) return std::nullopt;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return *high - *low;
}

std::optional<double> last_accuracy(std::span<const measure::EpochRecord> epochs) {
  for (std::size_t i = epochs.size(); i-- > 0;)
    if (epochs[i].evaluated) return 100 * epochs[i].test_accuracy;
  return std::nullopt;
}

/// Mean power of a device in its turns: joules by seconds awake.
std::optional<double> turn_watts(const FinishedRun& run) {
  double seconds = 0;
  for (const measure::EpochRecord& r : run.epochs) seconds += run.energy.times(r).awake;
  if (!(seconds > 0) || pools_data(run.curve->method)) return std::nullopt;
  return turn_joules(run, run.epochs.size()) / seconds;
}

/// Up to the end of `epochs`, in the unit of the measure.
double spent_until(const FinishedRun& run, Measure measure, std::size_t epochs) {
  const bool prepared = run.preparation.has_value();
  switch (measure) {
    case Measure::values_until:
      return sum_of(run, epochs, values_of_epoch);
    case Measure::seconds_until:
      return sum_of(run, epochs, seconds_of_epoch);
    case Measure::joules_until:
      return turn_joules(run, epochs);
    case Measure::full_values_until:
      return sum_of(run, epochs, values_of_epoch) +
             (prepared ? static_cast<double>(run.preparation->values()) : 0);
    case Measure::full_seconds_until:
      return sum_of(run, epochs, seconds_of_epoch) +
             (prepared ? run.preparation->seconds_training() + pretraining_seconds(*run.preparation)
                       : 0);
    case Measure::full_joules_until:
      return turn_joules(run, epochs) + generator_joules(run);
    default:
      return work_after(run, epochs).epochs;
  }
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
    case Measure::watts:
      return turn_watts(run);
    case Measure::epoch_joules:
      if (!turn_watts(run)) return std::nullopt;  // no device was timed
      return turn_joules(run, all.size()) / static_cast<double>(all.size());
    case Measure::final:
      return last_accuracy(all);
    case Measure::late_spread:
      return late_spread(all);
    case Measure::late_range:
      return late_range(all);
    default:
      break;
  }
  const std::optional<std::size_t> epochs = epochs_until(run, threshold, by);
  if (!epochs) return std::nullopt;
  return spent_until(run, measure, *epochs);
}

}  // namespace iotsl::tool
