#pragma once
// The privacy loss log(P/Q) of one step, where the output has density P on one data set and Q on
// its neighbour. Outputs are measured in standard deviations of the noise, the records' sum in
// units of the sensitivity, so without the record the output is N(0, 1), with it N(1/m, 1), and
// sampled: (1-q) N(0, 1) + q N(1/m, 1).

#include <vector>

#include "iotsl/privacy/log_math.hpp"
#include "iotsl/privacy/mechanism.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

/// Which of the two data sets P belongs to.
enum class Side {
  with_record,     ///< P is the mixture, Q is N(0, 1)
  without_record,  ///< the other way round
  /// Replace-one: the pair whose hockey-stick curve delta(e) is that of with_record for e >= 0 and
  /// 1 - exp(e) + exp(e) delta(-e) below. It dominates both directions at once (Balle, Barthe,
  /// Gaboardi 2018, theorems 8 and 10; Zhu, Dong, Wang 2022).
  either
};

/// A share of the outputs, as probabilities under the two data sets.
struct LossShare {
  double loss;     ///< log(with / without)
  double with;     ///< probability with the record
  double without;  ///< and without it
};

/// The loss as a function of the output, and integrals over outputs.
class LossCurve {
 public:
  /// `mechanism` releases something. Outputs further than `reach` standard deviations from every
  /// mean are left out.
  LossCurve(const Mechanism& mechanism, double reach)
      : q_(mechanism.sample_revealed ? 1 : mechanism.sampling_rate),
        mean_(1 / mechanism.noise_multiplier),
        reach_(reach),
        log_rest_(scalar_math::log1p(-q_)),
        log_odds_(log_rest_ - scalar_math::log(q_)) {}

  double reach() const { return reach_; }

  double loss(double x) const {
    const double unsampled = mean_ * (x - mean_ / 2);
    return q_ == 1 ? unsampled : log_rest_ + log_1p_exp(unsampled - log_odds_);
  }
  /// The output of a loss; -infinity where no output has so small a one.
  double output(double loss) const {
    if (q_ == 1) return loss / mean_ + mean_ / 2;
    const double above = loss - log_rest_;
    return above > 0 ? (log_expm1(above) + log_odds_) / mean_ + mean_ / 2 : -infinity;
  }

  /// The outputs that are looked at: one interval, or two around means that are far apart.
  struct Interval {
    double low, high;
  };
  std::vector<Interval> outputs() const {
    const Interval whole{-reach_, mean_ + reach_};
    if (mean_ <= 2 * reach_) return {whole};
    return {{-reach_, reach_}, {mean_ - reach_, whole.high}};
  }

  /// Calls visit(share) for the nodes of a Gauss-Legendre rule of three nodes on pieces of [low,
  /// high] not wider than 1/100: a relative error below 1e-12 where a normal density is within 10
  /// standard deviations of its mean; further out the density comes out too small.
  template <class Visit>
  void integrate(double low, double high, const Visit& visit) const {
    constexpr double widest = 0.01, node = 0.77459666924148337704;
    const double pieces = high - low > widest ? scalar_math::ceil((high - low) / widest) : 1;
    const double half = (high - low) / pieces / 2;
    for (double piece = 0; piece < pieces; ++piece) {
      const double middle = low + (2 * piece + 1) * half;
      for (const double at : {-node, 0.0, node})
        visit(share(middle + at * half, half * (at == 0 ? 8.0 / 9 : 5.0 / 9)));
    }
  }

 private:
  LossShare share(double x, double width) const {
    constexpr double one_over_sqrt_2_pi = 0.39894228040143267794;
    using namespace scalar_math;
    const double scale = width * one_over_sqrt_2_pi;
    const double at_zero = scale * exp(-x * x / 2);
    const double at_mean = scale * exp(-(x - mean_) * (x - mean_) / 2);
    return {loss(x), (1 - q_) * at_zero + q_ * at_mean, at_zero};
  }

  double q_, mean_, reach_, log_rest_, log_odds_;
};

/// The steps of one kind as one of both data sets sees them.
struct LossOfStep {
  LossOfStep(const Mechanism& m, Side which, double reach)
      : curve(m, reach),
        taken(m.sample_revealed ? m.sampling_rate : 1),
        steps(static_cast<double>(m.steps)),
        // Without sampling both directions are the same.
        side(m.sample_revealed || m.sampling_rate == 1 ? Side::with_record : which) {}

  /// At most the probability of the outputs that are left out: beyond every mean, and in the gap
  /// between two.
  double left_out() const { return 2 * scalar_math::exp(log_normal_tail(curve.reach())); }

  /// Of the largest loss over the smallest one.
  double loss_width() const {
    const std::vector<LossCurve::Interval> outputs = curve.outputs();
    const double low = curve.loss(outputs.front().low), high = curve.loss(outputs.back().high);
    return side == Side::either ? 2 * high : high - low;
  }

  LossCurve curve;
  double taken;  ///< chance that the output depends on the record at all; the loss is 0 otherwise
  double steps;
  Side side;
};

/// log E_P[exp(tilt * loss)] over the finite losses of a discrete distribution.
template <class Losses>
double log_moment(const Losses& losses, double tilt) {
  LogSum sum;
  for (std::size_t i = 0; i < losses.mass.size(); ++i)
    sum.add(scalar_math::log(losses.mass[i]) + tilt * losses.loss(i));
  return sum.value();
}

/// The loss of a step as a sum of point masses: exact enough to plan with, but no bound.
struct LossAtoms {
  std::vector<double> at, mass;
  double loss(std::size_t i) const { return at[i]; }
};

inline LossAtoms loss_atoms(const LossOfStep& step) {
  LossAtoms out;
  double rest = 1;
  const auto add = [&](double loss, double mass) {
    out.at.push_back(loss);
    out.mass.push_back(mass);
    rest -= mass;
  };
  for (const LossCurve::Interval& outputs : step.curve.outputs())
    step.curve.integrate(outputs.low, outputs.high, [&](const LossShare& share) {
      if (step.side == Side::with_record) add(share.loss, step.taken * share.with);
      if (step.side == Side::without_record) add(-share.loss, share.without);
      if (step.side == Side::either && share.loss > 0) {
        add(share.loss, share.with);
        add(-share.loss, share.without);
      }
    });
  if (rest > 0) add(0, rest);
  return out;
}

}  // namespace detail
}  // namespace privacy
IOTSL_NAMESPACE_END
