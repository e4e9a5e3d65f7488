// Max pooling for one target, on whole planes. See pool.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace pool {

typedef std::uint8_t Bytes __attribute__((vector_size(lanes)));
typedef std::int32_t Numbers __attribute__((vector_size(4 * lanes)));

// Templates, so that only the shuffle of the right width is ever compiled.
template <class V>
IOTSL_INLINE V even_lanes(V a, V b) {
  if constexpr (sizeof(a.v) == 32)
    return {__builtin_shufflevector(a.v, b.v, 0, 2, 4, 6, 8, 10, 12, 14)};
  else
    return {__builtin_shufflevector(a.v, b.v, 0, 2, 4, 6)};
}
template <class V>
IOTSL_INLINE V odd_lanes(V a, V b) {
  if constexpr (sizeof(a.v) == 32)
    return {__builtin_shufflevector(a.v, b.v, 1, 3, 5, 7, 9, 11, 13, 15)};
  else
    return {__builtin_shufflevector(a.v, b.v, 1, 3, 5, 7)};
}
template <class V>
IOTSL_INLINE V zip_low(V a, V b) {
  if constexpr (sizeof(a.v) == 32)
    return {__builtin_shufflevector(a.v, b.v, 0, 8, 1, 9, 2, 10, 3, 11)};
  else
    return {__builtin_shufflevector(a.v, b.v, 0, 4, 1, 5)};
}
template <class V>
IOTSL_INLINE V zip_high(V a, V b) {
  if constexpr (sizeof(a.v) == 32)
    return {__builtin_shufflevector(a.v, b.v, 4, 12, 5, 13, 6, 14, 7, 15)};
  else
    return {__builtin_shufflevector(a.v, b.v, 2, 6, 3, 7)};
}

/// The first `count` lanes, small whole numbers, as bytes.
IOTSL_INLINE void store_bytes(std::uint8_t* p, Vec x, Index count) {
  const Numbers numbers = __builtin_convertvector(x.v, Numbers);
  const Bytes bytes = __builtin_convertvector(numbers, Bytes);
  if (count >= lanes) {
    __builtin_memcpy(p, &bytes, static_cast<std::size_t>(lanes));
  } else {
    for (Index i = 0; i < count; ++i) p[i] = bytes[i];
  }
}
IOTSL_INLINE Vec load_bytes(const std::uint8_t* p, Index count) {
  Bytes bytes = {};
  if (count >= lanes) {
    __builtin_memcpy(&bytes, p, static_cast<std::size_t>(lanes));
  } else {
    for (Index i = 0; i < count; ++i) bytes[i] = p[i];
  }
  const Numbers numbers = __builtin_convertvector(bytes, Numbers);
  return {__builtin_convertvector(numbers, decltype(Vec::v))};
}

/// A running maximum and where it was. Later values must be larger to win; a NaN wins always.
struct Best {
  Vec value, at;

  IOTSL_INLINE void offer(Vec x, Vec position) {
    const Mask larger = less(value, x), number = equal(x, x);
    value = select(number, select(larger, x, value), x);
    at = select(number, select(larger, position, at), position);
  }
};

// Outputs [i, i + count) of a row from the two input rows above them.
IOTSL_INLINE void max_2x2_step(Index i, Index count, const float* top, const float* bottom,
                               float* y, std::uint8_t* index) {
  const bool whole = count >= lanes;
  const Index low = 2 * count < lanes ? 2 * count : lanes, high = 2 * count - low;
  const float* t = top + 2 * i;
  const float* b = bottom + 2 * i;
  const Vec t0 = whole ? load(t) : load_partial(t, low);
  const Vec t1 = whole ? load(t + lanes) : load_partial(t + low, high);
  const Vec b0 = whole ? load(b) : load_partial(b, low);
  const Vec b1 = whole ? load(b + lanes) : load_partial(b + low, high);
  Best best{even_lanes(t0, t1), zero()};
  best.offer(odd_lanes(t0, t1), set1(1.0F));
  best.offer(even_lanes(b0, b1), set1(2.0F));
  best.offer(odd_lanes(b0, b1), set1(3.0F));
  if (whole)
    store(y + i, best.value);
  else
    store_partial(y + i, best.value, count);
  store_bytes(index + i, best.at, count);
}

/// 2x2 windows with stride 2 and no padding.
inline void max_2x2(const PoolShape& s, Index planes, const float* x, float* y,
                    std::uint8_t* index) {
  for (Index plane = 0; plane < planes; ++plane, x += s.h * s.w)
    for (Index p = 0; p < s.p; ++p, y += s.q, index += s.q) {
      const float* top = x + 2 * p * s.w;
      const float* bottom = top + s.w;
      Index i = 0;
      for (; i + lanes <= s.q; i += lanes) max_2x2_step(i, lanes, top, bottom, y, index);
      if (i == s.q) continue;
      // A last whole vector may repeat outputs that are already there.
      if (s.q >= lanes)
        max_2x2_step(s.q - lanes, lanes, top, bottom, y, index);
      else
        max_2x2_step(0, s.q, top, bottom, y, index);
    }
}

/// The adjoint of choosing: every element of gx gets the output's gradient or 0.
inline void scatter_2x2(const PoolShape& s, Index planes, const float* gy,
                        const std::uint8_t* index, float* gx) {
  for (Index plane = 0; plane < planes; ++plane, gx += s.h * s.w) {
    for (Index p = 0; p < s.p; ++p, gy += s.q, index += s.q) {
      float* top = gx + 2 * p * s.w;
      float* bottom = top + s.w;
      Index i = 0;
      while (i + lanes <= s.q) {
        const Vec g = load(gy + i), at = load_bytes(index + i, lanes);
        const Vec g0 = select(equal(at, zero()), g, zero());
        const Vec g1 = select(equal(at, set1(1.0F)), g, zero());
        const Vec g2 = select(equal(at, set1(2.0F)), g, zero());
        const Vec g3 = select(equal(at, set1(3.0F)), g, zero());
        store(top + 2 * i, zip_low(g0, g1));
        store(top + 2 * i + lanes, zip_high(g0, g1));
        store(bottom + 2 * i, zip_low(g2, g3));
        store(bottom + 2 * i + lanes, zip_high(g2, g3));
        i += lanes;
        if (i < s.q && i + lanes > s.q) i = s.q - lanes;
      }
      for (; i < s.q; ++i) {
        top[2 * i] = index[i] == 0 ? gy[i] : 0.0F;
        top[2 * i + 1] = index[i] == 1 ? gy[i] : 0.0F;
        bottom[2 * i] = index[i] == 2 ? gy[i] : 0.0F;
        bottom[2 * i + 1] = index[i] == 3 ? gy[i] : 0.0F;
      }
      for (Index w = 2 * s.q; w < s.w; ++w) top[w] = bottom[w] = 0.0F;
    }
    for (Index i = 2 * s.p * s.w; i < s.h * s.w; ++i) gx[i] = 0.0F;
  }
}

/// Any window with horizontal stride 1. `lines` holds pool_scratch_elems(s) floats: the plane with
/// its padding, so that every load of a window is inside, and the first column of each window.
inline void max_dense(const PoolShape& s, Index planes, const float* x, float* lines, float* y,
                      std::uint8_t* index) {
  const float least = -__builtin_inff();
  const Index width = padded_width(s), height = s.h + 2 * s.pad_h;
  for (Index i = 0; i < height * width; ++i) lines[i] = least;
  float* first_column = lines + height * width;
  for (Index q = 0; q < s.q; ++q)
    first_column[q] = static_cast<float>(q < s.pad_w ? s.pad_w - q : 0);
  for (Index plane = 0; plane < planes; ++plane, x += s.h * s.w) {
    for (Index h = 0; h < s.h; ++h)
      __builtin_memcpy(lines + (h + s.pad_h) * width + s.pad_w, x + h * s.w,
                       static_cast<std::size_t>(s.w) * sizeof(float));
    for (Index p = 0; p < s.p; ++p, y += s.q, index += s.q) {
      const Index top = p * s.stride_h;
      const Index skipped = top < s.pad_h ? s.pad_h - top : 0;
      const Vec first_row = set1(static_cast<float>(skipped * s.kernel_w));
      for (Index q = 0; q < s.q; q += lanes) {
        // Where all values are minus infinity, the first that is not padding wins.
        Best best{set1(least), add(load(first_column + q), first_row)};
        for (Index r = 0; r < s.kernel_h; ++r)
          for (Index t = 0; t < s.kernel_w; ++t)
            best.offer(load(lines + (top + r) * width + q + t),
                       set1(static_cast<float>(r * s.kernel_w + t)));
        if (q + lanes <= s.q)
          store(y + q, best.value);
        else
          store_partial(y + q, best.value, s.q - q);
        store_bytes(index + q, best.at, s.q - q);
      }
    }
  }
}

}  // namespace pool

inline constexpr PoolTable pool_table{
    .max_2x2 = pool::max_2x2,
    .scatter_2x2 = pool::scatter_2x2,
    .max_dense = pool::max_dense,
};

}  // namespace kernels::IOTSL_TARGET

IOTSL_NAMESPACE_END
