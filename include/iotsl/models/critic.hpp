#pragma once
// The critic (the paper's discriminator): strided convolutions, a linear score and a projection on
// the label's embedding (Miyato, Koyama 2018), every weight under spectral norm. After GS-WGAN.

#include "iotsl/models/image_spec.hpp"
#include "iotsl/nn/layers/gan.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN

/// The critic with its weights over their spectral norms, for any number of passes of one step.
template <class T>
struct NormalizedCritic {
  Sequential<T> chain;  ///< conv1, relu1, conv2, ..., flatten
  Linear<T> linear;
  Embedding<T> embedding;

  /// Images [N,C,H,W] and N labels give scores [N,1].
  Tensor<T> forward(const Tensor<T>& x, std::span<const std::int32_t> labels) const {
    const Tensor<T> h = chain.forward(x, {});
    const Tensor<T> projection = sum(mul(embedding.forward(labels), h), {1}, true);
    return add(linear.forward(h), projection);
  }

  /// The weights in the order of the layers, then the biases; the embedding has none.
  std::vector<Tensor<T>> weights_then_biases() const {
    std::vector<Tensor<T>> out, biases;
    for (const NamedLayer<T>& named : chain.layers())
      if (const auto* conv = named.layer.template get_if<Conv2d<T>>()) {
        out.push_back(conv->weight);
        biases.push_back(conv->bias);
      }
    out.push_back(linear.weight);
    out.push_back(embedding.weight);
    biases.push_back(linear.bias);
    out.insert(out.end(), biases.begin(), biases.end());
    return out;
  }
  /// The same values with no way back to the critic's parameters.
  NormalizedCritic detached() const {
    const auto detach = []<class Layer>(Layer layer) {
      layer.weight = layer.weight.detach();
      layer.bias = layer.bias.detach();
      return layer;
    };
    NormalizedCritic out{chain.template replaced<Conv2d<T>>(detach), detach(linear), embedding};
    out.embedding.weight = embedding.weight.detach();
    return out;
  }
};

/// Layers conv1, relu1, conv2, ... (5x5, stride 2, padding 2) until the map is at most 4x4, then
/// linear + sum(embedding[label] * h).
template <class T>
class CriticNet {
 public:
  using Scalar = T;

  CriticNet(const ImageSpec& images, Index width) {
    if (const Result<void> good = check_images(images); !good) fail(good.failure().message);
    if (width < 1 || width > 1024) fail("critic: width ", width, "; expected 1 to 1024");
    const std::vector<MapSize> maps = detail::halved_maps(images);
    const Conv2dOptions halve{.stride_h = 2, .stride_w = 2, .pad_h = 2, .pad_w = 2};
    Index in = images.channels;
    for (std::size_t i = 1; i < maps.size(); ++i) {
      const Index out = detail::map_channels(i, width);
      chain_.add(concat("conv", i), Spectral<Conv2d>(Conv2d<T>(in, out, 5, halve)));
      chain_.add(concat("relu", i), Relu<T>{});
      in = out;
    }
    chain_.add("flatten", Flatten<T>{});
    const Index features = in * maps.back().height * maps.back().width;
    linear_ = Spectral<Linear>(Linear<T>(features, 1));
    embedding_ = Spectral<Embedding>(Embedding<T>(images.classes, features));
  }

  /// Weights and biases uniform in +-1/sqrt(fan_in), the embedding N(0,1), as PyTorch's layers
  /// begin; u and v of length one and already turned towards the singular pair.
  void initialize(std::uint64_t seed) {
    std::uint32_t number = 0;
    for_each_spectral([&]<template <class> class Layer>(Spectral<Layer> part) {
      if constexpr (requires { part.layer.bias; }) {
        fill_uniform_fan_in(part.layer.weight, part.layer.bias, seed, number);
        number += 2;
      } else {
        fill_normal(part.layer.weight, 1.0, seed, number++);
      }
      part.find_spectrum(seed, number++);
    });
  }

  /// One power iteration for every weight; once per critic step, before it.
  void follow_spectrum() {
    for_each_spectral([](auto part) { part.follow_spectrum(); });
  }
  /// In the graph of the parameters.
  NormalizedCritic<T> normalized() const {
    const auto normalize = [](const Spectral<Conv2d>& conv) { return conv.normalized(); };
    return {chain_.template replaced<Spectral<Conv2d>>(normalize), linear_.normalized(),
            embedding_.normalized()};
  }
  /// The same as constants: what the generator's step needs.
  NormalizedCritic<T> constant() const {
    const NoRecord constants;
    return normalized().detached();
  }

  void visit_state(StateList<T>& list) const {
    chain_.visit_state(list);
    const std::string outer = list.prefix;
    list.prefix = outer + "linear.";
    Spectral<Linear>(linear_).visit_state(list);
    list.prefix = outer + "embedding.";
    Spectral<Embedding>(embedding_).visit_state(list);
    list.prefix = outer;
  }
  std::vector<NamedTensor<T>> parameters() const { return collect_state(*this).parameters; }

 private:
  template <template <class> class Layer>
  using Spectral = SpectralNorm<T, Layer>;

  /// A copy of a layer shares its state, so `f` may change it there.
  template <class F>
  void for_each_spectral(F f) const {
    for (const NamedLayer<T>& named : chain_.layers())
      if (const auto* conv = named.layer.template get_if<Spectral<Conv2d>>()) f(*conv);
    f(linear_);
    f(embedding_);
  }

  Sequential<T> chain_;  // conv1, relu1, conv2, ..., flatten
  Spectral<Linear> linear_;
  Spectral<Embedding> embedding_;
};

IOTSL_FLOAT(class CriticNet<float>)

IOTSL_NAMESPACE_END
