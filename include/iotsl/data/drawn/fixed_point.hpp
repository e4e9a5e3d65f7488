#pragma once
// Numbers of what is drawn: integers only (fixed point), so that every platform makes the same
// bytes.

#include <array>
#include <cstdint>

#include "iotsl/core/random.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data::detail {

/// Fixed point with 16 fraction bits.
using Fixed = std::int64_t;
inline constexpr Fixed fixed_one = 65536;
constexpr Fixed fixed(double v) { return static_cast<Fixed>(v * 65536.0 + (v < 0 ? -0.5 : 0.5)); }
constexpr Fixed fixed_mul(Fixed a, Fixed b) { return (a * b) / fixed_one; }

/// Sine of an angle in degrees, within 2e-4: odd polynomial of degree 5 on a quarter turn, which is
/// the minimax one with the value 1 at its end.
constexpr Fixed fixed_sin(Fixed degrees) {
  constexpr Fixed turn = 360 * fixed_one;
  Fixed angle = degrees % turn;
  if (angle < 0) angle += turn;
  const bool negative = angle >= turn / 2;
  if (negative) angle -= turn / 2;
  if (angle > turn / 4) angle = turn / 2 - angle;
  const Fixed x = angle / 90;
  const Fixed x2 = fixed_mul(x, x);
  const Fixed y = fixed_mul(
      x, fixed(1.5706268) - fixed_mul(x2, fixed(0.6432292) - fixed_mul(x2, fixed(0.0727102))));
  return negative ? -y : y;
}
constexpr Fixed fixed_cos(Fixed degrees) { return fixed_sin(degrees + 90 * fixed_one); }

/// Floor of the square root; 0 <= v < 2^40.
constexpr Fixed integer_sqrt(Fixed v) {
  Fixed root = 0;
  for (Fixed bit = Fixed{1} << 19; bit != 0; bit >>= 1)
    if ((root + bit) * (root + bit) <= v) root += bit;
  return root;
}

/// Random numbers of one image in the order in which they are drawn.
class DrawnRandom {
 public:
  DrawnRandom(const Random& random, Index image)
      : random_(random), next_(static_cast<std::uint64_t>(image) << 12) {}
  /// Uniform between two fixed-point values.
  Fixed between(double low, double high) {
    const Fixed bits = random_.bits(next_++) >> 8;  // 24 bits: the product fits 64 bits
    return fixed(low) + (fixed(high) - fixed(low)) * bits / (Fixed{1} << 24);
  }
  /// Four times 32 random bits.
  std::array<std::uint32_t, 4> block() {
    next_ = (next_ + 3) / 4 * 4;
    const auto out = random_.block(next_ / 4);
    next_ += 4;
    return out;
  }

 private:
  const Random& random_;
  std::uint64_t next_;
};

}  // namespace data::detail
IOTSL_NAMESPACE_END
