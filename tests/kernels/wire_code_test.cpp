#include "iotsl/kernels/wire_code.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/simd/target.hpp"

using namespace iotsl;
using namespace iotsl::kernels;

namespace wire_code_test {

namespace {

constexpr RoundingStream chance{{1, 2}, 3, 4};
constexpr CodeBits every_width[] = {CodeBits::half, CodeBits::int8, CodeBits::int4};

using Values = std::vector<float>;

/// Values of a batch, with some zeros. `least`: -1 for both signs, 0 for what a ReLU gives.
Values draw(Index count, float least, std::uint64_t seed = 1) {
  const Random random(seed, Stream::user);
  Values out;
  for (Index i = 0; i < count; ++i) {
    const auto u = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
    out.push_back(i % 5 == 0 ? 0.0f : least + (1 - least) * u);
  }
  return out;
}
std::vector<std::uint8_t> encode(CodeBits bits, Index samples, const Values& x,
                                 const RoundingStream& stream = chance) {
  const Index values = static_cast<Index>(x.size()) / samples;
  std::vector<std::uint8_t> out(static_cast<std::size_t>(samples) *
                                coded_bytes(bits, static_cast<std::uint64_t>(values)));
  encode_wire(bits, samples, values, x.data(), stream, out.data());
  return out;
}
Values decode(CodeBits bits, Index samples, Index values, const std::vector<std::uint8_t>& code) {
  Values out(static_cast<std::size_t>(samples * values));
  decode_wire(bits, samples, values, code.data(), out.data());
  return out;
}

/// The nearest number that IEEE half precision has, the even one of two; |x| below its largest.
float half_of(float x) {
  if (x == 0) return x;
  const int exponent = std::max(std::ilogb(x), -14);  // below, steps stay those of 2^-14
  const double step = std::ldexp(1.0, exponent - 10);
  return static_cast<float>(std::nearbyint(static_cast<double>(x) / step) * step);
}

/// The largest magnitude of each tile.
float largest_of_tile(const Values& x, Index sample, Index values, Index i) {
  const Index first = sample * values + i / wire_tile * wire_tile;
  const Index last = std::min(first + wire_tile, (sample + 1) * values);
  float out = 0;
  for (Index j = first; j < last; ++j)
    out = std::max(out, std::abs(x[static_cast<std::size_t>(j)]));
  return out;
}

}  // namespace

TEST_CASE("wire code: bytes of a sample") {
  CHECK(coded_bytes(CodeBits::int4, 0) == 0);
  CHECK(coded_bytes(CodeBits::int4, 1) == 3);
  CHECK(coded_bytes(CodeBits::int4, 128) == 66);
  CHECK(coded_bytes(CodeBits::int4, 129) == 66 + 3);
  CHECK(coded_bytes(CodeBits::int8, 3136) == 25 * 2 + 3136);
  CHECK(coded_bytes(CodeBits::half, 130) == 2 * 2 + 260);
}

TEST_CASE("wire code: zero stays zero, every error is below one step of its tile") {
  for (const CodeBits bits : every_width)
    for (const float least : {0.0f, -1.0f})
      for (const Index values : {Index{1}, Index{127}, Index{128}, Index{333}})
        for (const float size : {1.0f, 1e-30f, 1e30f}) {
          Values x = draw(3 * values, least);
          for (float& v : x) v *= size;
          const Values y = decode(bits, 3, values, encode(bits, 3, x));
          for (Index s = 0; s < 3; ++s)
            for (Index i = 0; i < values; ++i) {
              const auto at = static_cast<std::size_t>(s * values + i);
              if (x[at] == 0) CHECK(y[at] == 0);
              const float levels = bits == CodeBits::half   ? 2048
                                   : bits == CodeBits::int8 ? (least < 0 ? 127 : 255)
                                                            : (least < 0 ? 7 : 15);
              // A scale is up to 2^-7 above what the largest value needs.
              const float step = largest_of_tile(x, s, values, i) / levels * 1.01f;
              CHECK(std::abs(y[at] - x[at]) <= step);
            }
        }
}

TEST_CASE("wire code: half precision is the nearest") {
  Values x;
  for (Index i = 0; i < 4096; ++i)
    x.push_back(std::ldexp(1 + static_cast<float>(i % 512) / 317, -static_cast<int>(i / 128)));
  x[0] = 1.999999f;  // every tile has its own scale; this one rounds up to a power of two
  const Values y = decode(CodeBits::half, 1, 4096, encode(CodeBits::half, 1, x));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float scale =
        std::exp2(std::floor(std::log2(largest_of_tile(x, 0, 4096, static_cast<Index>(i)))));
    CHECK(y[i] == half_of(x[i] / scale) * scale);
  }
}

TEST_CASE("wire code: within a tile halves go down to their smallest steps") {
  Values x(128);
  for (int i = 0; i < 128; ++i)
    x[static_cast<std::size_t>(i)] = (i % 2 == 0 ? 1.0f : -1.0f) * std::ldexp(1.7f, -i / 4);
  const Values y = decode(CodeBits::half, 1, 128, encode(CodeBits::half, 1, x));
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == half_of(x[i]));
}

TEST_CASE("wire code: rounding by chance has the right mean, and steps independent of each other") {
  const Values x = draw(128, -1);
  std::vector<double> sums(128), squares(128);
  constexpr int repetitions = 4000;
  for (int r = 0; r < repetitions; ++r) {
    const RoundingStream stream{{9, 9}, static_cast<std::uint32_t>(r), 1};
    const Values y = decode(CodeBits::int4, 1, 128, encode(CodeBits::int4, 1, x, stream));
    for (std::size_t i = 0; i < 128; ++i) {
      const double error = double{y[i]} - double{x[i]};
      sums[i] += error;
      squares[i] += error * error;
    }
  }
  for (std::size_t i = 0; i < 128; ++i) {
    // At most half a step of 1/7 each time: six standard deviations of the mean.
    CHECK(std::abs(sums[i] / repetitions) < 6 * 0.5 * (1.01 / 7) / std::sqrt(repetitions));
    CHECK((x[i] == 0) == (squares[i] == 0));
  }
}

TEST_CASE("wire code: the same bytes on every target and with any number of threads") {
  const int threads_before = threads();
  const simd::Target target_before = simd::active_target();
  const Values x = draw(70 * 300, -1), positive = draw(70 * 300, 0);
  for (const CodeBits bits : every_width) {
    std::vector<std::uint8_t> first, first_positive;
    Values back;
    for (const simd::Target target : simd::reachable_targets())
      for (const int count : {1, 3}) {
        simd::set_target(target);
        set_threads(count);
        const auto code = encode(bits, 70, x), code_positive = encode(bits, 70, positive);
        const Values decoded = decode(bits, 70, 300, code);
        if (first.empty()) {
          first = code;
          first_positive = code_positive;
          back = decoded;
        }
        CHECK(code == first);
        CHECK(code_positive == first_positive);
        CHECK(decoded == back);
      }
  }
  simd::set_target(target_before);
  set_threads(threads_before);
}

TEST_CASE("wire code: another step or stream rounds otherwise, the words are Philox's") {
  const Values x = draw(128, -1);
  const auto code = encode(CodeBits::int4, 1, x);
  CHECK(code == encode(CodeBits::int4, 1, x));
  CHECK(code != encode(CodeBits::int4, 1, x, {{1, 2}, 4, 4}));
  CHECK(code != encode(CodeBits::int4, 1, x, {{1, 2}, 3, 5}));
  CHECK(code != encode(CodeBits::int4, 1, x, {{1, 3}, 3, 4}));
  // The second tile of a batch draws from blocks 16 on. 1/2 of a step rounds up where the value's
  // sixteen bits are at least half.
  Values half(256, 0.5f);
  half[0] = half[128] = 255;
  const auto rounded = encode(CodeBits::int8, 1, half);
  const Random random(std::uint64_t{2} << 32 | 1, 4u, 3);
  for (std::size_t tile = 0; tile < 2; ++tile)
    for (std::size_t i = 1; i < 128; ++i) {
      const auto block = random.block(16 * tile + i % 16);
      const std::uint32_t word = block[i / 32];
      const std::uint32_t bits = i / 16 % 2 == 0 ? word & 0xFFFF : word >> 16;
      CHECK(rounded[tile * 130 + 2 + i] == (bits >= 0x8000 ? 1 : 0));
    }
}

TEST_CASE("wire code: any bytes can be decoded") {
  for (const CodeBits bits : every_width) {
    std::vector<std::uint8_t> code(coded_bytes(bits, 200));
    for (std::size_t i = 0; i < code.size(); ++i) code[i] = static_cast<std::uint8_t>(0xFF - i % 3);
    CHECK(decode(bits, 1, 200, code).size() == 200);
  }
}

}  // namespace wire_code_test
