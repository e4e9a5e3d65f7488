#pragma once
// Element-wise arithmetic with broadcasting, and functions of one argument.

#include "iotsl/kernels/elementwise/elementwise.hpp"
#include "iotsl/ops/reduce.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b);
template <class T>
Tensor<T> sub(const Tensor<T>& a, const Tensor<T>& b);
template <class T>
Tensor<T> mul(const Tensor<T>& a, const Tensor<T>& b);
template <class T>
Tensor<T> div(const Tensor<T>& a, const Tensor<T>& b);
template <class T>
Tensor<T> neg(Tensor<T> x);
template <class T>
Tensor<T> square(Tensor<T> x);
template <class T>
Tensor<T> affine(Tensor<T> x, std::type_identity_t<T> factor, std::type_identity_t<T> shift);

namespace detail {

/// Where an element-wise op writes: over `x` if nobody else can see it, else to a new tensor.
template <class T>
Tensor<T> output_like(const Tensor<T>& x) {
  return x.unique() ? x.detach() : Tensor<T>::uninitialized(x.shape());
}

template <class T>
Tensor<T> binary_values(const char* name, kernels::Binary op, const Tensor<T>& a,
                        const Tensor<T>& b) {
  if (a.shape() == b.shape()) {
    Tensor<T> y = Tensor<T>::uninitialized(a.shape());
    kernels::binary(op, y.size(), a.data(), b.data(), y.mutable_data());
    return y;
  }
  Tensor<T> y = Tensor<T>::uninitialized(broadcast_shape(name, a.shape(), b.shape()));
  kernels::binary_broadcast(op, y.shape().padded().data(), a.data(),
                            broadcast_strides(a.shape()).data(), b.data(),
                            broadcast_strides(b.shape()).data(), y.mutable_data());
  return y;
}

template <class T>
const Shape& input_shape(const Node<T>& node, int i) {
  return node.input(i)->output_shape();
}

template <class T>
void add_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  for (int i = 0; i < 2; ++i)
    if (node.wants(i)) gx[i] = sum_to(gy, input_shape(node, i));
}
template <class T>
void sub_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  if (node.wants(0)) gx[0] = sum_to(gy, input_shape(node, 0));
  if (node.wants(1)) gx[1] = neg(sum_to(gy, input_shape(node, 1)));
}
template <class T>
void mul_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  if (node.wants(0)) gx[0] = sum_to(mul(gy, node.saved(1)), input_shape(node, 0));
  if (node.wants(1)) gx[1] = sum_to(mul(gy, node.saved(0)), input_shape(node, 1));
}
template <class T>
void div_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const Tensor<T> ga = div(gy, node.saved(1));
  if (node.wants(0)) gx[0] = sum_to(ga, input_shape(node, 0));
  if (node.wants(1))
    gx[1] = sum_to(neg(mul(ga, div(node.saved(0), node.saved(1)))), input_shape(node, 1));
}

template <class T>
inline constexpr OpInfo<T> add_op{"add", &add_vjp<T>};
template <class T>
inline constexpr OpInfo<T> sub_op{"sub", &sub_vjp<T>};
template <class T>
inline constexpr OpInfo<T> mul_op{"mul", &mul_vjp<T>};
template <class T>
inline constexpr OpInfo<T> div_op{"div", &div_vjp<T>};

template <class T>
void affine_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = affine(std::move(gy), node.template attributes<T>(), T(0));
}
template <class T>
inline constexpr OpInfo<T> affine_op{"affine", &affine_vjp<T>};

/// Gradient of y = f(x), given x or y as `s`.
template <class T>
void unary_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  using kernels::Unary;
  const Tensor<T> s = node.saved(0);
  switch (node.template attributes<Unary>()) {
    case Unary::exp:
      gx[0] = mul(gy, s);
      break;
    case Unary::log:
      gx[0] = div(gy, s);
      break;
    case Unary::sqrt:
      gx[0] = affine(div(gy, s), T(0.5), T(0));
      break;
    case Unary::rsqrt:
      gx[0] = affine(mul(gy, mul(square(s), s)), T(-0.5), T(0));
      break;
    case Unary::square:
      gx[0] = affine(mul(gy, s), T(2), T(0));
      break;
    case Unary::reciprocal:
      gx[0] = neg(mul(gy, square(s)));
      break;
    case Unary::sigmoid:
      gx[0] = mul(gy, mul(s, affine(s, T(-1), T(1))));
      break;
    case Unary::tanh:
      gx[0] = mul(gy, affine(square(s), T(-1), T(1)));
      break;
    case Unary::abs: {
      Tensor<T> sign = Tensor<T>::uninitialized(s.shape());
      T* to = sign.mutable_data();
      for (Index i = 0; i < s.size(); ++i)
        to[i] = static_cast<T>((s.data()[i] > 0) - (s.data()[i] < 0));
      gx[0] = mul(gy, sign);
      break;
    }
    case Unary::neg:
    case Unary::relu:
      break;  // ops of their own
  }
}
/// In the order of kernels::Unary: one entry per function, so that errors can name it.
template <class T>
inline constexpr OpInfo<T> unary_ops[] = {
    {"neg", &unary_vjp<T>},        {"exp", &unary_vjp<T>},     {"log", &unary_vjp<T>},
    {"sqrt", &unary_vjp<T>},       {"rsqrt", &unary_vjp<T>},   {"square", &unary_vjp<T>},
    {"reciprocal", &unary_vjp<T>}, {"sigmoid", &unary_vjp<T>}, {"tanh", &unary_vjp<T>},
    {"relu", &unary_vjp<T>},       {"abs", &unary_vjp<T>}};

/// What the gradient is written in: the function's input or its output.
enum class UnarySaves { input, output };

template <class T>
Tensor<T> unary(kernels::Unary op, UnarySaves saves, const Tensor<T>& x) {
  Tensor<T> y = output_like(x);
  kernels::unary(op, x.size(), x.data(), y.mutable_data());
  if (Node<T>* node = record(unary_ops<T>[static_cast<std::size_t>(op)], y, x)) {
    node->set_attributes(op);
    if (saves == UnarySaves::input) {
      node->save(x);
    } else {
      node->save_output(y);
    }
  }
  return y;
}

}  // namespace detail

/// a + b with broadcasting as in NumPy. Gradient: gy, summed to each argument's shape. Raises an
/// Error that names both shapes where they do not broadcast; so do sub, mul and div.
template <class T>
Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y = detail::binary_values("add", kernels::Binary::add, a, b);
  record(detail::add_op<T>, y, a, b);
  return y;
}

/// a - b.
template <class T>
Tensor<T> sub(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y = detail::binary_values("sub", kernels::Binary::sub, a, b);
  record(detail::sub_op<T>, y, a, b);
  return y;
}

/// a * b, element by element. Gradient: gy * b and gy * a.
template <class T>
Tensor<T> mul(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y = detail::binary_values("mul", kernels::Binary::mul, a, b);
  if (Node<T>* node = record(detail::mul_op<T>, y, a, b)) {
    node->save(b.requires_grad() ? a : Tensor<T>());
    node->save(a.requires_grad() ? b : Tensor<T>());
  }
  return y;
}

/// a / b, element by element. Gradient: gy / b and -gy * a / b^2.
template <class T>
Tensor<T> div(const Tensor<T>& a, const Tensor<T>& b) {
  Tensor<T> y = detail::binary_values("div", kernels::Binary::div, a, b);
  if (Node<T>* node = record(detail::div_op<T>, y, a, b)) {
    node->save(b.requires_grad() ? a : Tensor<T>());
    node->save(b);
  }
  return y;
}

/// factor * x + shift.
template <class T>
Tensor<T> affine(Tensor<T> x, std::type_identity_t<T> factor, std::type_identity_t<T> shift) {
  Tensor<T> y = detail::output_like(x);
  kernels::affine(x.size(), factor, x.data(), shift, y.mutable_data());
  if (Node<T>* node = record(detail::affine_op<T>, y, x)) node->set_attributes(factor);
  return y;
}

/// factor * x.
template <class T>
Tensor<T> scale(Tensor<T> x, std::type_identity_t<T> factor) {
  return affine(std::move(x), factor, T(0));
}
/// x + shift.
template <class T>
Tensor<T> add_scalar(Tensor<T> x, std::type_identity_t<T> shift) {
  return affine(std::move(x), T(1), shift);
}
/// -x.
template <class T>
Tensor<T> neg(Tensor<T> x) {
  return affine(std::move(x), T(-1), T(0));
}

/// e^x.
template <class T>
Tensor<T> exp(Tensor<T> x) {
  return detail::unary(kernels::Unary::exp, detail::UnarySaves::output, x);
}
/// Square root; its gradient at 0 is infinite.
template <class T>
Tensor<T> sqrt(Tensor<T> x) {
  return detail::unary(kernels::Unary::sqrt, detail::UnarySaves::output, x);
}
/// 1 / sqrt(x).
template <class T>
Tensor<T> rsqrt(Tensor<T> x) {
  return detail::unary(kernels::Unary::rsqrt, detail::UnarySaves::output, x);
}
/// 1 / x.
template <class T>
Tensor<T> reciprocal(Tensor<T> x) {
  return detail::unary(kernels::Unary::reciprocal, detail::UnarySaves::output, x);
}
/// 1 / (1 + e^-x).
template <class T>
Tensor<T> sigmoid(Tensor<T> x) {
  return detail::unary(kernels::Unary::sigmoid, detail::UnarySaves::output, x);
}
/// Hyperbolic tangent.
template <class T>
Tensor<T> tanh(Tensor<T> x) {
  return detail::unary(kernels::Unary::tanh, detail::UnarySaves::output, x);
}
// The gradients of these need their input, so they never write over it.
/// Natural logarithm.
template <class T>
Tensor<T> log(const Tensor<T>& x) {
  const Tensor<T> kept = x;
  return detail::unary(kernels::Unary::log, detail::UnarySaves::input, kept);
}
/// x * x.
template <class T>
Tensor<T> square(Tensor<T> x) {
  const Tensor<T> kept = x;
  return detail::unary(kernels::Unary::square, detail::UnarySaves::input, kept);
}
/// |x|; its gradient at 0 is 0.
template <class T>
Tensor<T> abs(const Tensor<T>& x) {
  const Tensor<T> kept = x;
  return detail::unary(kernels::Unary::abs, detail::UnarySaves::input, kept);
}

/// add(a, b)
template <class T>
Tensor<T> operator+(const Tensor<T>& a, const Tensor<T>& b) {
  return add(a, b);
}
/// sub(a, b)
template <class T>
Tensor<T> operator-(const Tensor<T>& a, const Tensor<T>& b) {
  return sub(a, b);
}
/// mul(a, b)
template <class T>
Tensor<T> operator*(const Tensor<T>& a, const Tensor<T>& b) {
  return mul(a, b);
}
/// div(a, b)
template <class T>
Tensor<T> operator/(const Tensor<T>& a, const Tensor<T>& b) {
  return div(a, b);
}
/// neg(x)
template <class T>
Tensor<T> operator-(const Tensor<T>& x) {
  return neg(x);
}

IOTSL_FLOAT(Tensor<float> add(const Tensor<float>&, const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> sub(const Tensor<float>&, const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> mul(const Tensor<float>&, const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> div(const Tensor<float>&, const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> neg(Tensor<float>))
IOTSL_FLOAT(Tensor<float> exp(Tensor<float>))
IOTSL_FLOAT(Tensor<float> sqrt(Tensor<float>))
IOTSL_FLOAT(Tensor<float> rsqrt(Tensor<float>))
IOTSL_FLOAT(Tensor<float> reciprocal(Tensor<float>))
IOTSL_FLOAT(Tensor<float> sigmoid(Tensor<float>))
IOTSL_FLOAT(Tensor<float> tanh(Tensor<float>))
IOTSL_FLOAT(Tensor<float> square(Tensor<float>))
IOTSL_FLOAT(Tensor<float> log(const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> abs(const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> affine(Tensor<float>, float, float))

IOTSL_NAMESPACE_END
