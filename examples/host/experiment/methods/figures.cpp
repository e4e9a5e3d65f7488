#include "host/experiment/methods/figures.hpp"

#include <cmath>
#include <limits>
#include <map>

namespace iotsl::tool {
namespace {

/// Test accuracy (%) of a run that ends with its pre-training.
std::optional<double> without_turns(const FinishedRun& run) {
  if (!run.epochs.empty()) return std::nullopt;
  return measure_run(run, Measure::pretrained, 0, ChosenBy::validation);
}

/// Epochs of the run until the threshold (%); 0: pre-training alone exceeds it.
std::optional<std::size_t> epochs_needed(const FinishedRun& run, double threshold) {
  if (run.preparation && run.preparation->pretraining.done) {
    const split::PretrainingRecord& p = run.preparation->pretraining;
    const double judged = run.validation_images > 0 ? p.validation_accuracy : p.test_accuracy;
    if (100 * judged > threshold) return 0;
  }
  return epochs_until(run, threshold, ChosenBy::validation);
}

double devices_of(const ExperimentResult& result) {
  return static_cast<double>(result.experiment.spec->devices);
}

/// Whether what leaves a device besides generators promises nothing.
bool sends_in_turns(const RunOptions& o) {
  return !(has_generators(o.method) && o.preparation.generator_only);
}

}  // namespace

double elapsed_seconds(const FinishedRun& run, std::size_t epochs) {
  double sum = 0;
  if (run.preparation) {
    double longest = 0;
    for (const split::GeneratorRecord& each : run.preparation->generators)
      longest = std::max(longest, run.energy.times(each).awake);
    sum += longest + pretraining_seconds(*run.preparation);
  }
  std::map<std::uint32_t, double> longest_of_round;
  for (std::size_t i = 0; i < epochs; ++i) {
    const measure::EpochRecord& r = run.epochs[i];
    const double awake = run.energy.times(r).awake;
    // Where no device takes part the server works alone.
    const double seconds = pools_data(run.curve->method) ? seconds_of_epoch(r)
                           : awake > 0                   ? awake
                                                         : r.seconds_server + r.seconds_update;
    if (!averages(run.curve->method))
      sum += seconds;
    else if (double& longest = longest_of_round[r.round]; seconds > longest)
      longest = seconds;
  }
  for (const auto& [round, seconds] : longest_of_round) sum += seconds;
  return sum;
}

Json to_json(const MethodFigures& f) {
  const auto epsilon = [](std::optional<double> value) {
    return value && std::isfinite(*value) ? Json(*value) : Json();
  };
  Json out = Json::object();
  out["chosen_test_accuracy_percent"] = to_json(f.chosen);
  out["final_test_accuracy_percent"] = to_json(f.final);
  out["device_epochs_until"] = to_json(f.epochs_until);
  out["seconds_until"] = to_json(f.seconds_until);
  out["bytes_until"] = to_json(f.bytes_until);
  out["device_joules_until"] = to_json(f.joules_until);
  out["awake_seconds_until"] = to_json(f.awake_until);
  out["values"] = to_json(f.values);
  out["bytes_up"] = to_json(f.bytes_up);
  out["bytes_down"] = to_json(f.bytes_down);
  out["device_joules"] = to_json(f.joules);
  out["awake_seconds"] = to_json(f.awake_seconds);
  out["epsilon"] = epsilon(f.run_epsilon);
  out["generator_epsilon"] = epsilon(f.generator_epsilon);
  out["generator_seconds_told"] = !f.training_untold;
  return out;
}

MethodFigures figures_of(const ExperimentResult& result, const CurveResult& curve) {
  const double threshold = result.experiment.threshold(), devices = devices_of(result);
  const auto over = [&](const auto& number_of) { return over_seeds(curve.runs, number_of); };
  const auto accuracy = [&](Measure measure) {
    return over([&](const FinishedRun& run) {
      const std::optional<double> alone = without_turns(run);
      return alone ? alone : measure_run(run, measure, threshold, ChosenBy::validation);
    });
  };
  const auto until = [&](const auto& spent) {
    return over([&](const FinishedRun& run) -> std::optional<double> {
      const std::optional<std::size_t> epochs = epochs_needed(run, threshold);
      return epochs ? std::optional<double>(spent(run, *epochs)) : std::nullopt;
    });
  };
  const auto whole = [&](const auto& spent) {
    return over([&](const FinishedRun& run) -> std::optional<double> {
      return spent(run, run.epochs.size());
    });
  };
  const auto device_joules = [&](const FinishedRun& run, std::size_t epochs) {
    return work_after(run, epochs).joules / devices;
  };

  MethodFigures out;
  out.chosen = accuracy(Measure::best);
  out.final = accuracy(Measure::final);
  out.epochs_until = until(
      [](const FinishedRun& run, std::size_t epochs) { return work_after(run, epochs).epochs; });
  out.seconds_until = until(elapsed_seconds);
  out.bytes_until = until(
      [](const FinishedRun& run, std::size_t epochs) { return work_after(run, epochs).bytes; });
  out.joules_until = until(device_joules);
  out.awake_until = until(awake_seconds);
  out.values = whole([](const FinishedRun& run, std::size_t epochs) {
    return sum_of(run, epochs, values_of_epoch) +
           (run.preparation ? static_cast<double>(run.preparation->values()) : 0);
  });
  out.bytes_up = whole([](const FinishedRun& run, std::size_t epochs) {
    return sum_of(run, epochs, [](const measure::EpochRecord& r) { return r.bytes_up; }) +
           (run.preparation ? static_cast<double>(run.preparation->bytes_up()) : 0);
  });
  out.bytes_down = whole([](const FinishedRun& run, std::size_t epochs) {
    return sum_of(run, epochs, [](const measure::EpochRecord& r) { return r.bytes_down; }) +
           (run.preparation ? static_cast<double>(run.preparation->bytes_down()) : 0);
  });
  out.joules = whole(device_joules);
  out.awake_seconds = whole(awake_seconds);
  for (const FinishedRun& run : curve.runs) {
    if (!run.preparation) continue;
    out.generator_epsilon = std::max(out.generator_epsilon.value_or(0), run.preparation->epsilon());
    out.training_untold = out.training_untold || keeps_training_secret(run);
  }
  out.run_epsilon = sends_in_turns(options_of(result.experiment, *curve.spec, 1))
                        ? std::numeric_limits<double>::infinity()
                        : out.generator_epsilon.value_or(0);
  return out;
}

}  // namespace iotsl::tool
