// Pixel norm of one image for one target. See pixel_norm.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace pixels {

/// The lanes of a row of pixels from `at` on that exist; the others are zero.
IOTSL_INLINE Vec load_up_to(const float* p, Index left) {
  return left >= lanes ? load(p) : load_partial(p, left);
}
IOTSL_INLINE void store_up_to(float* p, Vec a, Index left) {
  if (left >= lanes)
    store(p, a);
  else
    store_partial(p, a, left);
}

inline void forward(Index c, Index hw, float eps, const float* x, float* inv, float* y) {
  const Vec share = set1(1.0F / static_cast<float>(c)), shift = set1(eps);
  for (Index at = 0; at < hw; at += lanes) {
    const Index left = hw - at;
    Vec even = zero(), odd = zero();
    Index j = 0;
    for (; j + 2 <= c; j += 2) {
      const Vec a = load_up_to(x + j * hw + at, left);
      const Vec b = load_up_to(x + (j + 1) * hw + at, left);
      even = fma(a, a, even);
      odd = fma(b, b, odd);
    }
    if (j < c) {
      const Vec a = load_up_to(x + j * hw + at, left);
      even = fma(a, a, even);
    }
    const Vec scale = div(set1(1.0F), sqrt(fma(add(even, odd), share, shift)));
    store_up_to(inv + at, scale, left);
    for (j = 0; j < c; ++j)
      store_up_to(y + j * hw + at, mul(load_up_to(x + j * hw + at, left), scale), left);
  }
}

inline void backward(Index c, Index hw, const float* x, const float* inv, const float* gy,
                     float* gx) {
  const Vec share = set1(1.0F / static_cast<float>(c));
  for (Index at = 0; at < hw; at += lanes) {
    const Index left = hw - at;
    Vec even = zero(), odd = zero();
    Index j = 0;
    for (; j + 2 <= c; j += 2) {
      const Index first = j * hw + at, second = first + hw;
      even = fma(load_up_to(x + first, left), load_up_to(gy + first, left), even);
      odd = fma(load_up_to(x + second, left), load_up_to(gy + second, left), odd);
    }
    if (j < c)
      even = fma(load_up_to(x + j * hw + at, left), load_up_to(gy + j * hw + at, left), even);
    const Vec scale = load_up_to(inv + at, left);
    const Vec slope = mul(mul(mul(scale, scale), scale), mul(add(even, odd), share));
    for (j = 0; j < c; ++j) {
      const Index i = j * hw + at;
      const Vec straight = mul(load_up_to(gy + i, left), scale);
      store_up_to(gx + i, fnma(load_up_to(x + i, left), slope, straight), left);
    }
  }
}

}  // namespace pixels

inline constexpr PixelNormTable pixel_norm_table{.forward = pixels::forward,
                                                 .backward = pixels::backward};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
