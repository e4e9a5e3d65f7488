// Inner loops of the matrix product, once per target.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

template <int Rows, int Vecs>
IOTSL_INLINE void gemm_tile(const GemmPanel& g, Index first) {
  const Index valid = g.rows - first < Rows ? g.rows - first : Rows;
  const float* rows[Rows];
  if (valid == Rows && g.a_row == nullptr) {
    const float* row = g.a + first * g.a_stride;
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i, row += g.a_stride) rows[i] = row;
  } else {
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) {
      const Index row = first + (i < valid ? i : 0);
      rows[i] = g.a + (g.a_row == nullptr ? row * g.a_stride : g.a_row[row]);
    }
  }
  Vec acc[Rows][Vecs];
  clear(acc);
  accumulate(rows, g.panel, Vecs * lanes, g.depth, acc);
  float* const out = g.out + first * g.out_stride;
  const Index out_stride = g.out_stride;
  const bool sum = g.add;
  if (valid == Rows && !sum) {
    float* row = out;
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i, row += out_stride) {
      IOTSL_UNROLL
      for (int v = 0; v < Vecs; ++v) store(row + v * lanes, acc[i][v]);
    }
    return;
  }
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    if (i >= valid) continue;  // not a loop bound: a variable index would put acc in memory
    float* row = out + i * out_stride;
    if (sum) {
      IOTSL_UNROLL
      for (int v = 0; v < Vecs; ++v) acc[i][v] = add(load(row + v * lanes), acc[i][v]);
    }
    IOTSL_UNROLL
    for (int v = 0; v < Vecs; ++v) store(row + v * lanes, acc[i][v]);
  }
}

/// Rows of the next tile. With tiles of five no row is computed in vain where 8 or more are left.
constexpr Index gemm_tile_rows(Index left) {
  const bool five = multiplies_by_lane && (left == 5 || left == 9 || left == 13);
  return five ? 5 : next_tile_rows(left);
}

inline void gemm_panel(const GemmPanel& g) {
  for (Index first = 0; first < g.rows;) {
    const Index rows = gemm_tile_rows(g.rows - first);
    if (rows == 4)
      gemm_tile<4, tile_vecs>(g, first);
    else if (multiplies_by_lane && rows == 5)
      gemm_tile<5, tile_vecs>(g, first);
    else
      gemm_tile<6, tile_vecs>(g, first);
    first += rows;
  }
}

inline void gemm_narrow_panel(const GemmPanel& g) {
  constexpr int rows = narrow_vecs == 1 ? 9 : 6;  // enough chains to hide the latency of fma
  for (Index first = 0; first < g.rows; first += rows) gemm_tile<rows, narrow_vecs>(g, first);
}

/// packed[panel][d][0 .. tile_cols) = src[d][panel * tile_cols ...], zero
/// beyond `width`.
inline void pack_rows(Index depth, Index width, const float* src, Index src_stride, float* packed) {
  Index j = 0;
  for (; j + tile_cols <= width; j += tile_cols) {
    const float* from = src + j;
    for (Index d = 0; d < depth; ++d, from += src_stride, packed += tile_cols) {
      IOTSL_UNROLL
      for (int v = 0; v < tile_vecs; ++v) store(packed + v * lanes, load(from + v * lanes));
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
