#include "iotsl/privacy/calibrate.hpp"

#include <cmath>

#include "iotsl/privacy/gaussian.hpp"
#include "iotsl/privacy/renyi_accountant.hpp"
#include "privacy/reference_rows.hpp"

namespace calibrate_test {

using namespace iotsl::privacy;

TEST_CASE("noise multipliers have five digits and are found again") {
  CHECK(detail::multiplier_at(0) == 1e-6);
  CHECK(detail::multiplier_at(6 * detail::multipliers_per_decade) == 1);
  CHECK(detail::multiplier_at(6 * detail::multipliers_per_decade + 12345) == 2.2345);
  CHECK(detail::multiplier_at(detail::last_multiplier) == 1e9);
  for (std::int64_t i = 0; i <= detail::last_multiplier; i += 4321)
    CHECK(detail::multiplier_index(detail::multiplier_at(i)) == i);
}

TEST_CASE("the noise for a target: within it, and one digit less is not, from any guess") {
  for (const double target : {0.01, 0.7, 3.0, 10.0, 250.0}) {
    int asked = 0;
    const auto epsilon_of = [&](double multiplier) {
      ++asked;
      const Mechanism m{multiplier, 0.02, 900};
      return renyi_epsilon({&m, 1}, Adjacency::zero_out, 1e-5).epsilon;
    };
    double first = 0;
    for (const double guess : {1e-6, 0.9, 40.0, 1e9}) {
      CAPTURE(target);
      CAPTURE(guess);
      asked = 0;
      const auto found = noise_multiplier_for(target, guess, epsilon_of);
      REQUIRE(found.ok());
      CHECK(asked < 60);
      CHECK(found->epsilon <= target);
      CHECK(found->epsilon == epsilon_of(found->setting));
      const std::int64_t index = detail::multiplier_index(found->setting);
      CHECK(epsilon_of(detail::multiplier_at(index - 1)) > target);
      if (first == 0) first = found->setting;
      CHECK(found->setting == first);
    }
  }
}

TEST_CASE("the steps for a target: within it, and one more is not") {
  const auto epsilon_of = [&](std::uint64_t steps) {
    const Mechanism m{1.3, 0.01, steps};
    return renyi_epsilon({&m, 1}, Adjacency::zero_out, 1e-5).epsilon;
  };
  for (const double target : {1.0, 2.0, 9.0, 1000.0})
    for (const std::uint64_t guess : {std::uint64_t{1}, std::uint64_t{5000}, max_steps}) {
      const auto found = steps_for(target, guess, epsilon_of);
      REQUIRE(found.ok());
      CHECK(found->epsilon <= target);
      CHECK(epsilon_of(found->setting) <= target);
      CHECK(epsilon_of(found->setting + 1) > target);
    }
}

TEST_CASE("targets that nothing meets, and those that everything meets") {
  const auto gaussian = [](std::uint64_t steps) {
    return gaussian_epsilon(std::sqrt(static_cast<double>(steps)), 1e-5);
  };
  const auto none = steps_for(1, 1, gaussian);
  REQUIRE_FALSE(none.ok());
  CHECK(none.failure().message == "epsilon 1: expected at least 4.37718, what one step gives");
  const auto nothing = [](auto) { return 0.0; };
  CHECK(steps_for(1, 1, nothing)->setting == max_steps);
  CHECK(noise_multiplier_for(1, 1, nothing)->setting == 1e-6);
  const auto too_much = noise_multiplier_for(1, 1, [](double) { return 2.0; });
  REQUIRE_FALSE(too_much.ok());
  CHECK(too_much.failure().message ==
        "epsilon 1: expected at least 2, what noise multiplier 1e+09 gives");
}

}  // namespace calibrate_test
