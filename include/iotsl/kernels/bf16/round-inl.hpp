// Rows of floats rounded to words of two bfloat16 numbers, once per target that has them.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

/// words[i] = (x[2 i], x[2 i + 1]) for all of `count` floats; a last one without neighbour gets 0.
inline void round_neighbours(Index count, const float* x, float* words) {
  Index i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes)
    store(words + i / 2, pair_neighbours(load(x + i), load(x + i + lanes)));
  if (i == count) return;
  const Index left = count - i;
  const Vec low = load_partial(x + i, left < lanes ? left : lanes);
  const Vec high = left > lanes ? load_partial(x + i + lanes, left - lanes) : zero();
  store_partial(words + i / 2, pair_neighbours(low, high), (left + 1) / 2);
}

/// words[i] = (first[i], second[i]); `second` may be null: zeros.
inline void round_rows(Index count, const float* first, const float* second, float* words) {
  Index i = 0;
  for (; i + lanes <= count; i += lanes)
    store(words + i, pair_lanes(load(first + i), second != nullptr ? load(second + i) : zero()));
  if (i == count) return;
  const Index left = count - i;
  const Vec b = second != nullptr ? load_partial(second + i, left) : zero();
  store_partial(words + i, pair_lanes(load_partial(first + i, left), b), left);
}

inline constexpr RoundTable round_table{round_neighbours, round_rows};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
