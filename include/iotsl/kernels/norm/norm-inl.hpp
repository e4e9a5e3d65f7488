// Batch normalisation for one target, a channel at a time, with a ReLU and a pool behind it where
// they are there. See norm.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace norm {

struct Centered {  // sum of x - center, and of its square
  static constexpr bool reads_y = false;
  static IOTSL_INLINE void step(Vec x, Vec, Vec center, Vec& first, Vec& second) {
    const Vec deviation = sub(x, center);
    first = add(first, deviation);
    second = fma(deviation, deviation, second);
  }
};

/// The gradient behind a ReLU: gy where what it has let through was positive. That is computed once
/// more instead of being kept.
template <bool with_relu>
struct Arriving {
  Vec scale, beta;

  IOTSL_INLINE Vec of(Vec gy, Vec deviation) const {
    if (!with_relu) return gy;
    return select(less(zero(), fma(deviation, scale, beta)), gy, zero());
  }
};

template <bool with_relu>
struct Gradient {  // sum of y, and of y * (x - center)
  static constexpr bool reads_y = true;
  Arriving<with_relu> arriving;

  IOTSL_INLINE void step(Vec x, Vec y, Vec center, Vec& first, Vec& second) const {
    const Vec deviation = sub(x, center);
    const Vec g = arriving.of(y, deviation);
    first = add(first, g);
    second = fma(g, deviation, second);
  }
};

/// Elements of a block of channel_stats: 256 KB, which a second pass finds in the cache. Decides
/// bits: every block has a mean of its own.
inline constexpr Index stats_block_elems = 65536;

/// Mean and sum of squared deviations of one channel, in blocks that stay in the cache between
/// the pass for the mean and the pass around it (Chan, Golub, LeVeque 1983: the corrected two-pass
/// algorithm, eq. 1.7, and the merge of two blocks, eq. 2.1).
inline void channel_stats(Index n, Index stride, Index hw, const float* x, float* mean,
                          float* var) {
  const Index length = hw < stats_block_elems ? hw : stats_block_elems;
  const Index rows = stats_block_elems / length;
  double count = 0, center = 0, squares = 0;
  for (Index row = 0; row < n; row += rows) {
    const Index row_count = n - row < rows ? n - row : rows;
    for (Index at = 0; at < hw; at += length) {
      const Index width = hw - at < length ? hw - at : length;
      const float* from = x + row * stride + at;
      const double size = static_cast<double>(row_count * width);
      const double sum = reduce::sum_rows(row_count, stride, width, from);
      const float shift = static_cast<float>(sum / size);
      const reduce::Sums sums =
          reduce::accumulate(Centered{}, row_count, stride, width, from, nullptr, shift);
      // The mean was rounded to float: the sum of the deviations says by how much.
      const double block_mean = static_cast<double>(shift) + sums.first / size;
      const double block_squares = sums.second - sums.first * sums.first / size;
      const double delta = block_mean - center, total = count + size;
      center += delta * (size / total);
      squares += block_squares + delta * delta * (count * size / total);
      count = total;
    }
  }
  *mean = static_cast<float>(center);
  *var = static_cast<float>(squares > 0 || squares != squares ? squares / count : 0.0);
}

/// y[cols,rows] = transpose of x[rows,cols]
inline void transposed(Index rows, Index cols, const float* x, float* y) {
  const Index whole_rows = rows / lanes * lanes, whole_cols = cols / lanes * lanes;
  for (Index i = 0; i < whole_rows; i += lanes)
    for (Index j = 0; j < whole_cols; j += lanes)
      transpose(x + i * cols + j, cols, y + j * rows + i, rows);
  for (Index i = 0; i < rows; ++i)
    for (Index j = i < whole_rows ? whole_cols : 0; j < cols; ++j)
      y[j * rows + i] = x[i * cols + j];
}

template <bool with_relu>
IOTSL_INLINE Vec normalized(Vec x, Vec mean, Vec scale, Vec beta) {
  const Vec y = fma(sub(x, mean), scale, beta);
  return with_relu ? elementwise::Relu::apply(y) : y;
}

template <bool with_relu = false>
IOTSL_INLINE void normalize(Index hw, Vec mean, Vec scale, Vec beta, const float* x, float* y) {
  Index i = 0;
  for (; i + lanes <= hw; i += lanes)
    store(y + i, normalized<with_relu>(load(x + i), mean, scale, beta));
  if (i == hw) return;
  const Vec last = load_partial(x + i, hw - i);
  store_partial(y + i, normalized<with_relu>(last, mean, scale, beta), hw - i);
}

/// Rows of c channels: the form of `apply` for hw == 1.
inline void apply_rows(Index rows, Index c, const float* x, const float* mean, const float* inv_std,
                       const float* gamma, const float* beta, float* y) {
  for (Index row = 0; row < rows; ++row, x += c, y += c) {
    Index j = 0;
    for (; j + lanes <= c; j += lanes) {
      const Vec scale = mul(load(inv_std + j), load(gamma + j));
      store(y + j, fma(sub(load(x + j), load(mean + j)), scale, load(beta + j)));
    }
    for (; j < c; ++j)
      normalize(1, set1(mean[j]), set1(inv_std[j] * gamma[j]), set1(beta[j]), x + j, y + j);
  }
}

template <bool with_relu>
inline void apply_plane(Index hw, const float* x, const NormChannel& by, float* y) {
  normalize<with_relu>(hw, set1(by.mean), set1(by.inv_std * by.gamma), set1(by.beta), x, y);
}

/// The same with a ReLU and a pool of 2x2 behind it. `plane` holds h * w floats and
/// pool_slack_elems; outputs may be written until `y_end`.
inline void apply_plane_pool(const PoolShape& s, const float* x, const NormChannel& by,
                             float* plane, float* y, const float* y_end, std::uint8_t* index) {
  const Index hw = s.h * s.w;
  apply_plane<true>(hw, x, by, plane);
  pool::max_2x2_plane(s, plane, plane + hw + pool_slack_elems, y, y_end, index);
}

template <bool with_relu>
inline void channel_grad(Index n, Index stride, Index hw, const float* x, const float* gy,
                         const NormChannel& by, float* gx, float* ggamma, float* gbeta) {
  const Vec scale = set1(by.gamma * by.inv_std), center = set1(by.mean);
  const Arriving<with_relu> arriving{scale, set1(by.beta)};
  const reduce::Sums sums =
      reduce::accumulate(Gradient<with_relu>{arriving}, n, stride, hw, x, gy, by.mean);
  const double count = static_cast<double>(n * hw), inv = static_cast<double>(by.inv_std);
  *gbeta = static_cast<float>(sums.first);
  *ggamma = static_cast<float>(sums.second * inv);
  // gx = scale (gy - offset - (x - mean) slope)
  const Vec offset = set1(static_cast<float>(sums.first / count));
  const Vec slope = set1(static_cast<float>(sums.second * inv * inv / count));
  for (Index row = 0; row < n; ++row) {
    const float* xs = x + row * stride;
    const float* gys = gy + row * stride;
    float* gxs = gx + row * stride;
    Index i = 0;
    for (; i + lanes <= hw; i += lanes) {
      const Vec deviation = sub(load(xs + i), center);
      const Vec g = sub(arriving.of(load(gys + i), deviation), offset);
      store(gxs + i, mul(fnma(deviation, slope, g), scale));
    }
    if (i < hw) {
      const Vec deviation = sub(load_partial(xs + i, hw - i), center);
      const Vec g = sub(arriving.of(load_partial(gys + i, hw - i), deviation), offset);
      store_partial(gxs + i, mul(fnma(deviation, slope, g), scale), hw - i);
    }
  }
}

}  // namespace norm

inline constexpr NormTable norm_table{
    .channel_stats = norm::channel_stats,
    .apply_plane = norm::apply_plane<false>,
    .apply_plane_relu = norm::apply_plane<true>,
    .apply_plane_pool = norm::apply_plane_pool,
    .apply_rows = norm::apply_rows,
    .channel_grad = norm::channel_grad<false>,
    .channel_grad_relu = norm::channel_grad<true>,
    .transposed = norm::transposed,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
