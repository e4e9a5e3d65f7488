#pragma once
// Steps on a random sample that everybody learns of, exactly: a record takes part in
// Binomial(steps, sampling_rate) of them, and given that number n they are one Gaussian mechanism
// with mu = sqrt(n) / noise_multiplier. So delta(epsilon) is the mean of that mechanism's over n.

#include <vector>

#include "iotsl/privacy/gaussian.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

/// log of the chances of 0, 1, 2, ... successes until what is left, which `rest` becomes a bound
/// of, is below `negligible`.
IOTSL_SMALL inline std::vector<double> log_binomial_chances(double trials, double chance,
                                                            double negligible, double& rest) {
  using namespace scalar_math;
  const double log_odds = log(chance) - log1p(-chance);
  std::vector<double> out{trials * log1p(-chance)};
  for (double n = 0;; ++n) {
    const double ratio = n < trials ? exp(log((trials - n) / (n + 1)) + log_odds) : 0;
    rest = ratio < 1 ? exp(out.back()) * ratio / (1 - ratio) : 1;  // ratios only fall
    if (rest <= negligible) return out;
    out.push_back(out.back() + log(ratio));
  }
}

}  // namespace detail

/// Whether revealed_epsilon() can be asked: its work grows with the number of times that a record
/// takes part.
inline bool has_revealed_epsilon(const Mechanism& m) {
  return m.sample_revealed && m.sampling_rate > 0 && m.sampling_rate < 1 &&
         static_cast<double>(m.steps) * m.sampling_rate <= 1e4;
}

/// The smallest epsilon >= 0 of steps whose sample is known, under the adjacency of the noise
/// multiplier. Never too small: 1e-9 of delta is kept for rounding, and what is left of the sum is
/// added.
IOTSL_SMALL inline double revealed_epsilon(const Mechanism& m, double delta) {
  detail::require({&m, 1}, delta);
  if (!has_revealed_epsilon(m))
    fail("revealed_epsilon: the sample is not known, or too many steps");
  if (m.steps == 0) return 0;
  using namespace scalar_math;
  double rest = 0;
  const std::vector<double> chances = detail::log_binomial_chances(
      static_cast<double>(m.steps), m.sampling_rate, 1e-9 * delta, rest);
  const auto delta_at = [&](double epsilon) {
    double out = rest;
    for (std::size_t n = 1; n < chances.size(); ++n)
      out += exp(chances[n] +
                 gaussian_log_delta(sqrt(static_cast<double>(n)) / m.noise_multiplier, epsilon));
    return out * (1 + 1e-9);
  };
  if (delta_at(0) <= delta) return 0;
  double low = 0, high = gaussian_epsilon(
                      sqrt(static_cast<double>(chances.size())) / m.noise_multiplier, delta / 2);
  for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
    const double middle = low + (high - low) / 2;
    (delta_at(middle) <= delta ? high : low) = middle;
  }
  return high;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
