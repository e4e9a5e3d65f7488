// What processor and memory can do, for one target (simd/foreach_target.hpp).

namespace iotsl::bench::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

// Multiply-adds that do not wait for each other: as many as two units of latency 5 have under way,
// and with their operands few enough for 16 registers.
inline constexpr int chains = 12;

/// Multiply-adds in registers, chains * lanes of them in each round.
inline float multiply_add(Index rounds, float factor, float summand) {
  Vec sum[chains];
  IOTSL_UNROLL
  for (int i = 0; i < chains; ++i) sum[i] = set1(static_cast<float>(i));
  const Vec x = set1(factor), y = set1(summand);
  for (Index r = 0; r < rounds; ++r) {
    IOTSL_UNROLL
    for (int i = 0; i < chains; ++i) sum[i] = fma(sum[i], x, y);
  }
  Vec all = zero();
  IOTSL_UNROLL
  for (int i = 0; i < chains; ++i) all = add(all, sum[i]);
  return reduce_add(all);
}

/// a = b + factor c (McCalpin's triad), n a multiple of four vectors.
inline void triad(Index n, const float* b, const float* c, float factor, float* a) {
  const Vec f = set1(factor);
  for (Index i = 0; i < n; i += 4 * lanes) {
    IOTSL_UNROLL
    for (Index j = 0; j < 4; ++j) {
      const Index at = i + j * lanes;
      store(a + at, fma(f, load(c + at), load(b + at)));
    }
  }
}

inline constexpr RooflineTable roofline_table{
    .multiply_adds_per_round = chains * lanes, .multiply_add = multiply_add, .triad = triad};

}  // namespace iotsl::bench::IOTSL_TARGET
