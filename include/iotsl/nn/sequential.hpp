#pragma once
// A chain of named layers. Names are given once and do not change with a cut.

#include <variant>

#include "iotsl/nn/layers.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
using AnyLayer = std::variant<Conv2d<T>, BatchNorm2d<T>, Relu<T>, MaxPool2d<T>, GlobalAvgPool2d<T>,
                              Flatten<T>, Dropout<T>, Linear<T>>;

template <class T>
struct NamedLayer {
  std::string name;  ///< as in torchvision: `features.0`
  AnyLayer<T> layer;

  const char* type() const {
    return std::visit([](const auto& l) { return l.type; }, layer);
  }
  Shape output_shape(const Shape& x) const {
    return std::visit([&](const auto& l) { return l.output_shape(x); }, layer);
  }
  LayerCost cost(const Shape& x) const {
    return std::visit([&](const auto& l) { return l.cost(x); }, layer);
  }
};

template <class T>
class Sequential {
 public:
  using Scalar = T;
  Sequential() = default;

  template <class L>
  void add(std::string name, L layer) {
    layers_.push_back({std::move(name), AnyLayer<T>(std::move(layer))});
  }

  std::size_t size() const { return layers_.size(); }
  const NamedLayer<T>& operator[](std::size_t i) const { return layers_[i]; }
  const std::vector<NamedLayer<T>>& layers() const { return layers_; }

  /// Initial weights, a function of the seed and each layer's place; call it on the whole model.
  void initialize(std::uint64_t seed) {
    for (std::size_t i = 0; i < layers_.size(); ++i)
      std::visit([&](auto& l) { l.initialize(seed, static_cast<std::uint32_t>(i)); },
                 layers_[i].layer);
  }

  /// Runs all layers. Intermediate values that nobody else holds are overwritten where possible.
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    for (NamedLayer<T>& named : layers_)
      x = std::visit([&](auto& l) { return l.forward(std::move(x), mode); }, named.layer);
    return x;
  }
  /// Runs all layers in the mode of train() or eval(), without numbers for dropout's step.
  Tensor<T> forward(Tensor<T> x) {
    return forward(std::move(x), ForwardMode{.training = training_});
  }
  void train() { training_ = true; }
  void eval() { training_ = false; }

  /// Layers [begin, end) of this chain; they share their parameters with it.
  Sequential slice(std::size_t begin, std::size_t end) const {
    if (begin > end || end > size())
      fail("sequential: layers [", begin, ", ", end, ") of ", size());
    Sequential part;
    part.training_ = training_;
    part.layers_.assign(layers_.begin() + static_cast<std::ptrdiff_t>(begin),
                        layers_.begin() + static_cast<std::ptrdiff_t>(end));
    return part;
  }

  Shape output_shape(Shape x) const {
    for (const NamedLayer<T>& named : layers_) x = named.output_shape(x);
    return x;
  }

  /// Shows every parameter, buffer and counter to `visitor`, which has a string `prefix` and takes
  /// them by parameter(name, tensor), buffer(name, tensor) and counter(name, counter).
  template <class Visitor>
  void visit_state(Visitor& visitor) const {
    for (const NamedLayer<T>& named : layers_) {
      visitor.prefix = named.name + ".";
      AnyLayer<T> shared = named.layer;
      std::visit([&](auto& l) { l.visit_state(visitor); }, shared);
    }
  }
  /// What the optimiser trains, in order.
  std::vector<NamedTensor<T>> parameters() const { return collect_state(*this).parameters; }
  /// What travels with the parameters: running statistics.
  std::vector<NamedTensor<T>> buffers() const { return collect_state(*this).buffers; }
  std::vector<NamedCounter> counters() const { return collect_state(*this).counters; }

 private:
  std::vector<NamedLayer<T>> layers_;
  bool training_ = true;
};

IOTSL_FLOAT(class Sequential<float>)

IOTSL_NAMESPACE_END
