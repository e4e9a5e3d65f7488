#include "host/experiment/estimate.hpp"

#include <map>

#include "host/forecast/preparation_cost.hpp"
#include "host/run/simulation.hpp"

namespace iotsl::tool {
namespace {

/// Seconds of the turns: with replay the server works on twice the samples, and of method cache
/// only the first turn of a device is one of its own.
double turns_seconds(StepCost cost, const split::RunConfig& config, const data::Manifest& manifest,
                     Index judged) {
  if (config.training.replay > 0) {
    cost.step.server *= 2;
    cost.step.update *= 2;
  }
  const auto steps = static_cast<double>(total_steps(config, manifest));
  double of_server = 0;
  if (caches(config.method) && config.turns() > static_cast<std::uint64_t>(config.devices))
    of_server = 1 - static_cast<double>(config.devices) / static_cast<double>(config.turns());
  return steps * (1 - of_server) * split::step_seconds(cost.step, 0, config.training.frozen_front) +
         steps * of_server * (cost.step.server + cost.step.update) +
         seconds_beside_steps(cost, config, config.turns(), judged);
}

}  // namespace

std::vector<double> estimate_seconds(const std::vector<PlannedRun>& runs) {
  // All runs of an experiment train the same net with the same batches: one measurement is enough.
  RunOptions measured = runs.front().options;
  measured.method = Method::split_learning;
  measured.training.frozen_front = false;
  measured.training.replay = 0;
  const auto [train, test] = load_run_data(measured);
  const StepCost cost =
      sample_steps(measured, to_config(measured), train, test, draw_manifest(measured.data, train));
  // By the curve whose devices train the generators. The seeds of a curve prepare alike.
  std::map<std::string_view, PreparationSeconds> preparations;
  std::vector<double> out;
  for (const PlannedRun& run : runs) {
    RunOptions options = run.options;
    options.model = measured.model;
    const bool trains = run.curve->generators_of.empty();
    options.preparation.generators.clear();  // of another curve: they are not there yet
    const split::RunConfig config = to_config(options);
    const data::Manifest manifest = draw_manifest(options.data, train);
    const Index tests =
        options.test_per_class > 0 ? options.test_per_class * test.classes : test.size();
    const Index judged = tests + static_cast<Index>(manifest.validation.size());
    double seconds = turns_seconds(cost, config, manifest, judged);
    if (has_generators(config.method)) {
      const std::string_view source = trains ? run.curve->key : run.curve->generators_of;
      auto known = preparations.find(source);
      if (known == preparations.end())
        known = preparations.emplace(source, preparation_seconds(config, manifest, cost)).first;
      if (trains) seconds += known->second.generators;
      if (run.curve->pretrain) seconds += known->second.pretraining;
    }
    out.push_back(has_ended(run) ? 0 : seconds);
  }
  return out;
}

}  // namespace iotsl::tool
