// Steps in a sample that everybody knows: the exact count.

#include "iotsl/privacy/revealed.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "iotsl/privacy/renyi_accountant.hpp"
#include "privacy/reference_rows.hpp"

namespace revealed_test {

using namespace iotsl::privacy;
using privacy_test::error_of;

Mechanism revealed(double multiplier, double rate, std::uint64_t steps) {
  return {.noise_multiplier = multiplier,
          .sampling_rate = rate,
          .steps = steps,
          .sample_revealed = true};
}

TEST_CASE("a known sample: the mean over the binomial, term by term") {
  for (const auto& [m, q, steps, delta] :
       {std::tuple{1.0, 0.1, 10, 1e-5}, {0.5, 0.01, 300, 1e-6}, {3.0, 0.7, 25, 1e-3}}) {
    CAPTURE(q);
    const double epsilon =
        revealed_epsilon(revealed(m, q, static_cast<std::uint64_t>(steps)), delta);
    const auto delta_at = [&, m = m, q = q, steps = steps](double e) {
      double sum = 0;
      for (int n = 1; n <= steps; ++n)
        sum += std::exp(std::lgamma(steps + 1) - std::lgamma(n + 1) - std::lgamma(steps - n + 1) +
                        n * std::log(q) + (steps - n) * std::log1p(-q) +
                        gaussian_log_delta(std::sqrt(n) / m, e));
      return sum;
    };
    CHECK(delta_at(epsilon) <= delta);
    CHECK(delta_at(0.999 * epsilon) > delta);
  }
}

TEST_CASE("a known sample: the GS-WGAN setting, never above the Renyi figure, and the corners") {
  const Mechanism gswgan = revealed(1.07 / std::sqrt(32.0), 1e-3, 20000);
  const double exact = revealed_epsilon(gswgan, 1e-5);
  CHECK(exact == doctest::Approx(610.34).epsilon(1e-5));
  CHECK(exact < renyi_epsilon({&gswgan, 1}, Adjacency::zero_out, 1e-5).epsilon);
  CHECK(revealed_epsilon(revealed(1, 1e-9, 10), 1e-5) == 0);  // hardly ever there at all
  CHECK(revealed_epsilon(revealed(1, 0.5, 0), 1e-5) == 0);
  CHECK(revealed_epsilon(revealed(2, 1 - 1e-12, 9), 1e-5) ==
        doctest::Approx(gaussian_epsilon(1.5, 1e-5)).epsilon(1e-6));
  CHECK_FALSE(has_revealed_epsilon(revealed(1, 0.5, 1000000)));
  CHECK_FALSE(has_revealed_epsilon({.noise_multiplier = 1, .sampling_rate = 0.5}));
  CHECK(error_of([] {
          (void)revealed_epsilon({.sampling_rate = 0.5}, 1e-5);
        }).find("the sample is not known") != std::string::npos);
}

TEST_CASE("a bounded output is counted as replace-one under zero-out too") {
  Mechanism joint{.noise_multiplier = 1.07, .sampling_rate = 0.01, .steps = 20000};
  const double one_sided = renyi_epsilon({&joint, 1}, Adjacency::zero_out, 1e-5).epsilon;
  const double replaced = renyi_epsilon({&joint, 1}, Adjacency::replace_one, 1e-5).epsilon;
  joint.bounded_output = true;
  CHECK(renyi_epsilon({&joint, 1}, Adjacency::zero_out, 1e-5).epsilon == replaced);
  CHECK(replaced > 2 * one_sided);
}

}  // namespace revealed_test
