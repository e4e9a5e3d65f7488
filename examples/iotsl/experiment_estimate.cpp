#include "experiment_estimate.hpp"

#include <algorithm>

#include "iotsl/data/loader.hpp"
#include "step_cost.hpp"

namespace iotsl::tool {
namespace {

/// Samples that a device trains on: its own, and with imputation those that fill it up.
std::vector<Index> samples_of_devices(const data::Manifest& manifest, bool impute) {
  std::vector<Index> out;
  std::vector<bool> held(manifest.counts.front().size(), false);
  for (const std::vector<Index>& row : manifest.counts)
    for (std::size_t c = 0; c < row.size(); ++c) held[c] = held[c] || row[c] > 0;
  const auto classes = static_cast<Index>(std::count(held.begin(), held.end(), true));
  for (const std::vector<Index>& row : manifest.counts) {
    Index own = 0, own_classes = 0;
    for (const Index count : row) {
      own += count;
      own_classes += count > 0 ? 1 : 0;
    }
    out.push_back(impute ? own + (classes - own_classes) * (own / own_classes) : own);
  }
  return out;
}

std::uint64_t steps_of(const split::RunConfig& config, const std::vector<Index>& samples) {
  std::uint64_t steps = 0;
  for (std::uint64_t turn = 0; turn < config.turns(); ++turn) {
    const Index n = samples[static_cast<std::size_t>(turn % samples.size())];
    steps += data::batch_ranges(n, config.batch).size() *
             static_cast<std::uint64_t>(config.local_epochs);
  }
  return steps;
}

}  // namespace

std::vector<double> estimate_seconds(const std::vector<PlannedRun>& runs) {
  // All runs of an experiment train the same net with the same batches: one measurement serves all.
  RunOptions measured = runs.front().options;
  measured.method = "sl";
  measured.transport = "tcp";
  const auto [train, test] = load_run_data(measured);
  const StepCost cost =
      sample_steps(measured, to_config(measured), train, test, draw_manifest(measured.data, train));
  std::vector<double> out;
  for (const PlannedRun& run : runs) {
    RunOptions options = run.options;
    options.model = measured.model;
    const split::RunConfig config = to_config(options);
    const data::Manifest manifest = draw_manifest(options.data, train);
    const std::vector<Index> samples = samples_of_devices(manifest, run.curve->impute);
    const Index tests =
        options.test_per_class > 0 ? options.test_per_class * test.classes : test.size();
    const double seconds =
        run_seconds(cost, config, steps_of(config, samples), config.turns(), tests);
    out.push_back(has_ended(run) ? 0 : seconds);
  }
  return out;
}

}  // namespace iotsl::tool
