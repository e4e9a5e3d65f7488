#include "simulation.hpp"

#include "iotsl/core/file.hpp"
#include "iotsl/core/parallel.hpp"
#include "iotsl/split/session_inproc.hpp"
#include "iotsl/split/session_none.hpp"
#include "local_run.hpp"
#include "run_report.hpp"

namespace iotsl::tool {
namespace {

/// Steps of the whole run, for the progress bar.
Index total_steps(const split::RunConfig& config, const std::vector<std::vector<Index>>& samples) {
  Index steps = 0, all = 0;
  std::vector<Index> batches;
  for (const std::vector<Index>& device : samples) {
    all += static_cast<Index>(device.size());
    batches.push_back(static_cast<Index>(
        data::batch_ranges(static_cast<Index>(device.size()), config.batch).size()));
  }
  if (config.method == "central")
    batches = {static_cast<Index>(data::batch_ranges(all, config.batch).size())};
  for (Index turn = 0; turn < static_cast<Index>(config.turns()); ++turn)
    steps += batches[static_cast<std::size_t>(turn) % batches.size()] * config.local_epochs;
  return steps;
}

/// The test set of --test-per-class: as many of each class that some device holds.
data::Dataset test_of_held_classes(const data::Dataset& test, const data::CountTable& counts,
                                   Index per_class, std::uint64_t seed) {
  std::vector<Index> most(static_cast<std::size_t>(test.classes), 0);
  for (const std::vector<Index>& device : counts)
    for (std::size_t c = 0; c < most.size(); ++c)
      if (device[c] > 0) most[c] = per_class;
  return data::limit_per_class(test, most, seed);
}

}  // namespace

Result<split::RunSummary> simulate(RunOptions& options) {
  if (options.method == "central") options.transport = "none";
  if (options.threads > 0) set_threads(options.threads);
  auto [train, test] = load_run_data(options);
  const std::string old_manifest = options.resume + "/manifest.json";
  const data::Manifest manifest = options.resume.empty()
                                      ? draw_manifest(options.data, train)
                                      : expect(data::load_manifest(old_manifest));
  if (options.test_per_class > 0)
    test = test_of_held_classes(test, manifest.counts, options.test_per_class, options.data.seed);
  build(options.model);  // reports a wrong model or cut before anything is written
  to_config(options);
  prepare_run_folder(options);
  const split::RunConfig config = to_config(options);
  const std::string manifest_path = options.out + "/manifest.json";
  if (options.resume.empty()) expect(data::save_manifest(manifest_path, manifest));

  RunReport report(total_steps(config, manifest.devices),
                   options.transport == "none" ? 0 : sample_bytes(options.model), options.quiet);
  report.note(concat(manifest.dataset, ", ", manifest.partition, ", ", manifest.devices.size(),
                     " devices: samples per device and class\n",
                     data::format_counts(manifest.counts, manifest.unused)));
  catch_stop_signals();
  Result<split::RunSummary> summary = [&]() -> Result<split::RunSummary> {
    if (options.transport == "none")
      return split::run_none(config, report.hooks(), train, test, manifest.devices);
    if (options.transport == "inproc")
      return split::run_inproc(config, report.hooks(), train, test, manifest.devices);
    return run_with_device_processes(options, config, report, train, test, manifest_path);
  }();
  if (!summary) return summary;
  const Result<void> written = write_file_atomic(join_path(options.out, summary_name),
                                                 to_text(to_json(options, *summary), 2) + "\n");
  if (!written) return written.failure();
  return summary;
}

}  // namespace iotsl::tool
