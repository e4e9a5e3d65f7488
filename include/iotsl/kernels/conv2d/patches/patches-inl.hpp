// Inner loops of convolution by patches, once per target. Layouts and drivers: window.hpp,
// forward.hpp.
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
inline constexpr int filter_tile_rows = registers >= 32 && lanes > 4 ? 8 : 6;
inline constexpr int filter_tile_vecs = registers >= 32 && lanes > 4 ? 3 : tile_vecs;
inline constexpr Index filter_tile_cols = filter_tile_vecs * lanes;

/// acc[i][:] += sum over d < depth of w[i][d] * patches[tap[d] + (0 .. Vecs * lanes)].
template <int Rows, int Vecs>
IOTSL_INLINE void accumulate_taps(const float* const (&w)[Rows], const float* patches,
                                  const Index* tap, Index depth, Vec (&acc)[Rows][Vecs]) {
  std::ptrdiff_t d = 0;
  const auto end = static_cast<std::ptrdiff_t>(depth);
  if constexpr (multiplies_by_lane)
    for (; d + lanes <= end; d += lanes) {
      Vec a[Rows];
      IOTSL_UNROLL
      for (int i = 0; i < Rows; ++i) a[i] = load(w[i] + d);
      accumulate_lane<0>(a, patches + tap[d], acc);
      accumulate_lane<1>(a, patches + tap[d + 1], acc);
      accumulate_lane<2>(a, patches + tap[d + 2], acc);
      accumulate_lane<3>(a, patches + tap[d + 3], acc);
    }
  const float* at[Rows];
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) at[i] = w[i] + d;
  for (; d < end; ++d) accumulate_broadcast(w, at, d, patches + tap[d], acc);
}

/// Filters first .. first + Rows, of which `valid` exist, for a tile of pixels.
template <int Rows>
IOTSL_INLINE void filter_tile(const float* const (&w)[Rows], const float* patches, const Index* tap,
                              Index depth, const float* bias, Index valid, float* out,
                              Index out_stride) {
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
  const Index valid = f.filters - first < Rows ? f.filters - first : Rows;
  const Index pixels = f.pixels, depth = f.depth;
  const float *w[Rows], *patches = f.patches, *bias = f.bias == nullptr ? nullptr : f.bias + first;
  const Index* tap = f.tap;
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) w[i] = f.w + (first + (i < valid ? i : 0)) * depth;
  float* const out = f.out + first * f.out_stride;
  float narrow[Rows * filter_tile_cols];
  const bool few = pixels < filter_tile_cols;
  float* const to = few ? narrow : out;
  const Index stride = few ? filter_tile_cols : f.out_stride;
  const Index last = few ? 0 : pixels - filter_tile_cols;  // overlaps the one before it
  for (Index begin = 0; begin < pixels; begin += filter_tile_cols) {
    const Index pixel = begin < last ? begin : last;
    filter_tile<Rows>(w, patches + pixel, tap, depth, bias, valid, to + pixel, stride);
  }
  for (Index i = 0; few && i < valid; ++i)
    for (Index p = 0; p < pixels; ++p) out[i * f.out_stride + p] = narrow[i * filter_tile_cols + p];
}

/// A few filters at a time over all pixels: so few rows of the output are written at once that the
/// processor can fetch them ahead.
inline void filter_patches(const PatchFilter& f) {
  for (Index first = 0; first < f.filters;) {
    const Index left = f.filters - first;
    const bool few = filter_tile_rows == 6 ? next_tile_rows(left) == 4 : left <= 4;
    if (few)
      filter_rows<4>(f, first);
    else
      filter_rows<filter_tile_rows>(f, first);
    first += few ? 4 : filter_tile_rows;
  }
}

inline constexpr PatchTable patch_table{gather_rows, filter_patches};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
