#pragma once
// What canaries show of one mechanism: how much noise there is, and how far a canary that is in
// stands out of it.

#include "iotsl/moments/audit/canaries.hpp"
#include "iotsl/moments/audit/one_run_bound.hpp"
#include "iotsl/moments/audit/ridge.hpp"
#include "iotsl/moments/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// What the audit of one part found; the ranges are those that it must be in.
struct PartAudit {
  std::string part;
  Index numbers = 0;         ///< released, in all rounds
  double mu = 0;             ///< asked for
  double stated_mu = 0;      ///< of the stated bound and variance of all rounds
  double estimate = 0;       ///< of mu, by canaries
  double estimate_error = 0; ///< standard
  double spread = 0;         ///< rms of (release - noiseless sums) / stated sigma
  double spread_error = 0;   ///< standard
  double change = 0;  ///< largest norm by which a canary moves the exact sums, over the stated bound
  double epsilon = 0;        ///< promised at the audit's delta
  OneRunBound one_run;       ///< what one run proves of epsilon, with 95 % confidence

  double mu_tolerance() const { return 3 * estimate_error; }
  double spread_tolerance() const { return 4 * spread_error; }
  bool mu_stated() const { return scalar_math::abs(stated_mu / mu - 1) < 1e-6; }
  bool mu_good() const { return scalar_math::abs(estimate - mu) <= mu_tolerance(); }
  bool spread_good() const { return scalar_math::abs(spread - 1) <= spread_tolerance(); }
  bool change_good() const { return change <= 1; }
  bool one_run_good() const { return one_run.epsilon <= epsilon; }
  bool passes() const {
    return mu_stated() && mu_good() && spread_good() && change_good() && one_run_good();
  }
};

/// Takes the rounds of one mechanism. With release R, noiseless sums Q of those that are in, queries
/// q_i and stated standard deviation sigma: s = rms((R - Q) / sigma), and for a canary
/// t_i = <R - Q without i, q_i> / (|q_i| s sigma), which is normal with variance 1 and mean
/// |q_i| / (s sigma) or, if it is not in, 0. Rounds add up, over sqrt(rounds). The means of both
/// kinds differ by mu where every |q_i| is the bound. (Without taking off the others' part, the
/// canaries' likeness to each other would drown all.)
class CanaryTest {
 public:
  explicit CanaryTest(const Canaries& canaries)
      : canaries_(canaries),
        noise_(canaries.in.size()),
        reach_(canaries.in.size()),
        blind_(canaries.in.size()) {}

  /// `queries` as in plain_sums.hpp.
  template <class Queries>
  void round(const Queries& queries, const Disclosure& disclosed) {
    if (disclosed.variance == 0 || disclosed.sums.size() != queries.numbers())
      fail("audit: ", disclosed.sums.size(), " sums with noise of variance ", disclosed.variance,
           "; expected ", queries.numbers(), " with some");
    const double sigma = scalar_math::sqrt(static_cast<double>(disclosed.variance));
    std::vector<double> apart, blind;  // R - Q; R less half of all canaries' queries
    for (const std::int64_t v : disclosed.sums) apart.push_back(static_cast<double>(v));
    blind = apart;
    for (Index i = 0; i < canaries_.size(); ++i) {
      queries.add(i, -0.5, blind);
      if (canaries_.in[static_cast<std::size_t>(i)] != 0) queries.add(i, -1, apart);
    }
    for (const double v : apart) squares_ += v / sigma * (v / sigma);
    numbers_ += static_cast<Index>(apart.size());
    const double mu = static_cast<double>(disclosed.bound) / sigma;
    stated_squares_ += mu * mu;
    ++rounds_;
    parallel_for(canaries_.size(), [&](Index i) {
      const auto at = static_cast<std::size_t>(i);
      for (Index j = 0; j <= i; ++j)
        blind_.product(i, j) += queries.product(i, j) / (sigma * sigma);
      blind_.target(i) += queries.dot(i, blind) / (sigma * sigma);
      const double norm = scalar_math::sqrt(queries.product(i, i));
      if (!(norm > 0)) return;
      noise_[at] += queries.dot(i, apart) / (norm * sigma);
      reach_[at] += norm / sigma;
    });
  }

  PartAudit result(std::string part, double mu, double delta) const {
    PartAudit out;
    out.part = std::move(part);
    out.numbers = numbers_;
    out.mu = mu;
    out.stated_mu = scalar_math::sqrt(stated_squares_);
    out.spread = scalar_math::sqrt(squares_ / static_cast<double>(numbers_));
    out.spread_error = 1 / scalar_math::sqrt(2 * static_cast<double>(numbers_));
    const double scale = out.spread * scalar_math::sqrt(static_cast<double>(rounds_));
    double sum[2] = {}, count[2] = {};
    for (std::size_t i = 0; i < noise_.size(); ++i) {
      const std::uint8_t in = canaries_.in[i];
      sum[in] += (noise_[i] + (in != 0 ? reach_[i] : 0)) / scale;
      count[in] += 1;
    }
    out.estimate = sum[1] / count[1] - sum[0] / count[0];
    out.estimate_error = 2 / scalar_math::sqrt(static_cast<double>(noise_.size()));
    out.epsilon = privacy::gaussian_epsilon(moments::stated_mu(mu), delta);
    // In or not is +-1/2: variance 1/4, so that the likeliest answer has a ridge of 4.
    out.one_run = one_run_bound(blind_.solution(4), canaries_.in, delta);
    return out;
  }

 private:
  const Canaries& canaries_;
  std::vector<double> noise_, reach_;
  Ridge blind_;
  double squares_ = 0, stated_squares_ = 0;
  Index numbers_ = 0, rounds_ = 0;
};

/// The largest norm by which leaving out one record changes integer sums, over `bound`. `sums` gives
/// those of the canaries whose numbers it is given. In groups of about 100: more than a trainer's
/// blocks of records have, and a fraction of the time.
template <class Sums>
double largest_change(const Canaries& canaries, double bound, const Sums& sums) {
  const Index m = canaries.size(), groups = std::max<Index>(1, m / 100);
  double largest = 0;
  for (Index g = 0; g < groups; ++g) {
    std::vector<Index> all;
    for (Index i = g * m / groups; i < (g + 1) * m / groups; ++i) all.push_back(i);
    const std::vector<std::int64_t> whole = sums(all);
    for (const Index left_out : all) {
      std::vector<Index> rest = all;
      std::erase(rest, left_out);
      const std::vector<std::int64_t> without = sums(rest);
      double squares = 0;
      for (std::size_t j = 0; j < whole.size(); ++j) {
        const auto change = static_cast<double>(whole[j] - without[j]);
        squares += change * change;
      }
      largest = std::max(largest, squares);
    }
  }
  return scalar_math::sqrt(largest) / bound;
}

}  // namespace moments
IOTSL_NAMESPACE_END
