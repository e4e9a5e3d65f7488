#pragma once
// Learning-rate schedules: a factor as a function of progress.

#include <cstdint>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/core/named_enum.hpp"
#include "iotsl/core/scalar_math.hpp"

IOTSL_NAMESPACE_BEGIN

/// How the learning rate falls from turn to turn.
enum class Schedule { constant, linear, cosine };

namespace detail {
inline constexpr NamedValue<Schedule> schedule_table[] = {
    {Schedule::constant, "constant"}, {Schedule::linear, "linear"}, {Schedule::cosine, "cosine"}};
}
/// Their names, for the command line and files.
constexpr const auto& names_of(Schedule) { return detail::schedule_table; }
/// The schedule of that name; a failure names what can be had.
inline Result<Schedule> parse_schedule(std::string_view text) {
  if (const auto found = find_named<Schedule>(text)) return *found;
  return failure(ErrorCode::usage, "learning-rate schedule '", text,
                 "'; expected constant, linear or cosine");
}

/// Learning rate at `step` of `total` steps: constant; linear from `rate` to 0; or
/// rate (1 + cos(pi step / total)) / 2. Steps past the end keep the last value.
inline double learning_rate(Schedule schedule, double rate, std::int64_t step, std::int64_t total) {
  if (total < 1) fail("learning_rate: ", total, " steps in total; expected at least 1");
  if (step < 0) fail("learning_rate: step ", step, "; expected at least 0");
  const double progress =
      step >= total ? 1.0 : static_cast<double>(step) / static_cast<double>(total);
  switch (schedule) {
    case Schedule::constant:
      return rate;
    case Schedule::linear:
      return rate * (1.0 - progress);
    case Schedule::cosine:
      return rate * 0.5 * (1.0 + scalar_math::cos(3.141592653589793 * progress));
  }
  return rate;
}

/// Turns behind those of a schedule, at a constant rate of their own.
struct AddedTurns {
  std::uint64_t turns = 0;
  double rate = 0;
};

/// The learning rate of each turn of a run.
struct TurnRates {
  Schedule schedule = Schedule::constant;
  double rate = 1e-3;
  std::uint64_t schedule_turns = 1;  ///< over which the rate falls
  std::uint64_t scheduled = 1;       ///< turns of the schedule; the added ones follow
  std::vector<AddedTurns> added;     ///< in order

  double of(std::uint64_t turn) const {
    std::uint64_t end = scheduled;
    for (const AddedTurns& part : added) {
      if (turn >= end && turn < end + part.turns) return part.rate;
      end += part.turns;
    }
    return learning_rate(schedule, rate, static_cast<std::int64_t>(turn),
                         static_cast<std::int64_t>(schedule_turns));
  }
};

IOTSL_NAMESPACE_END
