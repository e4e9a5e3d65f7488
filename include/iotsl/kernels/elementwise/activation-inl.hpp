// Activations for one target. See activation.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace activations {

IOTSL_INLINE Vec constant(double value) { return set1(static_cast<float>(value)); }

struct Normal {
  Vec below;  ///< Phi(x)
  Vec bell;   ///< exp(-x^2 / 2)
};

/// Phi(-a) = exp(-a^2 / 2) q P(q) with q = 1 / (1 + 0.28 a), a = |x|: one exponential and no
/// cancellation. P is a least-maximum fit of the relative error (below 8e-8) for a up to 14, where
/// the exponential has gone.
IOTSL_INLINE Normal normal(Vec x) {
  const Vec q = div(set1(1.0F), fma(set1(0.28F), abs(x), set1(1.0F)));
  Vec p = set1(2.174108901e-2F);
  p = fma(p, q, set1(-7.844003158e-2F));
  p = fma(p, q, set1(6.000961520e-2F));
  p = fma(p, q, set1(3.151626044e-2F));
  p = fma(p, q, set1(4.625853609e-2F));
  p = fma(p, q, set1(9.489498467e-2F));
  p = fma(p, q, set1(1.002536786e-1F));
  p = fma(p, q, set1(1.120834614e-1F));
  p = fma(p, q, set1(1.116824236e-1F));
  const Vec bell = exp(mul(set1(-0.5F), mul(x, x)));
  const Vec tail = mul(mul(bell, q), p);
  return {select(less(x, zero()), tail, sub(set1(1.0F), tail)), bell};
}

/// The slope of x sigmoid(u(x)), given s = sigmoid(u(x)).
IOTSL_INLINE Vec gated_slope(Vec x, Vec s, Vec u_slope) {
  const Vec rest = mul(sub(set1(1.0F), s), u_slope);
  return mul(s, fma(x, rest, set1(1.0F)));
}

struct NormalCdf {
  static IOTSL_INLINE Vec value(Vec x) { return normal(x).below; }
  static IOTSL_INLINE Vec slope(Vec x) { return mul(normal(x).bell, constant(inv_sqrt_two_pi)); }
};
struct Silu {
  static IOTSL_INLINE Vec value(Vec x) { return mul(x, sigmoid(x)); }
  static IOTSL_INLINE Vec slope(Vec x) { return gated_slope(x, sigmoid(x), set1(1.0F)); }
};
struct Gelu {
  static IOTSL_INLINE Vec value(Vec x) { return mul(x, normal(x).below); }
  static IOTSL_INLINE Vec slope(Vec x) {
    const Normal at = normal(x);
    return fma(mul(x, at.bell), constant(inv_sqrt_two_pi), at.below);
  }
};
struct GeluTanh {
  static IOTSL_INLINE Vec gate(Vec x) {
    const Vec cubic = fma(constant(gelu_tanh_cubic), mul(x, x), constant(gelu_tanh_linear));
    return sigmoid(mul(x, cubic));
  }
  static IOTSL_INLINE Vec value(Vec x) { return mul(x, gate(x)); }
  static IOTSL_INLINE Vec slope(Vec x) {
    const Vec u = fma(constant(3 * gelu_tanh_cubic), mul(x, x), constant(gelu_tanh_linear));
    return gated_slope(x, gate(x), u);
  }
};

template <class F>
IOTSL_INLINE void map(Index n, const float* x, float* y) {
  Index i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, F::value(load(x + i)));
  if (i < n) store_partial(y + i, F::value(load_partial(x + i, n - i)), n - i);
}
template <class F>
IOTSL_INLINE void chain(Index n, const float* x, const float* gy, float* gx) {
  Index i = 0;
  for (; i + lanes <= n; i += lanes) store(gx + i, mul(load(gy + i), F::slope(load(x + i))));
  if (i == n) return;
  const Vec last = load_partial(gy + i, n - i);
  store_partial(gx + i, mul(last, F::slope(load_partial(x + i, n - i))), n - i);
}

inline void value(Activation f, Index n, const float* x, float* y) {
  switch (f) {
    case Activation::normal_cdf:
      return map<NormalCdf>(n, x, y);
    case Activation::silu:
      return map<Silu>(n, x, y);
    case Activation::gelu:
      return map<Gelu>(n, x, y);
    case Activation::gelu_tanh:
      return map<GeluTanh>(n, x, y);
  }
}

inline void grad(Activation f, Index n, const float* x, const float* gy, float* gx) {
  switch (f) {
    case Activation::normal_cdf:
      return chain<NormalCdf>(n, x, gy, gx);
    case Activation::silu:
      return chain<Silu>(n, x, gy, gx);
    case Activation::gelu:
      return chain<Gelu>(n, x, gy, gx);
    case Activation::gelu_tanh:
      return chain<GeluTanh>(n, x, gy, gx);
  }
}

IOTSL_INLINE Vec leaky(Vec slope, Vec sign, Vec x) {
  return select(less(zero(), sign), x, mul(slope, x));
}

inline void leaky_relu(Index n, float slope, const float* sign, const float* x, float* y) {
  const Vec factor = set1(slope);
  Index i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, leaky(factor, load(sign + i), load(x + i)));
  if (i == n) return;
  const Vec last = load_partial(sign + i, n - i);
  store_partial(y + i, leaky(factor, last, load_partial(x + i, n - i)), n - i);
}

}  // namespace activations

inline constexpr ActivationTable activation_table{
    .value = activations::value,
    .grad = activations::grad,
    .leaky_relu = activations::leaky_relu,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
