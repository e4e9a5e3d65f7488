#include "host/experiment/estimate.hpp"

#include "host/run/preparation_cost.hpp"
#include "host/run/simulation.hpp"

namespace iotsl::tool {

std::vector<double> estimate_seconds(const std::vector<PlannedRun>& runs) {
  // All runs of an experiment train the same net with the same batches: one measurement is enough.
  RunOptions measured = runs.front().options;
  measured.method = Method::split_learning;
  const auto [train, test] = load_run_data(measured);
  const StepCost cost =
      sample_steps(measured, to_config(measured), train, test, draw_manifest(measured.data, train));
  const CurveSpec* prepared = nullptr;
  PreparationCost preparation;  // of that curve
  std::vector<double> out;
  for (const PlannedRun& run : runs) {
    RunOptions options = run.options;
    options.model = measured.model;
    const split::RunConfig config = to_config(options);
    const data::Manifest manifest = draw_manifest(options.data, train);
    const Index tests =
        options.test_per_class > 0 ? options.test_per_class * test.classes : test.size();
    const Index judged = tests + static_cast<Index>(manifest.validation.size());
    double seconds =
        run_seconds(cost, config, static_cast<std::uint64_t>(total_steps(config, manifest)),
                    config.turns(), judged);
    if (has_generators(config.method)) {
      // The seeds of a curve prepare alike.
      if (run.curve != prepared) preparation = preparation_cost(config, manifest, cost);
      prepared = run.curve;
      seconds += preparation.generator_seconds + preparation.pretrain_seconds;
    }
    out.push_back(has_ended(run) ? 0 : seconds);
  }
  return out;
}

}  // namespace iotsl::tool
