// Products of a matrix with vectors for one target. See spectral.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace spectral {

/// Four sums side by side hide the latency of fma.
inline float dot(Index n, const float* a, const float* b) {
  Vec s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  Index i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = fma(load(a + i), load(b + i), s0);
    s1 = fma(load(a + i + lanes), load(b + i + lanes), s1);
    s2 = fma(load(a + i + 2 * lanes), load(b + i + 2 * lanes), s2);
    s3 = fma(load(a + i + 3 * lanes), load(b + i + 3 * lanes), s3);
  }
  for (; i + lanes <= n; i += lanes) s0 = fma(load(a + i), load(b + i), s0);
  if (i < n) s1 = fma(load_partial(a + i, n - i), load_partial(b + i, n - i), s1);
  return reduce_add(add(add(s0, s1), add(s2, s3)));
}

/// Columns [begin, end) of y = the transpose of w times u, all rows.
inline void columns(Index rows, Index cols, Index begin, Index end, const float* w, const float* u,
                    float* y) {
  for (Index j = begin; j < end; j += lanes) {
    const Index left = end - j;
    Vec sum = zero();
    if (left >= lanes) {
      for (Index i = 0; i < rows; ++i) sum = fma(load(w + i * cols + j), set1(u[i]), sum);
      store(y + j, sum);
    } else {
      for (Index i = 0; i < rows; ++i)
        sum = fma(load_partial(w + i * cols + j, left), set1(u[i]), sum);
      store_partial(y + j, sum, left);
    }
  }
}

/// y = alpha w + beta v
inline void combine(Index n, float alpha, const float* w, float beta, const float* v, float* y) {
  const Vec a = set1(alpha), b = set1(beta);
  Index i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, fma(a, load(w + i), mul(b, load(v + i))));
  if (i == n) return;
  const Vec last = mul(b, load_partial(v + i, n - i));
  store_partial(y + i, fma(a, load_partial(w + i, n - i), last), n - i);
}

}  // namespace spectral

inline constexpr SpectralTable spectral_table{
    .dot = spectral::dot, .columns = spectral::columns, .combine = spectral::combine};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
