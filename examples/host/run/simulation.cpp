#include "host/run/simulation.hpp"

#include <set>

#include "host/files/run_folder.hpp"
#include "host/files/run_inputs.hpp"
#include "host/report/device_command.hpp"
#include "host/report/energy_report.hpp"
#include "host/report/run_report.hpp"
#include "host/run/device_processes.hpp"
#include "host/run/process_run.hpp"
#include "host/run/stop_request.hpp"
#include "host/run/trained_model.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/generators/release.hpp"
#include "iotsl/net/handle_limit.hpp"
#include "iotsl/split/records/smashed_caches.hpp"
#include "iotsl/split/simulate/run_inproc.hpp"
#include "iotsl/split/simulate/run_one_net.hpp"

namespace iotsl::tool {
namespace {

/// The test set of --test-per-class: as many of each class that some device holds.
data::Dataset test_of_held_classes(const data::Dataset& test, const data::CountTable& counts,
                                   Index per_class) {
  std::vector<Index> most(static_cast<std::size_t>(test.classes), 0);
  for (const std::vector<Index>& device : counts)
    for (std::size_t c = 0; c < most.size(); ++c)
      if (device[c] > 0) most[c] = per_class;
  data::Dataset out = data::limit_per_class(test, most, data::test_part_seed);
  const std::vector<Index> found = data::class_counts(out.labels, out.classes);
  for (std::size_t c = 0; c < most.size(); ++c)
    if (found[c] < most[c])
      std::fprintf(stderr, "note: --test-per-class %ld: of class '%s' there are %ld test samples\n",
                   static_cast<long>(per_class),
                   data::class_name(out, static_cast<Index>(c)).c_str(),
                   static_cast<long>(found[c]));
  return out;
}

/// That every device of `manifest` can train a private generator of its own on as many images as it
/// has.
void check_private_training(const generators::GeneratorSettings& settings,
                            const data::Manifest& manifest) {
  std::set<std::size_t> seen;  // a search for the noise takes a while
  for (std::size_t d = 0; d < manifest.devices.size(); ++d) {
    const std::size_t records = manifest.devices[d].size();
    if (!seen.insert(records).second) continue;
    const Result<privacy::Release> planned = generators::planned_release(settings, records);
    if (!planned)
      fail_command(planned.failure().code, "device ", d, ": ", planned.failure().message);
  }
}

/// Method cache: that the samples of all devices will be within its limit.
void check_cache(const split::RunConfig& config, const data::Manifest& manifest,
                 const Sequential<float>& front) {
  const Shape smashed = front.output_shape(sample_shape(config.model)).value();
  split::WireSizes sizes;
  sizes.format = net::WireFormat::of(config.training);
  sizes.smashed_values = static_cast<std::uint64_t>(smashed.elements());
  expect(split::check_cache_limit(config.cache_limit_gib,
                                  split::cache_bytes(sizes, turn_samples(config, manifest))));
}

}  // namespace

std::uint64_t most_kept_per_parameter(const split::RunConfig& config) {
  const std::uint64_t in_turns = kept_per_parameter(config.training.optimizer);
  if (!has_generators(config.method) || !config.preparation.pretrain) return in_turns;
  return std::max(in_turns, kept_per_parameter(config.pretraining_optimizer()));
}

void check_run(const split::RunConfig& config, const data::Manifest& manifest) {
  const bool pools = pools_data(config.method);
  if (!pools) expect(data::check_device_samples(manifest));
  check_memory(config.model, 2 + most_kept_per_parameter(config));
  const split::SplitModel model = expect(split::build_split_model(config));
  const std::size_t end = config.init.rfind('/');
  if (!config.resume && end != std::string::npos &&
      config.init.substr(end + 1) == split::model_name)
    check_weights_of_run(config.init.substr(0, end), model.joined);
  if (caches(config.method) && !manifest.devices.empty())
    check_cache(config, manifest, model.front);
  if (!has_generators(config.method) || config.resume) return;
  const split::PreparationOptions& preparation = config.preparation;
  if (preparation.generators.empty()) {
    if (preparation.generator.privacy.is_private())
      check_private_training(preparation.generator, manifest);
    return;
  }
  for (const std::size_t d : expect(split::find_generators(
           preparation.generators, static_cast<std::size_t>(config.devices)))) {
    const std::string path = join_path(preparation.generators, split::generator_name(d));
    const generators::GeneratorFile file = expect(generators::load_generator(path));
    std::vector<std::uint64_t> counts =
        file.card.label_counts;  // of a device that is not known yet
    if (d < manifest.counts.size())
      counts.assign(manifest.counts[d].begin(), manifest.counts[d].end());
    Result<void> good = generators::check_generator_fits(file, config.model.images, counts);
    if (good && !preparation.foreign_generators)
      good = generators::check_generator_origin(file.card, config.dataset, config.class_names);
    if (!good) fail_command(good.failure().code, path, ": ", good.failure().message);
  }
}

impute::Plan imputation_of(const split::RunConfig& config, const data::Manifest& manifest) {
  if (!has_generators(config.method) || !config.preparation.imputes()) return {};
  const impute::GenerationLog log = expect(impute::make_generation_log(
      manifest.counts, std::vector<impute::GeneratorCheck>(manifest.counts.size()), config.seed));
  return expect(impute::make_plan(manifest.counts, log,
                                  {.scarce = config.preparation.scarce, .seed = config.seed}));
}

std::vector<std::uint64_t> turn_samples(const split::RunConfig& config,
                                        const data::Manifest& manifest) {
  const impute::Plan plan = imputation_of(config, manifest);
  std::vector<std::uint64_t> out;
  for (std::size_t d = 0; d < manifest.devices.size(); ++d) {
    const Index added = plan.devices.empty() ? 0 : plan.devices[d].added();
    out.push_back(manifest.devices[d].size() + static_cast<std::uint64_t>(added));
  }
  return out;
}

Index total_steps(const split::RunConfig& config, const data::Manifest& manifest) {
  Index steps = 0, all = 0;
  std::vector<Index> batches;
  for (const std::uint64_t samples : turn_samples(config, manifest)) {
    all += static_cast<Index>(samples);
    batches.push_back(static_cast<Index>(
        data::batch_ranges(static_cast<Index>(samples), config.training.batch).size()));
  }
  if (pools_data(config.method))
    batches = {static_cast<Index>(data::batch_ranges(all, config.training.batch).size())};
  const TurnOrder order = config.turn_order();
  for (std::uint64_t turn = 0; turn < config.turns(); ++turn)
    steps += batches[order.device_of(turn)] * config.training.local_epochs;
  return steps;
}

Result<split::RunSummary> simulate(RunOptions& options) {
  if (pools_data(options.method)) options.transport = "none";
  if (options.threads > 0) set_threads(options.threads);
  RunData sets = load_run_data(options);
  data::Dataset &train = sets.train, &test = sets.test;
  const std::string old_manifest = options.resume + "/manifest.json";
  const data::Manifest manifest = options.resume.empty()
                                      ? draw_manifest(options.data, train)
                                      : expect(data::load_manifest(old_manifest));
  if (options.test_per_class > 0)
    test = test_of_held_classes(test, manifest.counts, options.test_per_class);
  const data::Dataset validation = load_validation(options, train, manifest);
  const split::EvaluationSets judged{test, validation};
  check_run(to_config(options), manifest);
  if (options.transport == "tcp") {
    expect(program_beside("iotsl-device"));
    expect(net::ensure_handles(static_cast<std::uint64_t>(options.data.devices)));
  }
  check_run_inputs(options, sets, manifest);
  catch_stop_signals();
  RunMeter meter(options);
  RunFolder folder(options);
  if (options.resume.empty()) write_run_description(folder.path(), options, sets, manifest);
  if (options.adds_epochs) rewrite_run_options(options);
  split::RunConfig config = to_config(options);
  config.out = folder.path();
  config.resume_command = concat("iotsl simulate --resume ", shell_word(options.out));
  const std::string manifest_path = join_path(folder.path(), "manifest.json");

  const bool sends_samples = options.transport != "none" && !averages(options.method);
  RunReport report(
      sends_samples ? sample_bytes(options.model, net::WireFormat::of(options.training)) : 0,
      options.quiet);
  report.note(concat(manifest.dataset, ", ", manifest.partition, ", ", manifest.devices.size(),
                     " devices: samples per device and class\n",
                     data::format_counts(manifest.counts, manifest.unused,
                                         static_cast<Index>(manifest.validation.size()))));
  report.on_barrier = [&] { return folder.keep(); };
  Result<split::RunSummary> summary = [&]() -> Result<split::RunSummary> {
    if (options.transport == "none")
      return split::run_one_net(config, report.hooks(), train, judged, manifest.devices);
    if (options.transport == "inproc")
      return split::run_inproc(config, report.hooks(), train, judged, manifest.devices);
    return run_with_device_processes(options, config, report, train, judged, manifest_path);
  }();
  if (!summary) return folder.close(summary.failure());
  meter.finish(*summary);
  Result<void> done = folder.keep();
  if (done) done = write_summary(options, *summary);
  if (!done) return done.failure();
  return summary;
}

}  // namespace iotsl::tool
