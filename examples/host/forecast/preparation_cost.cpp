#include "host/forecast/preparation_cost.hpp"

#include <algorithm>

#include "host/run/simulation.hpp"
#include "iotsl/generators/training.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/net/link/transfer_size.hpp"

namespace iotsl::tool {
namespace {

/// Samples of any content: what an iteration costs does not depend on it. Moments are those of each
/// of the `classes`.
data::Dataset stand_in(const ImageSpec& images, Index count, Index classes) {
  data::Dataset out = gan::empty_set("stand-in", images);
  const Random random(1, Stream::user);
  for (Index i = 0; i < count; ++i) out.labels.push_back(static_cast<data::Label>(i % classes));
  for (Index i = 0; i < count * out.sample_elems(); ++i)
    out.pixels.push_back(
        static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(i), 256)));
  return out;
}

struct Tried {
  double seconds = 0, iteration_seconds = 0;
  std::uint64_t memory_bytes = 0;
  generators::GeneratorFile file;
};

/// Of the generator that `task` makes of all of `set`. A net is tried for two iterations, moments
/// are made. The noise of private ones has a key that is known: nothing of it leaves the program.
Tried try_training(generators::GeneratorTask task, const data::Dataset& set) {
  const bool net = task.settings.kind == generators::GeneratorKind::net;
  if (net) task.settings.net.check_every = 0;
  const std::size_t before = memory_statistics().in_use_bytes;
  reset_memory_peak();
  generators::GeneratorTraining training(set, data::count_up(set.size()), std::move(task), {});
  expect(training.step());  // warm
  const net::Microseconds start = net::thread_time();
  Index steps = 0;
  while (!training.done() && (!net || steps == 0)) {
    expect(training.step());
    ++steps;
  }
  const net::Microseconds stepped = net::thread_time();
  std::optional<generators::GeneratorFile> file = training.finish();
  const double each =
      net::to_seconds(stepped - start) / static_cast<double>(std::max<Index>(1, steps));
  return {.seconds = each * static_cast<double>(training.iterations()) +
                     net::to_seconds(net::thread_time() - stepped),
          .iteration_seconds = each,
          .memory_bytes = memory_statistics().peak_bytes - before,
          .file = std::move(file).value()};
}

bool makes_moments(const split::RunConfig& config) {
  return config.preparation.generator.kind == generators::GeneratorKind::moments;
}
generators::GeneratorTask task_of(const split::RunConfig& config, std::size_t device) {
  return {config.preparation.generator, config.seed, static_cast<std::uint32_t>(device)};
}
std::size_t largest_device(const data::Manifest& manifest) {
  const auto& devices = manifest.devices;
  return static_cast<std::size_t>(
      std::max_element(devices.begin(), devices.end(),
                       [](const auto& a, const auto& b) { return a.size() < b.size(); }) -
      devices.begin());
}

/// The training of the device with most samples, on any samples: the time of a net does not depend
/// on their number, and that of neither kind on what they show.
Tried try_stand_in(const split::RunConfig& config, const data::Manifest& manifest) {
  const std::size_t device = largest_device(manifest);
  const auto samples = static_cast<Index>(manifest.devices[device].size());
  const std::vector<Index>& counts = manifest.counts[device];
  const auto classes = std::count_if(counts.begin(), counts.end(), [](Index n) { return n > 0; });
  return try_training(
      task_of(config, device),
      stand_in(config.model.images, makes_moments(config) ? std::max<Index>(samples, 2) : 64,
               std::max<Index>(1, classes)));
}

PreparationSeconds seconds_of(double training, double iteration, const split::RunConfig& config,
                              const StepCost& step) {
  const split::PreparationOptions& chosen = config.preparation;
  PreparationSeconds out{.iteration = iteration,
                         .generators = training * static_cast<double>(config.devices)};
  // On the joined net: nothing is sent.
  if (chosen.pretrain)
    out.pretraining = (step.step.device + step.step.server + step.step.update) *
                      static_cast<double>(chosen.pretrain_iterations) *
                      static_cast<double>(chosen.pretrain_batch) /
                      static_cast<double>(config.training.batch);
  return out;
}

/// A device's generator as it travels.
struct Shared {
  std::uint64_t values = 0, file_bytes = 0;
};
Shared describe(const generators::GeneratorFile& file) {
  return {file.generator.values(), expect(generators::serialize_generator(file)).size()};
}

std::vector<Shared> given_generators(const std::string& folder, std::size_t devices) {
  std::vector<Shared> out;
  for (const std::size_t device : expect(split::find_generators(folder, devices))) {
    const std::string path = join_path(folder, split::generator_name(device));
    out.push_back(
        {expect(generators::load_generator(path)).generator.values(), expect(file_size(path))});
  }
  return out;
}

/// How long a file of moments is depends on the sums, since large numbers take more bytes: those of
/// each device are made. Of its card only the quality is that of another device, `tried`.
std::vector<Shared> moments_of_all(const split::RunConfig& config, const data::Manifest& manifest,
                                   const DeviceSamples& samples_of, std::size_t tried,
                                   const generators::GeneratorFile& tried_file) {
  std::vector<Shared> out;
  for (std::size_t d = 0; d < manifest.devices.size(); ++d) {
    if (d == tried) {
      out.push_back(describe(tried_file));
      continue;
    }
    const data::Dataset set = samples_of(d);
    generators::GeneratorTraining training(set, data::count_up(set.size()), task_of(config, d), {});
    expect(training.step());
    generators::GeneratorCard card = training.card();
    card.iterations = static_cast<std::uint64_t>(training.iterations());
    card.quality = tried_file.card.quality;
    const moments::Trainer& moments = *training.moments();
    out.push_back({static_cast<std::uint64_t>(moments.released_values()),
                   generators::moments_file_bytes(card, moments.sums_bytes())});
  }
  return out;
}

}  // namespace

PreparationSeconds preparation_seconds(const split::RunConfig& config,
                                       const data::Manifest& manifest, const StepCost& step) {
  if (!config.preparation.generators.empty()) return seconds_of(0, 0, config, step);
  const Tried tried = try_stand_in(config, manifest);
  return seconds_of(tried.seconds, tried.iteration_seconds, config, step);
}

PreparationCost preparation_cost(const split::RunConfig& config, const data::Manifest& manifest,
                                 const StepCost& step, const DeviceSamples& samples_of) {
  const std::size_t devices = manifest.devices.size();
  const std::string& given = config.preparation.generators;
  PreparationCost out;
  std::vector<Shared> shared;
  if (!given.empty()) {
    out.seconds = seconds_of(0, 0, config, step);
    shared = given_generators(given, devices);
  } else {
    const std::size_t device = largest_device(manifest);
    const Tried tried = makes_moments(config)
                            ? try_training(task_of(config, device), samples_of(device))
                            : try_stand_in(config, manifest);
    out.seconds = seconds_of(tried.seconds, tried.iteration_seconds, config, step);
    out.device_bytes = tried.memory_bytes;
    shared = makes_moments(config)
                 ? moments_of_all(config, manifest, samples_of, device, tried.file)
                 : std::vector<Shared>(devices, describe(tried.file));
  }
  for (const Shared& each : shared) {
    out.generator_values = std::max(out.generator_values, each.values);
    out.values += each.values;
    // Generators that are given are not sent, but count in the sum of values, as in the run's
    // books.
    if (given.empty())
      out.bytes_up += net::transfer_bytes(net::MessageType::gen_upload,
                                          net::GenUpload::overhead_bytes + each.file_bytes, 0);
  }
  for (const impute::DevicePlan& device : imputation_of(config, manifest).devices)
    for (const auto d : device.generators()) {
      const Shared& each = shared[static_cast<std::size_t>(d)];
      out.values += each.values;
      out.bytes_down += net::transfer_bytes(net::MessageType::gen_download,
                                            net::GenDownload::overhead_bytes + each.file_bytes, 0);
    }
  return out;
}

}  // namespace iotsl::tool
