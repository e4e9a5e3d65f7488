#pragma once
// The discrete Gaussian, exactly: integers n with chance proportional to exp(-n^2 / (2 sigma^2)),
// from random bits and integer arithmetic alone (Canonne, Kamath, Steinke, "The discrete Gaussian
// for differential privacy", 2020, algorithms 1 to 3). Floating-point noise leaks through its last
// digits (Mironov 2012); this has none.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/privacy/secure_random.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {
namespace detail {

/// 128 bits without a sign: 32-bit ARM has no such type.
struct Wide {
  std::uint64_t high = 0, low = 0;

  static Wide product(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t mask = 0xffffffff;
    const std::uint64_t ll = (a & mask) * (b & mask), lh = (a & mask) * (b >> 32);
    const std::uint64_t hl = (a >> 32) * (b & mask), hh = (a >> 32) * (b >> 32);
    const std::uint64_t middle = (ll >> 32) + (lh & mask) + (hl & mask);
    return {hh + (lh >> 32) + (hl >> 32) + (middle >> 32), (middle << 32) | (ll & mask)};
  }
  Wide doubled() const { return {(high << 1) | (low >> 63), low << 1}; }
  Wide& operator-=(const Wide& other) {
    high -= other.high + (low < other.low);
    low -= other.low;
    return *this;
  }
  auto operator<=>(const Wide&) const = default;
};

/// True with chance a/b exactly, 0 <= a <= b < 2^127: the first binary digit in which a uniform
/// number differs from a/b decides. Two random bits on average.
inline bool bernoulli(Wide a, const Wide& b, SecureRandom& random) {
  if (a >= b) return true;
  while (a > Wide{}) {
    a = a.doubled();
    const bool digit = a >= b;
    if (digit) a -= b;
    if (random.bit() != digit) return digit;
  }
  return false;
}

/// True with chance exp(-a/b) exactly (algorithm 1).
inline bool bernoulli_exp(Wide a, const Wide& b, SecureRandom& random) {
  // exp(-a/b) = exp(-1)^floor(a/b) exp(-rest)
  for (; a > b; a -= b)
    if (!bernoulli_exp({0, 1}, {0, 1}, random)) return false;
  std::uint64_t k = 1;
  while (bernoulli(a, b, random) && random.below(k) == 0) ++k;
  return k % 2 == 1;
}

}  // namespace detail

/// Draws from the discrete Gaussian with mean 0 and parameter sigma^2 = `variance` (its variance is
/// a little less than that below sigma = 1 and equal to it to 1e-8 above).
class DiscreteGaussian {
 public:
  static constexpr std::uint64_t max_variance = std::uint64_t{1} << 52;

  explicit DiscreteGaussian(std::uint64_t variance) : variance_(variance) {
    if (variance == 0 || variance > max_variance)
      fail("DiscreteGaussian: variance ", variance, ", expected from 1 to ", max_variance);
    scale_ = static_cast<std::uint64_t>(scalar_math::sqrt(static_cast<double>(variance))) + 1;
    twice_ = detail::Wide::product(2 * variance, scale_ * scale_);
  }
  std::uint64_t variance() const { return variance_; }

  std::int64_t operator()(SecureRandom& random) const {
    for (;;) {
      // Accept a discrete Laplace number y with chance exp(-(|y| - sigma^2/t)^2 / (2 sigma^2)), t
      // its scale.
      const std::int64_t y = laplace(random);
      const std::uint64_t scaled = static_cast<std::uint64_t>(y < 0 ? -y : y) * scale_;
      const std::uint64_t off = scaled > variance_ ? scaled - variance_ : variance_ - scaled;
      if (detail::bernoulli_exp(detail::Wide::product(off, off), twice_, random)) return y;
    }
  }

 private:
  /// Chance proportional to exp(-|y| / scale) (algorithm 2).
  std::int64_t laplace(SecureRandom& random) const {
    // So that no product above overflows. Reached with chance exp(-2000): no bit of exactness is
    // lost that 2^2800 draws could show.
    constexpr std::uint64_t most = 2000;
    for (;;) {
      const std::uint64_t u = random.below(scale_);
      if (!detail::bernoulli_exp({0, u}, {0, scale_}, random)) continue;
      std::uint64_t v = 0;
      while (v < most && detail::bernoulli_exp({0, 1}, {0, 1}, random)) ++v;
      const bool negative = random.bit();
      const auto y = static_cast<std::int64_t>(u + scale_ * v);
      if (v < most && !(negative && y == 0)) return negative ? -y : y;
    }
  }

  std::uint64_t variance_, scale_;
  detail::Wide twice_;  // 2 sigma^2 t^2
};

}  // namespace privacy
IOTSL_NAMESPACE_END
