// Inner loops of the matrix product, once per target.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

// Counted in the processor's own words, which are shorter than Index on 32 bits.
template <int Rows, int Vecs>
IOTSL_INLINE void gemm_tile(const GemmPanel& g, std::ptrdiff_t first) {
  const std::ptrdiff_t left = static_cast<std::ptrdiff_t>(g.rows) - first;
  const std::ptrdiff_t valid = left < Rows ? left : Rows;
  const auto a_stride = static_cast<std::ptrdiff_t>(g.a_stride);
  const float* rows[Rows];
  if (valid == Rows && g.a_row == nullptr) {
    const float* row = g.a + first * a_stride;
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i, row += a_stride) rows[i] = row;
  } else {
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) {
      const std::ptrdiff_t row = first + (i < valid ? i : 0);
      rows[i] =
          g.a + (g.a_row == nullptr ? row * a_stride : static_cast<std::ptrdiff_t>(g.a_row[row]));
    }
  }
  Vec acc[Rows][Vecs];
  clear(acc);
  accumulate(rows, g.panel, Vecs * lanes, g.depth, acc);
  const auto out_stride = static_cast<std::ptrdiff_t>(g.out_stride);
  float* row = g.out + first * out_stride;
  const bool sum = g.add;
  if (valid == Rows && !sum) {
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i, row += out_stride) {
      IOTSL_UNROLL
      for (int v = 0; v < Vecs; ++v) store(row + v * lanes, acc[i][v]);
    }
    return;
  }
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i, row += out_stride) {
    if (i >= valid) continue;  // not a loop bound: a variable index would put acc in memory
    if (sum) {
      IOTSL_UNROLL
      for (int v = 0; v < Vecs; ++v) acc[i][v] = add(load(row + v * lanes), acc[i][v]);
    }
    IOTSL_UNROLL
    for (int v = 0; v < Vecs; ++v) store(row + v * lanes, acc[i][v]);
  }
}

/// Rows of the next tile. Tiles of five, where registers are many, or of one and two, where tiles
/// are small, compute few rows in vain.
constexpr int gemm_tile_rows(std::ptrdiff_t left) {
  if (tile_rows == 4) return left > 2 ? 4 : static_cast<int>(left);
  const bool five = multiplies_by_lane && (left == 5 || left == 9 || left == 13);
  return five ? 5 : static_cast<int>(next_tile_rows(left));
}

inline void gemm_panel(const GemmPanel& g) {
  const auto end = static_cast<std::ptrdiff_t>(g.rows);
  for (std::ptrdiff_t first = 0; first < end;) {
    const int rows = gemm_tile_rows(end - first);
    if (rows == 4)
      gemm_tile<4, tile_vecs>(g, first);
    else if (tile_rows == 4 && rows == 2)
      gemm_tile<2, tile_vecs>(g, first);
    else if (tile_rows == 4)
      gemm_tile<1, tile_vecs>(g, first);
    else if (multiplies_by_lane && rows == 5)
      gemm_tile<5, tile_vecs>(g, first);
    else
      gemm_tile<6, tile_vecs>(g, first);
    first += rows;
  }
}

inline void gemm_narrow_panel(const GemmPanel& g) {
  // Enough chains to hide the latency of fma, as far as there are registers.
  constexpr int rows = narrow_vecs > 1 || multiplies_by_lane ? 6 : 9;
  const auto end = static_cast<std::ptrdiff_t>(g.rows);
  for (std::ptrdiff_t first = 0; first < end; first += rows) gemm_tile<rows, narrow_vecs>(g, first);
}

/// packed[panel][d][0 .. tile_cols) = src[d][panel * tile_cols ...], zero
/// beyond `width`.
inline void pack_rows(Index depth, Index width, const float* src, Index src_stride, float* packed) {
  Index j = 0;
  for (; j + tile_cols <= width; j += tile_cols) {
    const float* from = src + j;
    for (auto left = static_cast<std::ptrdiff_t>(depth); left > 0; --left, packed += tile_cols) {
      Vec row[tile_vecs];
      next_row(from, src_stride, row);
      IOTSL_UNROLL
      for (int v = 0; v < tile_vecs; ++v) store(packed + v * lanes, row[v]);
    }
  }
  if (j == width) return;
  for (Index d = 0; d < depth; ++d, packed += tile_cols)
    for (int v = 0; v < tile_vecs; ++v) {
      const Index at = j + v * lanes, left = width - at;
      const float* from = src + d * src_stride + at;
      store(packed + v * lanes,
            left >= lanes ? load(from) : load_partial(from, left > 0 ? left : 0));
    }
}

inline constexpr GemmTable gemm_table{gemm_panel, gemm_narrow_panel, pack_rows};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
