#pragma once
// The small accountant: adds Renyi divergences over any list of mechanisms and turns the sum into
// (epsilon, delta). Always an upper bound, 1 to 15 % above the tight figure once epsilon is not
// small. Needs nothing but arithmetic, so a device has it.

#include "iotsl/privacy/renyi.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

struct RenyiEpsilon {
  double epsilon = 0;
  /// The order that gives it.
  double order = 0;
  /// True where an order outside of [1 + 2^-44, 2^20] would give a smaller epsilon.
  bool order_at_limit = false;
};

namespace detail {

/// From r(order) > 0 to epsilon (Balle et al. 2020, theorem 21; Canonne, Kamath, Steinke 2020,
/// proposition 12): r + log(1 - 1/order) - (log delta + log order) / (order - 1), never below 0.
inline double renyi_to_epsilon(double r, double order, double log_delta) {
  using namespace scalar_math;
  // Half the L1 distance is at most sqrt(1 - exp(-KL)) (Bretagnolle and Huber 1979), KL at most r.
  if (-expm1(-r) <= exp(2 * log_delta)) return 0;
  const double epsilon = r + log((order - 1) / order) - (log_delta + log(order)) / (order - 1);
  return epsilon > 0 ? epsilon : 0;
}

/// Looks for the best order. Any order gives a valid epsilon: the search decides how small it is.
class OrderSearch {
 public:
  OrderSearch(std::span<const Mechanism> mechanisms, Adjacency adjacency, double delta)
      : mechanisms_(mechanisms), adjacency_(adjacency), log_delta_(scalar_math::log(delta)) {}

  RenyiEpsilon best() {
    // Upwards until r alone is above the best: r grows, and the rest is above -2 log 2 from order 2
    // on.
    int high = 0;
    while (high < max_exponent && try_order(high) < best_.epsilon + 2 * log_2) ++high;
    if (high == max_exponent) try_order(high);
    // Downwards until the rest alone is above the best.
    int low = -1;
    while (low > min_exponent && rest(order_of(low)) < best_.epsilon) try_order(low--);
    if (best_.epsilon == 0) return best_;
    refine();
    best_.order_at_limit = best_.order >= order_of(max_exponent - 0.01) ||
                           best_.order <= order_of(min_exponent + 1.01);
    return best_;
  }

 private:
  static constexpr int min_exponent = -44, max_exponent = 20;

  /// Orders are spread evenly over the logarithm of order - 1. Large ones are integers, where a
  /// moment is cheapest.
  static double order_of(double exponent) {
    const double order = 1 + scalar_math::pow(2, exponent);
    return order < 64 ? order : scalar_math::floor(order);
  }
  double rest(double order) const {
    using namespace scalar_math;
    return log((order - 1) / order) - (log_delta_ + log(order)) / (order - 1);
  }

  /// r of all mechanisms together at 1 + 2^exponent.
  double try_order(double exponent) {
    const double order = order_of(exponent);
    double moment = 0;
    for (const Mechanism& m : mechanisms_)
      if (!releases_nothing(m))
        moment += static_cast<double>(m.steps) * renyi_log_moment(m, adjacency_, order);
    const double r = moment / (order - 1);
    const double epsilon = renyi_to_epsilon(r, order, log_delta_);
    tried_ = epsilon;
    if (epsilon < best_.epsilon) {
      best_ = {epsilon, order, false};
      best_exponent_ = exponent;
    }
    return r;
  }

  /// Golden section around the best power of two.
  void refine() {
    constexpr double golden = 0.6180339887498949;
    double low = best_exponent_ - 1, high = best_exponent_ + 1;
    if (high > max_exponent) high = max_exponent;
    if (low < min_exponent) low = min_exponent;
    const auto at = [&](double exponent) {
      try_order(exponent);
      return tried_;
    };
    double a = high - golden * (high - low), b = low + golden * (high - low);
    double at_a = at(a), at_b = at(b);
    for (int i = 0; i < 24; ++i) {
      if (at_a <= at_b) {
        high = b, b = a, at_b = at_a;
        at_a = at(a = high - golden * (high - low));
      } else {
        low = a, a = b, at_a = at_b;
        at_b = at(b = low + golden * (high - low));
      }
    }
  }

  std::span<const Mechanism> mechanisms_;
  Adjacency adjacency_;
  double log_delta_;
  RenyiEpsilon best_{infinity, 2, false};
  double best_exponent_ = 0, tried_ = 0;
};

}  // namespace detail

/// The smallest epsilon that Renyi divergences give for all `mechanisms` together at `delta`.
inline RenyiEpsilon renyi_epsilon(std::span<const Mechanism> mechanisms, Adjacency adjacency,
                                  double delta) {
  detail::require(mechanisms, delta);
  return detail::OrderSearch(mechanisms, adjacency, delta).best();
}

}  // namespace privacy
IOTSL_NAMESPACE_END
