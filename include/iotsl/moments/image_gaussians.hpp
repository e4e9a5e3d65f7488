#pragma once
// Gaussians of the classes as a source of images.

#include "iotsl/core/random.hpp"
#include "iotsl/core/threads/stop_check.hpp"
#include "iotsl/moments/class_gaussians.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// Where the random numbers of images come from: those of a draw, and those of its pixels.
struct ImageRandom {
  ImageRandom(std::uint64_t seed, std::uint32_t number)
      : draw(seed, Stream::generated, number), pixels(seed, Stream::generated_pixels, number) {}
  Random draw, pixels;
};

class ImageGaussians {
 public:
  /// About 9 d^3 operations for every class, d coefficients. Of `s` only what varies images.
  ImageGaussians(const MomentSums& sums, const Settings& s)
      : settings_(s), transform_(sums.shape(), sums.images()), classes_(class_gaussians(sums)) {}

  /// Draw `number` of a class that has images, as bytes [C, H, W].
  void draw(Index label, std::uint64_t number, const ImageRandom& random,
            std::span<std::uint8_t> out) const {
    const ClassGaussian& own = classes_[static_cast<std::size_t>(label)];
    std::vector<double> x = own.mean;
    const std::uint64_t first = number * numbers_a_draw;
    for (Index k = 0; k < own.rank(); ++k) {
      const double z = random.draw.normal(first + static_cast<std::uint64_t>(k));
      const double* factor = own.factors.data() + k * static_cast<Index>(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] += z * factor[i];
    }
    for (std::size_t i = 0; i < x.size(); ++i)
      if (own.spread[i] > 0) x[i] += own.spread[i] * random.draw.normal(first + 512 + i);
    transform_.inverse(x, out);
    if (random.draw.uniform(first + 1000) < settings_.contrast_share)
      sharpen(random.draw.uniform(first + 1002), random.draw.uniform(first + 1004), out);
  }

  /// Brightness and noise of the image that is kept of several draws. `number`: of the image.
  void vary(std::uint64_t number, const ImageRandom& random, std::span<std::uint8_t> out) const {
    using namespace scalar_math;
    const std::uint64_t first = number * out.size() + 4;
    const double bright =
        pow(settings_.brightness, random.draw.uniform(number * numbers_a_draw + 1006));
    const double noise =
        255 * settings_.pixel_noise * random.draw.uniform(number * numbers_a_draw + 1008);
    if (bright == 1 && noise == 0) return;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double lit = std::min(255.0, bright * out[i]);
      out[i] = as_byte(noise > 0 ? lit + noise * random.pixels.normal(first + i) : lit);
    }
  }

 private:
  /// Above check_settings' most coefficients twice (from 0 and from 512 on), and a few.
  static constexpr std::uint64_t numbers_a_draw = 1024;

  static std::uint8_t as_byte(double v) {
    return static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
  }
  /// v + (gain - 1)(v - level): gain from 1 to `contrast`, level from 0.25 to 0.6 of the brightest
  /// value; both by uniform numbers.
  void sharpen(double gain_share, double level_share, std::span<std::uint8_t> out) const {
    const double gain = scalar_math::pow(settings_.contrast, gain_share);
    const double level = *std::max_element(out.begin(), out.end()) * (0.25 + 0.35 * level_share);
    for (std::uint8_t& v : out) v = as_byte(v + (gain - 1) * (v - level));
  }

  Settings settings_;
  CosineTransform transform_;
  std::vector<ClassGaussian> classes_;
};

/// Raises an Error unless `set` has the form of the images and `count` images of the class can be
/// asked for.
inline void check_append(const data::Dataset& set, const ImageSpec& own, bool holds, Index label,
                         Index count) {
  if (set.channels != own.channels || set.height != own.height || set.width != own.width ||
      set.classes != own.classes)
    fail("moments: a set of ", set.channels, "x", set.height, "x", set.width, " with ", set.classes,
         " classes, the generator makes ", own.channels, "x", own.height, "x", own.width, " with ",
         own.classes);
  if (!holds || count < 0)
    fail("moments: ", count, " images of class ", label, ", which the generator does not hold");
}

/// Appends `count` images of class `label`, the i-th of them written by `draw(i, pixels)`. False
/// where it was stopped, with fewer images.
template <class Draw>
bool append_drawn(data::Dataset& set, Index label, Index count, const StopCheck& stop,
                  const Draw& draw) {
  const auto elems = static_cast<std::size_t>(set.sample_elems());
  constexpr Index batch = 64;
  for (Index done = 0; done < count; done += batch) {
    if (stop()) return false;
    const Index now = std::min(batch, count - done);
    const std::size_t begin = set.pixels.size();
    set.pixels.resize(begin + static_cast<std::size_t>(now) * elems);
    parallel_for(now, [&](Index i) {
      draw(done + i,
           std::span(set.pixels).subspan(begin + static_cast<std::size_t>(i) * elems, elems));
    });
    set.labels.insert(set.labels.end(), static_cast<std::size_t>(now),
                      static_cast<data::Label>(label));
    set.full_size = set.size();
  }
  return true;
}

/// The number of image i of a class.
inline std::uint64_t image_number(Index label, Index i) {
  return static_cast<std::uint64_t>(label) << 32 | static_cast<std::uint64_t>(i);
}

/// What a judge says of a draw: the chance of its class, and whether no other is likelier.
struct Verdict {
  double chance = 1;
  bool agrees = true;
};
inline Verdict verdict(std::span<const double> chances, std::size_t own) {
  return {chances[own], *std::max_element(chances.begin(), chances.end()) == chances[own]};
}

/// Image i of a class: drawn up to `tries` times until `judge(pixels)` agrees, or else the draw it
/// finds likeliest.
template <class Judge>
void draw_agreed(const ImageGaussians& gaussians, Index label, Index i, Index tries,
                 const ImageRandom& random, const Judge& judge, std::span<std::uint8_t> out) {
  const std::uint64_t number = image_number(label, i);
  std::vector<std::uint8_t> pixels(out.size());
  double best = -1;
  for (Index attempt = 0; attempt < tries; ++attempt) {
    gaussians.draw(label,
                   number * static_cast<std::uint64_t>(tries) + static_cast<std::uint64_t>(attempt),
                   random, pixels);
    const Verdict said = judge(std::span<const std::uint8_t>(pixels));
    if (said.chance > best) std::copy(pixels.begin(), pixels.end(), out.begin());
    best = std::max(best, said.chance);
    if (said.agrees) break;
  }
  gaussians.vary(number, random, out);
}

}  // namespace moments
IOTSL_NAMESPACE_END
