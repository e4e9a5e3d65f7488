// The discrete Gaussian against its probabilities, normal noise against the normal distribution.
// All draws come from fixed keys, so that the tests have one outcome.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "iotsl/privacy/discrete_gaussian.hpp"
#include "iotsl/privacy/secure_normal.hpp"
#include "privacy/reference_rows.hpp"

namespace noise_test {

using namespace iotsl::privacy;
using detail::Wide;

namespace {

SecureRandom seeded(std::uint8_t seed) {
  ChaChaKey key{};
  key[5] = seed;
  return SecureRandom(key);
}

double normal_below(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

/// The largest distance of the sorted `values` from the standard normal distribution, times
/// sqrt(n).
double kolmogorov_smirnov(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = normal_below(values[i]), at = static_cast<double>(i);
    largest = std::max({largest, expected - at / n, (at + 1) / n - expected});
  }
  return largest * std::sqrt(n);
}
/// Exceeded with chance 2 exp(-2 * 1.95^2) = 0.001.
constexpr double ks_limit = 1.95;

void check_moments(const std::vector<double>& values) {
  double moments[4] = {};
  const auto n = static_cast<double>(values.size());
  for (const double z : values)
    for (int k = 0; k < 4; ++k) moments[k] += std::pow(z, k + 1) / n;
  const double error = 5 / std::sqrt(n);
  CHECK(std::abs(moments[0]) < error);
  CHECK(std::abs(moments[1] - 1) < error * std::sqrt(2));
  CHECK(std::abs(moments[2]) < error * std::sqrt(15));
  CHECK(std::abs(moments[3] - 3) < error * std::sqrt(96));
}

}  // namespace

TEST_CASE("128-bit products and differences") {
  const std::uint64_t top = ~std::uint64_t{0};
  CHECK(Wide::product(top, top) == Wide{top - 1, 1});
  CHECK(Wide::product(0x123456789abcdefULL, 0xfedcba987654321ULL) ==
        Wide{0x121fa00ad77d74ULL, 0x22236d88fe5618cfULL});
  CHECK(Wide::product(std::uint64_t{1} << 40, std::uint64_t{1} << 40) == Wide{1 << 16, 0});
  Wide a{5, 2};
  a -= {1, 3};
  CHECK(a == Wide{3, top});
  CHECK(Wide{1, std::uint64_t{1} << 63}.doubled() == Wide{3, 0});
  CHECK(Wide{1, 0} > Wide{0, top});
}

TEST_CASE("chances of a/b and exp(-a/b)") {
  SecureRandom random = seeded(1);
  const int n = 200000;
  struct Chance {
    std::uint64_t a, b;
  };
  for (const Chance& c :
       {Chance{0, 3}, {1, 3}, {1, 1}, {999, 1000}, {5, 2}, {7, 1}, {1, 1000000007}}) {
    CAPTURE(c.a);
    CAPTURE(c.b);
    int plain = 0, exponential = 0;
    for (int i = 0; i < n; ++i) {
      // Scaled up, so that both halves are used.
      plain += detail::bernoulli(Wide::product(c.a, std::uint64_t{1} << 60),
                                 Wide::product(c.b, std::uint64_t{1} << 60), random);
      exponential += detail::bernoulli_exp({0, c.a}, {0, c.b}, random);
    }
    const double ratio = static_cast<double>(c.a) / static_cast<double>(c.b);
    const auto check_count = [&](int count, double chance) {
      CHECK(std::abs(count - n * chance) <= 5 * std::sqrt(n * chance * (1 - chance)) + 0.5);
    };
    check_count(plain, std::min(1.0, ratio));
    check_count(exponential, std::exp(-ratio));
  }
}

TEST_CASE("discrete Gaussian: chi-square against its probabilities") {
  SecureRandom random = seeded(2);
  const int n = 200000;
  for (const std::uint64_t variance : {1, 2, 7, 100}) {
    CAPTURE(variance);
    const auto sigma2 = static_cast<double>(variance);
    const DiscreteGaussian gaussian(variance);
    std::map<std::int64_t, int> counts;
    for (int i = 0; i < n; ++i) ++counts[gaussian(random)];
    double total = 0;
    for (int y = -500; y <= 500; ++y) total += std::exp(-y * y / (2 * sigma2));
    // Values that are expected fewer than ten times are one cell.
    double chi_square = 0, tail_expected = n;
    int cells = 0, tail_count = n;
    for (int y = -500; y <= 500; ++y) {
      const double expected = n * std::exp(-y * y / (2 * sigma2)) / total;
      if (expected < 10) continue;
      const double off = counts[y] - expected;
      chi_square += off * off / expected;
      tail_expected -= expected;
      tail_count -= counts[y];
      ++cells;
    }
    const double off = tail_count - tail_expected;
    chi_square += off * off / tail_expected;
    // Mean `cells`, variance 2 `cells`.
    CHECK(chi_square < cells + 4 * std::sqrt(2.0 * cells));
  }
}

TEST_CASE("discrete Gaussian: moments and Kolmogorov-Smirnov at sigma 2^20 and its half variance") {
  SecureRandom random = seeded(3);
  for (const std::uint64_t variance :
       {std::uint64_t{1} << 40, std::uint64_t{1} << 39, DiscreteGaussian::max_variance}) {
    CAPTURE(variance);
    const DiscreteGaussian gaussian(variance);
    const double sigma = std::sqrt(static_cast<double>(variance));
    std::vector<double> values(100000);
    int odd = 0;
    for (double& value : values) {
      const std::int64_t y = gaussian(random);
      odd += (y & 1) != 0;
      value = static_cast<double>(y) / sigma;
    }
    // The last digit is as random as all others.
    CHECK(std::abs(odd - 50000) < 5 * std::sqrt(25000));
    check_moments(values);
    CHECK(kolmogorov_smirnov(values) < ks_limit);
  }
}

TEST_CASE("discrete Gaussian: the variance it takes") {
  CHECK(privacy_test::error_of([] { DiscreteGaussian(0); }) ==
        "DiscreteGaussian: variance 0, expected from 1 to 4503599627370496");
  CHECK(privacy_test::error_of([] { DiscreteGaussian(DiscreteGaussian::max_variance + 1); }) ==
        "DiscreteGaussian: variance 4503599627370497, expected from 1 to 4503599627370496");
}

TEST_CASE("normal noise: moments, Kolmogorov-Smirnov and independence at a million draws" *
          doctest::test_suite("slow")) {
  SecureRandom random = seeded(4);
  std::vector<double> values;
  double product = 0;
  for (int i = 0; i < 500000; ++i) {
    const auto pair = secure_normal(random);
    product += pair[0] * pair[1];
    values.insert(values.end(), pair.begin(), pair.end());
  }
  CHECK(std::abs(product) < 5 * std::sqrt(500000.0));
  check_moments(values);
  CHECK(kolmogorov_smirnov(values) < ks_limit);
}

TEST_CASE("discrete Gaussian: moments and Kolmogorov-Smirnov at a million draws" *
          doctest::test_suite("slow")) {
  SecureRandom random = seeded(5);
  const DiscreteGaussian gaussian(std::uint64_t{1} << 40);
  std::vector<double> values(1000000);
  for (double& value : values) value = static_cast<double>(gaussian(random)) * 0x1p-20;
  check_moments(values);
  CHECK(kolmogorov_smirnov(values) < ks_limit);
}

}  // namespace noise_test
