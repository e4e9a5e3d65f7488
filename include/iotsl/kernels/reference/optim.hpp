#pragma once
// One optimiser step on a range of parameters. Hyperparameters are double, because 1 - beta2 in
// float would be wrong in the fifth digit; each factor is rounded to T once.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

/// Stochastic gradient descent as torch.optim.SGD with dampening 0: g = grad + weight_decay * w;
/// velocity = first_step ? g : momentum * velocity + g; w -= lr * (nesterov ?
/// g + momentum * velocity : velocity). Without momentum `velocity` is null and w -= lr * g.
template <class T>
void sgd_step(Index n, double lr, double momentum, double weight_decay, bool nesterov,
              const T* grad, T* velocity, bool first_step, T* w) {
  const T rate = static_cast<T>(lr), mu = static_cast<T>(momentum);
  const T decay = static_cast<T>(weight_decay);
  for (Index i = 0; i < n; ++i) {
    T g = grad[i] + decay * w[i];
    if (velocity != nullptr) {
      velocity[i] = first_step ? g : mu * velocity[i] + g;
      g = nesterov ? g + mu * velocity[i] : velocity[i];
    }
    w[i] -= rate * g;
  }
}

/// Adam (Kingma and Ba 2015, algorithm 1) as torch.optim.Adam: g = grad + weight_decay * w;
/// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
/// w -= lr / bias_correction1 * m / (sqrt(v) / sqrt(bias_correction2) + eps), where after step t
/// bias_correction1 = 1 - beta1^t and bias_correction2 = 1 - beta2^t.
template <class T>
void adam_step(Index n, double lr, double beta1, double beta2, double eps, double weight_decay,
               double bias_correction1, double bias_correction2, const T* grad, T* m, T* v, T* w) {
  const T keep1 = static_cast<T>(beta1), take1 = static_cast<T>(1 - beta1);
  const T keep2 = static_cast<T>(beta2), take2 = static_cast<T>(1 - beta2);
  const T step = static_cast<T>(lr / bias_correction1);
  const T root = static_cast<T>(scalar_math::sqrt(bias_correction2));
  const T floor = static_cast<T>(eps), decay = static_cast<T>(weight_decay);
  for (Index i = 0; i < n; ++i) {
    const T g = grad[i] + decay * w[i];
    m[i] = keep1 * m[i] + take1 * g;
    v[i] = keep2 * v[i] + take2 * g * g;
    w[i] -= step * m[i] / (scalar_math::sqrt(v[i]) / root + floor);
  }
}

/// The pull of elastic weight consolidation (Kirkpatrick et al. 2017, equation 3) on one gradient:
/// pulled = grad + strength * fisher * (w - anchor); seen += grad^2 for the next `fisher`.
template <class T>
void elastic_gradient(Index n, double strength, const T* grad, const T* fisher, const T* anchor,
                      const T* w, T* seen, T* pulled) {
  const T lambda = static_cast<T>(strength);
  for (Index i = 0; i < n; ++i) {
    seen[i] += grad[i] * grad[i];
    pulled[i] = grad[i] + lambda * fisher[i] * (w[i] - anchor[i]);
  }
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
