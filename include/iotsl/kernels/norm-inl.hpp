// Batch normalisation for one target, a channel at a time. See norm.hpp and
// simd/foreach_target.hpp.

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

struct Gradient {  // sum of y, and of y * (x - center)
  static constexpr bool reads_y = true;
  static IOTSL_INLINE void step(Vec x, Vec y, Vec center, Vec& first, Vec& second) {
    first = add(first, y);
    second = fma(y, sub(x, center), second);
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
          reduce::accumulate<Centered>(row_count, stride, width, from, nullptr, shift);
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

IOTSL_INLINE void normalize(Index hw, Vec mean, Vec scale, Vec beta, const float* x, float* y) {
  Index i = 0;
  for (; i + lanes <= hw; i += lanes) store(y + i, fma(sub(load(x + i), mean), scale, beta));
  if (i == hw) return;
  const Vec last = load_partial(x + i, hw - i);
  store_partial(y + i, fma(sub(last, mean), scale, beta), hw - i);
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

/// Planes [begin, end) of the [n,c] planes of hw elements.
inline void apply(Index begin, Index end, Index c, Index hw, const float* x, const float* mean,
                  const float* inv_std, const float* gamma, const float* beta, float* y) {
  for (Index plane = begin; plane < end; ++plane) {
    const Index j = plane % c;
    normalize(hw, set1(mean[j]), set1(inv_std[j] * gamma[j]), set1(beta[j]), x + plane * hw,
              y + plane * hw);
  }
}

inline void channel_grad(Index n, Index stride, Index hw, const float* x, const float* gy,
                         float mean, float inv_std, float gamma, float* gx, float* ggamma,
                         float* gbeta) {
  const reduce::Sums sums = reduce::accumulate<Gradient>(n, stride, hw, x, gy, mean);
  const double count = static_cast<double>(n * hw), inv = static_cast<double>(inv_std);
  *gbeta = static_cast<float>(sums.first);
  *ggamma = static_cast<float>(sums.second * inv);
  // gx = scale (gy - offset - (x - mean) slope)
  const Vec scale = set1(gamma * inv_std), center = set1(mean);
  const Vec offset = set1(static_cast<float>(sums.first / count));
  const Vec slope = set1(static_cast<float>(sums.second * inv * inv / count));
  for (Index row = 0; row < n; ++row) {
    const float* xs = x + row * stride;
    const float* gys = gy + row * stride;
    float* gxs = gx + row * stride;
    Index i = 0;
    for (; i + lanes <= hw; i += lanes) {
      const Vec g = fnma(sub(load(xs + i), center), slope, sub(load(gys + i), offset));
      store(gxs + i, mul(g, scale));
    }
    if (i < hw) {
      const Vec last = sub(load_partial(gys + i, hw - i), offset);
      const Vec g = fnma(sub(load_partial(xs + i, hw - i), center), slope, last);
      store_partial(gxs + i, mul(g, scale), hw - i);
    }
  }
}

}  // namespace norm

inline constexpr NormTable norm_table{
    .channel_stats = norm::channel_stats,
    .apply = norm::apply,
    .apply_rows = norm::apply_rows,
    .channel_grad = norm::channel_grad,
    .transposed = norm::transposed,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
