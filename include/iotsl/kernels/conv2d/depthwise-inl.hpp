// Inner loops of depthwise convolution, once per target. Layout: depthwise.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace depthwise {

IOTSL_INLINE Vec load_lanes(const float* p, Index count) {
  return count >= lanes ? load(p) : load_partial(p, count);
}
IOTSL_INLINE void store_lanes(float* p, Vec a, Index count) {
  if (count >= lanes)
    store(p, a);
  else
    store_partial(p, a, count);
}

/// `Rows` rows of outputs at a time, so that the sums of one need not wait for each other.
template <int Rows>
IOTSL_INLINE void forward_rows(const DepthwisePlane& d, const float* lines, const float* w,
                               float bias, float* y) {
  for (Index i = 0; i < d.width; i += lanes) {
    Vec acc[Rows];
    IOTSL_UNROLL
    for (int row = 0; row < Rows; ++row) acc[row] = set1(bias);
    for (Index t = 0; t < d.taps; ++t) {
      const float* from = lines + d.tap[t] + i;
      const Vec factor = set1(w[t]);
      IOTSL_UNROLL
      for (int row = 0; row < Rows; ++row)
        acc[row] = fma(factor, load(from + row * d.row_step), acc[row]);
    }
    IOTSL_UNROLL
    for (int row = 0; row < Rows; ++row) store_lanes(y + row * d.width + i, acc[row], d.width - i);
  }
}

/// y[p][i] = bias + sum over taps of w[t] lines[p * row_step + tap[t] + i]
inline void forward(const DepthwisePlane& d, const float* lines, const float* w, float bias,
                    float* y) {
  Index p = 0;
  for (; p + 4 <= d.height; p += 4)
    forward_rows<4>(d, lines + p * d.row_step, w, bias, y + p * d.width);
  for (; p < d.height; ++p) forward_rows<1>(d, lines + p * d.row_step, w, bias, y + p * d.width);
}

/// The adjoint in the lines: lines[p * row_step + tap[t] + i] += w[t] gy[p][i]
inline void scatter(const DepthwisePlane& d, const float* gy, const float* w, float* lines) {
  for (Index p = 0; p < d.height; ++p, gy += d.width, lines += d.row_step)
    for (Index t = 0; t < d.taps; ++t) {
      const Vec factor = set1(w[t]);
      float* to = lines + d.tap[t];
      for (Index i = 0; i < d.width; i += lanes) {
        const Index count = d.width - i;
        const Vec sum = fma(factor, load_lanes(gy + i, count), load_lanes(to + i, count));
        store_lanes(to + i, sum, count);
      }
    }
}

template <int Taps>
IOTSL_INLINE void products_of(const DepthwisePlane& d, Index first, const float* lines,
                              const float* gy, double* gw) {
  Vec acc[Taps];
  IOTSL_UNROLL
  for (int t = 0; t < Taps; ++t) acc[t] = zero();
  for (Index p = 0; p < d.height; ++p, gy += d.width, lines += d.row_step)
    for (Index i = 0; i < d.width; i += lanes) {
      const Index count = d.width - i;
      const Vec g = load_lanes(gy + i, count);
      IOTSL_UNROLL
      for (int t = 0; t < Taps; ++t)
        acc[t] = fma(load_lanes(lines + d.tap[first + t] + i, count), g, acc[t]);
    }
  IOTSL_UNROLL
  for (int t = 0; t < Taps; ++t) gw[first + t] += static_cast<double>(reduce_add(acc[t]));
}

/// The adjoint in the weights: gw[t] += sum over p, i of lines[p * row_step + tap[t] + i] gy[p][i]
inline void products(const DepthwisePlane& d, const float* lines, const float* gy, double* gw) {
  Index t = 0;
  for (; t + 4 <= d.taps; t += 4) products_of<4>(d, t, lines, gy, gw);
  for (; t < d.taps; ++t) products_of<1>(d, t, lines, gy, gw);
}

}  // namespace depthwise

inline constexpr DepthwiseTable depthwise_table{
    .forward = depthwise::forward,
    .scatter = depthwise::scatter,
    .products = depthwise::products,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
