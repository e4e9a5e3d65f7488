#pragma once
// Softmax losses over rows of [n,classes].

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/reference/accumulator.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

/// y[n,classes] = x - log(sum over the row of exp(x)), with the row's maximum taken out first.
template <class T>
void log_softmax(Index n, Index classes, const T* x, T* y) {
  using Sum = Accumulator<T>;
  for (Index i = 0; i < n; ++i, x += classes, y += classes) {
    T maximum = x[0];
    for (Index j = 1; j < classes; ++j)
      if (x[j] > maximum) maximum = x[j];
    Sum sum = 0;
    for (Index j = 0; j < classes; ++j) sum += scalar_math::exp(static_cast<Sum>(x[j]) - maximum);
    const Sum log_sum = scalar_math::log(sum);
    for (Index j = 0; j < classes; ++j)
      y[j] = static_cast<T>(static_cast<Sum>(x[j]) - maximum - log_sum);
  }
}

/// log_prob[n,classes] = log_softmax(logits); loss[1] = mean over the rows of -log_prob at the
/// row's label. Labels must lie in [0, classes).
template <class T>
void softmax_cross_entropy(Index n, Index classes, const T* logits, const std::int32_t* labels,
                           T* log_prob, T* loss) {
  log_softmax(n, classes, logits, log_prob);
  Accumulator<T> sum = 0;
  for (Index i = 0; i < n; ++i) sum -= log_prob[i * classes + labels[i]];
  *loss = static_cast<T>(sum / static_cast<Accumulator<T>>(n));
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
