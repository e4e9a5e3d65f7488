#pragma once
// Is any value NaN or infinite? Asked of everything that comes from a peer or leaves a step.

#include <atomic>
#include <bit>
#include <cstring>

#include "iotsl/core/bytes.hpp"
#include "iotsl/core/tensor.hpp"
#include "iotsl/core/threads/parallel.hpp"

IOTSL_NAMESPACE_BEGIN

/// True if no value is NaN or infinite: an exponent of all ones would be either.
inline bool all_finite(const float* values, std::size_t count) {
  std::uint32_t bad[4] = {};
  const auto check = [&](std::size_t i, std::size_t lane) {
    std::uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad[lane] |= static_cast<std::uint32_t>((bits & 0x7F800000u) == 0x7F800000u);
  };
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (std::size_t lane = 0; lane < 4; ++lane) check(i + lane, lane);
  for (; i < count; ++i) check(i, 0);
  return (bad[0] | bad[1] | bad[2] | bad[3]) == 0;
}
/// Whether no value is NaN or Inf. All threads look through a large tensor.
inline bool all_finite(const Tensor<float>& t) {
  constexpr Index grain = 64 * 1024;  // some 15 microseconds of reading
  const float* const values = t.data();
  std::atomic<bool> finite = true;
  parallel_chunks(t.size(), grain, [&](Index begin, Index end) {
    if (!all_finite(values + begin, static_cast<std::size_t>(end - begin)))
      finite.store(false, std::memory_order_relaxed);
  });
  return finite.load(std::memory_order_relaxed);
}
/// The same of doubles.
inline bool all_finite(const Tensor<double>& t) {
  for (const double value : t.values())
    if ((std::bit_cast<std::uint64_t>(value) << 1) >= std::uint64_t{0x7FF} << 53) return false;
  return true;
}
/// Whether every value lies between -limit and limit; false with NaN or Inf.
inline bool all_within(const Tensor<float>& t, float limit) {
  const float* const values = t.data();
  std::uint32_t most;
  std::memcpy(&most, &limit, sizeof most);
  std::uint32_t bad = 0;
  for (Index i = 0; i < t.size(); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= static_cast<std::uint32_t>((bits & 0x7FFFFFFFu) > most);
  }
  return bad == 0;
}
/// Whether no float32 value on the wire is NaN or Inf. They may lie at any address.
inline bool all_finite(ByteSpan values) {
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i + 4 <= values.size(); i += 4) {
    std::uint32_t bits;
    std::memcpy(&bits, values.data() + i, sizeof bits);
    bad |= static_cast<std::uint32_t>((bits & 0x7F800000u) == 0x7F800000u);
  }
  return bad == 0;
}

IOTSL_NAMESPACE_END
