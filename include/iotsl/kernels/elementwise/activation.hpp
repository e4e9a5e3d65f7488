#pragma once
// Activations on ranges. Meaning and aliasing: reference/activation.hpp. In float, values are
// within 6e-7 of themselves, times max(1, x^2) for negative x, where the square stands in an
// exponent, and slopes within 3e-6.

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/elementwise/math.hpp"
#include "iotsl/kernels/reference/activation.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// What a target implements: single-threaded, on ranges.
struct ActivationTable {
  void (*value)(Activation f, Index n, const float* x, float* y);
  void (*grad)(Activation f, Index n, const float* x, const float* gy, float* gx);
  void (*leaky_relu)(Index n, float slope, const float* sign, const float* x, float* y);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/elementwise/activation-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(ActivationTable, activation_table)

/// y[i] = f(x[i]); y may be x.
template <class T>
void activation(Activation f, Index n, const T* x, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const ActivationTable& table = activation_table();
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.value(f, end - begin, x + begin, y + begin);
    });
  } else {
    reference::activation(f, n, x, y);
  }
}

/// gx[i] = gy[i] f'(x[i]); gx may be gy.
template <class T>
void activation_grad(Activation f, Index n, const T* x, const T* gy, T* gx) {
  if constexpr (std::is_same_v<T, float>) {
    const ActivationTable& table = activation_table();
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.grad(f, end - begin, x + begin, gy + begin, gx + begin);
    });
  } else {
    reference::activation_grad(f, n, x, gy, gx);
  }
}

/// y[i] = sign[i] > 0 ? x[i] : slope * x[i]; y may be x or sign.
template <class T>
void leaky_relu(Index n, Scalar<T> slope, const T* sign, const T* x, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const ActivationTable& table = activation_table();
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.leaky_relu(end - begin, slope, sign + begin, x + begin, y + begin);
    });
  } else {
    reference::leaky_relu(n, slope, sign, x, y);
  }
}

}  // namespace kernels

IOTSL_NAMESPACE_END
