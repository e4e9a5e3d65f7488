#pragma once
// Batch normalisation of [n,c,hw]. Meaning and aliasing: reference/norm.hpp. A channel is one task,
// so its second pass finds in the cache what the first has read. Without a plane (hw == 1) a
// channel is a column, and statistics and gradient work on a transposed copy.

#include <algorithm>

#include "iotsl/core/memory.hpp"
#include "iotsl/core/parallel.hpp"
#include "iotsl/kernels/reduce.hpp"
#include "iotsl/kernels/reference/norm.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// Rows of a channel are `stride` = c * hw elements apart.
struct NormTable {
  void (*channel_stats)(Index n, Index stride, Index hw, const float* x, float* mean, float* var);
  void (*apply)(Index first_plane, Index end_plane, Index c, Index hw, const float* x,
                const float* mean, const float* inv_std, const float* gamma, const float* beta,
                float* y);
  void (*apply_rows)(Index rows, Index c, const float* x, const float* mean, const float* inv_std,
                     const float* gamma, const float* beta, float* y);
  void (*channel_grad)(Index n, Index stride, Index hw, const float* x, const float* gy, float mean,
                       float inv_std, float gamma, float* gx, float* ggamma, float* gbeta);
  void (*transposed)(Index rows, Index cols, const float* x, float* y);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/norm-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(NormTable, norm_table)

/// Mean and biased variance of each channel: mean[c], var[c]. n * hw must be at least 1.
template <class T>
void batch_norm_stats(Index n, Index c, Index hw, const T* x, T* mean, T* var) {
  if constexpr (std::is_same_v<T, float>) {
    const NormTable& table = norm_table();
    if (hw == 1 && n > 1) {
      const Scratch rows(static_cast<std::size_t>(n * c) * sizeof(float));
      table.transposed(n, c, x, rows.as<float>());
      return batch_norm_stats<float>(1, c, n, rows.as<float>(), mean, var);
    }
    const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, n * hw));
    parallel_chunks(c, grain, [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j)
        table.channel_stats(n, c * hw, hw, x + j * hw, mean + j, var + j);
    });
  } else {
    reference::batch_norm_stats(n, c, hw, x, mean, var);
  }
}

/// y = (x - mean) * inv_std * gamma + beta; y may be x.
template <class T>
void batch_norm_apply(Index n, Index c, Index hw, const T* x, const T* mean, const T* inv_std,
                      const T* gamma, const T* beta, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const NormTable& table = norm_table();
    if (hw == 1) {
      const Index rows = std::max<Index>(1, grain_elems / std::max<Index>(1, c));
      parallel_chunks(n, rows, [&](Index begin, Index end) {
        table.apply_rows(end - begin, c, x + begin * c, mean, inv_std, gamma, beta, y + begin * c);
      });
      return;
    }
    const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, hw));
    parallel_chunks(n * c, grain, [&](Index begin, Index end) {
      table.apply(begin, end, c, hw, x, mean, inv_std, gamma, beta, y);
    });
  } else {
    reference::batch_norm_apply(n, c, hw, x, mean, inv_std, gamma, beta, y);
  }
}

/// The gradient in training mode: gx[n,c,hw], ggamma[c], gbeta[c]; gx may be gy.
template <class T>
void batch_norm_grad(Index n, Index c, Index hw, const T* x, const T* gy, const T* mean,
                     const T* inv_std, const T* gamma, T* gx, T* ggamma, T* gbeta) {
  if constexpr (std::is_same_v<T, float>) {
    const NormTable& table = norm_table();
    if (hw == 1 && n > 1) {
      const Scratch rows(static_cast<std::size_t>(2 * n * c) * sizeof(float));
      float* x_rows = rows.as<float>();
      float* gy_rows = x_rows + n * c;
      table.transposed(n, c, x, x_rows);
      table.transposed(n, c, gy, gy_rows);
      batch_norm_grad<float>(1, c, n, x_rows, gy_rows, mean, inv_std, gamma, gy_rows, ggamma,
                             gbeta);
      table.transposed(c, n, gy_rows, gx);
      return;
    }
    const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, n * hw));
    parallel_chunks(c, grain, [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j)
        table.channel_grad(n, c * hw, hw, x + j * hw, gy + j * hw, mean[j], inv_std[j], gamma[j],
                           gx + j * hw, ggamma + j, gbeta + j);
    });
  } else {
    reference::batch_norm_grad(n, c, hw, x, gy, mean, inv_std, gamma, gx, ggamma, gbeta);
  }
}

}  // namespace kernels

IOTSL_NAMESPACE_END
