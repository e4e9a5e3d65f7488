#pragma once
// What several devices have released, together: images from Gaussians of all their moments that
// all their heads agree on. Post-processing, so that it costs no privacy; who
// has all the releases (the server) can do it.

#include "iotsl/moments/head_classifier.hpp"
#include "iotsl/moments/image_gaussians.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

class Ensemble {
 public:
  /// Of devices with different images. Fails where there is none, or where their images or
  /// coefficients differ in form; mu may differ.
  static Result<Ensemble> of(const std::vector<Release>& releases) {
    if (releases.empty()) return failure(ErrorCode::usage, "moments: an ensemble of no releases");
    MomentSums sums(releases.front());
    for (std::size_t k = 1; k < releases.size(); ++k) {
      const MomentSums own(releases[k]);
      if (!sums.fits(own))
        return failure(ErrorCode::usage, "moments: release ", k,
                       " is of other images or coefficients than the first");
      sums.add(own);
    }
    Ensemble out(sums, releases.front().settings);
    for (const Release& r : releases)
      if (!r.weights.empty()) out.heads_.emplace_back(r);
    return out;
  }

  const ImageSpec& images() const { return images_; }
  /// Whether a device has learned that class.
  bool holds(Index label) const {
    return label >= 0 && label < images_.classes && counts_[static_cast<std::size_t>(label)] > 0;
  }
  /// Images per class of all devices.
  const std::vector<std::uint64_t>& counts() const { return counts_; }

  /// As Generator::append, with the Gaussians of all devices, and drawn again where the heads of
  /// all see another class.
  bool append(data::Dataset& set, Index label, Index count, std::uint64_t seed,
              std::uint32_t number = 0, const StopCheck& stop = {}) const {
    check_append(set, images_, holds(label), label, count);
    const ImageRandom random(seed, number);
    return append_drawn(set, label, count, stop, [&](Index i, std::span<std::uint8_t> out) {
      const auto judge = [&](std::span<const std::uint8_t> pixels) {
        return verdict(chances(pixels, label), static_cast<std::size_t>(label));
      };
      draw_agreed(gaussians_, label, i, tries_, random, judge, out);
    });
  }

  /// Chances [classes] that the heads see in an image drawn as one of class `label`: the mean over
  /// heads of log(p[d] / p[label]), for each class d of those heads that know both; 0 for classes
  /// that no head has beside it.
  std::vector<double> chances(std::span<const std::uint8_t> pixels, Index label) const {
    const auto own = static_cast<std::size_t>(label);
    std::vector<double> logits(counts_.size()), out(counts_.size());
    std::vector<int> heads(counts_.size());
    for (const Head& head : heads_) {
      const std::vector<Index>& known = head.classes();
      const auto at = std::lower_bound(known.begin(), known.end(), label);
      if (at == known.end() || *at != label) continue;
      const std::vector<double> p = head(pixels);
      const double base = log_chance(p[static_cast<std::size_t>(at - known.begin())]);
      for (std::size_t row = 0; row < known.size(); ++row) {
        const auto d = static_cast<std::size_t>(known[row]);
        logits[d] += log_chance(p[row]) - base;
        ++heads[d];
      }
    }
    double most = 0, sum = 0;
    for (std::size_t d = 0; d < logits.size(); ++d) {
      if (heads[d] > 0) logits[d] /= heads[d];
      if (heads[d] > 0) most = std::max(most, logits[d]);
    }
    for (std::size_t d = 0; d < logits.size(); ++d) {
      if (heads[d] > 0 || d == own) out[d] = scalar_math::exp(logits[d] - most);
      sum += out[d];
    }
    for (double& v : out) v /= sum;
    return out;
  }

  /// chances() of every image of a set that append() has made: [N, classes].
  std::vector<float> soft_labels(const data::Dataset& set) const {
    const auto classes = counts_.size();
    std::vector<float> out(static_cast<std::size_t>(set.size()) * classes);
    parallel_for(set.size(), [&](Index i) {
      const std::vector<double> own =
          chances(set.sample(i), set.labels[static_cast<std::size_t>(i)]);
      for (std::size_t d = 0; d < classes; ++d)
        out[static_cast<std::size_t>(i) * classes + d] = static_cast<float>(own[d]);
    });
    return out;
  }

 private:
  Ensemble(const MomentSums& sums, const Settings& s)
      : images_(sums.images()),
        counts_(sums.counts()),
        tries_(s.max_redraws + 1),
        gaussians_(sums, s) {}

  static double log_chance(double p) { return scalar_math::log(p + 1e-12); }

  ImageSpec images_;
  std::vector<std::uint64_t> counts_;
  Index tries_;
  ImageGaussians gaussians_;
  std::vector<Head> heads_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
