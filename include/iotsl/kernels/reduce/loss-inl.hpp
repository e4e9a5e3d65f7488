// Rows of log-softmax for one target. See loss.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace loss {

inline constexpr float lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/// The lanes of a row that exist; the others take the value of `beyond`.
IOTSL_INLINE Vec row_end(const float* x, Index count, float beyond) {
  const Mask inside = less(load(lane_numbers), set1(static_cast<float>(count)));
  return select(inside, load_partial(x, count), set1(beyond));
}

inline void log_softmax(Index n, Index classes, const float* x, float* y) {
  const Index whole = classes / lanes * lanes, rest = classes - whole;
  const float least = -__builtin_inff();
  for (Index row = 0; row < n; ++row, x += classes, y += classes) {
    Vec maxima = set1(least);
    for (Index i = 0; i < whole; i += lanes) maxima = max(load(x + i), maxima);
    if (rest > 0) maxima = max(row_end(x + whole, rest, least), maxima);
    const Vec maximum = set1(reduce_max(maxima));
    Vec sums = zero();
    for (Index i = 0; i < whole; i += lanes) sums = add(sums, exp(sub(load(x + i), maximum)));
    if (rest > 0) sums = add(sums, exp(sub(row_end(x + whole, rest, least), maximum)));
    const Vec log_sum = log(set1(reduce_add(sums)));
    for (Index i = 0; i < whole; i += lanes) store(y + i, sub(sub(load(x + i), maximum), log_sum));
    if (rest > 0)
      store_partial(y + whole, sub(sub(load_partial(x + whole, rest), maximum), log_sum), rest);
  }
}

}  // namespace loss

inline constexpr LossTable loss_table{.log_softmax = loss::log_softmax};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
