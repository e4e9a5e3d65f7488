#pragma once
// Normal noise in double, for steps whose gradients are floating-point numbers anyway.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/privacy/secure_random.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// Two independent standard normal numbers. Each is the sum of four Box-Muller draws, halved: from
/// one draw alone its seed could be searched for in the last digits (Holohan and Braghin 2021). It
/// stays floating-point noise: only the discrete Gaussian has no such digits.
inline std::array<double, 2> secure_normal(SecureRandom& random) {
  constexpr double two_pi = 6.283185307179586;
  using namespace scalar_math;
  std::array<double, 2> sum{};
  for (int draw = 0; draw < 4; ++draw) {
    const double radius = sqrt(-2 * log1p(-random.uniform()));
    const double angle = two_pi * random.uniform();
    sum[0] += radius * cos(angle);
    sum[1] += radius * sin(angle);
  }
  return {sum[0] / 2, sum[1] / 2};
}

}  // namespace privacy
IOTSL_NAMESPACE_END
