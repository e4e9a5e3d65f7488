#pragma once
// Activations that need more than one function of the math library, with their slopes; and leaky
// ReLU. An output may be one of the inputs.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/reference/elementwise.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// normal_cdf(x) is Phi(x), the probability that a standard normal number is below x; silu is
/// x sigmoid(x), gelu is x Phi(x) (Hendrycks, Gimpel 2016), gelu_tanh their approximation
/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
enum class Activation { normal_cdf, silu, gelu, gelu_tanh };

inline constexpr double inv_sqrt_two_pi = 0.39894228040143267794;   // phi(0)
inline constexpr double gelu_tanh_linear = 1.59576912160573071176;  // 2 sqrt(2/pi)
inline constexpr double gelu_tanh_cubic = gelu_tanh_linear * 0.044715;

namespace reference {

namespace detail {
template <class T>
T sigmoid(T x) {
  return unary(Unary::sigmoid, x);
}
template <class T>
T normal_cdf(T x) {
  return T(0.5) * scalar_math::erfc(-x * static_cast<T>(0.70710678118654752440L));
}
template <class T>
T normal_density(T x) {
  return scalar_math::exp(T(-0.5) * x * x) * static_cast<T>(inv_sqrt_two_pi);
}
/// What gelu_tanh takes the sigmoid of.
template <class T>
T gelu_tanh_argument(T x) {
  return x * (static_cast<T>(gelu_tanh_linear) + static_cast<T>(gelu_tanh_cubic) * x * x);
}
/// The slope of x sigmoid(u(x)).
template <class T>
T gated_slope(T x, T s, T u_slope) {
  return s * (T(1) + x * (T(1) - s) * u_slope);
}
}  // namespace detail

template <class T>
T activation(Activation f, T x) {
  switch (f) {
    case Activation::normal_cdf:
      return detail::normal_cdf(x);
    case Activation::silu:
      return x * detail::sigmoid(x);
    case Activation::gelu:
      return x * detail::normal_cdf(x);
    case Activation::gelu_tanh:
      return x * detail::sigmoid(detail::gelu_tanh_argument(x));
  }
  return x;
}

/// The derivative of `activation` at x.
template <class T>
T activation_slope(Activation f, T x) {
  switch (f) {
    case Activation::normal_cdf:
      return detail::normal_density(x);
    case Activation::silu:
      return detail::gated_slope(x, detail::sigmoid(x), T(1));
    case Activation::gelu:
      return detail::normal_cdf(x) + x * detail::normal_density(x);
    case Activation::gelu_tanh: {
      const T u_slope =
          static_cast<T>(gelu_tanh_linear) + T(3) * static_cast<T>(gelu_tanh_cubic) * x * x;
      return detail::gated_slope(x, detail::sigmoid(detail::gelu_tanh_argument(x)), u_slope);
    }
  }
  return x;
}

/// y[i] = f(x[i])
template <class T>
void activation(Activation f, Index n, const T* x, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = activation(f, x[i]);
}

/// gx[i] = gy[i] f'(x[i])
template <class T>
void activation_grad(Activation f, Index n, const T* x, const T* gy, T* gx) {
  for (Index i = 0; i < n; ++i) gx[i] = gy[i] * activation_slope(f, x[i]);
}

/// y[i] = sign[i] > 0 ? x[i] : slope * x[i]. With sign = x it is leaky ReLU, with x its gradient
/// and sign its input (or, for a slope of at least 0, its output) it is the gradient.
template <class T>
void leaky_relu(Index n, Scalar<T> slope, const T* sign, const T* x, T* y) {
  for (Index i = 0; i < n; ++i) y[i] = sign[i] > T(0) ? x[i] : slope * x[i];
}

}  // namespace reference

}  // namespace kernels

IOTSL_NAMESPACE_END
