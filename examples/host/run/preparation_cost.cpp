#include "host/run/preparation_cost.hpp"

#include "host/run/simulation.hpp"
#include "iotsl/gan/trainer.hpp"
#include "iotsl/net/bulk_messages.hpp"
#include "iotsl/net/clock.hpp"
#include "iotsl/net/transfer_size.hpp"

namespace iotsl::tool {
namespace {

/// Samples of any content: what an iteration costs does not depend on it.
data::Dataset stand_in(const ImageSpec& images, Index count) {
  data::Dataset out = gan::empty_set("stand-in", images);
  const Random random(1, Stream::user);
  for (Index i = 0; i < count; ++i) out.labels.push_back(static_cast<data::Label>(i % 2));
  for (Index i = 0; i < count * out.sample_elems(); ++i)
    out.pixels.push_back(
        static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(i), 256)));
  return out;
}

struct TrainingCost {
  double iteration_seconds = 0, check_seconds = 0;
  std::uint64_t bytes = 0;
};

TrainingCost try_training(const gan::GanSettings& settings, const ImageSpec& images) {
  const data::Dataset set = stand_in(images, 64);
  std::vector<Index> samples;
  for (Index i = 0; i < set.size(); ++i) samples.push_back(i);
  const std::size_t before = memory_statistics().in_use_bytes;
  reset_memory_peak();
  gan::GanTrainer trainer(set, samples, settings, 1, 0);
  expect(trainer.step());  // warm
  TrainingCost out;
  const net::Microseconds start = net::steady_now();
  expect(trainer.step());
  const net::Microseconds stepped = net::steady_now();
  trainer.finish();
  out.iteration_seconds = static_cast<double>(stepped - start) * 1e-6;
  out.check_seconds = static_cast<double>(net::steady_now() - stepped) * 1e-6;
  out.bytes = memory_statistics().peak_bytes - before;
  return out;
}

}  // namespace

PreparationCost preparation_cost(const split::RunConfig& config, const data::Manifest& manifest,
                                 const StepCost& step) {
  const ImageSpec images = image_spec(config.model);
  const split::PreparationOptions& chosen = config.preparation;
  gan::GanSettings settings = chosen.gan;
  settings.check_every = 0;
  PreparationCost out;
  const bool trains = chosen.generators.empty();
  const TrainingCost tried = trains ? try_training(settings, images) : TrainingCost{};
  out.iteration_seconds = tried.iteration_seconds;
  out.device_bytes = tried.bytes;
  const double each =
      out.iteration_seconds * static_cast<double>(chosen.gan.iterations) + tried.check_seconds;
  out.generator_seconds = each * static_cast<double>(config.devices);
  if (chosen.pretrain)
    out.pretrain_seconds = step.step_seconds * static_cast<double>(chosen.pretrain_iterations) *
                           static_cast<double>(chosen.pretrain_batch) /
                           static_cast<double>(config.training.batch);

  const GeneratorSpec spec = gan::generator_spec(chosen.gan, images);
  gan::GeneratorFile file{{}, GeneratorNet<float>(spec)};
  file.card.model = spec;
  file.card.settings = chosen.gan;
  file.card.dataset = manifest.dataset;
  file.card.label_counts.resize(static_cast<std::size_t>(images.classes));
  const std::uint64_t bytes = expect(gan::serialize_generator(file)).size();
  out.generator_values = static_cast<std::uint64_t>(lay_out(spec).cost().parameters);
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
