#pragma once
// Images from what one device released. Nothing here sees its data: all of it is post-processing.

#include <optional>

#include "iotsl/moments/head_classifier.hpp"
#include "iotsl/moments/image_gaussians.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

class Generator {
 public:
  /// Of a release that a trainer made or parse_release() took. What takes long is done here, once.
  explicit Generator(Release release)
      : release_(std::move(release)), gaussians_(MomentSums(release_), release_.settings) {
    if (!release_.weights.empty()) head_.emplace(release_);
  }

  const Release& release() const { return release_; }
  const ImageSpec& images() const { return release_.images; }
  /// Whether it has learned that class; others cannot be drawn.
  bool holds(Index label) const {
    return label >= 0 && label < images().classes &&
           release_.counts[static_cast<std::size_t>(label)] > 0;
  }
  Index values() const { return release_.values(); }

  /// Appends `count` images of class `label` to `set`. Image i is a function of the release, seed,
  /// number, label and i alone. False where it was stopped, with fewer images.
  bool append(data::Dataset& set, Index label, Index count, std::uint64_t seed,
              std::uint32_t number = 0, const StopCheck& stop = {}) const {
    check_append(set, images(), holds(label), label, count);
    const ImageRandom random(seed, number);
    return append_drawn(set, label, count, stop,
                        [&](Index i, std::span<std::uint8_t> out) { draw(label, i, random, out); });
  }

 private:
  /// Drawn again where the head sees another class.
  void draw(Index label, Index i, const ImageRandom& random, std::span<std::uint8_t> out) const {
    const auto judge = [&](std::span<const std::uint8_t> pixels) {
      if (!head_) return Verdict{};
      const std::vector<Index>& known = head_->classes();
      const auto row = std::lower_bound(known.begin(), known.end(), label) - known.begin();
      return verdict((*head_)(pixels), static_cast<std::size_t>(row));
    };
    draw_agreed(gaussians_, label, i, release_.settings.max_redraws + 1, random, judge, out);
  }

  Release release_;
  ImageGaussians gaussians_;
  std::optional<Head> head_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
