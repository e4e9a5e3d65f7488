#pragma once
// Matrix product; meaning as in reference/gemm.hpp. float runs on the active
// SIMD target, every other type on the reference loops. Blocking after K. Goto
// and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008:
// one operand is packed into panels that stay in the first cache while the rows
// of the other stream past; those need no packing, because the micro-kernel
// reads each row through its own pointer.

#include <algorithm>
#include <cstring>

#include "iotsl/core/memory.hpp"
#include "iotsl/kernels/gemm/gemm_tile.hpp"
#include "iotsl/kernels/operands.hpp"
#include "iotsl/kernels/reference/gemm.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// out[0 .. rows)[0 .. tile_cols) = (or +=) a[rows][depth]
/// panel[depth][tile_cols].
struct GemmPanel {
  const float* a;
  Index a_stride;
  const float* panel;
  Index depth, rows;
  float* out;
  Index out_stride;
  bool add;
  const Index* a_row = nullptr;  ///< where the rows begin in a, if not at multiples of a_stride
};

struct GemmTable {
  void (*panel)(const GemmPanel& g);
  void (*narrow_panel)(const GemmPanel& g);  ///< of narrow_cols columns instead of cols
  void (*pack_rows)(Index depth, Index width, const float* src, Index src_stride, float* packed);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/gemm/gemm-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(GemmTable, gemm_table)

namespace detail {

inline const GemmTable& gemm_kernels(FloatOperands) { return gemm_table(); }

/// A product in the form the driver runs: out[i][j] = sum over l of rows(i,l)
/// cols(l,j), `swapped` where out is the transpose of the caller's c.
struct GemmProblem {
  Index m, n, k;
  const float* rows;
  bool rows_transposed;  ///< memory [k][m] instead of [m][k]
  const float* cols;
  bool cols_transposed;  ///< memory [n][k] instead of [k][n]
  bool swapped;

  /// The product, or its transpose if that packs less: a[m,k] b^T with few rows
  /// m (a linear layer) then reads the large matrix b in place.
  static GemmProblem make(bool trans_a, bool trans_b, Index m, Index n, Index k, const float* a,
                          const float* b) {
    const Index plain = n + (trans_a ? m : 0), transposed = m + (trans_b ? 0 : n);
    if (transposed < plain) return {n, m, k, b, !trans_b, a, !trans_a, true};
    return {m, n, k, a, trans_a, b, trans_b, false};
  }
};

/// Rows and panels of a block decide what stays in the caches, and no bit of the result.
inline constexpr Index gemm_rows = 240, gemm_panels = 8;
/// Terms that are summed in registers before they are added to the output. Decides bits: a longer
/// sum is rounded once more after every so many terms.
inline constexpr Index gemm_depth = 256;
/// Floats between transposed rows: a cache line more than the depth, because rows that are a power
/// of two apart compete for the same few sets of the cache.
inline constexpr Index gemm_row_stride = gemm_depth + 16;

/// A block of one operand: rows of some depth in a larger matrix.
struct GemmBlock {
  Index first, count;  ///< rows, or columns of the product
  Index first_depth, depth;
};
/// Rows of words, and the words from one to the next.
struct GemmRows {
  const float* words;
  Index stride;
};

/// The rows of a block: where they lie, or turned into `memory`.
inline GemmRows gemm_block_rows(FloatOperands, const GemmProblem& p, const GemmBlock& b,
                                float* memory) {
  if (!p.rows_transposed) return {p.rows + b.first * p.k + b.first_depth, p.k};
  tile_table().transpose(b.depth, b.count, p.rows + b.first_depth * p.m + b.first, p.m, memory,
                         gemm_row_stride);
  return {memory, gemm_row_stride};
}
/// Floats of memory that it needs.
inline Index gemm_rows_floats(FloatOperands, const GemmProblem& p) {
  return p.rows_transposed ? gemm_rows * gemm_row_stride : 0;
}

/// The columns of a block as panels [panel][depth][tile_cols], zero beyond the last.
inline void gemm_pack_cols(FloatOperands, const GemmProblem& p, const GemmBlock& b, float* packed,
                           float* /*memory*/) {
  if (!p.cols_transposed)
    return gemm_table().pack_rows(b.depth, b.count, p.cols + b.first_depth * p.n + b.first, p.n,
                                  packed);
  const Index cols = tile_table().cols;
  for (Index j = 0; j < b.count; j += cols, packed += b.depth * cols) {
    const Index valid = std::min(cols, b.count - j);
    if (valid < cols)
      std::memset(packed, 0, static_cast<std::size_t>(b.depth * cols) * sizeof(float));
    tile_table().transpose(valid, b.depth, p.cols + (b.first + j) * p.k + b.first_depth, p.k,
                           packed, cols);
  }
}

/// Working memory of one thread, in floats.
struct GemmScratch {
  Index packed, rows, sums;
  template <class Operands>
  GemmScratch(Operands operands, const GemmProblem& p, Index cols)
      : packed(gemm_panels * std::min(p.k, gemm_depth) * cols),
        rows(gemm_rows_floats(operands, p)),
        sums(round_up(std::min(p.m, gemm_rows), 4) * gemm_panels * cols) {}
  Index total() const { return round_up(packed + rows + sums, 16); }
};

// One block of at most gemm_rows x (gemm_panels * tile_cols) outputs.
template <class Operands>
void gemm_block(Operands operands, const GemmProblem& p, Index i0, Index j0, float* scratch,
                float* c) {
  const auto multiply = gemm_kernels(operands).panel;
  const auto transpose = tile_table().transpose;
  const Index cols = tile_table().cols;
  const Index rows = std::min(gemm_rows, p.m - i0);
  const Index width = std::min(gemm_panels * cols, p.n - j0), panels = (width + cols - 1) / cols;
  const GemmScratch size(operands, p, cols);
  float* packed = scratch;
  float* packed_rows = packed + size.packed;
  float* sums = packed_rows + size.rows;

  for (Index l0 = 0; l0 < p.k; l0 += gemm_depth) {
    const Index depth = std::min(gemm_depth, p.k - l0), depth_words = words(operands, depth);
    // The memory of the rows serves the columns first.
    gemm_pack_cols(operands, p, {j0, width, l0, depth}, packed, packed_rows);
    const GemmRows a = gemm_block_rows(operands, p, {i0, rows, l0, depth}, packed_rows);
    for (Index panel = 0; panel < panels; ++panel) {
      const Index j = j0 + panel * cols;
      const bool in_place = !p.swapped && j + cols <= p.n;
      float* out = in_place ? c + i0 * p.n + j : sums + panel * rows * cols;
      multiply({a.words, a.stride, packed + panel * depth_words * cols, depth_words, rows, out,
                in_place ? p.n : cols, l0 > 0});
    }
  }

  for (Index panel = 0; panel < panels; ++panel) {
    const Index j = j0 + panel * cols, valid = std::min(cols, p.n - j);
    const float* src = sums + panel * rows * cols;
    if (p.swapped)
      transpose(rows, valid, src, cols, c + j * p.m + i0, p.m);
    else if (valid < cols)
      for (Index i = 0; i < rows; ++i)
        std::memcpy(c + (i0 + i) * p.n + j, src + i * cols,
                    static_cast<std::size_t>(valid) * sizeof(float));
  }
}

template <class Operands>
void gemm_by(Operands operands, bool trans_a, bool trans_b, Index m, Index n, Index k,
             const float* a, const float* b, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    std::memset(c, 0, static_cast<std::size_t>(m * n) * sizeof(float));
    return;
  }
  const GemmProblem p = GemmProblem::make(trans_a, trans_b, m, n, k, a, b);
  const Index cols = tile_table().cols, width = gemm_panels * cols;
  const Index row_blocks = (p.m + gemm_rows - 1) / gemm_rows,
              col_blocks = (p.n + width - 1) / width;
  const Index floats = GemmScratch(operands, p, cols).total();
  const Index tasks = row_blocks * col_blocks;
  const Scratch scratch(static_cast<std::size_t>(threads() * floats) * sizeof(float));
  run_tasks(m * n * k, tasks, [&](Index task) {
    gemm_block(operands, p, task / col_blocks * gemm_rows, task % col_blocks * width,
               scratch.as<float>() + worker_index() * floats, c);
  });
}

}  // namespace detail

/// c[m,n] = op(a) op(b), row-major and dense; c is overwritten. op(a) is [m,k]
/// and lies in memory as [m,k], or as [k,m] where `trans_a`; op(b) is [k,n], in
/// memory [k,n], or [n,k] where `trans_b`.
template <class T>
void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, const T* b, T* c) {
  if constexpr (std::is_same_v<T, float>)
    detail::gemm_by(detail::FloatOperands{}, trans_a, trans_b, m, n, k, a, b, c);
  else
    reference::gemm(trans_a, trans_b, m, n, k, a, b, c);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
