#pragma once
// What the accountants count: steps that add Gaussian noise to a query of bounded sensitivity, on
// all records or on a random sample of them, and what two neighbouring data sets are.

#include <cstdint>
#include <span>

#include "iotsl/core/error.hpp"
#include "iotsl/core/scalar_math.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// Which two data sets must be hard to tell apart. The number of records and all labels are the
/// same in both.
enum class Adjacency {
  /// One record contributes nothing: 0 to every query.
  zero_out,
  /// One record is another one of the same label.
  replace_one
};

constexpr const char* to_string(Adjacency adjacency) {
  return adjacency == Adjacency::zero_out ? "zero-out" : "replace-one";
}

/// Steps of one kind, each with fresh noise.
struct Mechanism {
  /// Standard deviation of the noise over the query's L2 sensitivity under the adjacency that is
  /// asked about: a sum of records clipped to C with noise sigma*C has sigma under zero-out and
  /// sigma/2 under replace-one, where two clipped records are up to 2C apart.
  double noise_multiplier = 1;
  /// Chance that a given record takes part in a step; 1: all do. Zero-out: every record is drawn on
  /// its own (Poisson). Replace-one: Poisson, or batches of fixed size drawn without replacement,
  /// or one of 1/sampling_rate disjoint shards.
  double sampling_rate = 1;
  std::uint64_t steps = 1;
  /// Whoever sees the output also sees who took part, so that sampling hides nothing in a step that
  /// the record takes part in.
  bool sample_revealed = false;
  /// What is bounded is the query's output, not each record's part of it: a record that is zeroed
  /// out moves it as far as one that is replaced, so that replace-one is counted in either case.
  bool bounded_output = false;

  Adjacency counted_as(Adjacency adjacency) const {
    return bounded_output ? Adjacency::replace_one : adjacency;
  }
};

/// A number and where it must lie, both ends included.
struct Range {
  double low, high;
  /// False for NaN.
  constexpr bool contains(double v) const { return v >= low && v <= high; }
};
inline std::string to_string(const Range& range) {
  return concat("a number from ", range.low, " to ", range.high);
}

inline constexpr Range noise_multiplier_range{1e-6, 1e9};
inline constexpr Range sampling_rate_range{0, 1};
/// The least rate that is not 0: no data set has as many records, and the accountants' numbers stay
/// far from where doubles end.
inline constexpr double min_sampling_rate = 1e-30;
inline constexpr std::uint64_t max_steps = std::uint64_t{1} << 53;
/// Below it double precision could report an epsilon that is too small.
inline constexpr double min_delta = 1e-17;
inline constexpr Range epsilon_range{1e-6, 1e12};

/// Usage failure that names the field, what was given and what was expected.
inline Result<void> check(const Mechanism& m) {
  const auto wrong = [](const char* field, double given, const Range& range) {
    return failure(ErrorCode::usage, field, " ", given, ": expected ", range);
  };
  if (!noise_multiplier_range.contains(m.noise_multiplier))
    return wrong("noise_multiplier", m.noise_multiplier, noise_multiplier_range);
  if (!sampling_rate_range.contains(m.sampling_rate))
    return wrong("sampling_rate", m.sampling_rate, sampling_rate_range);
  if (m.sampling_rate > 0 && m.sampling_rate < min_sampling_rate)
    return failure(ErrorCode::usage, "sampling_rate ", m.sampling_rate,
                   ": expected 0, or at least ", min_sampling_rate);
  if (m.steps > max_steps)
    return failure(ErrorCode::usage, "steps ", m.steps, ": expected at most ", max_steps);
  return {};
}
inline Result<void> check_delta(double delta) {
  if (delta >= min_delta && delta < 1) return {};
  return failure(ErrorCode::usage, "delta ", delta, ": out of range, expected ", min_delta,
                 " <= delta < 1");
}

namespace detail {

/// A wrong argument of an accountant is a programming error: who takes numbers from outside asks
/// `check` first.
inline void require(std::span<const Mechanism> mechanisms, double delta) {
  for (const Mechanism& m : mechanisms)
    if (const Result<void> good = check(m); !good) fail(good.failure().message);
  if (const Result<void> good = check_delta(delta); !good) fail(good.failure().message);
}

/// True where no step can depend on any record.
inline bool releases_nothing(const Mechanism& m) { return m.steps == 0 || m.sampling_rate == 0; }

/// sqrt(sum of steps / noise_multiplier^2): all Gaussian steps together are one Gaussian mechanism
/// with this mu (Dong, Roth, Su 2022). Sampled steps do not count.
inline double gaussian_part(std::span<const Mechanism> mechanisms) {
  double squares = 0;
  for (const Mechanism& m : mechanisms)
    if (m.sampling_rate == 1)
      squares += static_cast<double>(m.steps) / (m.noise_multiplier * m.noise_multiplier);
  return scalar_math::sqrt(squares);
}

}  // namespace detail
}  // namespace privacy
IOTSL_NAMESPACE_END
