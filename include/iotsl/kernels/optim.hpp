#pragma once
// Optimiser steps on ranges, one pass over memory each. Meaning: reference/optim.hpp.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/reference/optim.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

struct SgdFactors {
  float lr, momentum, weight_decay;
  bool nesterov, first_step;
};
struct AdamFactors {
  float keep1, take1;  // beta1 and 1 - beta1
  float keep2, take2;
  float step;              // lr / bias_correction1
  float root_correction2;  // sqrt(bias_correction2)
  float eps, weight_decay;
};

struct OptimTable {
  void (*sgd)(const SgdFactors& factors, Index n, const float* grad, float* w);
  void (*sgd_momentum)(const SgdFactors& factors, Index n, const float* grad, float* velocity,
                       float* w);
  void (*adam)(const AdamFactors& factors, Index n, const float* grad, float* m, float* v,
               float* w);
  void (*elastic)(float strength, Index n, const float* grad, const float* fisher,
                  const float* anchor, const float* w, float* seen, float* pulled);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/optim-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(OptimTable, optim_table)

/// One step of SGD on w[n]; `velocity` is null without momentum.
template <class T>
void sgd_step(Index n, double lr, double momentum, double weight_decay, bool nesterov,
              const T* grad, T* velocity, bool first_step, T* w) {
  if constexpr (std::is_same_v<T, float>) {
    const OptimTable& table = optim_table();
    const SgdFactors factors{static_cast<float>(lr), static_cast<float>(momentum),
                             static_cast<float>(weight_decay), nesterov, first_step};
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      if (velocity == nullptr)
        table.sgd(factors, end - begin, grad + begin, w + begin);
      else
        table.sgd_momentum(factors, end - begin, grad + begin, velocity + begin, w + begin);
    });
  } else {
    reference::sgd_step(n, lr, momentum, weight_decay, nesterov, grad, velocity, first_step, w);
  }
}

/// One step of Adam on w[n] with moments m[n] and v[n].
template <class T>
void adam_step(Index n, double lr, double beta1, double beta2, double eps, double weight_decay,
               double bias_correction1, double bias_correction2, const T* grad, T* m, T* v, T* w) {
  if constexpr (std::is_same_v<T, float>) {
    const OptimTable& table = optim_table();
    const AdamFactors factors{
        .keep1 = static_cast<float>(beta1),
        .take1 = static_cast<float>(1 - beta1),
        .keep2 = static_cast<float>(beta2),
        .take2 = static_cast<float>(1 - beta2),
        .step = static_cast<float>(lr / bias_correction1),
        .root_correction2 = static_cast<float>(scalar_math::sqrt(bias_correction2)),
        .eps = static_cast<float>(eps),
        .weight_decay = static_cast<float>(weight_decay)};
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.adam(factors, end - begin, grad + begin, m + begin, v + begin, w + begin);
    });
  } else {
    reference::adam_step(n, lr, beta1, beta2, eps, weight_decay, bias_correction1, bias_correction2,
                         grad, m, v, w);
  }
}

/// The gradient with the pull of elastic weight consolidation, and what is seen of its square.
template <class T>
void elastic_gradient(Index n, double strength, const T* grad, const T* fisher, const T* anchor,
                      const T* w, T* seen, T* pulled) {
  if constexpr (std::is_same_v<T, float>) {
    const OptimTable& table = optim_table();
    const auto lambda = static_cast<float>(strength);
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.elastic(lambda, end - begin, grad + begin, fisher + begin, anchor + begin, w + begin,
                    seen + begin, pulled + begin);
    });
  } else {
    reference::elastic_gradient(n, strength, grad, fisher, anchor, w, seen, pulled);
  }
}

}  // namespace kernels

IOTSL_NAMESPACE_END
