#pragma once
// Renyi divergences of one step (Mironov 2017): r(order) bounds how far its outputs on two
// neighbouring data sets lie apart. All functions return the log moment (order - 1) r(order), which
// is 0 at order 1, convex in the order, and adds over steps; never too small by rounding.

#include "iotsl/privacy/log_math.hpp"
#include "iotsl/privacy/mechanism.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

/// (order - 1) r(order) of Gaussian noise on all records: order (order - 1) / (2 m^2).
inline double gaussian_log_moment(double noise_multiplier, double order) {
  return order * (order - 1) / (2 * noise_multiplier * noise_multiplier);
}

/// log of the binomial coefficient (n over k) for k = 0, 1, 2, ..., n may be fractional: then
/// coefficients from k > n + 1 alternate in sign. Compensated, since the sum may have a million
/// terms.
class LogBinomial {
 public:
  explicit LogBinomial(double n) : n_(n) {}
  double log_magnitude() const { return sum_; }
  bool negative() const { return negative_; }
  void next() {
    const double ratio = (n_ - k_) / (k_ + 1);
    negative_ ^= ratio < 0;
    const double term = scalar_math::log(scalar_math::abs(ratio)) - lost_;
    const double sum = sum_ + term;
    lost_ = (sum - sum_) - term;
    sum_ = sum;
    k_ += 1;
  }

 private:
  double n_, k_ = 0, sum_ = 0, lost_ = 0;
  bool negative_ = false;
};

/// The Poisson-sampled Gaussian at an integer order (Mironov, Talwar, Zhang 2019, section 3.3),
/// less the identity sum_k (n over k) (1-q)^(n-k) q^k = 1, so that no digits cancel: exp(result) -
/// 1 = sum_(k>=2) (n over k) (1-q)^(n-k) q^k (exp(k (k-1) / (2 m^2)) - 1).
inline double poisson_integer(double q, double m, double order) {
  using namespace scalar_math;
  const double log_q = log(q), log_rest = log1p(-q);
  LogBinomial binomial(order);
  LogSum sum;
  const double largest = log_expm1(gaussian_log_moment(m, order));
  for (double k = 1; k <= order; ++k) {
    binomial.next();
    if (k == 1) continue;
    const double chance = binomial.log_magnitude() + k * log_q + (order - k) * log_rest;
    // Twice as far as the mean of k, its chances halve with each step: all others together.
    if (k > 2 * q * order && chance + largest < sum.value() - 35) {
      sum.add(chance + largest + log_2);
      break;
    }
    sum.add(chance + log_expm1(gaussian_log_moment(m, k)));
  }
  constexpr double rounding = 1e-9;
  return log_1p_exp(sum.value() + rounding);
}

/// The same at a fractional order by two infinite series (the same page): the outputs are cut at
/// z = m^2 log(1/q - 1) + 1/2, where both parts of the sampled density are equal, and the power is
/// expanded on either side. From term order + 1 on the signs alternate and terms fall like
/// i^-(order+2), so what is left is less than the last one. Where the sum is not exact to 1e-6 the
/// result is too large.
inline double poisson_fractional(double q, double m, double order) {
  using namespace scalar_math;
  constexpr int max_terms = 5000;
  const double log_q = log(q), log_rest = log1p(-q), z = m * m * (log_rest - log_q) + 0.5;
  LogBinomial binomial(order);
  LogSum positive, negative, error;
  double last = 0;
  for (int i = 0; i < max_terms; ++i, binomial.next()) {
    const double j = order - i;
    // log of half erfc(x / sqrt(2)): the normal tails beyond the cut.
    const double low[] = {i * log_q, j * log_rest, gaussian_log_moment(m, i),
                          log_normal_tail((i - z) / m)};
    const double high[] = {j * log_q, i * log_rest, gaussian_log_moment(m, j),
                           log_normal_tail((z - j) / m)};
    LogSum both;
    for (const auto& parts : {low, high}) {
      double term = binomial.log_magnitude(), size = abs(term) + 1;
      for (int p = 0; p < 4; ++p) {
        term += parts[p];
        size += abs(parts[p]);
      }
      both.add(term);
      error.add(term + log(8e-16 * size));
    }
    last = both.value();
    (binomial.negative() ? negative : positive).add(last);
    if (j < 0 && last < positive.value() - 42) break;
  }
  error.add(last);
  positive.add(error.value());
  const double cancelled = negative.value() - positive.value();
  return cancelled < 0 ? positive.value() + log_1m_exp(cancelled) : infinity;
}

/// Sampling under replace-one at an integer order (Wang, Balle, Kasiviswanathan 2019, theorem 9,
/// for Gaussian noise; shown there without replacement, and as valid for Poisson sampling, since
/// given all other records three Gaussians at distance at most 1/m are mixed): exp(result) - 1 =
/// q^2 (n over 2) min{4 (e^r(2) - 1), 2 e^r(2)} + sum_(j>=3) 2 q^j (n over j) e^((j-1) r(j)).
inline double replace_one_integer(double q, double m, double order) {
  using namespace scalar_math;
  const double log_q = log(q);
  LogBinomial binomial(order);
  LogSum sum;
  for (double j = 1; j <= order; ++j) {
    binomial.next();
    const double moment = gaussian_log_moment(m, j);
    if (j == 2) {
      const double first = 2 * log_2 + log_expm1(moment), second = log_2 + moment;
      sum.add(2 * log_q + binomial.log_magnitude() + (first < second ? first : second));
    } else if (j > 2) {
      sum.add(log_2 + j * log_q + binomial.log_magnitude() + moment);
    }
  }
  constexpr double rounding = 1e-9;
  return log_1p_exp(sum.value() + rounding);
}

/// Between two integer orders a log moment lies below its chord.
template <class AtInteger>
double chord(const AtInteger& at_integer, double order) {
  const double below = scalar_math::floor(order), share = order - below;
  const double left = below < 2 ? 0 : at_integer(below);
  return share == 0 ? left : (1 - share) * left + share * at_integer(below + 1);
}

}  // namespace detail

/// (order - 1) r(order) of one step of `mechanism`, its steps not counted; order > 1. For sampled
/// steps it is the larger of both directions (zero-out) or a bound of it (replace-one).
inline double renyi_log_moment(const Mechanism& mechanism, Adjacency adjacency, double order) {
  const double q = mechanism.sampling_rate, m = mechanism.noise_multiplier;
  const double unsampled = detail::gaussian_log_moment(m, order);
  if (q == 0) return 0;
  if (q == 1) return unsampled;
  double sampled;
  if (mechanism.sample_revealed) {
    // With the sample known, the output is untouched with chance 1 - q.
    sampled = detail::log_1p_exp(scalar_math::log(q) + detail::log_expm1(unsampled));
  } else if (mechanism.counted_as(adjacency) == Adjacency::replace_one) {
    sampled = detail::chord([&](double n) { return detail::replace_one_integer(q, m, n); }, order);
  } else {
    sampled = detail::chord([&](double n) { return detail::poisson_integer(q, m, n); }, order);
    if (order != scalar_math::floor(order)) {
      const double series = detail::poisson_fractional(q, m, order);
      if (series < sampled) sampled = series > 0 ? series : 0;
    }
  }
  // Sampling never reveals more than no sampling.
  return sampled < unsampled ? sampled : unsampled;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
