#include "host/run/preparation_cost.hpp"

#include <algorithm>

#include "host/run/simulation.hpp"
#include "iotsl/generators/training.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/net/messages/transfer_size.hpp"

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

struct TrainingCost {
  double seconds = 0, iteration_seconds = 0;
  std::uint64_t memory_bytes = 0, values = 0, file_bytes = 0;
};

/// Of a device with `samples` of `classes`. A net is tried for two iterations, whose cost does not
/// depend on the number of samples; moments, whose does, are made.
TrainingCost try_training(generators::GeneratorSettings settings, const ImageSpec& images,
                          Index samples, Index classes) {
  const bool net = settings.kind == generators::GeneratorKind::net;
  settings.net.check_every = 0;
  const data::Dataset set = stand_in(images, net ? 64 : std::max<Index>(samples, 2), classes);
  const std::size_t before = memory_statistics().in_use_bytes;
  reset_memory_peak();
  generators::GeneratorTraining training(set, data::count_up(set.size()), {settings, 1, 0}, {});
  TrainingCost out;
  expect(training.step());  // warm
  const net::Microseconds start = net::steady_now();
  Index steps = 0;
  while (!training.done() && (!net || steps == 0)) {
    expect(training.step());
    ++steps;
  }
  const net::Microseconds stepped = net::steady_now();
  const auto file = training.finish();
  const auto seconds = [](net::Microseconds time) { return static_cast<double>(time) * 1e-6; };
  out.iteration_seconds = seconds(stepped - start) / static_cast<double>(std::max<Index>(1, steps));
  out.seconds = out.iteration_seconds * static_cast<double>(training.iterations()) +
                seconds(net::steady_now() - stepped);
  out.memory_bytes = memory_statistics().peak_bytes - before;
  out.values = file->generator.values();
  out.file_bytes = expect(generators::serialize_generator(*file)).size();
  return out;
}

/// Of generators that are there: nothing is trained, and the first stands for all.
TrainingCost cost_of_given(const std::string& folder, std::size_t devices) {
  const std::size_t first = expect(split::find_generators(folder, devices)).front();
  const std::string path = join_path(folder, split::generator_name(first));
  TrainingCost out;
  out.values = expect(generators::load_generator(path)).generator.values();
  out.file_bytes = expect(file_size(path));
  return out;
}

}  // namespace

PreparationCost preparation_cost(const split::RunConfig& config, const data::Manifest& manifest,
                                 const StepCost& step) {
  const ImageSpec images = config.model.images;
  const split::PreparationOptions& chosen = config.preparation;
  PreparationCost out;
  Index samples = 0;
  for (const std::vector<Index>& device : manifest.devices)
    samples = std::max(samples, static_cast<Index>(device.size()));
  Index classes = 1;
  for (const auto& device : manifest.counts)
    classes = std::max(classes, static_cast<Index>(std::count_if(device.begin(), device.end(),
                                                                 [](Index n) { return n > 0; })));
  const bool trains = chosen.generators.empty();
  const TrainingCost tried = trains ? try_training(chosen.generator, images, samples, classes)
                                    : cost_of_given(chosen.generators, manifest.devices.size());
  out.iteration_seconds = tried.iteration_seconds;
  out.device_bytes = tried.memory_bytes;
  out.generator_seconds = tried.seconds * static_cast<double>(config.devices);
  // On the joined net: nothing is sent.
  if (chosen.pretrain)
    out.pretrain_seconds = (step.step.device + step.step.server + step.step.update) *
                           static_cast<double>(chosen.pretrain_iterations) *
                           static_cast<double>(chosen.pretrain_batch) /
                           static_cast<double>(config.training.batch);

  const std::uint64_t bytes = tried.file_bytes;
  out.generator_values = tried.values;
  const auto up = static_cast<std::uint64_t>(config.devices);
  std::uint64_t down = 0;
  for (const impute::DevicePlan& device : imputation_of(config, manifest).devices)
    down += device.generators().size();
  // Generators that are given are not sent, but count in the sum of values, as in the run's books.
  out.bytes_up = (trains ? up : 0) * net::transfer_bytes(net::MessageType::gen_upload,
                                                         net::GenUpload::overhead_bytes + bytes, 0);
  out.bytes_down = down * net::transfer_bytes(net::MessageType::gen_download,
                                              net::GenDownload::overhead_bytes + bytes, 0);
  out.values = (up + down) * out.generator_values;
  return out;
}

}  // namespace iotsl::tool
