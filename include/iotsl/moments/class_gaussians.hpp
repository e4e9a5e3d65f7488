#pragma once
// From noised sums to a Gaussian of each class: covariances shrunk towards that of all classes by
// how much noise they have, and freed of the directions that noise alone would show.

#include "iotsl/moments/eigen.hpp"
#include "iotsl/moments/moment_sums.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// x = mean + sum_k factors[k] z_k + spread * z' with z and z' standard normal: coefficients of
/// images, not divided by the clip norm. The factors are orthogonal.
struct ClassGaussian {
  std::vector<double> mean;
  std::vector<double> factors;  ///< [rank, coefs]
  std::vector<double> spread;   ///< of each coefficient, what the factors leave

  Index rank() const { return mean.empty() ? 0 : static_cast<Index>(factors.size() / mean.size()); }
};

namespace detail {

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

/// What mean and factors do not explain of the second moments' diagonal, which is known better than
/// directions are: [coefs] variances, still with noise.
inline std::vector<double> unexplained(const NoisedMatrix& second, const ClassGaussian& own,
                                       double norm) {
  const auto d = own.mean.size();
  std::vector<double> out;
  for (std::size_t i = 0; i < d; ++i) {
    double v = norm * norm * second.values[i * d + i] - own.mean[i] * own.mean[i];
    for (std::size_t at = i; at < own.factors.size(); at += d)
      v -= own.factors[at] * own.factors[at];
    out.push_back(v);
  }
  return out;
}

/// Standard deviations for `variances` with noise of variance `noise`: coefficients of a channel
/// with the same row + column are much alike, so that each is shrunk towards their mean by the
/// share of their differences that is noise; nothing where that mean is within its own noise.
inline std::vector<double> denoised_spread(const std::vector<double>& variances, double noise,
                                           const CoefShape& shape) {
  struct Ring {
    double size = 0, sum = 0, squares = 0;
  };
  const Index plane = shape.rows * shape.cols;
  std::vector<Ring> rings(static_cast<std::size_t>(shape.channels * (shape.rows + shape.cols)));
  const auto ring_of = [&](std::size_t at) -> Ring& {
    const auto i = static_cast<Index>(at);
    return rings[static_cast<std::size_t>(i / plane * (shape.rows + shape.cols) +
                                          i % plane / shape.cols + i % shape.cols)];
  };
  for (std::size_t i = 0; i < variances.size(); ++i) {
    Ring& ring = ring_of(i);
    ring.size += 1;
    ring.sum += variances[i];
    ring.squares += variances[i] * variances[i];
  }
  std::vector<double> out;
  for (std::size_t i = 0; i < variances.size(); ++i) {
    const Ring& ring = ring_of(i);
    const double mean = ring.sum / ring.size, differ = ring.squares / ring.size - mean * mean;
    const double share = differ > noise ? 1 - noise / differ : 0;
    const bool seen = mean > scalar_math::sqrt(noise / ring.size);
    const double v = seen ? mean + share * (variances[i] - mean) : 0;
    out.push_back(v > 0 ? scalar_math::sqrt(v) : 0);
  }
  return out;
}

}  // namespace detail

/// A Gaussian for each class; of those without images an empty one.
inline std::vector<ClassGaussian> class_gaussians(const MomentSums& sums) {
  const Index d = sums.shape().size();
  std::vector<ClassGaussian> out(sums.counts().size());
  NoisedMatrix pooled = sums.pooled_second();
  for (std::size_t c = 0; c < out.size(); ++c) {
    if (sums.counts()[c] == 0) continue;
    out[c].mean = sums.mean(c);
    detail::subtract_square(
        pooled.values, out[c].mean,
        static_cast<double>(sums.counts()[c]) / static_cast<double>(sums.records()));
  }
  parallel_for(static_cast<Index>(out.size()), [&](Index label) {
    const auto c = static_cast<std::size_t>(label);
    if (sums.counts()[c] == 0) return;
    const NoisedMatrix second = sums.second(c);
    NoisedMatrix own = second;
    detail::subtract_square(own.values, out[c].mean, 1);
    const double share = detail::own_share(own, pooled, d);
    for (std::size_t i = 0; i < own.values.size(); ++i)
      own.values[i] = share * own.values[i] + (1 - share) * pooled.values[i];
    const double a = share * own.noise, b = (1 - share) * pooled.noise;
    own.noise = scalar_math::sqrt(a * a + b * b);
    out[c].factors = detail::denoised_factors(std::move(own), d, sums.norm());
    for (double& v : out[c].mean) v *= sums.norm();
    const double scale = sums.norm() * sums.norm() * second.noise;
    out[c].spread = detail::denoised_spread(detail::unexplained(second, out[c], sums.norm()),
                                            2 * scale * scale, sums.shape());
  });
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
