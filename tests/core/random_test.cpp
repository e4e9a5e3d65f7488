#include "iotsl/core/random.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <vector>

using iotsl::philox4x32;
using iotsl::Random;
using iotsl::Stream;
using Words = std::array<std::uint32_t, 4>;

TEST_CASE("philox4x32-10: the known answers of Random123") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a number depends on seed, stream, step and index only") {
  const Random random(5, Stream::shuffle, 9);
  CHECK(random.bits(1000) == Random(5, Stream::shuffle, 9).bits(1000));
  std::set<std::uint32_t> all;
  for (const Random& other :
       {random, Random(6, Stream::shuffle, 9), Random(5, Stream::dropout, 9),
        Random(5, Stream::shuffle, 10), Random(5 + (std::uint64_t{1} << 40), Stream::shuffle, 9)})
    all.insert(other.bits(1000));
  all.insert(random.bits(1001));
  all.insert(random.bits(1000 + (std::uint64_t{1} << 36)));
  CHECK(all.size() == 7);
}

TEST_CASE("uniform numbers: range, mean and variance") {
  const Random random(1, Stream::user);
  const int n = 100000;
  double sum = 0, squares = 0;
  int outside = 0;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform(static_cast<std::uint64_t>(i));
    outside += !(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  CHECK(outside == 0);
  // Five standard errors: sqrt(1/12/n) and sqrt(4/45/n).
  CHECK(std::abs(sum / n - 0.5) < 5 * 0.2887 / std::sqrt(n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * 0.2981 / std::sqrt(n));
}

TEST_CASE("normal numbers: the first four moments") {
  const Random random(2, Stream::user);
  const int n = 100000;
  double moments[4] = {};
  for (int i = 0; i < n; ++i) {
    const double z = random.normal(static_cast<std::uint64_t>(i));
    for (int k = 0; k < 4; ++k) moments[k] += std::pow(z, k + 1) / n;
  }
  // A number that is not finite would spoil every moment.
  const double error = 5 / std::sqrt(n);
  CHECK(std::abs(moments[0]) < error);
  CHECK(std::abs(moments[1] - 1) < error * std::sqrt(2));
  CHECK(std::abs(moments[2]) < error * std::sqrt(15));
  CHECK(std::abs(moments[3] - 3) < error * std::sqrt(96));
}

TEST_CASE("integers below a bound: all values, equally often") {
  const Random random(3, Stream::user);
  std::vector<int> counts(7);
  const int n = 70000;
  for (int i = 0; i < n; ++i) {
    const std::uint64_t value = random.below(static_cast<std::uint64_t>(i), 7);
    ++counts.at(static_cast<std::size_t>(value));
  }
  for (int count : counts) CHECK(std::abs(count - n / 7) < 5 * std::sqrt(n / 7.0));
  for (std::uint64_t i = 0; i < 100; ++i) {
    CHECK(random.below(i, 1) == 0);
    CHECK(random.below(i, std::uint64_t{1} << 40) < std::uint64_t{1} << 40);
  }
}
