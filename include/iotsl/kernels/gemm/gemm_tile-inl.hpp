// Micro-kernel of gemm and convolution, once per target.
IOTSL_NAMESPACE_BEGIN
namespace kernels::IOTSL_TARGET {
using namespace simd::IOTSL_TARGET;

// Vectors per tile row. 6x2 of 16 registers, or 6x4 of 32: what is left holds one row of b and one
// broadcast of a, and enough chains are in flight to hide the latency of fma. 4x2 (tile_rows)
// leaves 8 registers.
inline constexpr int tile_vecs = registers >= 32 && lanes == 4 ? 4 : 2;
inline constexpr Index tile_cols = tile_vecs * lanes;
/// For what is not wide enough.
inline constexpr int narrow_vecs = tile_vecs - 1;

// No load moves over this. Compilers for ARM move loads to the front until they run out of
// registers, and put accumulators in memory.
IOTSL_INLINE void hold_loads() {
  if constexpr (lanes == 4) __asm__ volatile("" ::: "memory");
}

/// What a tile adds of one word of each operand.
template <class V>
IOTSL_INLINE V multiply_add(V a, V b, V c) {
  if constexpr (words_are_pairs)
    return dot_pairs(a, b, c);
  else if constexpr (multiplies_by_lane)
    return mla(a, b, c);
  else
    return fma(a, b, c);
}

/// A row of b; then the address moves on to the next.
template <int Vecs>
IOTSL_INLINE void next_row(const float*& b, Index b_step, Vec (&bv)[Vecs]) {
  if constexpr (multiplies_by_lane && registers < 32) {
    load_run(b, b_step, bv);  // finds no place by a constant
  } else {
    IOTSL_UNROLL
    for (int v = 0; v < Vecs; ++v) bv[v] = load(b + v * lanes);
    b += b_step;
  }
}

/// One term of accumulate(), the factor of each row in lane `lane` of a[i]. Moves b on.
template <int lane, int Rows, int Vecs>
IOTSL_INLINE void accumulate_lane(const Vec (&a)[Rows], const float*& b, Index b_step,
                                  Vec (&acc)[Rows][Vecs]) {
  IOTSL_UNROLL
  for (int v = 0; v < Vecs; v += 2) {  // two vectors of b at a time is what registers are left for
    hold_loads();
    Vec bv[2], last[1];
    if (v + 1 < Vecs) {
      next_row(b, v + 2 < Vecs ? 2 * lanes : b_step - v * lanes, bv);
    } else {
      next_row(b, b_step - v * lanes, last);
      bv[0] = last[0];
    }
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) {
      acc[i][v] = mla_lane<lane>(a[i], bv[0], acc[i][v]);
      if (v + 1 < Vecs) acc[i][v + 1] = mla_lane<lane>(a[i], bv[1], acc[i][v + 1]);
    }
  }
}

/// `lanes` terms of accumulate(), the factors of each row in a[i]. Moves b on.
template <int Rows, int Vecs>
IOTSL_INLINE void accumulate_lanes(const Vec (&a)[Rows], const float*& b, Index b_step,
                                   Vec (&acc)[Rows][Vecs]) {
  accumulate_lane<0>(a, b, b_step, acc);
  accumulate_lane<1>(a, b, b_step, acc);
  accumulate_lane<2>(a, b, b_step, acc);
  accumulate_lane<3>(a, b, b_step, acc);
}

/// The next `lanes` factors of each row; the addresses move on.
template <int Rows>
IOTSL_INLINE void next_factors(const float* (&at)[Rows], Vec (&a)[Rows]) {
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    if constexpr (next_vecs == 1) {
      Vec next[1];
      load_next(at[i], next);
      a[i] = next[0];
    } else {
      a[i] = load(at[i]);
      at[i] += lanes;
    }
  }
}

/// One term of accumulate() where each factor is loaded into all lanes. at[i] is &rows[i][d], and
/// moves on where that is how loads are done; b always does.
template <int Rows, int Vecs>
IOTSL_INLINE void accumulate_broadcast(const float* const (&rows)[Rows], const float* (&at)[Rows],
                                       std::ptrdiff_t d, const float*& b, Index b_step,
                                       Vec (&acc)[Rows][Vecs]) {
  Vec bv[Vecs];
  next_row(b, b_step, bv);
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    hold_loads();
    const Vec a = lanes == 4 ? load1_next(at[i]) : load1(rows[i] + d);
    IOTSL_UNROLL
    for (int v = 0; v < Vecs; ++v) acc[i][v] = multiply_add(a, bv[v], acc[i][v]);
  }
}

/// The terms of accumulate() that fill vectors; `at` and b move on. Returns how many are left.
template <int Rows, int Vecs>
IOTSL_INLINE std::ptrdiff_t accumulate_by_lanes(const float* (&at)[Rows], const float*& b,
                                                Index b_step, std::ptrdiff_t depth,
                                                Vec (&acc)[Rows][Vecs]) {
  constexpr auto width = static_cast<std::size_t>(lanes);
  const auto terms = static_cast<std::size_t>(depth);
  Vec a[Rows];
  if constexpr (registers < 32) {
    for (std::size_t blocks = terms / width; blocks > 0; --blocks) {
      next_factors(at, a);
      accumulate_lanes(a, b, b_step, acc);
    }
  } else {
    // One number counts and finds the values of each row, and so it is in bytes.
    constexpr std::ptrdiff_t size = sizeof(float);
    const std::ptrdiff_t whole = depth - static_cast<std::ptrdiff_t>(terms % width);
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) at[i] += whole;
    for (std::ptrdiff_t left = -whole * size; left != 0; left += lanes * size) {
      IOTSL_UNROLL
      for (int i = 0; i < Rows; ++i)
        a[i] = load(reinterpret_cast<const float*>(reinterpret_cast<const char*>(at[i]) + left));
      accumulate_lanes(a, b, b_step, acc);
    }
  }
  return static_cast<std::ptrdiff_t>(terms % width);
}

/// acc[i][:] += sum over d < depth of rows[i][d] * b[d * b_step + (0 .. Vecs * lanes)].
template <int Rows, int Vecs>
IOTSL_INLINE void accumulate(const float* const (&rows)[Rows], const float* b, Index b_step,
                             Index depth, Vec (&acc)[Rows][Vecs]) {
  // 32-bit processors count in their own registers.
  auto left = static_cast<std::ptrdiff_t>(depth);
  const float* at[Rows];
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) at[i] = rows[i];
  if constexpr (multiplies_by_lane) left = accumulate_by_lanes(at, b, b_step, left, acc);
  if constexpr (lanes == 4)  // without the place in the rows, the count is all that is left
    for (; left > 0; --left) accumulate_broadcast(rows, at, 0, b, b_step, acc);
  else
    for (std::ptrdiff_t d = 0; d < left; ++d) accumulate_broadcast(rows, at, d, b, b_step, acc);
}

/// One term of accumulate_columns(); moves both addresses to the next.
template <int Rows, int Vecs>
IOTSL_INLINE void accumulate_column(const float*& a, Index a_step, const float*& b, Index b_step,
                                    Vec (&acc)[Rows][Vecs]) {
  if constexpr (multiplies_by_lane) {
    hold_loads();
    mla_outer(a, a_step, b, b_step, acc);
  } else {
    Vec bv[Vecs];
    next_row(b, b_step, bv);
    IOTSL_UNROLL
    for (int i = 0; i < Rows; ++i) {
      hold_loads();
      const Vec av = load1_next(a);
      IOTSL_UNROLL
      for (int v = 0; v < Vecs; ++v) acc[i][v] = multiply_add(av, bv[v], acc[i][v]);
    }
    a += a_step - Rows;
  }
}

/// acc[i][:] += sum over d < depth of a[d * a_step + i] * b[d * b_step + (0 .. Vecs * lanes)]: the
/// product a^T b. Of `a` whole vectors may be read.
template <int Rows, int Vecs>
IOTSL_INLINE void accumulate_columns(const float* a, Index a_step, const float* b, Index b_step,
                                     Index depth, Vec (&acc)[Rows][Vecs]) {
  constexpr std::size_t unrolled = multiplies_by_lane ? 4 : 1;
  const auto terms = static_cast<std::size_t>(depth);
  for (std::size_t blocks = terms / unrolled; blocks > 0; --blocks) {
    IOTSL_UNROLL
    for (std::size_t d = 0; d < unrolled; ++d) accumulate_column(a, a_step, b, b_step, acc);
  }
  for (std::size_t left = terms % unrolled; left > 0; --left)
    accumulate_column(a, a_step, b, b_step, acc);
}

template <int Rows, int Vecs>
IOTSL_INLINE void clear(Vec (&acc)[Rows][Vecs]) {
  IOTSL_UNROLL
  for (int i = 0; i < Rows; ++i) {
    IOTSL_UNROLL
    for (int v = 0; v < Vecs; ++v) acc[i][v] = zero();
  }
}

inline void copy_strided(Index count, const float* src, Index src_step, float* dst,
                         Index dst_step) {
  if (src_step == 1 && dst_step == 1)
    for (; count >= lanes; count -= lanes, src += lanes, dst += lanes) store(dst, load(src));
  copy_floats(count, src, src_step, dst, dst_step);
}

/// At most `lanes` rows.
inline void transpose_rows(Index rows, Index cols, const float* src, Index src_stride, float* dst,
                           Index dst_stride) {
  Index j = 0;
  if (rows == lanes)
    for (; j + lanes <= cols; j += lanes, src += lanes, dst += lanes * dst_stride)
      transpose(src, src_stride, dst, dst_stride);
  for (; j < cols; j += lanes, src += lanes, dst += lanes * dst_stride)
    transpose_partial(rows, cols - j < lanes ? cols - j : lanes, src, src_stride, dst, dst_stride);
}

inline void transpose_matrix(Index rows, Index cols, const float* src, Index src_stride, float* dst,
                             Index dst_stride) {
  if (rows == 1) return copy_strided(cols, src, 1, dst, dst_stride);
  if (cols == 1) return copy_strided(rows, src, src_stride, dst, 1);
  if (rows <= tile_cols) {  // few rows: the longer loop inside
    for (Index i = 0; i < rows; i += lanes)
      transpose_rows(rows - i < lanes ? rows - i : lanes, cols, src + i * src_stride, src_stride,
                     dst + i, dst_stride);
    return;
  }
  for (Index j = 0; j < cols; j += lanes) {
    const Index width = cols - j < lanes ? cols - j : lanes;
    const float* from = src + j;
    float* to = dst + j * dst_stride;
    Index i = 0;
    if (width == lanes) {
      // Where addresses take instructions of their own.
      const Index pairs = lanes == 4 ? rows / (2 * lanes) * (2 * lanes) : 0;
      for (; i < pairs; i += 2 * lanes, from += 2 * lanes * src_stride, to += 2 * lanes) {
        transpose(from, src_stride, to, dst_stride);
        transpose(from + lanes * src_stride, src_stride, to + lanes, dst_stride);
      }
      for (; i + lanes <= rows; i += lanes, from += lanes * src_stride, to += lanes)
        transpose(from, src_stride, to, dst_stride);
    }
    for (; i < rows; i += lanes, from += lanes * src_stride, to += lanes)
      transpose_partial(rows - i < lanes ? rows - i : lanes, width, from, src_stride, to,
                        dst_stride);
  }
}

inline constexpr TileTable tile_table{tile_cols, narrow_vecs* lanes, transpose_matrix};

}  // namespace kernels::IOTSL_TARGET
IOTSL_NAMESPACE_END
