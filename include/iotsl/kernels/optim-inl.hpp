// Optimiser steps for one target. See optim.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace optim {

// Whole vectors and the tail share the formula: `count` lanes are read and written.
IOTSL_INLINE Vec load_upto(const float* p, Index count) {
  return count >= lanes ? load(p) : load_partial(p, count);
}
IOTSL_INLINE void store_upto(float* p, Vec x, Index count) {
  if (count >= lanes)
    store(p, x);
  else
    store_partial(p, x, count);
}

inline void sgd(const SgdFactors& f, Index n, const float* grad, float* w) {
  const Vec rate = set1(f.lr), decay = set1(f.weight_decay);
  for (Index i = 0; i < n; i += lanes) {
    const Vec weight = load_upto(w + i, n - i);
    const Vec g = fma(decay, weight, load_upto(grad + i, n - i));
    store_upto(w + i, fnma(rate, g, weight), n - i);
  }
}

inline void sgd_momentum(const SgdFactors& f, Index n, const float* grad, float* velocity,
                         float* w) {
  const Vec rate = set1(f.lr), decay = set1(f.weight_decay), momentum = set1(f.momentum);
  for (Index i = 0; i < n; i += lanes) {
    const Vec weight = load_upto(w + i, n - i);
    const Vec g = fma(decay, weight, load_upto(grad + i, n - i));
    // The first velocity is read nowhere: its memory need not be initialised.
    const Vec v = f.first_step ? g : fma(momentum, load_upto(velocity + i, n - i), g);
    const Vec direction = f.nesterov ? fma(momentum, v, g) : v;
    store_upto(velocity + i, v, n - i);
    store_upto(w + i, fnma(rate, direction, weight), n - i);
  }
}

inline void adam(const AdamFactors& f, Index n, const float* grad, float* m, float* v, float* w) {
  const Vec keep1 = set1(f.keep1), take1 = set1(f.take1);
  const Vec keep2 = set1(f.keep2), take2 = set1(f.take2);
  const Vec step = set1(f.step), root = set1(f.root_correction2);
  const Vec eps = set1(f.eps), decay = set1(f.weight_decay);
  for (Index i = 0; i < n; i += lanes) {
    const Vec weight = load_upto(w + i, n - i);
    const Vec g = fma(decay, weight, load_upto(grad + i, n - i));
    const Vec first = fma(take1, g, mul(keep1, load_upto(m + i, n - i)));
    const Vec second = fma(mul(take2, g), g, mul(keep2, load_upto(v + i, n - i)));
    const Vec scale = add(div(sqrt(second), root), eps);
    store_upto(m + i, first, n - i);
    store_upto(v + i, second, n - i);
    store_upto(w + i, sub(weight, div(mul(step, first), scale)), n - i);
  }
}

inline void elastic(float strength, Index n, const float* grad, const float* fisher,
                    const float* anchor, const float* w, float* seen, float* pulled) {
  const Vec lambda = set1(strength);
  for (Index i = 0; i < n; i += lanes) {
    const Vec g = load_upto(grad + i, n - i);
    const Vec stiffness = mul(lambda, load_upto(fisher + i, n - i));
    const Vec way = sub(load_upto(w + i, n - i), load_upto(anchor + i, n - i));
    store_upto(seen + i, fma(g, g, load_upto(seen + i, n - i)), n - i);
    store_upto(pulled + i, fma(stiffness, way, g), n - i);
  }
}

}  // namespace optim

inline constexpr OptimTable optim_table{
    .sgd = optim::sgd,
    .sgd_momentum = optim::sgd_momentum,
    .adam = optim::adam,
    .elastic = optim::elastic,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
