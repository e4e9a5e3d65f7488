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
  Index numbers = 0;          ///< released, in all rounds
  double mu = 0;              ///< asked for
  double stated_mu = 0;       ///< of the stated bound and variance of all rounds
  double share = 0;           ///< of the bound: mean norm of a canary that is in
  double estimate = 0;        ///< of mu, by canaries
  double estimate_error = 0;  ///< standard
  double spread = 0;          ///< rms of (release - noiseless sums) / stated sigma
  double spread_error = 0;    ///< standard
  /// What R - Q has along Q, in standard deviations: too much of all records, such as a head whose
  /// clip is gone; its training hides each member's own excess behind the others'.
  double left = 0;
  /// Largest norm by which a canary moves the exact sums, over the stated bound.
  double change = 0;
  double epsilon = 0;   ///< promised at the audit's delta
  OneRunBound one_run;  ///< what one run proves of epsilon, with 95 % confidence

  static constexpr double left_tolerance = 4;
  double mu_tolerance() const { return 3 * estimate_error; }
  double spread_tolerance() const { return 4 * spread_error; }
  bool mu_stated() const { return scalar_math::abs(stated_mu / mu - 1) < 1e-6; }
  bool mu_good() const { return scalar_math::abs(estimate - mu) <= mu_tolerance(); }
  bool spread_good() const { return scalar_math::abs(spread - 1) <= spread_tolerance(); }
  bool left_good() const { return scalar_math::abs(left) <= left_tolerance; }
  bool change_good() const { return change <= 1; }
  bool one_run_good() const { return one_run.epsilon <= epsilon; }
  bool passes() const {
    return mu_stated() && mu_good() && spread_good() && left_good() && change_good() &&
           one_run_good();
  }
};

/// Takes the rounds of one mechanism. With release R, noiseless sums Q of those that are in,
/// queries q_i and stated standard deviation sigma: s = rms((R - Q) / sigma), and for a canary t_i
/// = <R - Q without i, q_i> / (|q_i| s sigma), which is normal with variance 1 and mean |q_i| / (s
/// sigma) or, if it is not in, 0. Rounds add up, over sqrt(rounds). The means of both kinds differ
/// by mu where every |q_i| is the bound; where they have a share of it (a head that has learned
/// something has errors below its clip), by that share of mu, and the estimate is divided by it.
/// (Without taking off the others' part, the canaries' likeness to each other would drown all.)
class CanaryTest {
 public:
  explicit CanaryTest(const Canaries& canaries)
      : canaries_(canaries),
        noise_(canaries.in.size()),
        reach_(canaries.in.size()),
        share_(canaries.in.size()),
        blind_(canaries.in.size()) {
    const auto in = static_cast<double>(canaries.members().size());
    for (const std::uint8_t own : canaries.in)
      weight_.push_back(own != 0 ? 1 / in : 1 / (in - static_cast<double>(canaries.in.size())));
  }

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
    double along = 0, sums_squares = 0;
    for (std::size_t j = 0; j < apart.size(); ++j) {
      squares_ += apart[j] / sigma * (apart[j] / sigma);
      const double sum = static_cast<double>(disclosed.sums[j]) - apart[j];
      along += apart[j] * sum;
      sums_squares += sum * sum;
    }
    if (sums_squares > 0) along_ += along / (scalar_math::sqrt(sums_squares) * sigma);
    numbers_ += static_cast<Index>(apart.size());
    const double mu = static_cast<double>(disclosed.bound) / sigma;
    stated_squares_ += mu * mu;
    ++rounds_;
    std::vector<double> norms, own_error(canaries_.in.size());
    for (Index i = 0; i < canaries_.size(); ++i)
      norms.push_back(scalar_math::sqrt(queries.product(i, i)));
    parallel_for(canaries_.size(), [&](Index i) {
      const auto at = static_cast<std::size_t>(i);
      double& error = own_error[at];
      for (Index j = 0; j <= i; ++j) {
        const auto other = static_cast<std::size_t>(j);
        const double product = queries.product(i, j);
        blind_.product(i, j) += product / (sigma * sigma);
        if (norms[at] > 0 && norms[other] > 0)
          error += (i == j ? 1 : 2) * weight_[at] * weight_[other] * product /
                   (norms[at] * norms[other]);
      }
      blind_.target(i) += queries.dot(i, blind) / (sigma * sigma);
      if (!(norms[at] > 0)) return;
      noise_[at] += queries.dot(i, apart) / (norms[at] * sigma);
      reach_[at] += norms[at] / sigma;
      share_[at] += norms[at] / static_cast<double>(disclosed.bound);
    });
    for (const double v : own_error) error_squares_ += v;
  }

  PartAudit result(std::string part, double mu, double delta) const {
    PartAudit out;
    out.part = std::move(part);
    out.numbers = numbers_;
    out.mu = mu;
    out.stated_mu = scalar_math::sqrt(stated_squares_);
    out.spread = scalar_math::sqrt(squares_ / static_cast<double>(numbers_));
    out.spread_error = 1 / scalar_math::sqrt(2 * static_cast<double>(numbers_));
    out.left = along_ / scalar_math::sqrt(static_cast<double>(rounds_));
    const double scale = out.spread * scalar_math::sqrt(static_cast<double>(rounds_));
    double sum[2] = {}, count[2] = {};
    for (std::size_t i = 0; i < noise_.size(); ++i) {
      const std::uint8_t in = canaries_.in[i];
      sum[in] += (noise_[i] + (in != 0 ? reach_[i] : 0)) / scale;
      count[in] += 1;
      if (in != 0) out.share += share_[i] / static_cast<double>(rounds_);
    }
    out.share /= count[1];
    out.estimate = (sum[1] / count[1] - sum[0] / count[0]) / out.share;
    // 2/sqrt(m) of m canaries if they were orthogonal and half of them in; by their
    // real inner products it is about that, and never said to be less.
    const double orthogonal = 2 / scalar_math::sqrt(static_cast<double>(noise_.size()));
    const double own = scalar_math::sqrt(error_squares_ / static_cast<double>(rounds_));
    out.estimate_error = std::max(orthogonal, own) / out.share;
    out.epsilon = privacy::gaussian_epsilon(moments::stated_mu(mu), delta);
    // In or not is +-1/2: variance 1/4, so that the likeliest answer has a ridge of 4.
    out.one_run = one_run_bound(blind_.solution(4), canaries_.in, delta);
    return out;
  }

 private:
  const Canaries& canaries_;
  std::vector<double> noise_, reach_, share_;
  std::vector<double> weight_;  ///< in mean(in) - mean(out)
  Ridge blind_;
  double squares_ = 0, along_ = 0, stated_squares_ = 0, error_squares_ = 0;
  Index numbers_ = 0, rounds_ = 0;
};

/// The largest norms by which leaving out one record changes integer sums. `sums` gives, for the
/// canaries whose numbers it is given, a list of vectors of sums; the norms are those of each.
/// In groups of about 70: more than a trainer's blocks of records have, and a fraction of the time.
template <class Sums>
std::vector<double> largest_changes(const Canaries& canaries, const Sums& sums) {
  const Index m = canaries.size(), groups = std::max<Index>(1, m / 70);
  std::vector<std::vector<double>> of_each(canaries.in.size());
  for (Index g = 0; g < groups; ++g) {
    std::vector<Index> all;
    for (Index i = g * m / groups; i < (g + 1) * m / groups; ++i) all.push_back(i);
    const auto whole = sums(all);
    parallel_for(static_cast<Index>(all.size()), [&](Index k) {
      const Index left_out = all[static_cast<std::size_t>(k)];
      std::vector<Index> rest = all;
      std::erase(rest, left_out);
      const auto without = sums(rest);
      for (std::size_t part = 0; part < whole.size(); ++part) {
        double squares = 0;
        for (std::size_t j = 0; j < whole[part].size(); ++j) {
          const auto change = static_cast<double>(whole[part][j] - without[part][j]);
          squares += change * change;
        }
        of_each[static_cast<std::size_t>(left_out)].push_back(scalar_math::sqrt(squares));
      }
    });
  }
  std::vector<double> out = of_each[0];
  for (const std::vector<double>& own : of_each)
    for (std::size_t part = 0; part < out.size(); ++part)
      out[part] = std::max(out[part], own[part]);
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
