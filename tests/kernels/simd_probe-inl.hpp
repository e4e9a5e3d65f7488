// For simd_test.cpp: every vector function behind one table, once per target.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

IOTSL_INLINE Vec probe_op(int op, Vec a, Vec b, Vec c) {
  switch (op) {
    case 0:
      return add(a, b);
    case 1:
      return sub(a, b);
    case 2:
      return mul(a, b);
    case 3:
      return div(a, b);
    case 4:
      return fma(a, b, c);
    case 5:
      return fnma(a, b, c);
    case 6:
      return neg(a);
    case 7:
      return abs(a);
    case 8:
      return sqrt(abs(a));
    case 9:
      return min(a, b);
    case 10:
      return max(a, b);
    case 11:
      return select(both(less(a, b), either(less(a, c), less(c, a))), a, c);
    case 12:
      return add(mul(a, b), c);
    case 13:
      return pow2(a);
    case 14:
      return round_small(a);
    case 15:
      return exponent(a);
    case 16:
      return mantissa(a);
    case 17:
      return select(is_nan(a), b, c);
    case 18: {
      std::uint8_t bytes[lanes];
      store_bytes(bytes, a);
      return load_bytes(bytes);
    }
    case 19:
      return even_lanes(a, b);
    case 20:
      return odd_lanes(a, b);
    case 21:
      return zip_low(a, b);
    case 22:
      return zip_high(a, b);
    default:
      return zero();
  }
}

inline void probe_apply(int op, const float* a, const float* b, const float* c, float* y) {
  for (Index i = 0; i < 16; i += lanes)
    store(y + i, probe_op(op, load(a + i), load(b + i), load(c + i)));
}
inline void probe_partial(const float* x, float* y, Index count) {
  store_partial(y, load_partial(x, count), count);
}
inline float probe_sum(const float* x) { return reduce_add(load(x)); }
inline float probe_largest(const float* x) { return reduce_max(load(x)); }
inline void probe_transpose(const float* x, float* y) { transpose(x, lanes, y, lanes); }
inline void probe_transpose_partial(Index rows, Index cols, const float* x, float* y) {
  transpose_partial(rows, cols, x, cols, y, lanes);
}

template <int lane, class V>
IOTSL_INLINE void spread_lane(V x, float* y) {
  if constexpr (multiplies_by_lane) store(y + lane * lanes, mla_lane<lane>(x, set1(1.0F), zero()));
}
inline void probe_spread(const float* x, float* y) {
  const float* next = x;
  for (Index i = 0; i < lanes; ++i, y += lanes) store(y, load1(x + i));
  for (Index i = 0; i < lanes; ++i, y += lanes) store(y, load1_next(next));
  for (Index i = 0; i < lanes; ++i) store(y + i * lanes, set1(x[i]));
  spread_lane<0>(load(x), y);
  spread_lane<1>(load(x), y);
  spread_lane<2>(load(x), y);
  spread_lane<3>(load(x), y);
}

template <int vecs>
IOTSL_INLINE void copy_next(const float* x, float* y) {
  for (Index i = 0; i < 16; i += vecs * lanes) {
    Vec run[vecs];
    if constexpr (next_vecs > 0) {
      load_next(x, run);
    } else {
      for (int v = 0; v < vecs; ++v, x += lanes) run[v] = load(x);
    }
    for (int v = 0; v < vecs; ++v) store(y + i + v * lanes, run[v]);
  }
}
inline void probe_next(const float* x, float* y) { copy_next<next_vecs == 2 ? 2 : 1>(x, y); }

inline constexpr SimdProbe simd_probe{
    lanes,         probe_apply,     probe_partial,           probe_sum,
    probe_largest, probe_transpose, probe_transpose_partial, probe_spread,
    probe_next};
}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
