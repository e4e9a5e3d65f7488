#pragma once
// What the kernel tests share: every reachable target in turn, thread counts, reproducible values,
// ranges that end where their memory ends, and comparisons.

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/simd/target.hpp"

namespace judge {

using iotsl::Index;

inline const std::vector<Index> sizes = {0,  1,  2,  3,  4,  5,  7,   8,   9,    15,   16,
                                         17, 31, 33, 63, 64, 65, 100, 257, 1000, 40000};
inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Calls body() with each target of this build and CPU active.
template <class Body>
void on_each_target(const Body& body) {
  const iotsl::simd::Target before = iotsl::simd::active_target();
  for (iotsl::simd::Target target : iotsl::simd::reachable_targets()) {
    INFO("target ", std::string(iotsl::simd::name(target)));
    iotsl::simd::set_target(target);
    body();
  }
  iotsl::simd::set_target(before);
}

/// Floats at `offset` floats from an aligned address. The last one ends the allocation, so that the
/// address sanitizer sees a read or write beyond it.
class Range {
 public:
  explicit Range(Index n, Index offset = 0)
      : storage_(static_cast<std::size_t>(n + offset)), offset_(offset) {}
  float* data() { return storage_.data() + offset_; }
  const float* data() const { return storage_.data() + offset_; }
  Index size() const { return static_cast<Index>(storage_.size()) - offset_; }
  float& operator[](Index i) { return data()[i]; }
  float operator[](Index i) const { return data()[i]; }
  bool same_bits(const Range& other) const {
    return size() == other.size() &&
           (size() == 0 || std::memcmp(data(), other.data(),
                                       static_cast<std::size_t>(size()) * sizeof(float)) == 0);
  }

 private:
  std::vector<float> storage_;
  Index offset_;
};

/// Uniform values in [low, high), a function of n and seed.
inline Range uniform(Index n, std::uint64_t seed, float low = -1, float high = 1,
                     Index offset = 0) {
  Range range(n, offset);
  for (Index i = 0; i < n; ++i) {
    std::uint64_t z = (seed << 40) + static_cast<std::uint64_t>(i) + 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    const auto unit = static_cast<float>((z >> 40) & 0xFFFFFF) * 0x1p-24F;
    range[i] = low + (high - low) * unit;
  }
  return range;
}

/// Largest |got - want| / (absolute + relative * |want|): at most 1 where all are close. Equal
/// infinities and two NaNs are close.
inline double worst(const Range& got, const Range& want, double absolute, double relative) {
  REQUIRE(got.size() == want.size());
  double largest = 0;
  for (Index i = 0; i < got.size(); ++i) {
    const double a = static_cast<double>(got[i]), b = static_cast<double>(want[i]);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double error = std::fabs(a - b) / (absolute + relative * std::fabs(b));
    if (!(error <= largest)) largest = std::isnan(error) ? double{infinity} : error;
  }
  return largest;
}

/// Largest difference in units of the largest magnitude.
inline double error(const Range& got, const std::vector<double>& want) {
  double largest = 1e-30, worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    largest = std::fmax(largest, std::fabs(want[i]));
    const double d = std::fabs(static_cast<double>(got[static_cast<Index>(i)]) - want[i]);
    if (!(d <= worst)) worst = std::isnan(d) ? double{infinity} : d;
  }
  return worst / largest;
}

/// Distance from the exact value in units of the float's last place.
inline double ulps(float got, double exact) {
  const auto rounded = static_cast<float>(exact);
  if (got == rounded || (std::isnan(got) && std::isnan(exact))) return 0;
  if (!std::isfinite(got) || !std::isfinite(rounded)) return double{infinity};
  const float magnitude = std::fmax(std::fabs(rounded), 0x1p-126F);
  const double unit = std::ldexp(1.0, std::ilogb(magnitude) - 23);
  return std::fabs(static_cast<double>(got) - exact) / unit;
}

/// Runs body(), which returns a Range, with 1, 2 and 3 threads and checks that the bits agree.
template <class Body>
void check_threads(const Body& body) {
  const int before = iotsl::threads();
  iotsl::set_threads(1);
  const Range alone = body();
  for (int count : {2, 3}) {
    iotsl::set_threads(count);
    INFO("threads ", count);
    CHECK(alone.same_bits(body()));
  }
  iotsl::set_threads(before);
}

}  // namespace judge
