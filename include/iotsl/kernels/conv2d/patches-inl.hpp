// Inner loops of convolutions of few channels, once per target. Layouts and drivers: patches.hpp.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

namespace patches {

/// Where the pixels of a tile lie: `x` in the padded image, `y` in an output plane.
struct Pixels {
  const float* x[tile_vecs];
  Index y[tile_vecs];
};

/// acc[i][v] += w[i][lane] * the pixels of one tap, `tap` floats behind those of the first.
template <int lane, int Rows>
IOTSL_INLINE void add_tap(const Vec (&w)[Rows], const float* const (&x)[tile_vecs], Index tap,
                          Vec (&acc)[Rows][tile_vecs]) {
  IOTSL_UNROLL
  for (int v = 0; v < tile_vecs; ++v) {
    hold_loads();
    const Vec pixels = load(x[v] + tap);
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) acc[i][v] = fma_lane<lane>(w[i], pixels, acc[i][v]);
  }
}

IOTSL_INLINE void forward_tile(const PatchForward& f, const Pixels& at, Index first) {
  constexpr int Rows = tile_rows;
  const Index valid = f.filters - first < Rows ? f.filters - first : Rows, taps = f.taps;
  const Index* const tap = f.tap;
  const float* w[Rows];
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) w[i] = f.w + (first + (i < valid ? i : 0)) * taps;
  const float* x[tile_vecs];
  IOTSL_UNROLL
  for (int v = 0; v < tile_vecs; ++v) x[v] = at.x[v];
  Vec acc[Rows][tile_vecs];
  clear(acc);
  Index d = 0;
  if constexpr (multiplies_by_lane)
    for (; d + lanes <= taps; d += lanes) {
      Vec a[Rows];
      IOTSL_UNROLL
      for (int i = 0; i < Rows; ++i) a[i] = load(w[i] + d);
      add_tap<0>(a, x, tap[d], acc);
      add_tap<1>(a, x, tap[d + 1], acc);
      add_tap<2>(a, x, tap[d + 2], acc);
      add_tap<3>(a, x, tap[d + 3], acc);
    }
  for (; d < taps; ++d) {
    Vec pixels[tile_vecs];
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v) pixels[v] = load(x[v] + tap[d]);
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) {
      hold_loads();
      const Vec a = load1(w[i] + d);
      IOTSL_UNROLL
      for (int v = 0; v < tile_vecs; ++v) acc[i][v] = fma(a, pixels[v], acc[i][v]);
    }
  }
  Index to[tile_vecs];
  IOTSL_UNROLL
  for (int v = 0; v < tile_vecs; ++v) to[v] = at.y[v];
  float narrow[Rows][tile_cols];  // rows of outputs that fill no vector go through memory
  const float* const bias = f.bias;
  const Index width = f.width, plane = f.plane;
  float* y = f.y + first * plane;
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i, y += plane) {
    if (i >= valid) continue;  // not a loop bound: a variable index would put acc in memory
    const Vec shift = set1(bias == nullptr ? 0.0F : bias[first + i]);
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v)
      store(width < lanes ? narrow[i] + v * lanes : y + to[v], add(acc[i][v], shift));
  }
  if (width >= lanes) return;
  y = f.y + first * plane;
  for (Index i = 0; i < valid; ++i, y += plane)
    for (int v = 0; v < tile_vecs; ++v)
      for (Index j = 0; j < width; ++j) y[at.y[v] + j] = narrow[i][v * lanes + j];
}

/// The vectors of pixels one after the other, row by row.
class PixelWalk {
 public:
  IOTSL_INLINE explicit PixelWalk(const PatchForward& f) : f_(f) {}
  IOTSL_INLINE bool ended() const { return row_ == f_.rows; }

  /// The next tile; the last one repeats its last vector: the same numbers are written again.
  IOTSL_INLINE Pixels next() {
    Pixels at;
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v) {
      if (!ended()) {
        x_ = f_.x + row_ * f_.row_step + col_;
        y_ = row_ * f_.width + col_;
        advance();
      }
      at.x[v] = x_;
      at.y[v] = y_;
    }
    return at;
  }

 private:
  // The last vector of a row overlaps the one before it.
  IOTSL_INLINE void advance() {
    if (col_ + lanes < f_.width) {
      col_ = col_ + 2 * lanes <= f_.width ? col_ + lanes : f_.width - lanes;
    } else {
      col_ = 0;
      ++row_;
    }
  }
  const PatchForward& f_;
  Index row_ = 0, col_ = 0, y_ = 0;
  const float* x_ = nullptr;
};

inline void forward(const PatchForward& f) {
  constexpr int most = 16;  // tiles for which all filters are computed before the next ones
  for (PixelWalk walk(f); !walk.ended();) {
    Pixels at[most];
    int tiles = 0;
    while (tiles < most && !walk.ended()) at[tiles++] = walk.next();
    for (Index k = 0; k < f.filters; k += tile_rows)
      for (int t = 0; t < tiles; ++t) forward_tile(f, at[t], k);
  }
}

/// Vectors of taps that are summed together; eight filters of one are as many chains as six of two.
template <int Vecs>
inline constexpr int sum_rows = Vecs == 1 ? 8 : 6;

template <int Vecs>
IOTSL_INLINE void sum_tile(const PatchSums& s, Index first, Index tap) {
  constexpr int Rows = sum_rows<Vecs>;
  const Index valid = s.filters - first < Rows ? s.filters - first : Rows;
  const float* gy[Rows];
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) gy[i] = s.gy + (first + (i < valid ? i : 0)) * s.plane;
  Vec acc[Rows][Vecs];
  clear(acc);
  accumulate(gy, s.patches + tap, s.stride, s.pixels, acc);
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    if (i >= valid) continue;  // as above
    float* sum = s.sums + (first + i) * s.stride + tap;
    IOTSL_UNROLL
    for (int v = 0; v < Vecs; ++v) store(sum + v * lanes, add(load(sum + v * lanes), acc[i][v]));
  }
}

/// sums[filter][tap] += sum over the pixels of gy[filter][pixel] patches[pixel][tap].
inline void sum(const PatchSums& s) {
  for (Index tap = 0; tap < s.stride;) {
    const bool whole = s.stride - tap >= tile_cols;
    constexpr int less = tile_vecs - 1;
    if (whole)
      for (Index k = 0; k < s.filters; k += sum_rows<tile_vecs>) sum_tile<tile_vecs>(s, k, tap);
    else
      for (Index k = 0; k < s.filters; k += sum_rows<less>) sum_tile<less>(s, k, tap);
    tap += (whole ? tile_vecs : less) * lanes;
  }
}

/// What a line writes beyond its end, the next one overwrites.
inline void gather(Index pixels, const PatchLines& from, float* patch, Index stride) {
  for (Index l = 0; l < from.lines; ++l)
    for (Index t = 0; t < from.taps; t += lanes) {
      const Index at = l * from.taps + t, left = from.taps - t < lanes ? from.taps - t : lanes;
      const bool whole = at + lanes <= stride;
      for (Index i = 0; i < from.images; ++i) {
        const float* x = from.first + from.line[l] + i * from.image_step + t;
        float* to = patch + i * stride + at;
        for (Index q = 0; q < pixels; ++q, x += from.step, to += from.images * stride) {
          if (whole)
            store(to, load(x));
          else
            store_partial(to, load(x), left);
        }
      }
    }
}

template <int Rows>
IOTSL_INLINE void plane_tile(const PatchPlanes& p, Index tap, Index pixel) {
  const Index valid = p.taps - tap < Rows ? p.taps - tap : Rows;
  const float* w[Rows];
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) w[i] = p.w + (tap + (i < valid ? i : 0)) * p.filters;
  Vec acc[Rows][tile_vecs];
  clear(acc);
  accumulate(w, p.gy + pixel, p.plane, p.filters, acc);
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    if (i >= valid) continue;  // as above
    float* out = p.out + (tap + i) * p.plane + pixel;
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v) store(out + v * lanes, acc[i][v]);
  }
}

/// out[tap][pixel] = sum over the filters of w[tap][filter] gy[filter][pixel]. The last tile
/// overlaps the one before it.
inline void planes(const PatchPlanes& p) {
  for (Index begin = 0; begin < p.plane; begin += tile_cols) {
    const Index pixel = begin + tile_cols <= p.plane ? begin : p.plane - tile_cols;
    for (Index tap = 0; tap < p.taps;) {
      const Index rows = next_tile_rows(p.taps - tap);
      if (rows == 4)
        plane_tile<4>(p, tap, pixel);
      else
        plane_tile<6>(p, tap, pixel);
      tap += rows;
    }
  }
}

}  // namespace patches

inline constexpr PatchTable patch_table{
    .lanes = lanes,
    .sum_cols = (tile_vecs - 1) * lanes,
    .forward = patches::forward,
    .sum = patches::sum,
    .gather = patches::gather,
    .planes = patches::planes,
};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
