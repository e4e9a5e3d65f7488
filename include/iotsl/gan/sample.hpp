#pragma once
// Images from a generator: noise by counter, values as bytes, so that generated images are samples
// like any other.

#include "iotsl/core/threads/stop_check.hpp"
#include "iotsl/data/dataset.hpp"
#include "iotsl/models/generator.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Noise [labels, latent]: bits (0 or 1, each with probability one half) or normal values. Row i
/// uses the numbers (first + i) latent ... of `random`.
inline Tensor<float> draw_noise(Index rows, Index latent, bool gaussian, const Random& random,
                                std::uint64_t first) {
  Tensor<float> out = Tensor<float>::uninitialized(Shape{rows, latent});
  const std::uint64_t base = first * static_cast<std::uint64_t>(latent);
  float* values = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i) {
    const std::uint64_t at = base + static_cast<std::uint64_t>(i);
    values[i] =
        gaussian ? static_cast<float>(random.normal(at)) : static_cast<float>(random.bits(at) & 1u);
  }
  return out;
}

/// A data set of the images that a generator makes, still empty.
inline data::Dataset empty_set(std::string name, const ImageSpec& images) {
  data::Dataset out;
  out.name = std::move(name);
  out.channels = images.channels;
  out.height = images.height;
  out.width = images.width;
  out.classes = images.classes;
  return out;
}

/// What a generator of samples like those of `set` makes.
inline ImageSpec image_spec(const data::Dataset& set) {
  return {set.channels, set.height, set.width, set.classes};
}

/// Where a generator's noise comes from when it is sampled.
struct SampleSource {
  bool gaussian = false;
  std::uint64_t seed = 1;
  std::uint32_t number = 0;  ///< of the generator, so that each has noise of its own
};

/// Appends `count` images of class `label` to `set`. Image i is a function of the weights, source,
/// label and i alone: the batches are always full, so that asking for more images changes none.
/// False where it was stopped, with fewer images.
inline bool append_generated(data::Dataset& set, const GeneratorNet<float>& net, Index label,
                             Index count, const SampleSource& source, const StopCheck& stop = {}) {
  const ImageSpec& images = net.spec().images;
  if (set.channels != images.channels || set.height != images.height || set.width != images.width ||
      set.classes != images.classes)
    fail("append_generated: a set of ", set.channels, "x", set.height, "x", set.width, " with ",
         set.classes, " classes, the generator makes ", images.channels, "x", images.height, "x",
         images.width, " with ", images.classes);
  if (label < 0 || label >= images.classes || count < 0)
    fail("append_generated: ", count, " images of class ", label, " of ", images.classes);
  const NoRecord values_only;
  constexpr Index batch = 32;
  const std::vector<std::int32_t> labels(batch, static_cast<std::int32_t>(label));
  const Random random(source.seed, Stream::generated, source.number);
  bool whole = true;
  for (Index done = 0; done < count; done += batch) {
    whole = !stop();
    if (!whole) break;
    const auto first = (static_cast<std::uint64_t>(label) << 32) + static_cast<std::uint64_t>(done);
    const Tensor<float> out =
        net.forward(draw_noise(batch, net.spec().latent, source.gaussian, random, first), labels);
    const Index used = std::min(batch, count - done) * set.sample_elems();
    for (Index i = 0; i < used; ++i)
      set.pixels.push_back(static_cast<std::uint8_t>(out.data()[i] * 255.0F + 0.5F));
    set.labels.insert(set.labels.end(), static_cast<std::size_t>(std::min(batch, count - done)),
                      static_cast<data::Label>(label));
  }
  set.full_size = set.size();
  return whole;
}

}  // namespace gan
IOTSL_NAMESPACE_END
