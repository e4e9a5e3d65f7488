#pragma once
// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011). A number is a pure function of (seed, stream, step,
// index), so it does not depend on threads, order or restarts.

#include <array>
#include <cstdint>

#include "iotsl/config.hpp"
#include "iotsl/core/scalar_math.hpp"

IOTSL_NAMESPACE_BEGIN

/// One block of Philox4x32 with ten rounds.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// What a stream of numbers is for; streams with different numbers are independent.
enum class Stream : std::uint32_t {
  initial_weights = 1,
  dropout = 2,
  shuffle = 3,
  partition = 4,
  glyphs = 5,
  random_gradient = 6,
  gan_batch = 7,
  gan_noise = 8,
  gan_between = 9,  ///< alpha of the gradient penalty
  generated = 10,
  quality = 11,
  imputation = 12,
  replay_draw = 13,
  replay_keep = 14,
  generation = 15,
  held_out = 16,
  generated_pixels = 17,
  gan_labels = 18,
  image_shift = 19,
  smashed_rounding = 20,
  gradient_rounding = 21,
  faces = 22,
  turn_order = 23,
  user = 1000,
};

/// A stream of random numbers, addressed by index.
class Random {
 public:
  constexpr Random(std::uint64_t seed, std::uint32_t stream, std::uint32_t step = 0)
      : seed_(seed), stream_(stream), step_(step) {}
  constexpr Random(std::uint64_t seed, Stream stream, std::uint32_t step = 0)
      : Random(seed, static_cast<std::uint32_t>(stream), step) {}

  /// Four words of 32 random bits.
  constexpr std::array<std::uint32_t, 4> block(std::uint64_t index) const {
    return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                       step_, stream_},
                      {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
  }
  /// 32 random bits.
  constexpr std::uint32_t bits(std::uint64_t index) const {
    return block(index / 4)[static_cast<std::size_t>(index % 4)];
  }
  /// Uniform in [0, 1), with 53 random bits.
  constexpr double uniform(std::uint64_t index) const {
    const auto words = block(index / 2);
    const std::size_t at = static_cast<std::size_t>(index % 2) * 2;
    return to_unit(words[at], words[at + 1]);
  }
  /// Standard normal (Box-Muller).
  double normal(std::uint64_t index) const {
    const auto words = block(index / 2);
    const double radius =
        scalar_math::sqrt(-2.0 * scalar_math::log1p(-to_unit(words[0], words[1])));
    const double angle = 6.283185307179586 * to_unit(words[2], words[3]);
    return radius * (index % 2 == 0 ? scalar_math::cos(angle) : scalar_math::sin(angle));
  }
  /// Uniform in [0, bound); bound > 0.
  constexpr std::uint64_t below(std::uint64_t index, std::uint64_t bound) const {
    const auto words = block(index);
    if (bound >> 32 != 0) return ((std::uint64_t{words[0]} << 32) | words[1]) % bound;
    const std::uint64_t low = (std::uint64_t{words[1]} * bound) >> 32;
    return (std::uint64_t{words[0]} * bound + low) >> 32;
  }

 private:
  static constexpr double to_unit(std::uint32_t a, std::uint32_t b) {
    const std::uint64_t value = (std::uint64_t{a} << 32) | b;
    return static_cast<double>(value >> 11) * 0x1p-53;
  }

  std::uint64_t seed_;
  std::uint32_t stream_;
  std::uint32_t step_;
};

IOTSL_NAMESPACE_END
