#pragma once
// Noise for sums of integers, and which variance a mechanism of a given mu has.

#include <algorithm>
#include <span>

#include "iotsl/privacy/discrete_gaussian.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// Standard deviation of the noise, in units of the sums: at least 2^20, so that the discrete
/// Gaussian is as good as a rounded one (stated_mu), at most what DiscreteGaussian draws.
inline constexpr double min_sigma = 0x1p20, max_sigma = 0x1p26;

/// The variance for which a sum of integer records of norm at most `bound` is a Gaussian mechanism
/// with at most `mu`. Raises an Error outside of the limits above.
inline std::uint64_t noise_variance(double bound, double mu) {
  const double sigma = bound / mu;
  const double variance = scalar_math::ceil(sigma * sigma * (1 + 1e-12));
  if (!(variance >= min_sigma * min_sigma &&
        variance <= static_cast<double>(privacy::DiscreteGaussian::max_variance)))
    fail("moments: noise of standard deviation ", sigma, " units; expected ", min_sigma, " to ",
         max_sigma);
  return static_cast<std::uint64_t>(variance);
}

/// Adds a draw of the exact discrete Gaussian to every sum. Variance 0: no noise.
inline void add_noise(std::span<std::int64_t> sums, std::uint64_t variance,
                      privacy::SecureRandom& random) {
  if (variance == 0) return;
  const privacy::DiscreteGaussian gaussian(variance);
  for (std::int64_t& sum : sums) sum += gaussian(random);
}

}  // namespace moments
IOTSL_NAMESPACE_END
