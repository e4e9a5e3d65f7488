#pragma once
// Pixel norm (Karras et al. 2018, section 4.2): every pixel's vector of channels gets a mean square
// of one. Activations are [n,c,hw], what belongs to a pixel is [n,hw].

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/reference/accumulator.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

/// inv = 1 / sqrt(mean over c of x^2 + eps), y = x * inv. `y` may be `x`.
template <class T>
void pixel_norm(Index n, Index c, Index hw, double eps, const T* x, T* inv, T* y) {
  using Sum = Accumulator<T>;
  for (Index i = 0; i < n; ++i)
    for (Index l = 0; l < hw; ++l) {
      Sum squares = 0;
      for (Index j = 0; j < c; ++j) {
        const Sum value = x[(i * c + j) * hw + l];
        squares += value * value;
      }
      const Sum mean = squares / static_cast<Sum>(c) + static_cast<Sum>(eps);
      inv[i * hw + l] = static_cast<T>(Sum(1) / scalar_math::sqrt(mean));
      for (Index j = 0; j < c; ++j)
        y[(i * c + j) * hw + l] = x[(i * c + j) * hw + l] * inv[i * hw + l];
    }
}

/// gx = inv gy - x inv^3 mean over c of (gy x). `gx` may be `gy`.
template <class T>
void pixel_norm_grad(Index n, Index c, Index hw, const T* x, const T* inv, const T* gy, T* gx) {
  using Sum = Accumulator<T>;
  for (Index i = 0; i < n; ++i)
    for (Index l = 0; l < hw; ++l) {
      Sum dot = 0;
      for (Index j = 0; j < c; ++j) {
        const Index at = (i * c + j) * hw + l;
        dot += static_cast<Sum>(gy[at]) * static_cast<Sum>(x[at]);
      }
      const Sum scale = inv[i * hw + l];
      const Sum slope = scale * scale * scale * dot / static_cast<Sum>(c);
      for (Index j = 0; j < c; ++j) {
        const Index at = (i * c + j) * hw + l;
        gx[at] = static_cast<T>(scale * static_cast<Sum>(gy[at]) - slope * static_cast<Sum>(x[at]));
      }
    }
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
