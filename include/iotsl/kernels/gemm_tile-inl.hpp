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

inline void transpose_matrix(Index rows, Index cols, const float* src, Index src_stride, float* dst,
                             Index dst_stride) {
  const Index row_blocks = rows - rows % lanes, col_blocks = cols - cols % lanes;
  for (Index j = 0; j < col_blocks; j += lanes)
    for (Index i = 0; i < row_blocks; i += lanes)
      transpose(src + i * src_stride + j, src_stride, dst + j * dst_stride + i, dst_stride);
  for (Index j = col_blocks; j < cols; ++j)
    for (Index i = 0; i < row_blocks; ++i) dst[j * dst_stride + i] = src[i * src_stride + j];
  for (Index j = 0; j < cols; ++j)
    for (Index i = row_blocks; i < rows; ++i) dst[j * dst_stride + i] = src[i * src_stride + j];
}

inline constexpr TileTable tile_table{tile_cols, transpose_matrix};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
