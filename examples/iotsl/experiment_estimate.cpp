#include "experiment_estimate.hpp"

#include "iotsl/gan/trainer.hpp"
#include "iotsl/net/clock.hpp"
#include "simulation.hpp"
#include "step_cost.hpp"

namespace iotsl::tool {
namespace {

/// Seconds of one generator iteration with its critic steps; the first one warms up.
double iteration_seconds(const data::Dataset& train, const std::vector<Index>& device,
                         const gan::GanSettings& settings) {
  constexpr int counted = 2;
  gan::GanTrainer trainer(train, device, settings, 1, 0);
  trainer.step();
  const net::Microseconds start = net::steady_now();
  for (int i = 0; i < counted; ++i) trainer.step();
  return 1e-6 * static_cast<double>(net::steady_now() - start) / counted;
}

}  // namespace

std::vector<double> estimate_seconds(const std::vector<PlannedRun>& runs) {
  // All runs of an experiment train the same nets with the same batches: one measurement serves
  // all.
  RunOptions measured = runs.front().options;
  measured.method = "sl";
  const auto [train, test] = load_run_data(measured);
  const split::RunConfig measured_config = to_config(measured);
  const data::Manifest first = draw_manifest(measured.data, train);
  const StepCost cost = sample_steps(measured, measured_config, train, test, first);
  double iteration = 0;  // not measured yet
  std::vector<double> out;
  for (const PlannedRun& run : runs) {
    RunOptions options = run.options;
    options.model = measured.model;
    const split::RunConfig config = to_config(options);
    const data::Manifest manifest = draw_manifest(options.data, train);
    const Index tests =
        options.test_per_class > 0 ? options.test_per_class * test.classes : test.size();
    double seconds =
        run_seconds(cost, config, static_cast<std::uint64_t>(total_steps(config, manifest)),
                    config.turns(), tests);
    if (config.method == "iotsl") {
      if (iteration == 0) iteration = iteration_seconds(train, first.devices[0], config.gan);
      seconds += static_cast<double>(config.devices * config.gan.iterations) * iteration;
      if (config.pretrain)
        seconds += static_cast<double>(config.pretrain_iterations * config.pretrain_batch) /
                   static_cast<double>(config.batch) * cost.step_seconds;
    }
    out.push_back(has_ended(run) ? 0 : seconds);
  }
  return out;
}

}  // namespace iotsl::tool
