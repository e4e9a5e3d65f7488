#pragma once
// Released sums as real numbers, of one device or of several: sums over all their images are sums
// of their sums, and so is the noise. What several devices have released together has far less
// noise for its size than what each has.

#include "iotsl/moments/release.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// A symmetric matrix with noise: entries off the diagonal have noise of standard deviation
/// `noise`, those on it sqrt 2 of that.
struct NoisedMatrix {
  std::vector<double> values;  ///< [size, size]
  double noise = 0;
};

/// Sums over images of x and x x', x the coefficients divided by the clip norm.
class MomentSums {
 public:
  explicit MomentSums(const Release& r)
      : images_(r.images),
        shape_(coef_shape(r.settings, r.images)),
        norm_(clip_norm(r.settings, r.images)),
        counts_(r.counts),
        classes_(r.counts.size()) {
    const QueryScale scale = moments_scale(r.settings);
    const auto step = static_cast<double>(std::int64_t{1} << sum_shift(r.settings));
    const double unit = step / scale.unit();
    const double variance = unit * unit / (step * step) * static_cast<double>(scale.variance);
    const std::int64_t* from = r.sums.data();
    const auto take = [&](std::vector<double>& out, Index count) {
      for (Index i = 0; i < count; ++i) out.push_back(unit * static_cast<double>(*from++));
    };
    for (std::size_t c = 0; c < classes_.size(); ++c) {
      if (counts_[c] == 0) continue;
      take(classes_[c].first, shape_.size());
      take(classes_[c].second, shape_.pairs());
      classes_[c].variance = variance;
    }
    take(pooled_.second, shape_.pairs());
    pooled_.variance = variance;
  }

  const ImageSpec& images() const { return images_; }
  const CoefShape& shape() const { return shape_; }
  double norm() const { return norm_; }
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  std::uint64_t records() const {
    std::uint64_t out = 0;
    for (const std::uint64_t n : counts_) out += n;
    return out;
  }

  /// Whether sums of both mean the same.
  bool fits(const MomentSums& other) const {
    return images_ == other.images_ && shape_ == other.shape_ && norm_ == other.norm_;
  }
  /// Adds what another device, with other images, has released. Raises an Error unless fits().
  void add(const MomentSums& other) {
    if (!fits(other)) fail("moments: sums of other images or settings");
    for (std::size_t c = 0; c < classes_.size(); ++c) {
      counts_[c] += other.counts_[c];
      add(classes_[c], other.classes_[c]);
    }
    add(pooled_, other.pooled_);
  }

  /// Mean of x of a class that has images.
  std::vector<double> mean(std::size_t label) const {
    std::vector<double> out = classes_[label].first;
    for (double& v : out) v /= static_cast<double>(counts_[label]);
    return out;
  }
  /// Mean of x x' of a class, and of all.
  NoisedMatrix second(std::size_t label) const { return matrix(classes_[label], counts_[label]); }
  NoisedMatrix pooled_second() const { return matrix(pooled_, records()); }

 private:
  struct Sums {
    std::vector<double> first, second;
    double variance = 0;  ///< of the noise on each number
  };

  static void add(Sums& to, const Sums& from) {
    if (to.second.empty())
      to = Sums{std::vector<double>(from.first.size()), std::vector<double>(from.second.size()), 0};
    for (std::size_t i = 0; i < from.first.size(); ++i) to.first[i] += from.first[i];
    for (std::size_t i = 0; i < from.second.size(); ++i) to.second[i] += from.second[i];
    to.variance += from.variance;
  }
  NoisedMatrix matrix(const Sums& sums, std::uint64_t count) const {
    const Index d = shape_.size();
    NoisedMatrix out{std::vector<double>(static_cast<std::size_t>(d * d)), 0};
    const double scale = 1 / static_cast<double>(count), off = scale / scalar_math::sqrt(2.0);
    const double* from = sums.second.data();
    for (Index i = 0; i < d; ++i)
      for (Index j = 0; j <= i; ++j) {
        const double v = *from++ * (i == j ? scale : off);
        out.values[static_cast<std::size_t>(i * d + j)] = v;
        out.values[static_cast<std::size_t>(j * d + i)] = v;
      }
    out.noise = scalar_math::sqrt(sums.variance) * off;
    return out;
  }

  ImageSpec images_;
  CoefShape shape_;
  double norm_;
  std::vector<std::uint64_t> counts_;
  std::vector<Sums> classes_;
  Sums pooled_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
