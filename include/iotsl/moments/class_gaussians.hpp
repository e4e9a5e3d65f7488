#pragma once
// From noised sums to a Gaussian of each class: covariances shrunk towards that of all classes by
// how much noise they have, and freed of the directions that noise alone would show.

#include "iotsl/moments/eigen.hpp"
#include "iotsl/moments/moment_sums.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// x = mean + sum_k factors[k] z_k with z standard normal: coefficients of images, not divided by
/// the clip norm. The factors are orthogonal.
struct ClassGaussian {
  std::vector<double> mean;
  std::vector<double> factors;  ///< [rank, coefs]

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
    NoisedMatrix own = sums.second(c);
    detail::subtract_square(own.values, out[c].mean, 1);
    const double share = detail::own_share(own, pooled, d);
    for (std::size_t i = 0; i < own.values.size(); ++i)
      own.values[i] = share * own.values[i] + (1 - share) * pooled.values[i];
    const double a = share * own.noise, b = (1 - share) * pooled.noise;
    own.noise = scalar_math::sqrt(a * a + b * b);
    out[c].factors = detail::denoised_factors(std::move(own), d, sums.norm());
    for (double& v : out[c].mean) v *= sums.norm();
  });
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
