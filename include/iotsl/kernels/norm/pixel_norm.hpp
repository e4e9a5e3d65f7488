#pragma once
// Pixel norm of [n,c,hw], an image at a time. Meaning and aliasing: reference/pixel_norm.hpp.

#include <algorithm>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/reference/pixel_norm.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

struct PixelNormTable {
  void (*forward)(Index c, Index hw, float eps, const float* x, float* inv, float* y);
  void (*backward)(Index c, Index hw, const float* x, const float* inv, const float* gy, float* gx);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/norm/pixel_norm-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(PixelNormTable, pixel_norm_table)

/// inv[n,hw] = 1 / sqrt(mean over c of x^2 + eps), y = x * inv; y may be x.
template <class T>
void pixel_norm(Index n, Index c, Index hw, double eps, const T* x, T* inv, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const PixelNormTable& table = pixel_norm_table();
    const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, c * hw));
    parallel_chunks(n, grain, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        table.forward(c, hw, static_cast<float>(eps), x + i * c * hw, inv + i * hw, y + i * c * hw);
    });
  } else {
    reference::pixel_norm(n, c, hw, eps, x, inv, y);
  }
}

/// gx = inv gy - x inv^3 mean over c of (gy x); gx may be gy.
template <class T>
void pixel_norm_grad(Index n, Index c, Index hw, const T* x, const T* inv, const T* gy, T* gx) {
  if constexpr (std::is_same_v<T, float>) {
    const PixelNormTable& table = pixel_norm_table();
    const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, c * hw));
    parallel_chunks(n, grain, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        table.backward(c, hw, x + i * c * hw, inv + i * hw, gy + i * c * hw, gx + i * c * hw);
    });
  } else {
    reference::pixel_norm_grad(n, c, hw, x, inv, gy, gx);
  }
}

}  // namespace kernels

IOTSL_NAMESPACE_END
