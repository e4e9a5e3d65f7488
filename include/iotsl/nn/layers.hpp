#pragma once
// The layers. Each gives its output, its output shape, its cost and its state; parameters are
// shared handles, so a copy of a layer is the same layer.

#include "iotsl/nn/init.hpp"
#include "iotsl/nn/layer_cost.hpp"
#include "iotsl/nn/module.hpp"
#include "iotsl/nn/shapes_only.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/pool.hpp"

IOTSL_NAMESPACE_BEGIN

/// Convolution with bias: weight [K,C,R,S], bias [K].
template <class T>
struct Conv2d {
  static constexpr const char* type = "conv2d";
  Tensor<T> weight, bias;
  Conv2dOptions options;

  Conv2d(Index in_channels, Index out_channels, Index kernel, Conv2dOptions conv_options)
      : weight(detail::layer_tensor<T>(Shape{out_channels, in_channels, kernel, kernel})),
        bias(detail::layer_tensor<T>(Shape{out_channels})),
        options(conv_options) {
    weight.set_requires_grad();
    bias.set_requires_grad();
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    kaiming_normal_fan_out(weight, seed, number);
  }
  Tensor<T> forward(Tensor<T> x, const ForwardMode&) { return conv2d(x, weight, bias, options); }
  Shape output_shape(const Shape& x) const {
    const Shape& w = weight.shape();
    if (x.rank() != 4 || x[1] != w[1])
      fail("conv2d: weight ", w, " expects x [N,", w[1], ",H,W], x is ", x);
    const auto s = detail::conv_shape("conv2d", x[0], x[1], x[2], x[3], w[0], w[2], w[3], options);
    return Shape{s.n, s.k, s.p, s.q};
  }
  LayerCost cost(const Shape& x) const {
    const Shape y = output_shape(x);
    const Index outputs = detail::elements_per_sample(y);
    const Index depth = weight.size() / weight.shape()[0];
    return {weight.size() + bias.size(), outputs * (depth + 1), detail::activation_bytes(y)};
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight);
    v.parameter("bias", bias);
  }
};

/// Batch normalisation over channels, with running statistics.
template <class T>
struct BatchNorm2d {
  static constexpr const char* type = "batch_norm2d";
  Tensor<T> weight, bias, running_mean, running_var;
  Counter num_batches_tracked;

  explicit BatchNorm2d(Index channels)
      : weight(detail::layer_tensor<T>(Shape{channels}, T(1))),
        bias(detail::layer_tensor<T>(Shape{channels})),
        running_mean(detail::layer_tensor<T>(Shape{channels})),
        running_var(detail::layer_tensor<T>(Shape{channels}, T(1))) {
    weight.set_requires_grad();
    bias.set_requires_grad();
  }
  void initialize(std::uint64_t, std::uint32_t) {}
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    if (mode.training) num_batches_tracked.set(num_batches_tracked.value() + 1);
    return batch_norm2d(x, weight, bias, running_mean, running_var, {.training = mode.training});
  }
  Shape output_shape(const Shape& x) const { return x; }
  LayerCost cost(const Shape& x) const {
    return {weight.size() + bias.size(), 2 * detail::elements_per_sample(x),
            detail::activation_bytes(x)};
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight);
    v.parameter("bias", bias);
    v.buffer("running_mean", running_mean);
    v.buffer("running_var", running_var);
    v.counter("num_batches_tracked", num_batches_tracked);
  }
};

template <class T>
struct Relu {
  static constexpr const char* type = "relu";
  void initialize(std::uint64_t, std::uint32_t) {}
  Tensor<T> forward(Tensor<T> x, const ForwardMode&) { return relu(std::move(x)); }
  Shape output_shape(const Shape& x) const { return x; }
  LayerCost cost(const Shape& x) const {
    return {0, detail::elements_per_sample(x), detail::activation_bytes(x)};
  }
  template <class Visitor>
  void visit_state(Visitor&) {}
};

template <class T>
struct MaxPool2d {
  static constexpr const char* type = "max_pool2d";
  Pool2dOptions options;
  void initialize(std::uint64_t, std::uint32_t) {}
  Tensor<T> forward(Tensor<T> x, const ForwardMode&) { return max_pool2d(x, options); }
  Shape output_shape(const Shape& x) const {
    const auto s = detail::pool_shape(x, options);
    return Shape{s.n, s.c, s.p, s.q};
  }
  LayerCost cost(const Shape& x) const {
    return {0, detail::elements_per_sample(x), detail::activation_bytes(output_shape(x))};
  }
  template <class Visitor>
  void visit_state(Visitor&) {}
};

/// Mean of each channel: [N,C,H,W] to [N,C].
template <class T>
struct GlobalAvgPool2d {
  static constexpr const char* type = "global_avg_pool2d";
  void initialize(std::uint64_t, std::uint32_t) {}
  Tensor<T> forward(Tensor<T> x, const ForwardMode&) { return global_avg_pool2d(x); }
  Shape output_shape(const Shape& x) const { return Shape{x[0], x[1]}; }
  LayerCost cost(const Shape& x) const {
    return {0, detail::elements_per_sample(x), detail::activation_bytes(output_shape(x))};
  }
  template <class Visitor>
  void visit_state(Visitor&) {}
};

/// [N,C,H,W] to [N,CHW]; a view, so it costs nothing.
template <class T>
struct Flatten {
  static constexpr const char* type = "flatten";
  void initialize(std::uint64_t, std::uint32_t) {}
  Tensor<T> forward(Tensor<T> x, const ForwardMode&) { return flatten(x); }
  Shape output_shape(const Shape& x) const { return Shape{x[0], detail::elements_per_sample(x)}; }
  LayerCost cost(const Shape&) const { return {}; }
  template <class Visitor>
  void visit_state(Visitor&) {}
};

/// Dropout; its place in the whole model selects its numbers.
template <class T>
struct Dropout {
  static constexpr const char* type = "dropout";
  double probability = 0.5;
  std::uint32_t place = 0;

  void initialize(std::uint64_t, std::uint32_t) {}
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    if (!mode.training) return x;
    const auto stream = static_cast<std::uint32_t>(Stream::dropout) + (place << 16);
    return dropout(std::move(x), probability, Random(mode.seed, stream, mode.step));
  }
  Shape output_shape(const Shape& x) const { return x; }
  LayerCost cost(const Shape& x) const { return {0, 0, detail::activation_bytes(x)}; }
  template <class Visitor>
  void visit_state(Visitor&) {}
};

/// Linear layer: weight [out,in], bias [out].
template <class T>
struct Linear {
  static constexpr const char* type = "linear";
  Tensor<T> weight, bias;

  Linear(Index in, Index out)
      : weight(detail::layer_tensor<T>(Shape{out, in})), bias(detail::layer_tensor<T>(Shape{out})) {
    weight.set_requires_grad();
    bias.set_requires_grad();
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    fill_normal(weight, 0.01, seed, number);
  }
  Tensor<T> forward(Tensor<T> x, const ForwardMode&) { return linear(x, weight, bias); }
  Shape output_shape(const Shape& x) const {
    if (x.rank() != 2 || x[1] != weight.shape()[1])
      fail("linear: weight ", weight.shape(), " expects x [N,", weight.shape()[1], "], x is ", x);
    return Shape{x[0], weight.shape()[0]};
  }
  LayerCost cost(const Shape& x) const {
    return {weight.size() + bias.size(), weight.size(), detail::activation_bytes(output_shape(x))};
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight);
    v.parameter("bias", bias);
  }
};

IOTSL_NAMESPACE_END
