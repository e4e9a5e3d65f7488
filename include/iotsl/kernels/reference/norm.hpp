#pragma once
// Batch normalisation (Ioffe and Szegedy 2015, algorithm 1). Activations are [n,c,hw]; everything
// per channel is [c].

#include "iotsl/kernels/reference/accumulator.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

/// mean[c] and biased variance var[c] over n and hw. n * hw must be at least 1.
template <class T>
void batch_norm_stats(Index n, Index c, Index hw, const T* x, T* mean, T* var) {
  using Sum = Accumulator<T>;
  const Sum count = static_cast<Sum>(n * hw);
  for (Index j = 0; j < c; ++j) {
    Sum sum = 0;
    for (Index i = 0; i < n; ++i)
      for (Index l = 0; l < hw; ++l) sum += x[(i * c + j) * hw + l];
    const Sum center = sum / count;
    Sum squares = 0;
    for (Index i = 0; i < n; ++i)
      for (Index l = 0; l < hw; ++l) {
        const Sum deviation = x[(i * c + j) * hw + l] - center;
        squares += deviation * deviation;
      }
    mean[j] = static_cast<T>(center);
    var[j] = static_cast<T>(squares / count);
  }
}

/// y = (x - mean) * inv_std * gamma + beta. `y` may be `x`.
template <class T>
void batch_norm_apply(Index n, Index c, Index hw, const T* x, const T* mean, const T* inv_std,
                      const T* gamma, const T* beta, T* y) {
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < c; ++j)
      for (Index l = 0; l < hw; ++l) {
        const Index at = (i * c + j) * hw + l;
        y[at] = (x[at] - mean[j]) * inv_std[j] * gamma[j] + beta[j];
      }
}

/// Gradient in training mode, where mean and variance depend on x. With xhat = (x-mean) * inv_std
/// and m = n * hw: gbeta = sum gy, ggamma = sum gy xhat,
/// gx = gamma * inv_std * (gy - gbeta / m - xhat * ggamma / m). `gx` may be `gy`.
template <class T>
void batch_norm_grad(Index n, Index c, Index hw, const T* x, const T* gy, const T* mean,
                     const T* inv_std, const T* gamma, T* gx, T* ggamma, T* gbeta) {
  using Sum = Accumulator<T>;
  const Sum count = static_cast<Sum>(n * hw);
  for (Index j = 0; j < c; ++j) {
    Sum sum = 0, dot = 0;
    for (Index i = 0; i < n; ++i)
      for (Index l = 0; l < hw; ++l) {
        const Index at = (i * c + j) * hw + l;
        const Sum xhat = (static_cast<Sum>(x[at]) - mean[j]) * inv_std[j];
        sum += gy[at];
        dot += gy[at] * xhat;
      }
    ggamma[j] = static_cast<T>(dot);
    gbeta[j] = static_cast<T>(sum);
    const Sum scale = static_cast<Sum>(gamma[j]) * inv_std[j];
    for (Index i = 0; i < n; ++i)
      for (Index l = 0; l < hw; ++l) {
        const Index at = (i * c + j) * hw + l;
        const Sum xhat = (static_cast<Sum>(x[at]) - mean[j]) * inv_std[j];
        gx[at] = static_cast<T>(scale * (gy[at] - sum / count - xhat * dot / count));
      }
  }
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
