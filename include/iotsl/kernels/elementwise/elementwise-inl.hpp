// Element-wise kernels for one target. See elementwise.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace elementwise {

struct Neg {
  static IOTSL_INLINE Vec apply(Vec x) { return neg(x); }
};
struct Exp {
  static IOTSL_INLINE Vec apply(Vec x) { return exp(x); }
};
struct Log {
  static IOTSL_INLINE Vec apply(Vec x) { return log(x); }
};
struct Sqrt {
  static IOTSL_INLINE Vec apply(Vec x) { return sqrt(x); }
};
struct Rsqrt {
  static IOTSL_INLINE Vec apply(Vec x) { return div(set1(1.0F), sqrt(x)); }
};
struct Square {
  static IOTSL_INLINE Vec apply(Vec x) { return mul(x, x); }
};
struct Reciprocal {
  static IOTSL_INLINE Vec apply(Vec x) { return div(set1(1.0F), x); }
};
struct Sigmoid {
  static IOTSL_INLINE Vec apply(Vec x) { return sigmoid(x); }
};
struct Tanh {
  static IOTSL_INLINE Vec apply(Vec x) { return tanh(x); }
};
struct Relu {
  static IOTSL_INLINE Vec apply(Vec x) { return max(zero(), x); }  // 0 > x ? 0 : x keeps a NaN
};
struct Abs {
  static IOTSL_INLINE Vec apply(Vec x) { return abs(x); }
};

template <class Op>
IOTSL_INLINE void map(Index n, const float* x, float* y) {
  Index i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, Op::apply(load(x + i)));
  if (i < n) store_partial(y + i, Op::apply(load_partial(x + i, n - i)), n - i);
}

inline void unary(Unary op, Index n, const float* x, float* y) {
  switch (op) {
    case Unary::neg:
      return map<Neg>(n, x, y);
    case Unary::exp:
      return map<Exp>(n, x, y);
    case Unary::log:
      return map<Log>(n, x, y);
    case Unary::sqrt:
      return map<Sqrt>(n, x, y);
    case Unary::rsqrt:
      return map<Rsqrt>(n, x, y);
    case Unary::square:
      return map<Square>(n, x, y);
    case Unary::reciprocal:
      return map<Reciprocal>(n, x, y);
    case Unary::sigmoid:
      return map<Sigmoid>(n, x, y);
    case Unary::tanh:
      return map<Tanh>(n, x, y);
    case Unary::relu:
      return map<Relu>(n, x, y);
    case Unary::abs:
      return map<Abs>(n, x, y);
  }
}

struct Add {
  static IOTSL_INLINE Vec apply(Vec a, Vec b) { return add(a, b); }
};
struct Sub {
  static IOTSL_INLINE Vec apply(Vec a, Vec b) { return sub(a, b); }
};
struct Mul {
  static IOTSL_INLINE Vec apply(Vec a, Vec b) { return mul(a, b); }
};
struct Div {
  static IOTSL_INLINE Vec apply(Vec a, Vec b) { return div(a, b); }
};
struct ReluGrad {
  static IOTSL_INLINE Vec apply(Vec a, Vec b) { return select(less(zero(), b), a, zero()); }
};

// An operand is either a range or one value repeated.
template <bool repeated>
IOTSL_INLINE Vec operand(const float* x, Index i) {
  return repeated ? set1(*x) : load(x + i);
}
template <bool repeated>
IOTSL_INLINE Vec operand_partial(const float* x, Index i, Index count) {
  return repeated ? set1(*x) : load_partial(x + i, count);
}

template <class Op, bool repeat_a, bool repeat_b>
IOTSL_INLINE void zip(Index n, const float* a, const float* b, float* y) {
  Index i = 0;
  for (; i + lanes <= n; i += lanes)
    store(y + i, Op::apply(operand<repeat_a>(a, i), operand<repeat_b>(b, i)));
  if (i == n) return;
  const Vec last_a = operand_partial<repeat_a>(a, i, n - i);
  store_partial(y + i, Op::apply(last_a, operand_partial<repeat_b>(b, i, n - i)), n - i);
}

template <bool repeat_a, bool repeat_b>
IOTSL_INLINE void binary_as(Binary op, Index n, const float* a, const float* b, float* y) {
  switch (op) {
    case Binary::add:
      return zip<Add, repeat_a, repeat_b>(n, a, b, y);
    case Binary::sub:
      return zip<Sub, repeat_a, repeat_b>(n, a, b, y);
    case Binary::mul:
      return zip<Mul, repeat_a, repeat_b>(n, a, b, y);
    case Binary::div:
      return zip<Div, repeat_a, repeat_b>(n, a, b, y);
    case Binary::relu_grad:
      return zip<ReluGrad, repeat_a, repeat_b>(n, a, b, y);
  }
}

inline void binary(Binary op, Index n, const float* a, Index a_stride, const float* b,
                   Index b_stride, float* y) {
  if (a_stride != 0 && b_stride != 0) return binary_as<false, false>(op, n, a, b, y);
  if (a_stride != 0) return binary_as<false, true>(op, n, a, b, y);
  if (b_stride != 0) return binary_as<true, false>(op, n, a, b, y);
  binary_as<true, true>(op, n, a, b, y);
}

inline void affine(Index n, float scale, const float* x, float shift, float* y) {
  const Vec factor = set1(scale), offset = set1(shift);
  Index i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, fma(factor, load(x + i), offset));
  if (i < n) store_partial(y + i, fma(factor, load_partial(x + i, n - i), offset), n - i);
}

inline void axpy(Index n, float alpha, const float* x, float* y) {
  const Vec factor = set1(alpha);
  Index i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, fma(factor, load(x + i), load(y + i)));
  if (i == n) return;
  const Vec last = load_partial(y + i, n - i);
  store_partial(y + i, fma(factor, load_partial(x + i, n - i), last), n - i);
}

}  // namespace elementwise

inline constexpr ElementwiseTable elementwise_table{
    .unary = elementwise::unary,
    .binary = elementwise::binary,
    .affine = elementwise::affine,
    .axpy = elementwise::axpy,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
