#pragma once
// Products of a matrix with vectors. Meaning: reference/spectral.hpp. Each reads the matrix once,
// so they run at the speed of memory; a matrix product would pack it first.

#include <algorithm>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/reference/spectral.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

struct SpectralTable {
  float (*dot)(Index n, const float* a, const float* b);
  void (*columns)(Index rows, Index cols, Index begin, Index end, const float* w, const float* u,
                  float* y);
  void (*combine)(Index n, float alpha, const float* w, float beta, const float* v, float* y);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/spectral-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(SpectralTable, spectral_table)

namespace detail {
/// Terms of a scalar product that are summed in float. Decides bits: a longer one is the sum, in
/// double, of so many at a time.
inline constexpr Index dot_block_elems = 1024;
}  // namespace detail

/// Sum of a * b; blocks are summed in double, in order.
template <class T>
reference::Accumulator<T> dot(Index n, const T* a, const T* b) {
  if constexpr (std::is_same_v<T, float>) {
    const SpectralTable& table = spectral_table();
    double sum = 0;
    for (Index i = 0; i < n; i += detail::dot_block_elems)
      sum += static_cast<double>(table.dot(std::min(detail::dot_block_elems, n - i), a + i, b + i));
    return sum;
  } else {
    return reference::dot(n, a, b);
  }
}

/// y[rows] = w v.
template <class T>
void matvec(Index rows, Index cols, const T* w, const T* v, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, cols));
    parallel_chunks(rows, grain, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) y[i] = static_cast<float>(dot(cols, w + i * cols, v));
    });
  } else {
    reference::matvec(rows, cols, w, v, y);
  }
}

/// y[cols] = the transpose of w times u.
template <class T>
void matvec_transposed(Index rows, Index cols, const T* w, const T* u, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const SpectralTable& table = spectral_table();
    // Whole vectors of columns, and whole cache lines; each column is one sum, so no bits.
    const Index grain = std::max<Index>(64, grain_elems / std::max<Index>(1, rows) / 8 * 8);
    parallel_chunks(cols, grain, [&](Index begin, Index end) {
      table.columns(rows, cols, begin, end, w, u, y);
    });
  } else {
    reference::matvec_transposed(rows, cols, w, u, y);
  }
}

/// y = alpha w + beta u v^T; y may be w.
template <class T>
void rank_one(Index rows, Index cols, Scalar<T> alpha, const T* w, Scalar<T> beta, const T* u,
              const T* v, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const SpectralTable& table = spectral_table();
    const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, cols));
    parallel_chunks(rows, grain, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        table.combine(cols, alpha, w + i * cols, beta * u[i], v, y + i * cols);
    });
  } else {
    reference::rank_one(rows, cols, alpha, w, beta, u, v, y);
  }
}

}  // namespace kernels

IOTSL_NAMESPACE_END
