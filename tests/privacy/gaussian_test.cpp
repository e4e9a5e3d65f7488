#include "iotsl/privacy/gaussian.hpp"

#include <cmath>
#include <limits>

#include "privacy/reference_rows.hpp"

namespace gaussian_test {

using namespace iotsl::privacy;
using privacy_test::error_of;

TEST_CASE("normal tails by their logarithms, against 40 digits") {
  struct Known {
    double z, log_tail;
  };
  for (const Known& k : {Known{-3, -0.0013508099647481938},
                         {0, -0.69314718055994531},
                         {5, -15.064998393988726},
                         {24.9, -314.1404127616132},
                         {25.1, -319.1483874058886},
                         {38, -726.55721601882013},
                         {1000, -500007.82669481218}}) {
    CAPTURE(k.z);
    CHECK(detail::log_normal_tail(k.z) == doctest::Approx(k.log_tail).epsilon(1e-14));
    const double log_mills = k.log_tail + k.z * k.z / 2 + 0.91893853320467274;
    CHECK(detail::log_mills(k.z) == doctest::Approx(log_mills).epsilon(1e-9));
  }
}

TEST_CASE("delta of a Gaussian mechanism, against 40 digits: never below") {
  struct Known {
    double mu, epsilon, log_delta;
  };
  for (const Known& k : {Known{2, 9.9973, -11.5130213087054},
                         {0.001, 0.005, -23.6495565586882},
                         {0.5, 0, -1.6224590640372},
                         {30, 600, -15.2252436216661},
                         {100, 5900, -43.7154049570887},
                         {0.1, 2, -208.22166745916}}) {
    CAPTURE(k.mu);
    const double log_delta = gaussian_log_delta(k.mu, k.epsilon);
    CHECK(log_delta > k.log_delta - 1e-12);
    CHECK(log_delta < k.log_delta + 1e-8);
  }
  // Where mu is so small that rounding shows, it shows on the safe side.
  CHECK(gaussian_log_delta(1e-6, 1e-6) > -16.300631083677);
  CHECK(gaussian_log_delta(1e-6, 1e-6) < -16.300631083677 + 1e-5);
}

TEST_CASE("epsilon of a Gaussian mechanism: published figures, and those of the reference") {
  CHECK(gaussian_epsilon(2, 1e-5) == doctest::Approx(9.9973).epsilon(1e-5));
  CHECK(gaussian_epsilon(0.719, 1e-5) == doctest::Approx(3).epsilon(1e-3));
  CHECK(gaussian_epsilon(0.268, 1e-5) == doctest::Approx(1).epsilon(1e-3));
  // Clipped gradients are up to 2C apart: sigma 1.07 is a multiplier of 0.535.
  CHECK(gaussian_epsilon(std::sqrt(1000.0) / 0.535, 1e-5) == doctest::Approx(1998).epsilon(1e-4));
  CHECK(gaussian_epsilon(std::sqrt(20000.0) / 0.535, 1e-5) == doctest::Approx(36064).epsilon(1e-4));
  int rows = 0;
  for (const auto& row : privacy_test::reference_rows()) {
    if (row.mechanism.sampling_rate != 1) continue;
    const double mu = detail::gaussian_part({&row.mechanism, 1});
    CHECK(gaussian_epsilon(mu, row.delta) == doctest::Approx(row.epsilon_tight).epsilon(1e-5));
    ++rows;
  }
  CHECK(rows == 12);
}

TEST_CASE("the epsilon found has at most the delta asked for, and is not too large") {
  for (const double mu : {1e-9, 1e-4, 0.03, 1.0, 25.0, 1e3, 1e6})
    for (const double delta : {1e-17, 1e-10, 1e-5, 0.01, 0.9}) {
      CAPTURE(mu);
      CAPTURE(delta);
      const double epsilon = gaussian_epsilon(mu, delta);
      CHECK(epsilon >= 0);
      CHECK(std::isfinite(epsilon));
      if (epsilon == 0) {
        CHECK(gaussian_log_delta(mu, 0) <= std::log(delta));
        continue;
      }
      if (mu < 1e4) CHECK(gaussian_log_delta(mu, epsilon) <= std::log(delta) + 1e-6);
      CHECK(gaussian_log_delta(mu, epsilon * (1 - 1e-9)) > std::log(delta) - 1e-3);
    }
  CHECK(gaussian_epsilon(0, 1e-5) == 0);
}

TEST_CASE("the mu of an epsilon never exceeds it") {
  for (const double epsilon : {1e-6, 0.1, 1.0, 10.0, 1000.0, 1e12})
    for (const double delta : {1e-17, 1e-5, 0.5}) {
      CAPTURE(epsilon);
      CAPTURE(delta);
      const double mu = gaussian_mu(epsilon, delta);
      CHECK(gaussian_epsilon(mu, delta) <= epsilon);
      CHECK(gaussian_epsilon(mu * 1.001, delta) > epsilon);
    }
}

TEST_CASE("gaussian: wrong arguments are named") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(error_of([&] { (void)gaussian_epsilon(nan, 1e-5); }) ==
        "mu nan: expected a finite number, 0 or above");
  CHECK(error_of([&] { (void)gaussian_epsilon(1, 1e-18); }) ==
        "delta 1e-18: out of range, expected 1e-17 <= delta < 1");
  CHECK(error_of([&] { (void)gaussian_epsilon(1, nan); }) ==
        "delta nan: out of range, expected 1e-17 <= delta < 1");
  CHECK(error_of([&] { (void)gaussian_mu(0, 1e-5); }) ==
        "epsilon 0: expected a number from 1e-06 to 1e+12");
}

}  // namespace gaussian_test
