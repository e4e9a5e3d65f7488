#pragma once
// The layers that every program knows (StandardLayers). What a layer is, and how to write another:
// nn/layer.hpp.

#include "iotsl/nn/init.hpp"
#include "iotsl/nn/layer.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/norm_relu.hpp"

IOTSL_NAMESPACE_BEGIN

/// Most channels, or features, of a layer that is built from a description.
inline constexpr Index max_layer_channels = 65535;
/// Most features of a linear layer that is built from a description.
inline constexpr Index max_linear_features = Index{1} << 24;
/// Most of its kernel, stride, padding or dilation in one direction.
inline constexpr Index max_layer_window = 64;

namespace detail {

/// Fields of a convolution of any kind: its window, and where the windows lie.
template <class Layer, class Fields>
void visit_window_fields(Layer& layer, Fields& f) {
  Conv2dOptions& o = layer.options;
  f.pair("kernel", layer.kernel_h, layer.kernel_w, 1, max_layer_window);
  f.pair("stride", o.stride_h, o.stride_w, 1, max_layer_window);
  f.pair("pad", o.pad_h, o.pad_w, 0, max_layer_window);
  f.pair("dilation", o.dilation_h, o.dilation_w, 1, max_layer_window);
  f.pair("crop", o.crop_h, o.crop_w, 0, max_layer_window);
}

}  // namespace detail

/// Convolution, with or without bias: weight [K,C,R,S], bias [K].
template <class T>
struct Conv2d {
  static constexpr const char* type = "conv2d";
  Index in_channels = 0, out_channels = 0;
  Index kernel_h = 1, kernel_w = 1;
  Conv2dOptions options;
  bool has_bias = true;
  Tensor<T> weight, bias;

  Conv2d() = default;
  Conv2d(Index in, Index out, Index kernel, Conv2dOptions conv_options = {}, bool with_bias = true)
      : in_channels(in),
        out_channels(out),
        kernel_h(kernel),
        kernel_w(kernel),
        options(conv_options),
        has_bias(with_bias) {
    if (options.groups.count() != 1)
      fail("Conv2d: ", options.groups.count(), " groups; GroupedConv2d is the layer with groups");
    allocate_state<T>(*this);
  }
  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("in_channels", in_channels, 1, max_layer_channels);
    f.integer("out_channels", out_channels, 1, max_layer_channels);
    detail::visit_window_fields(*this, f);
    f.flag("bias", has_bias);
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, weight_shape());
    if (has_bias) v.parameter("bias", bias, Shape{out_channels});
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    kaiming_normal_fan_out(weight, seed, number);
  }
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode = {}) const {
    Conv2dOptions run = options;
    run.precision = mode.precision;
    return conv2d(x, weight, bias, run);
  }
  Result<Shape> output_shape(const Shape& x) const {
    return conv2d_shape(x, weight_shape(), options);
  }
  LayerCost cost(const Shape& x) const {
    const Shape y = output_shape(x).value();
    const Index depth = in_channels * kernel_h * kernel_w + (has_bias ? 1 : 0);
    return {out_channels * depth, detail::elements_per_sample(y) * depth,
            detail::activation_bytes(y)};
  }
  Shape weight_shape() const { return {out_channels, in_channels, kernel_h, kernel_w}; }
};

/// max(x, 0).
template <class T>
struct Relu {
  static constexpr const char* type = "relu";
  Tensor<T> forward(Tensor<T> x) { return relu(std::move(x)); }
};

/// Largest value of each window: [N,C,H,W] to [N,C,P,Q].
template <class T>
struct MaxPool2d {
  static constexpr const char* type = "max_pool2d";
  Pool2dOptions options;

  template <class Fields>
  void visit_fields(Fields& f) {
    f.pair("kernel", options.kernel_h, options.kernel_w, 1, max_layer_window);
    f.pair("stride", options.stride_h, options.stride_w, 1, max_layer_window);
    f.pair("pad", options.pad_h, options.pad_w, 0, max_layer_window);
  }
  Tensor<T> forward(Tensor<T> x) { return max_pool2d(x, options); }
  Result<Shape> output_shape(const Shape& x) const { return max_pool2d_shape(x, options); }
  LayerCost cost(const Shape& x) const {
    return {0, detail::elements_per_sample(x), detail::activation_bytes(output_shape(x).value())};
  }
};

/// Batch normalisation over channels, with running statistics.
template <class T>
struct BatchNorm2d {
  static constexpr const char* type = "batch_norm2d";
  Index channels = 0;
  Tensor<T> weight, bias, running_mean, running_var;
  Counter num_batches_tracked;

  BatchNorm2d() = default;
  explicit BatchNorm2d(Index of_channels) : channels(of_channels) { allocate_state<T>(*this); }
  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("channels", channels, 1, max_layer_channels);
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, Shape{channels}, T(1));
    v.parameter("bias", bias, Shape{channels});
    v.buffer("running_mean", running_mean, Shape{channels});
    v.buffer("running_var", running_var, Shape{channels}, T(1));
    v.counter("num_batches_tracked", num_batches_tracked);
  }
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    const BatchNormOptions options = begin(mode);
    return batch_norm2d(x, weight, bias, running_mean, running_var, options);
  }
  /// With a ReLU behind it, and a pool behind that, in one pass.
  Tensor<T> forward_through(Tensor<T> x, const ForwardMode& mode, LayersBehind<T> behind,
                            std::size_t& taken) {
    taken = 0;
    if (behind.template get_if<Relu<T>>(0) == nullptr) return forward(std::move(x), mode);
    const BatchNormOptions options = begin(mode);
    if (const auto* pool = behind.template get_if<MaxPool2d<T>>(1)) {
      taken = 2;
      return batch_norm2d_relu_max_pool2d(x, weight, bias, running_mean, running_var, options,
                                          pool->options);
    }
    taken = 1;
    return batch_norm2d_relu(x, weight, bias, running_mean, running_var, options);
  }
  Result<Shape> output_shape(const Shape& x) const { return batch_norm2d_shape(x, channels); }
  LayerCost cost(const Shape& x) const {
    return {2 * channels, 2 * detail::elements_per_sample(x), detail::activation_bytes(x)};
  }

 private:
  BatchNormOptions begin(const ForwardMode& mode) {
    if (mode.training) num_batches_tracked.set(num_batches_tracked.value() + 1);
    return {.training = mode.training};
  }
};

/// Mean of each channel: [N,C,H,W] to [N,C].
template <class T>
struct GlobalAvgPool2d {
  static constexpr const char* type = "global_avg_pool2d";
  Tensor<T> forward(Tensor<T> x) { return global_avg_pool2d(x); }
  Result<Shape> output_shape(const Shape& x) const { return global_avg_pool2d_shape(x); }
  LayerCost cost(const Shape& x) const {
    return {0, detail::elements_per_sample(x), detail::activation_bytes(output_shape(x).value())};
  }
};

/// [N,C,H,W] to [N,CHW]; a view, so it costs nothing.
template <class T>
struct Flatten {
  static constexpr const char* type = "flatten";
  Tensor<T> forward(Tensor<T> x) { return flatten(x); }
  Result<Shape> output_shape(const Shape& x) const { return flatten_shape(x); }
  LayerCost cost(const Shape&) const { return {}; }
};

/// Dropout; its place in the whole model selects its numbers.
template <class T>
struct Dropout {
  static constexpr const char* type = "dropout";
  double probability = 0.5;
  std::uint32_t place = 0;

  template <class Fields>
  void visit_fields(Fields& f) {
    f.real("probability", probability, 0, 1);
  }
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    if (!mode.training) return x;
    const auto stream = static_cast<std::uint32_t>(Stream::dropout) + (place << 16);
    return dropout(std::move(x), probability, Random(mode.seed, stream, mode.step));
  }
  LayerCost cost(const Shape& x) const { return {0, 0, detail::activation_bytes(x)}; }
};

/// Linear layer, with or without bias: weight [out,in], bias [out].
template <class T>
struct Linear {
  static constexpr const char* type = "linear";
  Index in_features = 0, out_features = 0;
  bool has_bias = true;
  Tensor<T> weight, bias;

  Linear() = default;
  Linear(Index in, Index out, bool with_bias = true)
      : in_features(in), out_features(out), has_bias(with_bias) {
    allocate_state<T>(*this);
  }
  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("in_features", in_features, 1, max_linear_features);
    f.integer("out_features", out_features, 1, max_linear_features);
    f.flag("bias", has_bias);
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, weight_shape());
    if (has_bias) v.parameter("bias", bias, Shape{out_features});
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    fill_normal(weight, 0.01, seed, number);
  }
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode = {}) const {
    return linear(x, weight, bias, mode.precision);
  }
  Result<Shape> output_shape(const Shape& x) const { return linear_shape(x, weight_shape()); }
  LayerCost cost(const Shape& x) const {
    const Index weights = in_features * out_features;
    return {weights + (has_bias ? out_features : 0), weights,
            detail::activation_bytes(output_shape(x).value())};
  }
  Shape weight_shape() const { return {out_features, in_features}; }
};

IOTSL_NAMESPACE_END
