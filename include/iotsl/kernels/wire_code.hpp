#pragma once
// Values in few bits, for the network. A sample is cut into tiles of 128 values; a tile travels as
// its scale, a float without its lower half (bfloat16), and a code for each value:
//
//   half   the value divided by the scale, a power of two near the tile's largest, in IEEE half
//          precision, rounded to nearest even
//   int8   round(value / scale) + 128, or without the 128 where no value is negative, which the
//   int4   scale's sign bit says: then all codes serve the positive half; int4: + 8, two in a byte,
//          the first one in the lower bits
//
// int8 and int4 round up with the probability of what is cut off, so that the mean over many is the
// value itself (stochastic rounding; Gupta, Agrawal, Gopalakrishnan, Narayanan, "Deep learning with
// limited numerical precision", ICML 2015). The chance comes from Philox by the value's number: the
// same values with the same seed give the same bytes, on every target and with any number of
// threads. Zero stays zero.

#include <array>
#include <cstdint>
#include <cstring>

#include "iotsl/core/random.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// Values that share a scale.
inline constexpr Index wire_tile = 128;

/// Bits of a code.
enum class CodeBits { half = 16, int8 = 8, int4 = 4 };

/// Bytes of a sample of `values`.
constexpr std::uint64_t coded_bytes(CodeBits bits, std::uint64_t values) {
  const std::uint64_t tiles = (values + wire_tile - 1) / wire_tile;
  return 2 * tiles + (values * static_cast<std::uint64_t>(bits) + 7) / 8;
}

/// The key and the upper half of the counter of the Philox stream that rounding draws from.
struct RoundingStream {
  std::array<std::uint32_t, 2> key;
  std::uint32_t step, stream;
};

struct WireCodeTable {
  /// Tiles of one sample from tile number `first_tile` of the stream on.
  void (*encode)(CodeBits bits, Index values, const float* x, const RoundingStream& chance,
                 std::uint64_t first_tile, std::uint8_t* out);
  void (*decode)(CodeBits bits, Index values, const std::uint8_t* in, float* x);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/wire_code-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(WireCodeTable, wire_code_table)

/// x[samples, values] -> out[samples * coded_bytes(bits, values)]. The values are finite; where one
/// is not, its tile decodes to anything.
inline void encode_wire(CodeBits bits, Index samples, Index values, const float* x,
                        const RoundingStream& chance, std::uint8_t* out) {
  const WireCodeTable& table = wire_code_table();
  const auto bytes = static_cast<Index>(coded_bytes(bits, static_cast<std::uint64_t>(values)));
  const Index tiles = (values + wire_tile - 1) / wire_tile;
  const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, values));
  parallel_chunks(samples, grain, [&](Index begin, Index end) {
    for (Index sample = begin; sample < end; ++sample)
      table.encode(bits, values, x + sample * values, chance,
                   static_cast<std::uint64_t>(sample * tiles), out + sample * bytes);
  });
}

/// The inverse, up to the rounding. Any bytes are decoded, to NaN or Inf where a scale is one.
inline void decode_wire(CodeBits bits, Index samples, Index values, const std::uint8_t* in,
                        float* x) {
  const WireCodeTable& table = wire_code_table();
  const auto bytes = static_cast<Index>(coded_bytes(bits, static_cast<std::uint64_t>(values)));
  const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, values));
  parallel_chunks(samples, grain, [&](Index begin, Index end) {
    for (Index sample = begin; sample < end; ++sample)
      table.decode(bits, values, in + sample * bytes, x + sample * values);
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
