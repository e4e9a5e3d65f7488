#pragma once
// The tight accountant: composes privacy losses as distributions, by FFT. For the host, since it
// needs Eigen and memory. Its epsilon is an upper bound close to the exact one:
//   - each step's loss is rounded so that it only becomes easier to tell (connect_the_dots.hpp);
//   - losses are composed under a tilted measure, density exp(tilt * loss), centred where delta is
//     decided (saddle point: Alghamdi et al. 2022), so that what the FFT rounds is small against
//     delta, however small that is;
//   - what may lie above the FFT's window (Chernoff) and what is rounded is bounded and added; what
//     wraps around is never taken away.

#include <cmath>
#include <complex>
#include <unsupported/Eigen/FFT>

#include "iotsl/privacy/gaussian.hpp"
#include "iotsl/privacy/renyi_accountant.hpp"
#include "iotsl/privacy/tight/loss_window.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

/// The loss of all steps together under the tilted measure.
struct ComposedLoss {
  double spacing = 0, tilt = 0;
  std::int64_t first = 0;    ///< grid index of mass[0]
  std::vector<double> mass;  ///< tilted; each is never too small
  double log_scale = 0;      ///< P-mass = tilted mass * exp(log_scale - tilt * loss)
  double beyond = 0;         ///< at most the P-mass above the window
};

/// The characteristic function of a sum of independent steps, by its modulus and phase.
class Spectrum {
 public:
  explicit Spectrum(std::size_t points)
      : points_(points), modulus_(points / 2 + 1), modulus_above_(modulus_), phase_(modulus_) {
    fft_.SetFlag(Eigen::FFT<double>::HalfSpectrum);
    // An FFT's error is below its sum of moduli times this (Higham 2002, section 24.1).
    rounding_ = 1e-15 * scalar_math::log(static_cast<double>(points));
  }

  /// Adds `steps` times a loss on a grid, tilted by `tilt` and divided by exp(log_moment).
  void add(const LossGrid& grid, double tilt, double log_moment, double steps) {
    std::vector<double> folded(points_);
    for (std::size_t i = 0; i < grid.mass.size(); ++i)
      if (grid.mass[i] > 0)
        folded[wrapped(grid.index(i))] +=
            scalar_math::exp(scalar_math::log(grid.mass[i]) + tilt * grid.loss(i) - log_moment);
    std::vector<std::complex<double>> values;
    fft_.fwd(values, folded);
    for (std::size_t k = 0; k < modulus_.size(); ++k) {
      const double modulus = std::abs(values[k]);
      modulus_[k] += steps * scalar_math::log(modulus);
      modulus_above_[k] += steps * scalar_math::log(modulus + rounding_);
      phase_[k] += steps * std::arg(values[k]);
    }
  }

  /// The distribution of the sum, the grid index `first` in front, with the bound of rounding
  /// added.
  std::vector<double> distribution(std::int64_t first) {
    std::vector<std::complex<double>> values(modulus_.size());
    double error = 0;
    for (std::size_t k = 0; k < values.size(); ++k) {
      const double modulus = scalar_math::exp(modulus_[k]);
      values[k] = modulus > 0 ? std::polar(modulus, phase_[k]) : 0;
      error += 2 * (scalar_math::exp(modulus_above_[k]) - modulus + rounding_ * modulus);
    }
    error /= static_cast<double>(points_);
    std::vector<double> cyclic, out(points_);
    fft_.inv(cyclic, values, static_cast<Eigen::Index>(points_));
    for (std::size_t i = 0; i < points_; ++i) {
      const double mass = cyclic[wrapped(first + static_cast<std::int64_t>(i))];
      out[i] = (mass > 0 ? mass : 0) + error;
    }
    return out;
  }

 private:
  std::size_t wrapped(std::int64_t index) const {
    return static_cast<std::size_t>(index) & (points_ - 1);  // a power of two
  }

  Eigen::FFT<double> fft_;
  std::size_t points_;
  double rounding_;
  std::vector<double> modulus_, modulus_above_, phase_;  // logarithms of the moduli
};

/// `points` are those of the FFT, a power of two.
inline ComposedLoss compose(const std::vector<LossOfStep>& steps, const LossWindow& window,
                            std::size_t points) {
  double widest = 0;
  for (const LossOfStep& step : steps) {
    const double width = step.loss_width();
    widest = width > widest ? width : widest;
  }
  const auto n = static_cast<double>(points);
  ComposedLoss out;
  // A little room around the window; no grid of a step longer than four FFTs.
  const double spacing = (window.high - window.low) / (0.98 * n);
  out.spacing = spacing > widest / (4 * n) ? spacing : widest / (4 * n);
  // Beyond that nothing would be left of a mass at the next grid point.
  out.tilt = window.tilt < 1 / out.spacing ? window.tilt : 1 / out.spacing;
  const double middle = (window.low + window.high) / 2;
  out.first = grid_floor(middle, out.spacing) - static_cast<std::int64_t>(points / 2);

  Spectrum spectrum(points);
  double log_above = 0;
  for (const LossOfStep& step : steps) {
    const LossGrid grid = connect_the_dots(step, out.spacing);
    const double moment = log_moment(grid, out.tilt);
    spectrum.add(grid, out.tilt, moment, step.steps);
    // Of the integrals and of the exponents.
    const double rounding = 1e-12 + 1e-15 * window.tilt_above * step.loss_width();
    out.log_scale += step.steps * (moment + rounding);
    log_above += step.steps * (log_moment(grid, window.tilt_above) + rounding);
    out.beyond += step.steps * grid.infinite;
  }
  out.mass = spectrum.distribution(out.first);
  const double top =
      out.spacing * static_cast<double>(out.first + static_cast<std::int64_t>(points));
  out.beyond += scalar_math::exp(log_above - window.tilt_above * top);
  return out;
}

/// The smallest epsilon >= 0 with delta(epsilon) <= delta, where delta(epsilon) =
/// beyond + sum over losses l > epsilon of P(l) (1 - exp(epsilon - l)). Infinite where `beyond`
/// alone is more.
inline double smallest_epsilon(const ComposedLoss& c, double delta) {
  using namespace scalar_math;
  if (!(c.beyond < delta)) return infinity;
  const double log_delta = log(delta - c.beyond), h = c.spacing;
  const double keep = exp(-c.tilt * h), keep_q = exp(-(c.tilt + 1) * h), gain = -expm1(-h);
  // Relative to exp(log_scale - tilt * l) at the grid point l: the sum for epsilon = l, and the sum
  // of P(l') exp(l - l') over l' >= l.
  double sum = 0, sum_q = 0;
  for (std::size_t i = c.mass.size(); i-- > 0;) {
    const double at = h * static_cast<double>(c.first + static_cast<std::int64_t>(i));
    const double next = keep * (sum + gain * sum_q);
    if (log(next) + c.log_scale - c.tilt * at > log_delta) {
      // Between this point and the one above, delta is linear in exp(epsilon).
      const double above = at + h;
      const double wanted = exp(log_delta - c.log_scale + c.tilt * above);
      const double epsilon = above + log1p((sum - wanted) / sum_q);
      const double clamped = epsilon > at && epsilon < above ? epsilon : above;
      return clamped > 0 ? clamped : 0;
    }
    if (at <= 0) return 0;
    sum = next;
    sum_q = c.mass[i] + keep_q * sum_q;
  }
  return h * static_cast<double>(c.first);
}

inline double composed_epsilon(std::span<const Mechanism> mechanisms, Side side, double delta) {
  using namespace scalar_math;
  double steps = 0;
  for (const Mechanism& m : mechanisms) steps += static_cast<double>(m.steps);
  // All that is left out together stays below exp(-20) delta.
  const double reach = sqrt(2 * (20 + log(2 * steps) - log(delta)));
  std::vector<LossOfStep> losses;
  for (const Mechanism& m : mechanisms) losses.emplace_back(m, side, reach);
  const LossWindow window = plan_window(losses, log(delta));
  // Twice as many points leave a quarter of what connect_the_dots adds.
  constexpr std::size_t fewest = std::size_t{1} << 16, most = std::size_t{1} << 20;
  double epsilon = infinity;
  for (std::size_t points = fewest; points <= most; points *= 2) {
    const double last = epsilon;
    epsilon = smallest_epsilon(compose(losses, window, points), delta);
    if (!(last - epsilon > 3e-4 * epsilon) && points > fewest) break;
  }
  return epsilon;
}

}  // namespace detail

/// The smallest epsilon that this accountant can prove for all `mechanisms` together at `delta`;
/// never above the one of the small accountant. Exact where nothing is sampled.
inline double tight_epsilon(std::span<const Mechanism> mechanisms, Adjacency adjacency,
                            double delta) {
  using namespace detail;
  const double bound = renyi_epsilon(mechanisms, adjacency, delta).epsilon;
  if (bound == 0) return 0;
  // Who takes part in no step is in no output: delta(0) is at most the chance of taking part.
  double chance = 0;
  for (const Mechanism& m : mechanisms)
    if (!releases_nothing(m)) chance += m.sampling_rate * static_cast<double>(m.steps);
  if (chance <= delta) return 0;
  const double mu = gaussian_part(mechanisms);
  std::vector<Mechanism> parts;
  for (const Mechanism& m : mechanisms)
    if (!releases_nothing(m) && m.sampling_rate < 1) parts.push_back(m);
  if (parts.empty()) return gaussian_epsilon(mu, delta);
  if (mu > 0) parts.push_back({.noise_multiplier = 1 / mu});
  double epsilon = 0;
  const auto look_at = [&](Side side) {
    const double found = composed_epsilon(parts, side, delta);
    if (!(found <= epsilon)) epsilon = found;
  };
  bool either = false;  // the pair that dominates both directions
  for (const Mechanism& m : parts)
    either = either || m.counted_as(adjacency) == Adjacency::replace_one;
  if (either) {
    look_at(Side::either);
  } else {
    look_at(Side::with_record);
    look_at(Side::without_record);
  }
  return epsilon < bound ? epsilon : bound;
}

}  // namespace privacy
IOTSL_NAMESPACE_END
