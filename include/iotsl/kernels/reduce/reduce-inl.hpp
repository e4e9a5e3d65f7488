// Sums for one target: floats are added over short stretches only, the stretches in double. See
// reduce.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace reduce {

// Elements added in float before the sum goes to a double: at most 32 per lane and accumulator.
// Decides bits: it says where a sum is rounded to float.
inline constexpr Index stretch_rows = 32;
inline constexpr Index stretch_elems = stretch_rows * 4 * lanes;

struct Sums {
  double first = 0, second = 0;
};

/// One pass over `rows` stretches of memory that adds up to two quantities per element at once.
/// `op.step(x, y, center, first, second)` adds them for a vector; beyond the end of a row all
/// three inputs are 0. `y` is read only where Op::reads_y.
template <class Op>
IOTSL_INLINE Sums accumulate(const Op& op, Index rows, Index row_stride, Index length,
                             const float* x, const float* y, float center) {
  float centers[lanes];
  for (Index i = 0; i < lanes; ++i) centers[i] = center;
  const Vec center_all = set1(center);
  Sums total;
  Index pending = 0;
  Vec first[4], second[4];
  IOTSL_UNROLL for (int u = 0; u < 4; ++u) first[u] = second[u] = zero();
  for (Index row = 0; row < rows; ++row) {
    const float* xs = x + row * row_stride;
    const float* ys = Op::reads_y ? y + row * row_stride : nullptr;
    Index i = 0;
    while (i < length) {
      const Index room = stretch_elems - pending;
      const Index end = length - i < room ? length : i + room;
      pending += end - i;
      for (; i + 4 * lanes <= end; i += 4 * lanes) {
        IOTSL_UNROLL for (int u = 0; u < 4; ++u)
            op.step(load(xs + i + u * lanes), Op::reads_y ? load(ys + i + u * lanes) : zero(),
                    center_all, first[u], second[u]);
      }
      for (; i + lanes <= end; i += lanes)
        op.step(load(xs + i), Op::reads_y ? load(ys + i) : zero(), center_all, first[0], second[0]);
      if (i < end) {
        const Index count = end - i;
        op.step(load_partial(xs + i, count), Op::reads_y ? load_partial(ys + i, count) : zero(),
                load_partial(centers, count), first[1], second[1]);
        i = end;
      }
      if (pending == stretch_elems || row + 1 == rows) {
        total.first +=
            static_cast<double>(reduce_add(add(add(first[0], first[1]), add(first[2], first[3]))));
        total.second += static_cast<double>(
            reduce_add(add(add(second[0], second[1]), add(second[2], second[3]))));
        pending = 0;
        IOTSL_UNROLL for (int u = 0; u < 4; ++u) first[u] = second[u] = zero();
      }
    }
  }
  return total;
}

struct Sum {
  static constexpr bool reads_y = false;
  static IOTSL_INLINE void step(Vec x, Vec, Vec, Vec& first, Vec&) { first = add(first, x); }
};

inline double sum_rows(Index rows, Index row_stride, Index length, const float* x) {
  return accumulate(Sum{}, rows, row_stride, length, x, nullptr, 0.0F).first;
}

// Adds `vectors` neighbouring vectors of columns over all rows to the doubles of `sums`.
template <int vectors>
IOTSL_INLINE void add_columns(Index rows, Index row_stride, const float* x, double* sums) {
  for (Index begin = 0; begin < rows; begin += stretch_rows) {
    const Index end = rows - begin < stretch_rows ? rows : begin + stretch_rows;
    Vec sum[vectors];
    IOTSL_UNROLL for (int u = 0; u < vectors; ++u) sum[u] = zero();
    for (Index row = begin; row < end; ++row) {
      IOTSL_UNROLL for (int u = 0; u < vectors; ++u) sum[u] =
          add(sum[u], load(x + row * row_stride + u * lanes));
    }
    float values[vectors * lanes];
    IOTSL_UNROLL for (int u = 0; u < vectors; ++u) store(values + u * lanes, sum[u]);
    for (Index i = 0; i < vectors * lanes; ++i) sums[i] += static_cast<double>(values[i]);
  }
}

inline void add_rows(Index rows, Index row_stride, Index width, const float* x, double* sums) {
  Index i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes) add_columns<4>(rows, row_stride, x + i, sums + i);
  for (; i + lanes <= width; i += lanes) add_columns<1>(rows, row_stride, x + i, sums + i);
  for (Index row = 0; row < rows; ++row)
    for (Index j = i; j < width; ++j) sums[j] += static_cast<double>(x[row * row_stride + j]);
}

}  // namespace reduce

inline constexpr ReduceTable reduce_table{
    .sum_rows = reduce::sum_rows,
    .add_rows = reduce::add_rows,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
