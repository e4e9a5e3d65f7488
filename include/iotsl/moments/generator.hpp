#pragma once
// Images from what a device released. Nothing here sees its data: all of it is post-processing.

#include <optional>

#include "iotsl/core/stop_check.hpp"
#include "iotsl/moments/class_gaussians.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// The head as a classifier of images.
class Head {
 public:
  /// `r` with weights.
  explicit Head(const Release& r)
      : input_(r.images, r.centre, r.settings.head_constant), weights_(r.weights) {
    for (std::size_t c = 0; c < r.counts.size(); ++c)
      if (r.counts[c] > 0) classes_.push_back(static_cast<Index>(c));
  }
  /// The classes that it knows, ascending.
  const std::vector<Index>& classes() const { return classes_; }

  /// Chances of classes() for bytes [C, H, W].
  std::vector<double> operator()(std::span<const std::uint8_t> pixels) const {
    std::vector<std::int16_t> x(static_cast<std::size_t>(input_.size()));
    input_(pixels, x);
    std::vector<double> out;
    const float* w = weights_.data();
    for (std::size_t c = 0; c < classes_.size(); ++c) {
      float sums[8] = {};  // apart, so that the additions need not wait for each other
      std::size_t j = 0;
      for (; j + 8 <= x.size(); j += 8)
        for (std::size_t k = 0; k < 8; ++k) sums[k] += w[j + k] * static_cast<float>(x[j + k]);
      for (; j < x.size(); ++j) sums[0] += w[j] * static_cast<float>(x[j]);
      double sum = 0;
      for (const float part : sums) sum += static_cast<double>(part);
      out.push_back(sum / input_bound);
      w += x.size();
    }
    softmax(out);
    return out;
  }

 private:
  HeadInput input_;
  std::vector<float> weights_;
  std::vector<Index> classes_;
};

class Generator {
 public:
  /// Of a release that a trainer made or parse_release() took: about 9 d^3 operations for every
  /// class, done once.
  explicit Generator(Release release)
      : release_(std::move(release)),
        transform_(coef_shape(release_.settings, release_.images), release_.images),
        classes_(class_gaussians(release_)) {
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
    const ImageSpec& own = images();
    if (set.channels != own.channels || set.height != own.height || set.width != own.width_px ||
        set.classes != own.classes)
      fail("moments: a set of ", set.channels, "x", set.height, "x", set.width, " with ",
           set.classes, " classes, the generator makes ", own.channels, "x", own.height, "x",
           own.width_px, " with ", own.classes);
    if (!holds(label) || count < 0)
      fail("moments: ", count, " images of class ", label, ", which the generator does not hold");
    const Random random(seed, Stream::generated, number);
    const auto elems = static_cast<std::size_t>(set.sample_elems());
    constexpr Index batch = 64;
    for (Index done = 0; done < count; done += batch) {
      if (stop()) return false;
      const Index now = std::min(batch, count - done);
      const std::size_t begin = set.pixels.size();
      set.pixels.resize(begin + static_cast<std::size_t>(now) * elems);
      parallel_for(now, [&](Index i) {
        draw(label, done + i, random,
             std::span(set.pixels).subspan(begin + static_cast<std::size_t>(i) * elems, elems));
      });
      set.labels.insert(set.labels.end(), static_cast<std::size_t>(now),
                        static_cast<data::Label>(label));
      set.full_size = set.size();
    }
    return true;
  }

 private:
  /// Draws until the head agrees; of those with which it never does the one it likes best.
  void draw(Index label, Index i, const Random& random, std::span<std::uint8_t> out) const {
    const Index tries = head_ ? release_.settings.max_redraws + 1 : 1;
    std::vector<std::uint8_t> pixels(out.size());
    double best = -1;
    for (Index attempt = 0; attempt < tries; ++attempt) {
      make(label,
           (static_cast<std::uint64_t>(label) << 32 | static_cast<std::uint64_t>(i)) *
                   static_cast<std::uint64_t>(tries) +
               static_cast<std::uint64_t>(attempt),
           random, pixels);
      if (!head_) break;
      const std::vector<double> chances = (*head_)(pixels);
      const std::vector<Index>& known = head_->classes();
      const auto row = static_cast<std::size_t>(
          std::lower_bound(known.begin(), known.end(), label) - known.begin());
      if (chances[row] > best) std::copy(pixels.begin(), pixels.end(), out.begin());
      best = std::max(best, chances[row]);
      if (*std::max_element(chances.begin(), chances.end()) == chances[row]) break;
    }
    if (!head_) std::copy(pixels.begin(), pixels.end(), out.begin());
  }

  /// Draw `number` of the class's Gaussian as an image.
  void make(Index label, std::uint64_t number, const Random& random,
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

  static constexpr std::uint64_t max_rank = 512;  ///< above what check_settings lets through

  Release release_;
  CosineTransform transform_;
  std::vector<ClassGaussian> classes_;
  std::optional<Head> head_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
