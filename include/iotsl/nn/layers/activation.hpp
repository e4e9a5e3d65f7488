#pragma once
// Activations as layers, beside Relu (standard.hpp). The defaults of a layer (nn/layer.hpp) fit
// what is computed element by element.

#include "iotsl/nn/layer.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/loss.hpp"

IOTSL_NAMESPACE_BEGIN

/// x where x > 0, else negative_slope x.
template <class T>
struct LeakyRelu {
  static constexpr const char* type = "leaky_relu";
  double negative_slope = 0.01;

  template <class Fields>
  void visit_fields(Fields& f) {
    f.real("negative_slope", negative_slope, 0, 1e6);
  }
  Tensor<T> forward(Tensor<T> x) { return leaky_relu(std::move(x), negative_slope); }
  Result<Shape> output_shape(const Shape& x) const { return leaky_relu_shape(x, negative_slope); }
};

/// 1 / (1 + e^-x).
template <class T>
struct Sigmoid {
  static constexpr const char* type = "sigmoid";
  Tensor<T> forward(Tensor<T> x) { return sigmoid(std::move(x)); }
};

/// tanh(x).
template <class T>
struct Tanh {
  static constexpr const char* type = "tanh";
  Tensor<T> forward(Tensor<T> x) { return tanh(std::move(x)); }
};

/// x sigmoid(x).
template <class T>
struct Silu {
  static constexpr const char* type = "silu";
  Tensor<T> forward(Tensor<T> x) { return silu(x); }
};

/// x Phi(x), Phi being the normal distribution (Hendrycks and Gimpel 2016).
template <class T>
struct Gelu {
  static constexpr const char* type = "gelu";
  bool tanh_form = false;  ///< GeluForm::tanh instead of exact

  template <class Fields>
  void visit_fields(Fields& f) {
    f.flag("tanh_form", tanh_form);
  }
  Tensor<T> forward(Tensor<T> x) { return gelu(x, tanh_form ? GeluForm::tanh : GeluForm::exact); }
};

/// Probabilities of the classes: [N,M] to [N,M]. A net that is trained with softmax_cross_entropy
/// does not end with it.
template <class T>
struct Softmax {
  static constexpr const char* type = "softmax";
  Tensor<T> forward(Tensor<T> x) { return softmax(x); }
  Result<Shape> output_shape(const Shape& x) const { return softmax_shape(x); }
};

IOTSL_NAMESPACE_END
