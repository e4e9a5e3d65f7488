#pragma once
// From noised sums to a Gaussian of each class: covariances shrunk towards that of all classes by
// how much noise they have, and freed of the directions that noise alone would show.

#include "iotsl/moments/eigen.hpp"
#include "iotsl/moments/release.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// x = mean + sum_k factors[k] z_k with z standard normal. Coefficients of images, not divided by
/// the clip norm.
struct ClassGaussian {
  std::vector<double> mean;
  std::vector<double> factors;  ///< [rank, coefs]

  Index rank() const { return mean.empty() ? 0 : static_cast<Index>(factors.size() / mean.size()); }
};

namespace detail {

/// A noised symmetric matrix: entries off the diagonal have noise of standard deviation `noise`,
/// those on it sqrt 2 of that.
struct NoisedMatrix {
  std::vector<double> values;  ///< [size, size]
  double noise = 0;
};

class ClassMoments {
 public:
  explicit ClassMoments(const Release& r)
      : r_(r),
        shape_(coef_shape(r.settings, r.images)),
        unit_(moments_scale(r.settings).unit() /
              static_cast<double>(std::int64_t{1} << sum_shift(r.settings))),
        sigma_(moments_scale(r.settings).sigma() /
               static_cast<double>(std::int64_t{1} << sum_shift(r.settings))) {}

  Index coefs() const { return shape_.size(); }

  /// Mean of x / norm of the `row`-th held class, which has `count` images.
  std::vector<double> mean(Index row, std::uint64_t count) const {
    std::vector<double> out;
    const auto* from = r_.sums.data() + row * (shape_.size() + shape_.pairs());
    for (Index i = 0; i < shape_.size(); ++i)
      out.push_back(static_cast<double>(from[i]) / (unit_ * static_cast<double>(count)));
    return out;
  }
  NoisedMatrix second(Index row, std::uint64_t count) const {
    return matrix(row * (shape_.size() + shape_.pairs()) + shape_.size(), count);
  }
  NoisedMatrix pooled_second() const {
    return matrix(r_.held() * (shape_.size() + shape_.pairs()), r_.records());
  }

 private:
  NoisedMatrix matrix(Index at, std::uint64_t count) const {
    const Index d = shape_.size();
    NoisedMatrix out{std::vector<double>(static_cast<std::size_t>(d * d)), 0};
    const double scale = 1 / (unit_ * static_cast<double>(count));
    const double off = scale / scalar_math::sqrt(2.0);
    const auto* from = r_.sums.data() + at;
    for (Index i = 0; i < d; ++i)
      for (Index j = 0; j <= i; ++j) {
        const double v = static_cast<double>(*from++) * (i == j ? scale : off);
        out.values[static_cast<std::size_t>(i * d + j)] = v;
        out.values[static_cast<std::size_t>(j * d + i)] = v;
      }
    out.noise = sigma_ * off;
    return out;
  }

  const Release& r_;
  CoefShape shape_;
  double unit_, sigma_;
};

/// matrix -= share * mean mean'.
inline void subtract_square(std::vector<double>& matrix, std::span<const double> mean,
                            double share) {
  const std::size_t d = mean.size();
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < d; ++j) matrix[i * d + j] -= share * mean[i] * mean[j];
}

/// The share of the class's own covariance in the mean of it and the pooled one: the part of their
/// squared distance that is not noise.
inline double own_share(const NoisedMatrix& own, const NoisedMatrix& pooled, Index d) {
  double distance = 0;
  for (std::size_t i = 0; i < own.values.size(); ++i) {
    const double off = own.values[i] - pooled.values[i];
    distance += off * off;
  }
  const double noise = own.noise * own.noise * static_cast<double>(d * (d + 1));
  return distance > noise ? 1 - noise / distance : 0;
}

/// sqrt(eigenvalue) times eigenvector for each eigenvalue above what noise alone has; eigenvalues
/// without what noise adds to them (Benaych-Georges and Nadakuditi 2011: theta with
/// lambda = theta + s^2 d / theta).
inline std::vector<double> denoised_factors(NoisedMatrix covariance, Index d, double norm) {
  const Eigensystem system = eigensystem(std::move(covariance.values), d);
  const double spread = covariance.noise * covariance.noise * static_cast<double>(d);
  const double edge = 2 * scalar_math::sqrt(spread);
  std::vector<double> out;
  for (Index k = 0; k < d; ++k) {
    const double lambda = system.values[static_cast<std::size_t>(k)];
    if (!(lambda > edge && lambda > 1e-9)) continue;
    const double theta = (lambda + scalar_math::sqrt(lambda * lambda - 4 * spread)) / 2;
    for (Index i = 0; i < d; ++i)
      out.push_back(norm * scalar_math::sqrt(theta) *
                    system.vectors[static_cast<std::size_t>(k * d + i)]);
  }
  return out;
}

}  // namespace detail

/// A Gaussian for each class; of those without images an empty one.
inline std::vector<ClassGaussian> class_gaussians(const Release& r) {
  const detail::ClassMoments moments(r);
  const Index d = moments.coefs();
  const double norm = clip_norm(r.settings, r.images);
  std::vector<ClassGaussian> out(r.counts.size());
  detail::NoisedMatrix pooled = moments.pooled_second();
  Index row = 0;
  for (std::size_t c = 0; c < out.size(); ++c) {
    if (r.counts[c] == 0) continue;
    out[c].mean = moments.mean(row++, r.counts[c]);
    detail::subtract_square(pooled.values, out[c].mean,
                            static_cast<double>(r.counts[c]) / static_cast<double>(r.records()));
  }
  row = 0;
  for (std::size_t c = 0; c < out.size(); ++c) {
    if (r.counts[c] == 0) continue;
    detail::NoisedMatrix own = moments.second(row++, r.counts[c]);
    detail::subtract_square(own.values, out[c].mean, 1);
    const double share = detail::own_share(own, pooled, d);
    for (std::size_t i = 0; i < own.values.size(); ++i)
      own.values[i] = share * own.values[i] + (1 - share) * pooled.values[i];
    const double a = share * own.noise, b = (1 - share) * pooled.noise;
    own.noise = scalar_math::sqrt(a * a + b * b);
    out[c].factors = detail::denoised_factors(std::move(own), d, norm);
    for (double& v : out[c].mean) v *= norm;
  }
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
