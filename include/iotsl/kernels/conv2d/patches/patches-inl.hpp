// Inner loops of convolution by patches, once per target. Layouts and drivers: window.hpp,
// forward.hpp, pixel_sums.hpp.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

inline void gather_rows(Index rows, Index width, Index step, const float* from, Index from_stride,
                        float* to) {
  for (Index row = 0; row < rows; ++row, from += from_stride, to += width) {
    if (step == 1)
      for (Index i = 0; i < width; i += lanes) store(to + i, load(from + i));
    else if (step == 2)
      for (Index i = 0; i < width; i += lanes)
        store(to + i, even_lanes(load(from + 2 * i), load(from + 2 * i + lanes)));
    else
      for (Index i = 0; i < width; ++i) to[i] = from[i * step];
  }
}

// Rows of patches begin anywhere, so that half of the loads cross a line of the cache: tiles as
// large as the registers allow hide it.
inline constexpr int filter_tile_rows = registers >= 32 && lanes > 4 ? 8 : tile_rows;
inline constexpr int filter_tile_vecs = registers >= 32 && lanes > 4 ? 3 : tile_vecs;
inline constexpr Index filter_tile_cols = filter_tile_vecs * lanes;

/// acc[i][:] += sum over d < depth of w[i][d] * patches[tap[d] + (0 .. Vecs * lanes)].
template <int Rows, int Vecs>
IOTSL_INLINE void accumulate_taps(const float* const (&w)[Rows], const float* patches,
                                  const Index* tap, Index depth, Vec (&acc)[Rows][Vecs]) {
  std::ptrdiff_t d = 0;
  const auto end = static_cast<std::ptrdiff_t>(depth);
  const float* at[Rows];
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) at[i] = w[i];
  if constexpr (multiplies_by_lane)
    for (; d + lanes <= end; d += lanes) {
      Vec a[Rows];
      next_factors(at, a);
      const float *b0 = patches + tap[d], *b1 = patches + tap[d + 1];
      accumulate_lane<0>(a, b0, 0, acc);
      accumulate_lane<1>(a, b1, 0, acc);
      const float *b2 = patches + tap[d + 2], *b3 = patches + tap[d + 3];
      accumulate_lane<2>(a, b2, 0, acc);
      accumulate_lane<3>(a, b3, 0, acc);
    }
  for (; d < end; ++d) {
    const float* b = patches + tap[d];
    accumulate_broadcast(w, at, d, b, 0, acc);
  }
}

/// Filters first .. first + Rows, of which `valid` exist, for a tile of pixels.
template <int Rows>
IOTSL_INLINE void filter_tile(const float* const (&w)[Rows], const float* patches, const Index* tap,
                              Index depth, const float* bias, std::ptrdiff_t valid, float* out,
                              std::ptrdiff_t out_stride) {
  Vec acc[Rows][filter_tile_vecs];
  clear(acc);
  accumulate_taps(w, patches, tap, depth, acc);
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i, out += out_stride) {
    if (i >= valid) continue;  // not a loop bound: a variable index would put acc in memory
    if (bias != nullptr) {
      const Vec shift = load1(bias + i);
      IOTSL_UNROLL
      for (int v = 0; v < filter_tile_vecs; ++v) acc[i][v] = add(acc[i][v], shift);
    }
    IOTSL_UNROLL
    for (int v = 0; v < filter_tile_vecs; ++v) store(out + v * lanes, acc[i][v]);
  }
}

template <int Rows>
IOTSL_INLINE void filter_rows(const PatchFilter& f, Index first) {
  const auto valid =
      static_cast<std::ptrdiff_t>(f.filters - first < Rows ? f.filters - first : Rows);
  const auto pixels = static_cast<std::ptrdiff_t>(f.pixels);
  const Index depth = f.depth;
  const float *w[Rows], *patches = f.patches, *bias = f.bias == nullptr ? nullptr : f.bias + first;
  const Index* tap = f.tap;
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) w[i] = f.w + (first + (i < valid ? i : 0)) * depth;
  float* const out = f.out + first * f.out_stride;
  float narrow[Rows * filter_tile_cols];
  constexpr auto width = static_cast<std::ptrdiff_t>(filter_tile_cols);
  const bool few = pixels < width;
  float* const to = few ? narrow : out;
  const std::ptrdiff_t stride = few ? width : static_cast<std::ptrdiff_t>(f.out_stride);
  const std::ptrdiff_t last = few ? 0 : pixels - width;  // overlaps the one before it
  for (std::ptrdiff_t begin = 0; begin < pixels; begin += width) {
    const std::ptrdiff_t pixel = begin < last ? begin : last;
    filter_tile<Rows>(w, patches + pixel, tap, depth, bias, valid, to + pixel, stride);
  }
  for (std::ptrdiff_t i = 0; few && i < valid; ++i)
    for (std::ptrdiff_t p = 0; p < pixels; ++p) out[i * f.out_stride + p] = narrow[i * width + p];
}

/// A few filters at a time over all pixels: so few rows of the output are written at once that the
/// processor can fetch them ahead.
inline void filter_patches(const PatchFilter& f) {
  for (Index first = 0; first < f.filters;) {
    const Index left = f.filters - first;
    const bool few = filter_tile_rows == tile_rows ? next_tile_rows(left) == 4 : left <= 4;
    if (few)
      filter_rows<4>(f, first);
    else
      filter_rows<filter_tile_rows>(f, first);
    first += few ? 4 : filter_tile_rows;
  }
}

// Lanes are pixels, so that both operands are read as they lie. The accumulators take 24 of 32
// registers, or 12 of 16; what is left holds the inputs of the taps and a vector of gradients.
// Where one instruction loads two vectors, both are of two, and the accumulators take 18.
inline constexpr int pixel_vecs = next_vecs == 2 ? 2 : 1;
inline constexpr int product_tile_filters = pixel_vecs == 2 ? 6 : registers >= 32 ? 8 : 4;

/// The next pixels of a row: those at `at`, which moves on where that is how loads are done, else
/// those at row[p].
template <int Vecs>
IOTSL_INLINE void load_pixels(const float* row, const float*& at, std::ptrdiff_t p,
                              Vec (&to)[Vecs]) {
  if constexpr (next_vecs > 0)
    load_next(at, to);
  else
    to[0] = load(row + p);
}

/// All lanes, or the first `count`.
template <bool whole>
IOTSL_INLINE Vec load_last(const float* at, Index count) {
  return whole ? load(at) : load_partial(at, count);
}

/// A tile of sums over pixels: acc[i][t] is that of gy[i] and x[t].
template <int Filters, int Taps>
struct ProductTile {
  const float *gy[Filters], *x[Taps];        // rows of pixels
  const float *gy_at[Filters], *x_at[Taps];  // of load_pixels()
  Vec acc[Filters][Taps];

  IOTSL_INLINE void begin() {
    IOTSL_UNROLL
    for (int i = 0; i < Filters; ++i) gy_at[i] = gy[i];
    IOTSL_UNROLL
    for (int t = 0; t < Taps; ++t) x_at[t] = x[t];
  }
  IOTSL_INLINE void next_image(Index gy_step, Index x_step) {
    IOTSL_UNROLL
    for (int i = 0; i < Filters; ++i) gy[i] += gy_step;
    IOTSL_UNROLL
    for (int t = 0; t < Taps; ++t) x[t] += x_step;
  }
  /// The gradients so far ahead are fetched from memory meanwhile; 0: none are.
  IOTSL_INLINE void add(std::ptrdiff_t p, std::ptrdiff_t ahead) {
    Vec inputs[Taps][pixel_vecs];
    IOTSL_UNROLL
    for (int t = 0; t < Taps; ++t) load_pixels(x[t], x_at[t], p, inputs[t]);
    IOTSL_UNROLL
    for (int i = 0; i < Filters; ++i) {
      Vec gradients[pixel_vecs];
      load_pixels(gy[i], gy_at[i], p, gradients);
      // Compilers for x86 would load it once more for each product, those for ARM all first.
      __asm__ volatile("" ::: "memory");
      if (ahead != 0) __builtin_prefetch(gy[i] + p + ahead);
      IOTSL_UNROLL
      for (int v = 0; v < pixel_vecs; ++v) {
        IOTSL_UNROLL
        for (int t = 0; t < Taps; ++t) acc[i][t] = fma(gradients[v], inputs[t][v], acc[i][t]);
      }
    }
  }
  /// One vector behind those, or `count` lanes of it.
  template <bool whole>
  IOTSL_INLINE void add_last(std::ptrdiff_t p, Index count) {
    Vec inputs[Taps];
    IOTSL_UNROLL
    for (int t = 0; t < Taps; ++t) inputs[t] = load_last<whole>(x[t] + p, count);
    IOTSL_UNROLL
    for (int i = 0; i < Filters; ++i) {
      const Vec gradients = load_last<whole>(gy[i] + p, count);
      IOTSL_UNROLL
      for (int t = 0; t < Taps; ++t) acc[i][t] = fma(gradients, inputs[t], acc[i][t]);
    }
  }
};

/// Filters first .. first + Filters, of which `valid` exist, and taps d .. d + Taps.
template <int Filters, int Taps>
IOTSL_INLINE void product_tile(const PatchProducts& f, Index first, Index d) {
  const Index valid = f.filters - first < Filters ? f.filters - first : Filters;
  ProductTile<Filters, Taps> tile;
  IOTSL_UNROLL
  for (int i = 0; i < Filters; ++i) tile.gy[i] = f.gy + (first + (i < valid ? i : 0)) * f.gy_stride;
  IOTSL_UNROLL
  for (int t = 0; t < Taps; ++t) tile.x[t] = f.patches + f.tap[d + t];
  clear(tile.acc);
  // The first taps take the gradients from memory, the last ones find them in the cache and fetch
  // those of the next filters. Where a line of the cache is many vectors, that costs too much.
  const auto ahead = static_cast<std::ptrdiff_t>(Filters * f.gy_stride);
  const auto pixels = static_cast<std::ptrdiff_t>(f.pixels);
  constexpr std::ptrdiff_t step = pixel_vecs * lanes;
  for (Index image = 0; image < f.images; ++image) {
    std::ptrdiff_t p = 0;
    tile.begin();
    if (lanes > 4 && d + Taps == f.depth)
      for (; p + step <= pixels; p += step) tile.add(p, ahead);
    else
      for (; p + step <= pixels; p += step) tile.add(p, 0);
    if (pixel_vecs > 1 && p + lanes <= pixels) {
      tile.template add_last<true>(p, lanes);
      p += lanes;
    }
    if (p < pixels) tile.template add_last<false>(p, pixels - p);
    tile.next_image(f.gy_image, f.patch_image);
  }
  float* sums = f.sums + (first * f.depth + d) * lanes;
  IOTSL_UNROLL
  for (int i = 0; i < Filters; ++i, sums += f.depth * lanes) {
    if (i >= valid) continue;  // not a loop bound: a variable index would put acc in memory
    IOTSL_UNROLL
    for (int t = 0; t < Taps; ++t)
      store(sums + t * lanes, add(load(sums + t * lanes), tile.acc[i][t]));
  }
}

/// All taps, at least 2, in tiles of 3 and 2.
template <int Filters>
IOTSL_INLINE void product_tiles(const PatchProducts& f, Index first) {
  for (Index d = 0; d < f.depth;) {
    const Index left = f.depth - d;
    const bool few = left == 2 || left == 4;
    if (few)
      product_tile<Filters, 2>(f, first, d);
    else
      product_tile<Filters, 3>(f, first, d);
    d += few ? 2 : 3;
  }
}

inline void add_products(const PatchProducts& f) {
  for (Index first = 0; first < f.filters;) {
    const bool few = f.filters - first <= 4;
    if (few)
      product_tiles<4>(f, first);
    else
      product_tiles<product_tile_filters>(f, first);
    first += few ? 4 : product_tile_filters;
  }
}

inline void sum_lanes(Index count, const float* sums, float* out) {
  for (Index i = 0; i < count; ++i, sums += lanes) out[i] = reduce_add(load(sums));
}

inline constexpr PatchTable patch_table{.lanes = lanes,
                                        .product_filters = product_tile_filters,
                                        .gather_rows = gather_rows,
                                        .filter = filter_patches,
                                        .add_products = add_products,
                                        .sum_lanes = sum_lanes};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
