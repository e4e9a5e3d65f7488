#pragma once
// Probabilities by their logarithms: those of an accountant go down to exp(-1e12).

#include "iotsl/core/scalar_math.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

inline constexpr double infinity = __builtin_huge_val();
inline constexpr double log_2 = 0.69314718055994530942;
inline constexpr double sqrt_half = 0.70710678118654752440;
inline constexpr double half_log_2_pi = 0.91893853320467274178;

/// log(e^y - 1) for y > 0.
inline double log_expm1(double y) {
  using namespace scalar_math;
  return y > 1 ? y + log1p(-exp(-y)) : log(expm1(y));
}

/// log(1 - e^y) for y < 0.
inline double log_1m_exp(double y) {
  using namespace scalar_math;
  return y < -log_2 ? log1p(-exp(y)) : log(-expm1(y));
}

/// log(1 + e^y).
inline double log_1p_exp(double y) {
  using namespace scalar_math;
  return y > 0 ? y + log1p(exp(-y)) : log1p(exp(y));
}

/// log of Mill's ratio P(Z > z) / density(z) of a standard normal, for z >= 25, where erfc
/// underflows soon: the asymptotic series (Abramowitz and Stegun 26.2.12), whose eighth term is
/// below 1e-16.
inline double log_mills_far(double z) {
  const double t = 1 / (z * z);
  double sum = 1, term = 1;
  for (int k = 1; k < 8; ++k) {
    term *= -(2 * k - 1) * t;
    sum += term;
  }
  return scalar_math::log(sum / z);
}

/// log P(Z > z) of a standard normal Z.
inline double log_normal_tail(double z) {
  using namespace scalar_math;
  if (z < 25) return log(0.5 * erfc(z * sqrt_half));
  return log_mills_far(z) - 0.5 * z * z - half_log_2_pi;
}

/// log of Mill's ratio, any z.
inline double log_mills(double z) {
  return z < 25 ? log_normal_tail(z) + 0.5 * z * z + half_log_2_pi : log_mills_far(z);
}

/// The logarithm of a sum of positive numbers that are given by their logarithms. Compensated
/// (Kahan): what is left after an accountant's cancellations may be its last digits.
class LogSum {
 public:
  void add(double log_term) {
    if (!(log_term > -infinity)) return;
    if (log_term > scale_) {
      const double smaller = scalar_math::exp(scale_ - log_term);
      sum_ *= smaller;
      lost_ *= smaller;
      scale_ = log_term;
    }
    const double term = scalar_math::exp(log_term - scale_) - lost_;
    const double sum = sum_ + term;
    lost_ = (sum - sum_) - term;
    sum_ = sum;
  }
  /// -infinity for an empty sum.
  double value() const { return sum_ > 0 ? scale_ + scalar_math::log(sum_) : -infinity; }

 private:
  double scale_ = -infinity;
  double sum_ = 0, lost_ = 0;
};

}  // namespace detail
}  // namespace privacy
IOTSL_NAMESPACE_END
