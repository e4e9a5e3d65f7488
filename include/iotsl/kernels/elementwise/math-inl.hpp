// Vector exp, log, sigmoid and tanh for one target, within 2 ulp over the whole range, denormal
// numbers, infinities and NaN included. The polynomials are least-maximum fits of the relative
// error (below 1e-8) on the reduced interval. See simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

// ln 2 in two parts: the product of the first, nine bits long, with an exponent is exact.
inline constexpr float ln2_high = 0.693359375F;
inline constexpr float ln2_low = -2.12194440e-4F;

/// exp(x) = 2^n exp(r) with x = n ln 2 + r and |r| <= ln(2) / 2.
IOTSL_INLINE Vec exp(Vec x) {
  // Beyond these bounds the result is 0 or infinity, which 2^n gives by itself. A NaN passes.
  const Vec bounded = max(set1(-105.0F), min(set1(89.0F), x));
  // The minimum keeps a NaN out of n, where it has no integer value.
  const Vec n = min(round_small(mul(bounded, set1(1.44269504F))), set1(128.0F));
  const Vec r = fnma(n, set1(ln2_low), fnma(n, set1(ln2_high), bounded));
  Vec p = set1(1.395060145e-3F);
  p = fma(p, r, set1(8.368953810e-3F));
  p = fma(p, r, set1(4.166620415e-2F));
  p = fma(p, r, set1(1.666651830e-1F));
  p = fma(p, r, set1(5.000000096e-1F));
  p = add(fma(p, mul(r, r), r), set1(1.0F));
  // In two steps, because 2^n itself need not be a normal number.
  const Vec half = round_small(mul(n, set1(0.5F)));
  return mul(mul(p, pow2(half)), pow2(sub(n, half)));
}

/// log(x) = e ln 2 + log(1 + t) with x = (1 + t) 2^e and 1 + t in [sqrt(1/2), sqrt(2)].
IOTSL_INLINE Vec log(Vec x) {
  const Mask denormal = less(x, set1(1.17549435e-38F));
  const Vec normal = select(denormal, mul(x, set1(8388608.0F)), x);
  Vec e = exponent(normal);
  Vec m = mantissa(normal);
  const Mask upper = less(set1(1.41421356F), m);
  m = select(upper, mul(m, set1(0.5F)), m);
  e = select(upper, add(e, set1(1.0F)), e);
  e = select(denormal, sub(e, set1(23.0F)), e);
  const Vec t = sub(m, set1(1.0F));
  Vec p = set1(6.746624693e-2F);
  p = fma(p, t, set1(-1.167565616e-1F));
  p = fma(p, t, set1(1.188817203e-1F));
  p = fma(p, t, set1(-1.240558895e-1F));
  p = fma(p, t, set1(1.421955101e-1F));
  p = fma(p, t, set1(-1.666799580e-1F));
  p = fma(p, t, set1(2.000211873e-1F));
  p = fma(p, t, set1(-2.500000960e-1F));
  p = fma(p, t, set1(3.333331260e-1F));
  const Vec square = mul(t, t);
  Vec tail = fma(e, set1(ln2_low), mul(mul(square, t), p));
  tail = fnma(square, set1(0.5F), tail);
  Vec y = fma(e, set1(ln2_high), add(t, tail));
  const float infinity = __builtin_inff();
  y = select(less(x, set1(infinity)), y, x);  // infinity and NaN are their own logarithms
  y = select(equal(x, zero()), set1(-infinity), y);
  return select(less(x, zero()), set1(__builtin_nanf("")), y);
}

/// 1 / (1 + exp(-x)), from exp(-|x|) so that small results keep their digits.
IOTSL_INLINE Vec sigmoid(Vec x) {
  const Vec e = exp(neg(abs(x)));
  return div(select(less(x, zero()), e, set1(1.0F)), add(set1(1.0F), e));
}

/// An odd polynomial near 0, 1 - 2 / (exp(2|x|) + 1) elsewhere.
IOTSL_INLINE Vec tanh(Vec x) {
  const Vec magnitude = abs(x);
  const Vec z = mul(x, x);
  Vec p = set1(-5.717036887e-3F);
  p = fma(p, z, set1(2.065057976e-2F));
  p = fma(p, z, set1(-5.374349567e-2F));
  p = fma(p, z, set1(1.333149126e-1F));
  p = fma(p, z, set1(-3.333328392e-1F));
  const Vec near = fma(mul(p, z), x, x);
  const Vec e = exp(add(magnitude, magnitude));
  const Vec far = sub(set1(1.0F), div(set1(2.0F), add(e, set1(1.0F))));
  const Vec y = select(less(x, zero()), neg(far), far);
  return select(less(magnitude, set1(0.625F)), near, y);
}

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
