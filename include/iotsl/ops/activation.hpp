#pragma once
// ReLU and leaky ReLU, SiLU and GELU, dropout. Sigmoid and tanh are in elementwise.hpp.

#include "iotsl/core/random.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/elementwise/activation.hpp"
#include "iotsl/ops/elementwise.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> dropout(Tensor<T> x, double probability, const Random& random);
template <class T>
Tensor<T> normal_cdf(const Tensor<T>& x);

namespace detail {

template <class T>
Tensor<T> relu_grad(Tensor<T> gy, const Tensor<T>& y);

template <class T>
void relu_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  // The derivative's own derivative is zero almost everywhere: the mask is a constant.
  gx[0] = relu_grad(std::move(gy), node.saved(0).detach());
}
template <class T>
void relu_grad_vjp(const Node<T>& node, Tensor<T>& gz, Tensor<T>* gx) {
  gx[0] = relu_grad(std::move(gz), node.saved(0));
}
template <class T>
inline constexpr OpInfo<T> relu_op{"relu", &relu_vjp<T>};
template <class T>
inline constexpr OpInfo<T> relu_grad_op{"relu_grad", &relu_grad_vjp<T>};

/// gy where y > 0, else 0.
template <class T>
Tensor<T> relu_grad(Tensor<T> gy, const Tensor<T>& y) {
  Tensor<T> gx = output_like(gy);
  kernels::binary(kernels::Binary::relu_grad, gy.size(), gy.data(), y.data(), gx.mutable_data());
  if (Node<T>* node = record(relu_grad_op<T>, gx, gy)) node->save(y);
  return gx;
}

/// gy where y > 0, else slope * gy.
template <class T>
Tensor<T> leaky_relu_grad(Tensor<T> gy, const Tensor<T>& y, T slope);

template <class T>
void leaky_relu_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] = leaky_relu_grad(std::move(gy), node.saved(0).detach(), node.template attributes<T>());
}
template <class T>
inline constexpr OpInfo<T> leaky_relu_op{"leaky_relu", &leaky_relu_vjp<T>};
template <class T>
inline constexpr OpInfo<T> leaky_relu_grad_op{"leaky_relu_grad", &leaky_relu_vjp<T>};

template <class T>
Tensor<T> leaky_relu_grad(Tensor<T> gy, const Tensor<T>& y, T slope) {
  Tensor<T> gx = output_like(gy);
  kernels::leaky_relu(gy.size(), slope, y.data(), gy.data(), gx.mutable_data());
  if (Node<T>* node = record(leaky_relu_grad_op<T>, gx, gy)) {
    node->set_attributes(slope);
    node->save(y);
  }
  return gx;
}

/// The derivative of an activation as a composition of ops.
template <class T>
Tensor<T> activation_slope(kernels::Activation f, const Tensor<T>& x) {
  using kernels::Activation;
  // The slope of x s with s = sigmoid(u): s (1 + x (1 - s) u').
  const auto gated = [&](const Tensor<T>& s, const Tensor<T>& x_u_slope) {
    return mul(s, add_scalar(mul(x_u_slope, affine(s, T(-1), T(1))), T(1)));
  };
  const auto density = [&] {
    return scale(exp(scale(square(x), T(-0.5))), static_cast<T>(kernels::inv_sqrt_two_pi));
  };
  switch (f) {
    case Activation::normal_cdf:
      return density();
    case Activation::silu:
      return gated(sigmoid(x), x);
    case Activation::gelu:
      return add(normal_cdf(x), mul(x, density()));
    case Activation::gelu_tanh: {
      constexpr T linear = static_cast<T>(kernels::gelu_tanh_linear);
      constexpr T cubic = static_cast<T>(kernels::gelu_tanh_cubic);
      const Tensor<T> squares = square(x);
      const Tensor<T> s = sigmoid(mul(x, affine(squares, cubic, linear)));
      return gated(s, mul(x, affine(squares, 3 * cubic, linear)));
    }
  }
  return {};
}

template <class T>
void activation_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const Tensor<T> x = node.saved(0);
  const auto f = node.template attributes<kernels::Activation>();
  if (is_recording()) {
    gx[0] = mul(gy, activation_slope(f, x));
    return;
  }
  gx[0] = output_like(gy);
  kernels::activation_grad(f, x.size(), x.data(), gy.data(), gx[0].mutable_data());
}
/// In the order of kernels::Activation.
template <class T>
inline constexpr OpInfo<T> activation_ops[] = {{"normal_cdf", &activation_vjp<T>},
                                               {"silu", &activation_vjp<T>},
                                               {"gelu", &activation_vjp<T>},
                                               {"gelu_tanh", &activation_vjp<T>}};

/// Saves x, so it never writes over it.
template <class T>
Tensor<T> activation(kernels::Activation f, const Tensor<T>& x) {
  Tensor<T> y = Tensor<T>::uninitialized(x.shape());
  kernels::activation(f, x.size(), x.data(), y.mutable_data());
  if (Node<T>* node = record(activation_ops<T>[static_cast<std::size_t>(f)], y, x)) {
    node->set_attributes(f);
    node->save(x);
  }
  return y;
}

struct DropoutAttributes {
  Random random;
  double probability;
};

template <class T>
void dropout_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  // The mask is a function of the counters, so it is drawn again instead of being kept.
  const auto a = node.template attributes<DropoutAttributes>();
  gx[0] = dropout(std::move(gy), a.probability, a.random);
}
template <class T>
inline constexpr OpInfo<T> dropout_op{"dropout", &dropout_vjp<T>};

}  // namespace detail

/// max(x, 0). Gradient: gy where the output is positive, 0 elsewhere (also at 0); saves its output.
template <class T>
Tensor<T> relu(Tensor<T> x) {
  Tensor<T> y = detail::output_like(x);
  kernels::unary(kernels::Unary::relu, x.size(), x.data(), y.mutable_data());
  if (Node<T>* node = record(detail::relu_op<T>, y, x)) node->save_output(y);
  return y;
}

/// The shape of leaky_relu(x), that of x; a failure where the slope is not one that it takes.
inline Result<Shape> leaky_relu_shape(const Shape& x, double negative_slope) {
  if (!(negative_slope >= 0))
    return failure(ErrorCode::usage, "leaky_relu: negative slope ", negative_slope,
                   "; expected at least 0");
  return x;
}

/// x where x > 0, else negative_slope * x. Saves its output, whose sign is that of x: the slope is
/// at least 0 (an Error else).
template <class T>
Tensor<T> leaky_relu(Tensor<T> x, double negative_slope = 0.01) {
  leaky_relu_shape(x.shape(), negative_slope).value();
  const T slope = static_cast<T>(negative_slope);
  Tensor<T> y = detail::output_like(x);
  kernels::leaky_relu(x.size(), slope, x.data(), x.data(), y.mutable_data());
  if (Node<T>* node = record(detail::leaky_relu_op<T>, y, x)) {
    node->set_attributes(slope);
    node->save_output(y);
  }
  return y;
}

/// Phi(x), the probability that a standard normal number is below x.
template <class T>
Tensor<T> normal_cdf(const Tensor<T>& x) {
  return detail::activation(kernels::Activation::normal_cdf, x);
}

/// x sigmoid(x) (Elfwing, Uchibe, Doya 2017), also called swish.
template <class T>
Tensor<T> silu(const Tensor<T>& x) {
  return detail::activation(kernels::Activation::silu, x);
}

/// GELU with the exact normal distribution, or with its tanh approximation.
enum class GeluForm {
  exact,  ///< x Phi(x)
  tanh    ///< 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
};

/// Gaussian error linear unit (Hendrycks, Gimpel 2016), by default exact as in PyTorch.
template <class T>
Tensor<T> gelu(const Tensor<T>& x, GeluForm form = GeluForm::exact) {
  using kernels::Activation;
  return detail::activation(form == GeluForm::exact ? Activation::gelu : Activation::gelu_tanh, x);
}

/// Sets each value to 0 with `probability` in [0, 1) and divides the others by 1 - probability.
/// Value i is dropped if number i of `random` is below the probability.
template <class T>
Tensor<T> dropout(Tensor<T> x, double probability, const Random& random) {
  if (!(probability >= 0 && probability < 1))
    fail("dropout: probability ", probability, "; expected 0 <= p < 1");
  if (probability == 0) return x;
  Tensor<T> y = detail::output_like(x);
  const auto threshold = static_cast<std::uint64_t>(probability * 0x1p32);
  const T factor = static_cast<T>(1 / (1 - probability));
  const T* from = x.data();
  T* to = y.mutable_data();
  // A multiple of 4, the numbers of a block of `random`; decides no bits.
  constexpr Index chunk_elems = 1 << 14;
  parallel_chunks(x.size(), chunk_elems, [&](Index begin, Index end) {
    for (Index i = begin; i < end; i += 4) {
      const auto words = random.block(static_cast<std::uint64_t>(i) / 4);
      for (Index lane = 0; lane < 4 && i + lane < end; ++lane)
        to[i + lane] =
            words[static_cast<std::size_t>(lane)] < threshold ? T(0) : from[i + lane] * factor;
    }
  });
  if (Node<T>* node = record(detail::dropout_op<T>, y, x))
    node->set_attributes(detail::DropoutAttributes{random, probability});
  return y;
}

IOTSL_FLOAT(Tensor<float> relu(Tensor<float>))
IOTSL_FLOAT(Tensor<float> leaky_relu(Tensor<float>, double))
IOTSL_FLOAT(Tensor<float> normal_cdf(const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> silu(const Tensor<float>&))
IOTSL_FLOAT(Tensor<float> gelu(const Tensor<float>&, GeluForm))
IOTSL_FLOAT(Tensor<float> dropout(Tensor<float>, double, const Random&))

IOTSL_NAMESPACE_END
