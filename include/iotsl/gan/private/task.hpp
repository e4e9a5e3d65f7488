#pragma once
// What all steps of a private training of a net have in common: the samples, the settings, and the
// random numbers that everybody may know. Those that nobody may know come from the noise's key.

#include "iotsl/data/batch.hpp"
#include "iotsl/gan/private/plan.hpp"
#include "iotsl/gan/private/shards.hpp"
#include "iotsl/gan/sample.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

struct PrivateTask {
  const data::Dataset* set = nullptr;
  std::vector<Index> samples;  ///< numbers in `set`; none is held out
  GanSettings settings;
  NoisePlan plan;
  std::uint64_t seed = 0;             ///< device_seed()
  std::vector<std::int32_t> classes;  ///< that have samples

  NoiseScale scale() const { return noise_scale(plan, settings.batch); }
  bool gaussian() const { return settings.noise == "gaussian"; }

  Random numbers(Stream stream, Index step) const {
    return Random(seed, stream, static_cast<std::uint32_t>(step));
  }
  /// The generator's input [batch, latent].
  Tensor<float> noise(Index step) const {
    return draw_noise(settings.batch, settings.latent, gaussian(), numbers(Stream::gan_noise, step),
                      0);
  }
  /// Labels of a batch of generated images: never those of a batch of samples.
  std::vector<std::int32_t> labels(Index step) const {
    return uniform_labels(classes, settings.batch, numbers(Stream::gan_labels, step));
  }
};

}  // namespace gan
IOTSL_NAMESPACE_END
