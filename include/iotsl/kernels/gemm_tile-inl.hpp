// Micro-kernel of gemm and convolution, once per target.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

// Vectors per tile row. 6x2 of 16 registers, or 6x4 of 32: what is left holds one row of b and one
// broadcast of a, and enough chains are in flight to hide the latency of fma.
inline constexpr int tile_vecs = registers >= 32 && lanes == 4 ? 4 : 2;
inline constexpr Index tile_cols = tile_vecs * lanes;

/// acc[i][:] += sum over d < depth of rows[i][d * a_step] * b[d * b_step + (0 .. tile_cols)].
/// With a_step = 1 the rows are matrix rows or channel-last pixels; with a_step = the row length
/// they are columns, which makes the product x^T y.
template <int Rows>
IOTSL_INLINE void accumulate(const float* const (&rows)[Rows], Index a_step, const float* b,
                             Index b_step, Index depth, Vec (&acc)[Rows][tile_vecs]) {
  for (Index d = 0, at = 0; d < depth; ++d, at += a_step, b += b_step) {
    Vec bv[tile_vecs];
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v) bv[v] = load(b + v * lanes);
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) {
      const Vec a = set1(rows[i][at]);
      IOTSL_UNROLL
      for (int v = 0; v < tile_vecs; ++v) acc[i][v] = fma(a, bv[v], acc[i][v]);
    }
  }
}

template <int Rows>
IOTSL_INLINE void clear(Vec (&acc)[Rows][tile_vecs]) {
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    IOTSL_UNROLL
    for (int v = 0; v < tile_vecs; ++v) acc[i][v] = zero();
  }
}

// A block of at most lanes x lanes.
inline void transpose_edge(Index rows, Index cols, const float* src, Index src_stride, float* dst,
                           Index dst_stride) {
  if (lanes < 8) {  // partial vectors are no faster than single floats
    for (Index j = 0; j < cols; ++j)
      for (Index i = 0; i < rows; ++i) dst[j * dst_stride + i] = src[i * src_stride + j];
    return;
  }
  float block[lanes * lanes], turned[lanes * lanes];
  for (Index i = 0; i < lanes; ++i)
    store(block + i * lanes, i < rows ? load_partial(src + i * src_stride, cols) : zero());
  transpose(block, lanes, turned, lanes);
  for (Index j = 0; j < cols; ++j)
    store_partial(dst + j * dst_stride, load(turned + j * lanes), rows);
}

inline void transpose_matrix(Index rows, Index cols, const float* src, Index src_stride, float* dst,
                             Index dst_stride) {
  for (Index j = 0; j < cols; j += lanes) {
    const Index width = cols - j < lanes ? cols - j : lanes;
    for (Index i = 0; i < rows; i += lanes) {
      const Index height = rows - i < lanes ? rows - i : lanes;
      const float* from = src + i * src_stride + j;
      float* to = dst + j * dst_stride + i;
      if (width == lanes && height == lanes)
        transpose(from, src_stride, to, dst_stride);
      else
        transpose_edge(height, width, from, src_stride, to, dst_stride);
    }
  }
}

inline constexpr TileTable tile_table{tile_cols, transpose_matrix};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
