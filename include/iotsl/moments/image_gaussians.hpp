#pragma once
// Gaussians of the classes as a source of images.

#include "iotsl/core/random.hpp"
#include "iotsl/core/stop_check.hpp"
#include "iotsl/moments/class_gaussians.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

class ImageGaussians {
 public:
  /// About 9 d^3 operations for every class, d coefficients.
  explicit ImageGaussians(const MomentSums& sums)
      : transform_(sums.shape(), sums.images()), classes_(class_gaussians(sums)) {}

  /// Draw `number` of a class that has images, as bytes [C, H, W].
  void draw(Index label, std::uint64_t number, const Random& random,
            std::span<std::uint8_t> out) const {
    const ClassGaussian& own = classes_[static_cast<std::size_t>(label)];
    std::vector<double> x = own.mean;
    const std::uint64_t first = number * max_rank;
    for (Index k = 0; k < own.rank(); ++k) {
      const double z = random.normal(first + static_cast<std::uint64_t>(k));
      const double* factor = own.factors.data() + k * static_cast<Index>(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) x[i] += z * factor[i];
    }
    transform_.inverse(x, out);
  }

 private:
  static constexpr std::uint64_t max_rank = 512;  ///< above what check_settings lets through

  CosineTransform transform_;
  std::vector<ClassGaussian> classes_;
};

/// Raises an Error unless `set` has the form of the images and `count` images of the class can be
/// asked for.
inline void check_append(const data::Dataset& set, const ImageSpec& own, bool holds, Index label,
                         Index count) {
  if (set.channels != own.channels || set.height != own.height || set.width != own.width_px ||
      set.classes != own.classes)
    fail("moments: a set of ", set.channels, "x", set.height, "x", set.width, " with ", set.classes,
         " classes, the generator makes ", own.channels, "x", own.height, "x", own.width_px,
         " with ", own.classes);
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

/// A place in a stream of random numbers for image i of a class.
inline std::uint64_t image_number(Index label, Index i) {
  return static_cast<std::uint64_t>(label) << 32 | static_cast<std::uint64_t>(i);
}

}  // namespace moments
IOTSL_NAMESPACE_END
