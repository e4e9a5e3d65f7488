// Inner loops of convolution, once per target. Layouts and drivers:
// correlate.hpp and weight_grad.hpp.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

template <int Rows>
IOTSL_INLINE void correlate_tile(const CorrelateTile& tile, const TapRows* taps, const float* in,
                                 Index depth, const float* panel, const float* bias, float* out) {
  Vec acc[Rows][tile_vecs];
  clear(acc);
  const auto tap_floats = static_cast<std::ptrdiff_t>(depth * tile_cols);
  const TapRows* tap = taps + tile.first_tap;
  const TapRows* const end = tap + tile.taps;
  for (; tap != end; ++tap) {
    const float* rows[Rows];
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) rows[i] = in + tap->row[i];
    accumulate(rows, panel + tap->tap * tap_floats, tile_cols, depth, acc);
  }
  Vec shift[tile_vecs];
  IOTSL_UNROLL
  for (int v = 0; v < tile_vecs; ++v) shift[v] = load(bias + v * lanes);
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    float* row = out + tile.out[i] * tile_cols;
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v) store(row + v * lanes, add(acc[i][v], shift[v]));
  }
}

/// One panel of output channels for all tiles: out[pixel][0 .. tile_cols).
inline void correlate(Index tiles, const CorrelateTile* tile, const TapRows* taps, const float* in,
                      Index depth, const float* panel, const float* bias, float* out) {
  for (Index t = 0; t < tiles; ++t) {
    if (tile[t].rows == 4)
      correlate_tile<4>(tile[t], taps, in, depth, panel, bias, out);
    else
      correlate_tile<tile_rows>(tile[t], taps, in, depth, panel, bias, out);
  }
}

template <int Rows>
IOTSL_INLINE void outer_tile(const OuterBlock& block, Index c, Index valid, float* out) {
  Vec acc[Rows][tile_vecs];
  clear(acc);
  const float *const x = block.x + c, *const gy = block.gy;
  const Index x_step = block.x_step, gy_step = block.gy_step;
  const OuterRun* const end = block.run + block.runs;
  for (const OuterRun* run = block.run; run != end; ++run)
    accumulate_columns(x + run->x, x_step, gy + run->gy, gy_step, run->pixels, acc);
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    if (i >= valid) continue;  // not a loop bound: a variable index would put acc in memory
    float* row = out + i * block.out_stride;
    if (block.adds) {
      IOTSL_UNROLL
      for (int v = 0; v < tile_vecs; ++v) acc[i][v] = add(load(row + v * lanes), acc[i][v]);
    }
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v) store(row + v * lanes, acc[i][v]);
  }
}

/// out[c][0 .. tile_cols) = or += sum over the pixels of all runs of x[pixel][c] gy[pixel][:].
inline void outer(const OuterBlock& block, Index channels, float* out) {
  for (Index c = 0; c < channels;) {
    const Index rows = next_tile_rows(channels - c, 6);  // on 32-bit ARM as well, by halves
    const Index valid = channels - c < rows ? channels - c : rows;
    if (rows == 4)
      outer_tile<4>(block, c, valid, out + c * block.out_stride);
    else
      outer_tile<6>(block, c, valid, out + c * block.out_stride);
    c += rows;
  }
}

inline void accumulate_into(Index n, const float* x, float* y) {
  const auto count = static_cast<std::ptrdiff_t>(n);
  std::ptrdiff_t i = 0;
  for (; i + lanes <= count; i += lanes) store(y + i, add(load(y + i), load(x + i)));
  for (; i < count; ++i) y[i] += x[i];
}

inline constexpr ConvTable conv_table{correlate, outer, accumulate_into};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
