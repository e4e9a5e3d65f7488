#pragma once
// Optimiser steps on ranges; meaning as in reference/optim.hpp.

#include "iotsl/kernels/reference/optim.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void sgd_step(Index n, double lr, double momentum, double weight_decay, bool nesterov,
              const T* grad, T* velocity, bool first_step, T* w) {
  reference::sgd_step(n, lr, momentum, weight_decay, nesterov, grad, velocity, first_step, w);
}

template <class T>
void adam_step(Index n, double lr, double beta1, double beta2, double eps, double weight_decay,
               double bias_correction1, double bias_correction2, const T* grad, T* m, T* v, T* w) {
  reference::adam_step(n, lr, beta1, beta2, eps, weight_decay, bias_correction1, bias_correction2,
                       grad, m, v, w);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
