#include "iotsl/privacy/tight/tight_accountant.hpp"

#include <cmath>

#include "privacy/reference_rows.hpp"

namespace tight_accountant_test {

using namespace iotsl::privacy;
using detail::Side;

namespace {

double epsilon_of(const Mechanism& m, double delta, Adjacency adjacency = Adjacency::zero_out) {
  return tight_epsilon({&m, 1}, adjacency, delta);
}

double normal_tail(double z) { return std::exp(detail::log_normal_tail(z)); }

/// delta(epsilon) of one step for any epsilon, in closed form: outputs beyond x have a loss above.
double exact_delta(const Mechanism& m, double epsilon, Side side) {
  const double q = m.sampling_rate, mean = 1 / m.noise_multiplier, e = std::exp(epsilon);
  const detail::LossCurve curve(m, 10);
  if (side == Side::either && epsilon < 0)
    return 1 - e + e * exact_delta(m, -epsilon, Side::with_record);
  if (side == Side::without_record) {
    const double x = curve.output(-epsilon);
    return normal_tail(-x) - e * ((1 - q) * normal_tail(-x) + q * normal_tail(mean - x));
  }
  const double x = curve.output(epsilon);
  return (1 - q) * normal_tail(x) + q * normal_tail(x - mean) - e * normal_tail(x);
}

/// delta(epsilon) of a step of `a` and one of `b`: the integral over the outputs of `a`, plain
/// midpoints.
double exact_delta_of_two(const Mechanism& a, const Mechanism& b, double epsilon, Side side) {
  const double q = a.sampling_rate, mean = 1 / a.noise_multiplier;
  const detail::LossCurve curve(a, 10);
  const auto density = [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); };
  const double width = 1e-3;
  double sum = 0;
  for (double x = -10 + width / 2; x < 10 + mean; x += width) {
    const double loss = curve.loss(x), with = (1 - q) * density(x) + q * density(x - mean);
    if (side == Side::with_record) sum += with * exact_delta(b, epsilon - loss, side);
    if (side == Side::without_record) sum += density(x) * exact_delta(b, epsilon + loss, side);
  }
  return sum * width;
}

}  // namespace

TEST_CASE("tight accountant: every row of the reference, and not above the Renyi accountant") {
  for (const auto& row : privacy_test::reference_rows()) {
    CAPTURE(row.mechanism.noise_multiplier);
    CAPTURE(row.mechanism.sampling_rate);
    CAPTURE(row.mechanism.steps);
    const double tight = epsilon_of(row.mechanism, row.delta);
    CHECK(tight == doctest::Approx(row.epsilon_tight).epsilon(0.004));
    CHECK(tight <= renyi_epsilon({&row.mechanism, 1}, Adjacency::zero_out, row.delta).epsilon);
  }
}

TEST_CASE("tight accountant: published figures") {
  const Mechanism shards{1.07, 0.01, 20000};
  CHECK(epsilon_of(shards, 1e-5, Adjacency::replace_one) == doctest::Approx(10.76).epsilon(1e-3));
  CHECK(epsilon_of(shards, 1e-5) == doctest::Approx(8.15).epsilon(1e-3));
  // GS-WGAN: the 32 rows of a step come from one of 1,000 critics.
  const double joint = 1.07 / std::sqrt(32.0);
  CHECK(epsilon_of({joint, 0.001, 20000, true}, 1e-5) == doctest::Approx(610).epsilon(1e-3));
  CHECK(epsilon_of({joint, 0.001, 20000}, 1e-5) == doctest::Approx(329).epsilon(2e-3));
  CHECK(epsilon_of({joint, 0.001, 20000}, 1e-5, Adjacency::replace_one) ==
        doctest::Approx(347).epsilon(2e-3));
}

TEST_CASE("tight accountant: one step has its closed form, and never less") {
  for (const Mechanism& m : {Mechanism{0.8, 0.3, 1}, {2, 0.01, 1}, {0.1, 0.6, 1}, {30, 0.97, 1}})
    for (const Side side : {Side::with_record, Side::without_record, Side::either})
      for (const double delta : {1e-15, 1e-9, 1e-5, 0.002}) {
        CAPTURE(m.noise_multiplier);
        CAPTURE(m.sampling_rate);
        CAPTURE(static_cast<int>(side));
        CAPTURE(delta);
        const double epsilon = detail::composed_epsilon({&m, 1}, side, delta);
        // The closed form loses digits below 1e-9.
        if (delta >= 1e-9) CHECK(exact_delta(m, epsilon, side) <= delta * (1 + 1e-6));
        // Nearly all outputs of one case have the same loss: there the grid's spacing shows.
        if (delta >= 1e-9 && epsilon > 0)
          CHECK(exact_delta(m, epsilon * (1 - 2e-4) - (m.noise_multiplier < 0.2 ? 1.5e-3 : 0),
                            side) > delta);
        CHECK(std::isfinite(epsilon));
      }
}

TEST_CASE("tight accountant: two different steps against an integral, and never less") {
  const Mechanism a{0.9, 0.2, 1}, b{1.5, 0.05, 1}, c{1, 1, 1};
  for (const auto& [first, second] : {std::pair{a, b}, {b, a}, {a, a}, {b, c}})
    for (const Side side : {Side::with_record, Side::without_record})
      for (const double delta : {1e-8, 1e-5, 1e-3}) {
        CAPTURE(delta);
        CAPTURE(static_cast<int>(side));
        const Mechanism list[] = {first, second};
        const double epsilon = detail::composed_epsilon(list, side, delta);
        REQUIRE(epsilon > 0);
        CHECK(exact_delta_of_two(first, second, epsilon, side) <= delta * (1 + 1e-6));
        CHECK(exact_delta_of_two(first, second, epsilon * (1 - 5e-4), side) > delta);
      }
}

TEST_CASE(
    "tight accountant: steps that are not sampled, composed the long way, are the exact Gaussian") {
  for (const Side side : {Side::with_record, Side::either})
    for (const std::uint64_t steps : {1, 30, 5000})
      for (const double m : {0.5, 5.0, 80.0})
        for (const double delta : {1e-16, 1e-5, 0.01}) {
          CAPTURE(steps);
          CAPTURE(m);
          CAPTURE(delta);
          const Mechanism mechanism{m, 1, steps};
          const double exact = gaussian_epsilon(std::sqrt(static_cast<double>(steps)) / m, delta);
          const double epsilon = detail::composed_epsilon({&mechanism, 1}, side, delta);
          CHECK(epsilon >= exact * (1 - 1e-9));
          CHECK(epsilon <= exact * (1 + 3e-4));
        }
}

TEST_CASE("tight accountant: mechanisms compose in any order and any split") {
  const Mechanism a{1.1, 0.02, 700}, b{3, 1, 2}, c{0.9, 0.004, 1000};
  const auto of = [](const std::vector<Mechanism>& list, Adjacency adjacency) {
    return tight_epsilon(list, adjacency, 1e-6);
  };
  for (const Adjacency adjacency : {Adjacency::zero_out, Adjacency::replace_one}) {
    const double together = of({a, b, c}, adjacency);
    CHECK(of({c, a, b}, adjacency) == doctest::Approx(together).epsilon(1e-9));
    CHECK(of({a, {0.9, 0.004, 999}, b, {0.9, 0.004, 1}}, adjacency) ==
          doctest::Approx(together).epsilon(1e-4));
    // Two Gaussian steps are one with half the variance.
    CHECK(of({a, {3 / std::sqrt(2.0), 1, 1}, c}, adjacency) ==
          doctest::Approx(together).epsilon(1e-9));
    for (const Mechanism& one : {a, b, c}) CHECK(of({one}, adjacency) < together);
  }
  CHECK(of({}, Adjacency::zero_out) == 0);
  CHECK(of({{1e-6, 0, 5}, {1e-6, 1, 0}}, Adjacency::zero_out) == 0);
}

TEST_CASE("tight accountant: more noise, fewer steps, rarer samples and a larger delta mean less") {
  const auto at = [](double m, double q, std::uint64_t steps, double delta) {
    return epsilon_of({m, q, steps}, delta);
  };
  const double here = at(0.9, 0.01, 500, 1e-6);
  CHECK(at(0.91, 0.01, 500, 1e-6) < here);
  CHECK(at(0.9, 0.0099, 500, 1e-6) < here);
  CHECK(at(0.9, 0.01, 490, 1e-6) < here);
  CHECK(at(0.9, 0.01, 500, 1.1e-6) < here);
  // Down to where double precision ends, each digit of delta costs more.
  double last = here;
  for (int digits = 7; digits <= 17; ++digits) {
    const double epsilon = at(0.9, 0.01, 500, std::pow(10, -digits));
    CHECK(epsilon > last + 0.1);
    CHECK(epsilon < last + 2);
    last = epsilon;
  }
}

TEST_CASE(
    "tight accountant: who hardly ever takes part is not told apart, with little noise, too") {
  for (const Adjacency adjacency : {Adjacency::zero_out, Adjacency::replace_one}) {
    CHECK(epsilon_of({.noise_multiplier = 0.05, .sampling_rate = 1e-6}, 0.1, adjacency) == 0);
    CHECK(epsilon_of({.noise_multiplier = 0.05, .sampling_rate = 1e-4, .steps = 900}, 0.1,
                     adjacency) == 0);
    CHECK(epsilon_of({.noise_multiplier = 0.05, .sampling_rate = 1e-3}, 9e-4, adjacency) > 0);
  }
}

TEST_CASE("tight accountant: corners give a number, not above the Renyi accountant's") {
  for (const double m : {1e-6, 1.0, 1e9})
    for (const double q : {min_sampling_rate, 1e-3, 1 - 1.2e-16})
      for (const std::uint64_t steps : {std::uint64_t{1}, max_steps})
        for (const double delta : {1e-17, 0.3}) {
          CAPTURE(m);
          CAPTURE(q);
          CAPTURE(steps);
          CAPTURE(delta);
          const Mechanism mechanism{m, q, steps};
          const double epsilon = epsilon_of(mechanism, delta);
          CHECK(epsilon >= 0);
          CHECK(epsilon <= renyi_epsilon({&mechanism, 1}, Adjacency::zero_out, delta).epsilon);
        }
}

}  // namespace tight_accountant_test
