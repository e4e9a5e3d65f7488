#pragma once
// The tile that gemm and convolution are made of: a block of tile_rows x
// tile_cols accumulators that stay in registers while a loop over the depth
// adds outer products to them.

#include "iotsl/core/shape.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/simd/vec.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// Size of a tile, and copies into the layouts it reads.
struct TileTable {
  Index cols;         ///< outputs per tile row: the width of a packed panel
  Index narrow_cols;  ///< of a panel that is a vector narrower
  /// dst[j][i] = src[i][j] for i < rows, j < cols; strides in floats.
  void (*transpose)(Index rows, Index cols, const float* src, Index src_stride, float* dst,
                    Index dst_stride);
};

/// Rows of a tile: 6, or 4 where that wastes less of the last rows. The 16 registers of 32-bit ARM
/// hold a vector of four terms for each of 4 rows, whose lanes are multiplied by; not of 6.
#if IOTSL_HAVE_NEON && !defined(__aarch64__)
inline constexpr Index tile_rows = 4;
#else
inline constexpr Index tile_rows = 6;
#endif

/// Rows of the next tile when `left` rows are left and a tile has at most `most`: every even number
/// of at least 4 is made of sixes and fours, so at most one row is computed in vain (three if fewer
/// than 4 are left, or at most 4 are in a tile).
constexpr Index next_tile_rows(Index left, Index most = tile_rows) {
  return left <= 4 || left == 7 || left == 8 ? 4 : most;
}

/// to[i * to_step] = from[i * from_step] for i < count.
inline void copy_floats(Index count, const float* from, Index from_step, float* to, Index to_step) {
  const auto step = static_cast<std::ptrdiff_t>(from_step);
  const auto next = static_cast<std::ptrdiff_t>(to_step);
  for (auto left = static_cast<std::ptrdiff_t>(count); left > 0; --left, from += step, to += next)
    *to = *from;
}

/// parallel_for, unless all tasks together are less than some 20 microseconds
/// of work: waking another thread costs as much. `work` is in multiply-adds, or
/// floats moved times eight.
template <class Body>
void run_tasks(Index work, Index tasks, const Body& body) {
  if (work >= Index{1} << 20)
    parallel_for(tasks, body);
  else
    for (Index task = 0; task < tasks; ++task) body(task);
}

constexpr Index round_up(Index value, Index step) { return (value + step - 1) / step * step; }

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/gemm/gemm_tile-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {
IOTSL_TABLE(TileTable, tile_table)
}  // namespace kernels

IOTSL_NAMESPACE_END
