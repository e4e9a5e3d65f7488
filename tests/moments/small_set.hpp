#pragma once
// Images for the tests of moments generators: the built-in digits, and noise of any form.

#include "iotsl/data/glyphs.hpp"
#include "iotsl/moments/generator.hpp"
#include "iotsl/moments/trainer.hpp"

namespace moments_test {

using namespace iotsl;

/// A setting that is quick to train.
inline moments::Settings quick(bool noise = true) {
  moments::Settings s;
  s.noise = noise;
  s.side = 6;
  s.head_steps = 4;
  return s;
}

/// Random bytes, of which about half are 0, with the labels 0, 1, ... in turn.
inline data::Dataset random_set(const ImageSpec& images, Index count, std::uint64_t seed = 1) {
  data::Dataset out;
  out.name = "random";
  out.channels = images.channels;
  out.height = images.height;
  out.width = images.width;
  out.classes = images.classes;
  const Random random(seed, Stream::user, 0);
  for (Index i = 0; i < count * out.sample_elems(); ++i) {
    const std::uint32_t bits = random.bits(static_cast<std::uint64_t>(i));
    out.pixels.push_back(static_cast<std::uint8_t>((bits & 256) != 0 ? bits & 255 : 0));
  }
  for (Index i = 0; i < count; ++i)
    out.labels.push_back(static_cast<data::Label>(i % images.classes));
  out.full_size = count;
  return out;
}

inline moments::Release train(const data::Dataset& set, const moments::Settings& settings,
                              std::uint64_t key = 1) {
  moments::Trainer trainer(set, data::count_up(set.size()), settings,
                           privacy::seeded_noise_key(key));
  while (!trainer.done()) trainer.step();
  return trainer.release();
}

inline Result<moments::Release> round_trip(const moments::Release& r) {
  return moments::parse_release(r.images, r.settings, r.counts, ByteSpan(serialize_sums(r)),
                                ByteSpan(serialize_head(r)));
}

inline std::vector<std::uint8_t> draw(const moments::Generator& generator, Index label, Index count,
                                      std::uint64_t seed = 1, std::uint32_t number = 0) {
  data::Dataset set;
  set.channels = generator.images().channels;
  set.height = generator.images().height;
  set.width = generator.images().width;
  set.classes = generator.images().classes;
  generator.append(set, label, count, seed, number);
  return set.pixels;
}

}  // namespace moments_test
