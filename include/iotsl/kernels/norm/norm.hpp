#pragma once
// Batch normalisation of [n,c,hw]. Meaning and aliasing: reference/norm.hpp. A channel is one task,
// so its second pass finds in the cache what the first has read; a ReLU behind it, and a pool of
// 2x2 behind that, take part in the same passes. Without a plane (hw == 1) a channel is a column,
// and statistics and gradient work on a transposed copy.

#include <algorithm>

#include "iotsl/core/memory.hpp"
#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/elementwise/elementwise.hpp"
#include "iotsl/kernels/pool.hpp"
#include "iotsl/kernels/reduce/reduce.hpp"
#include "iotsl/kernels/reference/norm.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// What one channel is normalised by.
struct NormChannel {
  float mean, inv_std, gamma, beta;
};

/// Floats behind a plane that is pooled, which may be read: two vectors of 16 lanes.
inline constexpr Index pool_slack_elems = 32;

/// Rows of a channel are `stride` = c * hw elements apart.
struct NormTable {
  void (*channel_stats)(Index n, Index stride, Index hw, const float* x, float* mean, float* var);
  void (*apply_plane)(Index hw, const float* x, const NormChannel& by, float* y);
  void (*apply_plane_relu)(Index hw, const float* x, const NormChannel& by, float* y);
  void (*apply_plane_pool)(const PoolShape& s, const float* x, const NormChannel& by, float* plane,
                           float* y, const float* y_end, std::uint8_t* index);
  void (*apply_rows)(Index rows, Index c, const float* x, const float* mean, const float* inv_std,
                     const float* gamma, const float* beta, float* y);
  void (*channel_grad)(Index n, Index stride, Index hw, const float* x, const float* gy,
                       const NormChannel& by, float* gx, float* ggamma, float* gbeta);
  void (*channel_grad_relu)(Index n, Index stride, Index hw, const float* x, const float* gy,
                            const NormChannel& by, float* gx, float* ggamma, float* gbeta);
  void (*transposed)(Index rows, Index cols, const float* x, float* y);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/norm/norm-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(NormTable, norm_table)

namespace detail {

/// Calls body(j) in parallel for every channel of n * hw values.
template <class Body>
void for_each_channel(Index n, Index c, Index hw, const Body& body) {
  const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, n * hw));
  parallel_chunks(c, grain, [&](Index begin, Index end) {
    for (Index j = begin; j < end; ++j) body(j);
  });
}

}  // namespace detail

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
    detail::for_each_channel(n, c, hw, [&](Index j) {
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
    detail::for_each_channel(1, n * c, hw, [&](Index plane) {
      const Index j = plane % c;
      table.apply_plane(hw, x + plane * hw, {mean[j], inv_std[j], gamma[j], beta[j]},
                        y + plane * hw);
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
    detail::for_each_channel(n, c, hw, [&](Index j) {
      table.channel_grad(n, c * hw, hw, x + j * hw, gy + j * hw, {mean[j], inv_std[j], gamma[j], 0},
                         gx + j * hw, ggamma + j, gbeta + j);
    });
  } else {
    reference::batch_norm_grad(n, c, hw, x, gy, mean, inv_std, gamma, gx, ggamma, gbeta);
  }
}

// With a ReLU behind it, and perhaps a pool: float on planes, of any target. The values are those
// of the operations one after the other, to the bit.

/// x [n,c,hw] and what its channels are normalised by, [c] each.
struct NormInput {
  Index n, c, hw;
  const float *x, *gamma, *beta, *mean, *inv_std;

  NormChannel channel(Index j) const { return {mean[j], inv_std[j], gamma[j], beta[j]}; }
  Index stride() const { return c * hw; }
};

/// In training: where mean and inv_std = 1 / sqrt(var + eps) of a NormInput are written, and the
/// biased variance, once they are found.
struct BatchStatistics {
  float *mean, *inv_std, *var;
  float eps;
};

namespace detail {

/// Smaller planes of a channel are pieces of a few cache lines that other channels share, so they
/// are written in the order of memory. Decides no bits.
inline constexpr Index whole_channel_elems = 512;

/// Calls apply(plane, j, end_plane) for each plane, of channel j, once its statistics are known:
/// for those of a channel right behind the passes for them, or in the order of memory. Planes up to
/// end_plane will be written by the same thread later.
template <class Apply>
void normalize_planes(const NormInput& in, const BatchStatistics* found, const Apply& apply) {
  const NormTable& table = norm_table();
  const bool whole = found != nullptr && in.hw >= whole_channel_elems;
  if (found != nullptr)
    for_each_channel(in.n, in.c, in.hw, [&](Index j) {
      table.channel_stats(in.n, in.stride(), in.hw, in.x + j * in.hw, found->mean + j,
                          found->var + j);
      found->inv_std[j] = 1.0F / scalar_math::sqrt(found->var[j] + found->eps);
      for (Index plane = j; whole && plane < in.n * in.c; plane += in.c) apply(plane, j, plane + 1);
    });
  if (whole) return;
  const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, in.hw));
  parallel_chunks(in.n * in.c, grain, [&](Index begin, Index end) {
    for (Index plane = begin; plane < end; ++plane) apply(plane, plane % in.c, end);
  });
}

}  // namespace detail

/// y [n,c,hw] = relu(batch norm of x). `found`: null where mean and inv_std are known.
inline void batch_norm_relu(const NormInput& in, const BatchStatistics* found, float* y) {
  const NormTable& table = norm_table();
  detail::normalize_planes(in, found, [&](Index plane, Index j, Index) {
    table.apply_plane_relu(in.hw, in.x + plane * in.hw, in.channel(j), y + plane * in.hw);
  });
}

/// The same and max_pool2d of it; `s` is a pool of 2x2 windows at stride 2 (is_pool_2x2).
inline void batch_norm_relu_pool(const NormInput& in, const BatchStatistics* found,
                                 const PoolShape& s, float* y, std::uint8_t* index) {
  const NormTable& table = norm_table();
  const Index kept_floats = in.hw + pool_slack_elems;
  const Scratch kept(static_cast<std::size_t>(threads() * kept_floats) * sizeof(float));
  std::fill_n(kept.as<float>(), threads() * kept_floats, 0.0F);
  const Index out = s.p * s.q;
  detail::normalize_planes(in, found, [&](Index plane, Index j, Index end_plane) {
    table.apply_plane_pool(s, in.x + plane * in.hw, in.channel(j),
                           kept.as<float>() + worker_index() * kept_floats, y + plane * out,
                           y + end_plane * out, index + plane * out);
  });
}

/// Gradients of batch_norm_relu in training mode; gx may be gy.
inline void batch_norm_relu_grad(const NormInput& in, const float* gy, float* gx, float* ggamma,
                                 float* gbeta) {
  const NormTable& table = norm_table();
  detail::for_each_channel(in.n, in.c, in.hw, [&](Index j) {
    table.channel_grad_relu(in.n, in.stride(), in.hw, in.x + j * in.hw, gy + j * in.hw,
                            in.channel(j), gx + j * in.hw, ggamma + j, gbeta + j);
  });
}

/// Gradients of batch_norm_relu_pool in training mode.
inline void batch_norm_relu_pool_grad(const NormInput& in, const PoolShape& s, const float* gy,
                                      const std::uint8_t* index, float* gx, float* ggamma,
                                      float* gbeta) {
  const NormTable& table = norm_table();
  const PoolTable& pool = pool_table();
  const Index out = s.p * s.q;
  const bool whole = in.hw >= detail::whole_channel_elems;
  if (!whole) max_pool2d_grad(s, gy, index, gx);
  detail::for_each_channel(in.n, in.c, in.hw, [&](Index j) {
    for (Index plane = j; whole && plane < in.n * in.c; plane += in.c)
      pool.scatter_2x2(s, 1, gy + plane * out, index + plane * out, gx + plane * in.hw);
    table.channel_grad_relu(in.n, in.stride(), in.hw, in.x + j * in.hw, gx + j * in.hw,
                            in.channel(j), gx + j * in.hw, ggamma + j, gbeta + j);
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
