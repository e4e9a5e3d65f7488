#pragma once
// From a target epsilon to a setting: the noise for given steps, the steps for given noise. With
// any accountant. The setting that is returned has been asked for its epsilon, which is at most the
// target.

#include "iotsl/privacy/log_math.hpp"
#include "iotsl/privacy/mechanism.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// A setting and its epsilon.
template <class Setting>
struct Calibrated {
  Setting setting{};
  double epsilon = 0;
};

namespace detail {

/// The largest index in [first, last] with epsilon_at(index) <= target, where epsilon grows with
/// the index; looked for from `guess` on. Below `first` where there is none, with the epsilon of
/// `first`.
template <class EpsilonAt>
Calibrated<std::int64_t> largest_within(double target, std::int64_t first, std::int64_t last,
                                        std::int64_t guess, const EpsilonAt& epsilon_at) {
  Calibrated<std::int64_t> within{first - 1, -infinity}, above{last + 1, infinity};
  std::int64_t next = guess < first ? first : guess > last ? last : guess, stride = 1;
  for (int round = 0;; ++round) {
    const double epsilon = epsilon_at(next);
    (epsilon <= target ? within : above) = {next, epsilon};
    const std::int64_t between = above.setting - within.setting;
    if (between == 1) break;
    const bool knows_within = within.epsilon != -infinity, knows_above = above.epsilon != infinity;
    if (knows_within && knows_above) {
      // Where a straight line between both meets the target; every third time in the middle.
      const double share = (target - within.epsilon) / (above.epsilon - within.epsilon);
      const auto step = static_cast<std::int64_t>(static_cast<double>(between) * share);
      next = within.setting + (round % 3 == 2 ? between / 2 : step);
      if (next <= within.setting) next = within.setting + 1;
      if (next >= above.setting) next = above.setting - 1;
    } else {
      next += knows_within ? stride : -stride;
      if (next < first) next = first;
      if (next > last) next = last;
      stride *= 4;
    }
  }
  return within.setting < first ? Calibrated<std::int64_t>{within.setting, above.epsilon} : within;
}

/// Noise multipliers of five decimal digits, so that what is printed is what was looked at.
inline constexpr std::int64_t multipliers_per_decade = 90000;
inline constexpr std::int64_t last_multiplier = 15 * multipliers_per_decade;  // 1e-6 to 1e9

inline double multiplier_at(std::int64_t index) {
  const auto digits = static_cast<double>(10000 + index % multipliers_per_decade);
  const std::int64_t exponent = index / multipliers_per_decade - 10;
  const double power =
      scalar_math::pow(10, static_cast<double>(exponent < 0 ? -exponent : exponent));
  return exponent < 0 ? digits / power : digits * power;
}
inline std::int64_t multiplier_index(double multiplier) {
  std::int64_t low = 0, high = last_multiplier;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (multiplier_at(middle) < multiplier)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace detail

/// The smallest noise multiplier, of five digits, with epsilon_of(multiplier) <= target. Fails
/// where even the largest has a greater epsilon.
template <class EpsilonOf>
Result<Calibrated<double>> noise_multiplier_for(double target, double guess,
                                                const EpsilonOf& epsilon_of) {
  using namespace detail;
  const auto at = [&](std::int64_t index) {
    return epsilon_of(multiplier_at(last_multiplier - index));
  };
  const auto found =
      largest_within(target, 0, last_multiplier, last_multiplier - multiplier_index(guess), at);
  if (found.setting < 0)
    return failure(ErrorCode::usage, "epsilon ", target, ": expected at least ", found.epsilon,
                   ", what noise multiplier ", noise_multiplier_range.high, " gives");
  return Calibrated<double>{multiplier_at(last_multiplier - found.setting), found.epsilon};
}

/// The most steps with epsilon_of(steps) <= target. Fails where one step has a greater epsilon.
template <class EpsilonOf>
Result<Calibrated<std::uint64_t>> steps_for(double target, std::uint64_t guess,
                                            const EpsilonOf& epsilon_of) {
  const auto at = [&](std::int64_t steps) { return epsilon_of(static_cast<std::uint64_t>(steps)); };
  const auto found = detail::largest_within(target, 1, static_cast<std::int64_t>(max_steps),
                                            static_cast<std::int64_t>(guess), at);
  if (found.setting < 1)
    return failure(ErrorCode::usage, "epsilon ", target, ": expected at least ", found.epsilon,
                   ", what one step gives");
  return Calibrated<std::uint64_t>{static_cast<std::uint64_t>(found.setting), found.epsilon};
}

}  // namespace privacy
IOTSL_NAMESPACE_END
