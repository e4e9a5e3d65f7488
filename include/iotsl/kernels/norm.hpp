#pragma once
// Batch normalisation of [n,c,hw]; meaning as in reference/norm.hpp.

#include "iotsl/kernels/reference/norm.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void batch_norm_stats(Index n, Index c, Index hw, const T* x, T* mean, T* var) {
  reference::batch_norm_stats(n, c, hw, x, mean, var);
}

template <class T>
void batch_norm_apply(Index n, Index c, Index hw, const T* x, const T* mean, const T* inv_std,
                      const T* gamma, const T* beta, T* y) {
  reference::batch_norm_apply(n, c, hw, x, mean, inv_std, gamma, beta, y);
}

template <class T>
void batch_norm_grad(Index n, Index c, Index hw, const T* x, const T* gy, const T* mean,
                     const T* inv_std, const T* gamma, T* gx, T* ggamma, T* gbeta) {
  reference::batch_norm_grad(n, c, hw, x, gy, mean, inv_std, gamma, gx, ggamma, gbeta);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
