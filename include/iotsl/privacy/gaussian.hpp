#pragma once
// The Gaussian mechanism, exactly: mu = sensitivity / standard deviation of the noise. Several of
// them compose by adding the squares of their mu (Dong, Roth, Su, "Gaussian differential privacy",
// 2022).

#include "iotsl/privacy/log_math.hpp"
#include "iotsl/privacy/mechanism.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// log delta of a Gaussian mechanism at epsilon >= 0 (Balle and Wang 2018, theorem 8):
/// delta = Phi(mu/2 - epsilon/mu) - exp(epsilon) Phi(-mu/2 - epsilon/mu). With a = epsilon/mu -
/// mu/2 and Mill's ratio R it is P(Z > a) (1 - R(a + mu)/R(a)), where nothing overflows. Never too
/// small: the rounding of R is added.
inline double gaussian_log_delta(double mu, double epsilon) {
  constexpr double rounding = 4e-13;
  const double a = epsilon / mu - mu / 2;
  const double ratio = detail::log_mills(epsilon / mu + mu / 2) - detail::log_mills(a);
  return detail::log_normal_tail(a) + detail::log_1m_exp((ratio < 0 ? ratio : 0) - rounding);
}

/// The smallest epsilon >= 0 for which a Gaussian mechanism is (epsilon, delta)-private. mu >= 0.
inline double gaussian_epsilon(double mu, double delta) {
  detail::require({}, delta);
  if (!(mu >= 0 && mu < detail::infinity))
    fail("mu ", mu, ": expected a finite number, 0 or above");
  using namespace scalar_math;
  const double log_delta = log(delta);
  if (mu == 0 || gaussian_log_delta(mu, 0) <= log_delta) return 0;
  // The bound of concentrated privacy (Bun and Steinke 2016) is never below the exact figure.
  double low = 0, high = mu * mu / 2 + mu * sqrt(-2 * log_delta);
  for (int i = 0; i < 200 && high - low > 1e-14 * high; ++i) {
    const double middle = low + (high - low) / 2;
    (gaussian_log_delta(mu, middle) <= log_delta ? high : low) = middle;
  }
  return high * (1 + 1e-14);
}

/// The largest mu for which a Gaussian mechanism is (epsilon, delta)-private.
inline double gaussian_mu(double epsilon, double delta) {
  detail::require({}, delta);
  if (!epsilon_range.contains(epsilon)) fail("epsilon ", epsilon, ": expected ", epsilon_range);
  using namespace scalar_math;
  // At the right end a = 0 or below, so that delta would be near one half.
  double low = 0, high = 2 + sqrt(2 * epsilon) * 2;
  const double log_delta = log(delta);
  while (gaussian_log_delta(high, epsilon) <= log_delta) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-14 * high; ++i) {
    const double middle = low + (high - low) / 2;
    (gaussian_epsilon(middle, delta) <= epsilon ? low : high) = middle;
  }
  return low;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
