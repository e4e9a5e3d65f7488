// Max pooling for one target, on whole planes. See pool.hpp and simd/foreach_target.hpp.

IOTSL_NAMESPACE_BEGIN

namespace kernels::IOTSL_TARGET {

using namespace simd::IOTSL_TARGET;

namespace pool {

/// The first `count` lanes.
IOTSL_INLINE void store_results(float* y, Vec value, std::uint8_t* index, Vec at, Index count) {
  if (count >= lanes) {
    store(y, value);
    store_bytes(index, at);
    return;
  }
  std::uint8_t bytes[lanes];
  store_partial(y, value, count);
  store_bytes(bytes, at);
  for (Index i = 0; i < count; ++i) index[i] = bytes[i];
}

/// A running maximum and where it was. Later values must be larger to win; a NaN wins always.
struct Best {
  Vec value, at;

  IOTSL_INLINE void offer(Vec x, Vec position) {
    const Mask wins = either(less(value, x), is_nan(x));
    value = select(wins, x, value);
    at = select(wins, position, at);
  }
};

// Rows are written in order, and a row that does not fill its last vector may run over into the
// next, which is written later. Only where that would leave the memory of the planes are vectors
// partial. `count` outputs of a row, from the two input rows above them:
IOTSL_INLINE void max_2x2_step(Index count, const float* top, const float* bottom, float* y,
                               std::uint8_t* index) {
  const bool whole = count >= lanes;
  const Index low = 2 * count < lanes ? 2 * count : lanes, high = 2 * count - low;
  const Vec t0 = whole ? load(top) : load_partial(top, low);
  const Vec t1 = whole ? load(top + lanes) : load_partial(top + low, high);
  const Vec b0 = whole ? load(bottom) : load_partial(bottom, low);
  const Vec b1 = whole ? load(bottom + lanes) : load_partial(bottom + low, high);
  Best best{even_lanes(t0, t1), zero()};
  best.offer(odd_lanes(t0, t1), set1(1.0F));
  best.offer(even_lanes(b0, b1), set1(2.0F));
  best.offer(odd_lanes(b0, b1), set1(3.0F));
  store_results(y, best.value, index, best.at, count);
}

/// 2x2 windows with stride 2 and no padding, of one plane. Until `x_end` may be read, and until
/// `y_end` written, whatever is there.
inline void max_2x2_plane(const PoolShape& s, const float* x, const float* x_end, float* y,
                          const float* y_end, std::uint8_t* index) {
  for (Index p = 0; p < s.p; ++p, y += s.q, index += s.q) {
    const float* top = x + 2 * p * s.w;
    const float* bottom = top + s.w;
    for (Index i = 0; i < s.q; i += lanes) {
      const bool fits = y_end - (y + i) >= lanes && x_end - (bottom + 2 * i) >= 2 * lanes;
      max_2x2_step(fits ? lanes : s.q - i, top + 2 * i, bottom + 2 * i, y + i, index + i);
    }
  }
}
inline void max_2x2(const PoolShape& s, Index planes, const float* x, float* y,
                    std::uint8_t* index) {
  const float* x_end = x + planes * s.h * s.w;
  const float* y_end = y + planes * s.p * s.q;
  for (Index plane = 0; plane < planes; ++plane)
    max_2x2_plane(s, x + plane * s.h * s.w, x_end, y + plane * s.p * s.q, y_end,
                  index + plane * s.p * s.q);
}

// One row of gx: gy where the index says `left` or `right`, which sit side by side, else 0.
IOTSL_INLINE void scatter_row(Index q, bool fits, const float* gy, const std::uint8_t* index,
                              std::uint8_t left, float* gx) {
  const std::uint8_t right = static_cast<std::uint8_t>(left + 1);
  Index i = 0;
  for (; fits ? i < q : i + lanes <= q; i += lanes) {
    const Vec g = load(gy + i), at = load_bytes(index + i);
    const Vec g0 = select(equal(at, set1(left)), g, zero());
    const Vec g1 = select(equal(at, set1(right)), g, zero());
    store(gx + 2 * i, zip_low(g0, g1));
    store(gx + 2 * i + lanes, zip_high(g0, g1));
  }
  for (; i < q; ++i) {
    gx[2 * i] = index[i] == left ? gy[i] : 0.0F;
    gx[2 * i + 1] = index[i] == right ? gy[i] : 0.0F;
  }
}

/// The adjoint of choosing: every element of gx gets the output's gradient or 0.
inline void scatter_2x2(const PoolShape& s, Index planes, const float* gy,
                        const std::uint8_t* index, float* gx) {
  const float* gx_end = gx + planes * s.h * s.w;
  const float* gy_end = gy + planes * s.p * s.q;
  const Index reach = (s.q + lanes - 1) / lanes * lanes;
  for (Index plane = 0; plane < planes; ++plane, gx += s.h * s.w) {
    for (Index p = 0; p < s.p; ++p, gy += s.q, index += s.q) {
      float* top = gx + 2 * p * s.w;
      float* bottom = top + s.w;
      const bool fits = gy_end - gy >= reach && gx_end - bottom >= 2 * reach;
      scatter_row(s.q, fits, gy, index, 0, top);
      for (Index w = 2 * s.q; w < s.w; ++w) top[w] = 0.0F;
      scatter_row(s.q, fits, gy, index, 2, bottom);
      for (Index w = 2 * s.q; w < s.w; ++w) bottom[w] = 0.0F;
    }
    for (Index i = 2 * s.p * s.w; i < s.h * s.w; ++i) gx[i] = 0.0F;
  }
}

/// Any window with horizontal stride 1. `lines` holds pool_scratch_elems(s) floats: the plane with
/// its padding, so that every load of a window is inside, and the first column of each window.
inline void max_dense(const PoolShape& s, Index planes, const float* x, float* lines, float* y,
                      std::uint8_t* index) {
  const float least = -__builtin_inff();
  const float* y_end = y + planes * s.p * s.q;
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
        const Index count = y_end - (y + q) >= lanes ? lanes : s.q - q;
        store_results(y + q, best.value, index + q, best.at, count);
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
