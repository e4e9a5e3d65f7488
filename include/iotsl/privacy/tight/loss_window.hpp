#pragma once
// Where the composed privacy loss must be looked at, planned from the losses of the steps as point
// masses. A bad plan makes an accountant's result larger, never wrong.

#include "iotsl/privacy/tight/connect_the_dots.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

struct LossWindow {
  double tilt;        ///< the measure to look under has density exp(tilt * loss)
  double low, high;   ///< where nearly all of its mass lies, all steps together
  double tilt_above;  ///< gives the best bound of the mass above `high`
};

/// The `x` in [low, high] of the smallest f(x): a scan, then golden section around its best.
template <class F>
double minimize(const F& f, double low, double high) {
  constexpr double width = 0.7, golden = 0.3819660112501051;
  double best = low, at_best = infinity;
  const auto look = [&](double x) {
    const double value = f(x);
    if (value < at_best) {
      at_best = value;
      best = x;
    }
    return value;
  };
  for (double x = low; x <= high; x += width) look(x);
  double left = best - width, right = best + width;
  for (int i = 0; i < 20; ++i) {
    const double a = left + golden * (right - left), b = right - golden * (right - left);
    const bool left_is_better = look(a) < look(b);
    (left_is_better ? right : left) = left_is_better ? b : a;
  }
  return best;
}

class WindowPlan {
 public:
  explicit WindowPlan(const std::vector<LossOfStep>& steps) {
    double variance = 0, largest = 0;
    for (const LossOfStep& step : steps) {
      const LossAtoms& atoms = parts_.emplace_back(Part{loss_atoms(step), step.steps}).atoms;
      double mean = 0;
      for (std::size_t i = 0; i < atoms.at.size(); ++i) mean += atoms.mass[i] * atoms.at[i];
      for (std::size_t i = 0; i < atoms.at.size(); ++i) {
        const double off = scalar_math::abs(atoms.at[i] - mean);
        variance += step.steps * atoms.mass[i] * off * off;
        if (off > largest) largest = off;
      }
    }
    const double deviation = scalar_math::sqrt(variance);
    smallest_tilt_ = scalar_math::log(1e-3 / (deviation > largest ? deviation : largest));
    largest_tilt_ = scalar_math::log(1e5 / deviation);
  }

  LossWindow window(double log_delta) const {
    using namespace scalar_math;
    // The conversion from Renyi divergences, order = 1 + tilt, finds the saddle point.
    const double tilt = best_tilt([&](double t) {
      return (log_moment(t) - log_delta + t * log(t / (1 + t)) - log1p(t)) / t;
    });
    // The tilted mass outside is at most exp(-18) on either side (Chernoff).
    const double inside = log_moment(tilt) - 18;
    const auto above = [&](double more) { return (log_moment(tilt + more) - inside) / more; };
    const auto below = [&](double more) { return (log_moment(tilt - more) - inside) / more; };
    const double more = best_tilt(above);
    return {tilt, -below(best_tilt(below)), above(more), tilt + more};
  }

 private:
  template <class F>
  double best_tilt(const F& f) const {
    const auto at = [&](double exponent) { return f(scalar_math::exp(exponent)); };
    return scalar_math::exp(minimize(at, smallest_tilt_, largest_tilt_));
  }

  /// Of all steps together.
  double log_moment(double tilt) const {
    double sum = 0;
    for (const Part& part : parts_) sum += part.steps * detail::log_moment(part.atoms, tilt);
    return sum;
  }

  struct Part {
    LossAtoms atoms;
    double steps;
  };
  std::vector<Part> parts_;
  double smallest_tilt_, largest_tilt_;
};

inline LossWindow plan_window(const std::vector<LossOfStep>& steps, double log_delta) {
  return WindowPlan(steps).window(log_delta);
}

}  // namespace detail
}  // namespace privacy
IOTSL_NAMESPACE_END
