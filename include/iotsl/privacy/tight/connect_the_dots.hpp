#pragma once
// The privacy loss of one step on a grid, so that no distinguishing test becomes harder: connect
// the dots (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022). What lies between two grid points
// is shared out so that its probabilities on both data sets stay as they are. The hockey-stick
// curve is then exact at the grid points and a chord in exp(epsilon) between them. Rounding every
// loss up instead would add half a grid step for each step composed; this adds a twelfth of its
// square.

#include "iotsl/privacy/tight/privacy_loss.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

/// A discrete privacy loss: P has mass[i] at loss (first + i) * spacing, and `infinite` where Q has
/// nothing.
struct LossGrid {
  double spacing = 0;
  std::int64_t first = 0;
  std::vector<double> mass;
  double infinite = 0;

  std::int64_t index(std::size_t i) const { return first + static_cast<std::int64_t>(i); }
  double loss(std::size_t i) const { return spacing * static_cast<double>(index(i)); }
  double& at(std::int64_t index) { return mass[static_cast<std::size_t>(index - first)]; }

  /// P-mass at `above` over the grid point `index`, 0 <= above <= spacing: the share for the upper
  /// point is (1 - exp(-above)) / (1 - exp(-spacing)), which keeps the mass under P and under Q.
  void share(std::int64_t index, double above, double p_mass) {
    using namespace scalar_math;
    const double whole = expm1(-spacing);
    at(index) += p_mass * exp(-above) * (expm1(above - spacing) / whole);
    at(index + 1) += p_mass * (expm1(-above) / whole);
  }
};

inline std::int64_t grid_floor(double loss, double spacing) {
  return static_cast<std::int64_t>(scalar_math::floor(loss / spacing));
}

/// Shares out the outputs from `low` to `high`.
inline void share_outputs(const LossOfStep& step, LossCurve::Interval outputs, LossGrid& grid) {
  const double spacing = grid.spacing;
  for (std::int64_t i = grid_floor(step.curve.loss(outputs.low), spacing);; ++i) {
    const double from = static_cast<double>(i) * spacing;
    const double begin = step.curve.output(from), end = step.curve.output(from + spacing);
    const double low = begin > outputs.low ? begin : outputs.low;
    const double high = end < outputs.high ? end : outputs.high;
    if (low < high)
      step.curve.integrate(low, high, [&](const LossShare& share) {
        double above = share.loss - from;
        above = above < 0 ? 0 : above > spacing ? spacing : above;
        if (step.side == Side::without_record)
          grid.share(-(i + 1), spacing - above, share.without);
        else
          grid.share(i, above, step.taken * share.with);
      });
    if (!(end < outputs.high)) return;
  }
}

/// The loss of one step on a grid. Outputs that the curve leaves out count as an infinite loss,
/// those of the smallest losses as the first grid point.
inline LossGrid connect_the_dots(const LossOfStep& step, double spacing) {
  std::vector<LossCurve::Interval> outputs = step.curve.outputs();
  LossGrid grid;
  grid.spacing = spacing;
  std::int64_t low = grid_floor(step.curve.loss(outputs.front().low), spacing);
  std::int64_t high = grid_floor(step.curve.loss(outputs.back().high), spacing) + 1;
  // Zero is always there: what does not depend on the record has it.
  low = low < 0 ? low : 0;
  high = high > 0 ? high : 0;
  if (step.side == Side::without_record) {
    const std::int64_t top = -low;
    low = -high;
    high = top;
  }
  if (step.side == Side::either) low = -high;
  // One more on either side: an output's loss and the loss's output round differently.
  grid.first = low - 1;
  grid.mass.assign(static_cast<std::size_t>(high - low + 3), 0.0);
  grid.infinite = step.taken * step.left_out();

  for (LossCurve::Interval& part : outputs) {
    // Losses above 0 are enough for the pair that is its own mirror image.
    const double zero = step.curve.output(0);
    if (step.side == Side::either && part.low < zero) part.low = zero;
    if (part.low < part.high) share_outputs(step, part, grid);
  }
  if (step.side == Side::either) {
    double rest = 1 - grid.infinite;
    for (std::int64_t i = 1; i <= high; ++i) {
      grid.at(-i) = grid.at(i) * scalar_math::exp(-static_cast<double>(i) * spacing);
      rest -= grid.at(i) + grid.at(-i);
    }
    grid.at(0) = rest > 0 ? rest : 0;
  } else {
    grid.mass.front() += step.left_out();
    grid.at(0) += 1 - step.taken;
  }
  return grid;
}

}  // namespace detail
}  // namespace privacy
IOTSL_NAMESPACE_END
