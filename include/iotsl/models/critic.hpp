#pragma once
// The critic (the paper's discriminator): strided convolutions, a linear score and a projection on
// the label's embedding (Miyato, Koyama 2018), every weight under spectral norm. After GS-WGAN.

#include "iotsl/models/image_spec.hpp"
#include "iotsl/nn/init.hpp"
#include "iotsl/nn/module.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/spectral.hpp"

IOTSL_NAMESPACE_BEGIN

/// A weight with its bias, and the vectors that follow its largest singular value.
template <class T>
struct SpectralWeight {
  std::string name;
  Tensor<T> weight, bias;  ///< bias is undefined for the embedding
  Tensor<T> u, v;          ///< of the weight as a matrix [out, rest]

  SpectralWeight(std::string layer, const Shape& shape, bool has_bias)
      : name(std::move(layer)),
        weight(Tensor<T>::zeros(shape)),
        u(Tensor<T>::zeros(Shape{shape[0]})),
        v(Tensor<T>::zeros(Shape{shape.elements() / shape[0]})) {
    weight.set_requires_grad();
    if (!has_bias) return;
    bias = Tensor<T>::zeros(Shape{shape[0]});
    bias.set_requires_grad();
  }
};

/// The critic's weights divided by their largest singular values, for one step.
template <class T>
struct CriticWeights {
  std::vector<Tensor<T>> weights, biases;  ///< in the order of the layers
};

/// Images [N,C,H,W] and N labels give scores [N,1]. Layers: conv1, conv2, ... (5x5, stride 2,
/// padding 2, ReLU) until the map is at most 4x4, then linear + sum(embedding[label] * h).
template <class T>
class CriticNet {
 public:
  using Scalar = T;

  CriticNet(const ImageSpec& images, Index width) {
    if (const Result<void> good = check_images(images); !good) fail(good.failure().message);
    if (width < 1 || width > 1024) fail("critic: width ", width, "; expected 1 to 1024");
    const std::vector<MapSize> maps = detail::halved_maps(images);
    Index in = images.channels;
    for (std::size_t i = 1; i < maps.size(); ++i) {
      const Index out = detail::map_channels(i, width);
      layers_.emplace_back(concat("conv", i), Shape{out, in, 5, 5}, true);
      in = out;
    }
    const Index features = in * maps.back().height * maps.back().width;
    layers_.emplace_back("linear", Shape{1, features}, true);
    layers_.emplace_back("embedding", Shape{images.classes, features}, false);
  }

  /// Weights and biases uniform in +-1/sqrt(fan_in), the embedding N(0,1), as PyTorch's layers
  /// begin; u and v of length one and already turned towards the singular pair.
  void initialize(std::uint64_t seed) {
    std::uint32_t number = 0;
    for (SpectralWeight<T>& layer : layers_) {
      const double fan_in = static_cast<double>(layer.weight.size() / layer.weight.shape()[0]);
      if (layer.bias.defined()) {
        fill_uniform(layer.weight, 1 / scalar_math::sqrt(fan_in), seed, number++);
        fill_uniform(layer.bias, 1 / scalar_math::sqrt(fan_in), seed, number++);
      } else {
        fill_normal(layer.weight, 1.0, seed, number++);
      }
      fill_normal(layer.u, 1.0, seed, number++);
      power_iteration(layer.weight, layer.u, layer.v, 15);
    }
  }

  /// One power iteration for every weight; once per critic step, before it.
  void follow_spectrum() {
    for (SpectralWeight<T>& layer : layers_) power_iteration(layer.weight, layer.u, layer.v);
  }
  /// Every weight over its spectral norm, for any number of forward passes of a step.
  CriticWeights<T> weights() const {
    CriticWeights<T> out;
    for (const SpectralWeight<T>& layer : layers_) {
      out.weights.push_back(spectral_norm(layer.weight, layer.u, layer.v));
      out.biases.push_back(layer.bias);
    }
    return out;
  }
  /// The same as constants: what the generator's step needs.
  CriticWeights<T> constant_weights() const {
    const NoRecord constants;
    CriticWeights<T> out = weights();
    for (Tensor<T>& bias : out.biases)
      if (bias.defined()) bias = bias.detach();
    return out;
  }

  Tensor<T> forward(const CriticWeights<T>& weights, const Tensor<T>& x,
                    std::span<const std::int32_t> labels) const {
    Tensor<T> h = x;
    const std::size_t convolutions = layers_.size() - 2;
    const Conv2dOptions options{.stride_h = 2, .stride_w = 2, .pad_h = 2, .pad_w = 2};
    for (std::size_t i = 0; i < convolutions; ++i)
      h = relu(conv2d(h, weights.weights[i], weights.biases[i], options));
    h = flatten(h);
    const Tensor<T> projection =
        sum(mul(embedding(weights.weights[convolutions + 1], labels), h), {1}, true);
    return add(linear(h, weights.weights[convolutions], weights.biases[convolutions]), projection);
  }

  template <class Visitor>
  void visit_state(Visitor& visitor) const {
    for (const SpectralWeight<T>& layer : layers_) {
      visitor.prefix = layer.name + ".";
      visitor.parameter("weight", layer.weight);
      if (layer.bias.defined()) visitor.parameter("bias", layer.bias);
      visitor.buffer("u", layer.u);
      visitor.buffer("v", layer.v);
    }
  }
  std::vector<NamedTensor<T>> parameters() const { return collect_state(*this).parameters; }

 private:
  std::vector<SpectralWeight<T>> layers_;
};

IOTSL_FLOAT(class CriticNet<float>)

IOTSL_NAMESPACE_END
