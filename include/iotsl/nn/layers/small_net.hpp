#pragma once
// Layers for small nets and small batches: convolution in groups, average pooling, and the norms
// that need no batch.

#include "iotsl/nn/layers/standard.hpp"
#include "iotsl/ops/group_norm.hpp"

IOTSL_NAMESPACE_BEGIN

/// Convolution in groups of channels, depthwise where there are as many groups as input channels:
/// weight [K,C/G,R,S], bias [K], under PyTorch's names. A type of its own, so that a program
/// without it does not contain its kernels.
template <class T>
struct GroupedConv2d {
  static constexpr const char* type = "grouped_conv2d";
  Index in_channels = 0, out_channels = 0, groups = 1;
  Index kernel_h = 1, kernel_w = 1;
  Conv2dOptions options;
  bool has_bias = true;
  Tensor<T> weight, bias;

  GroupedConv2d() = default;
  /// The groups are those of the options.
  GroupedConv2d(Index in, Index out, Index kernel, Conv2dOptions conv_options,
                bool with_bias = true)
      : in_channels(in),
        out_channels(out),
        groups(conv_options.groups.count()),
        kernel_h(kernel),
        kernel_w(kernel),
        options(conv_options),
        has_bias(with_bias) {
    if (groups < 1 || in % groups != 0)
      fail(type, ": ", groups, " groups; expected a divisor of ", in, " input channels");
    allocate_state<T>(*this);
  }
  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("in_channels", in_channels, 1, max_layer_channels);
    f.integer("out_channels", out_channels, 1, max_layer_channels);
    f.integer("groups", groups, 1, max_layer_channels);
    detail::visit_window_fields(*this, f);
    f.flag("bias", has_bias);
    options.groups = groups;
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, weight_shape());
    if (has_bias) v.parameter("bias", bias, Shape{out_channels});
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    kaiming_normal_fan_out(weight, seed, number);
  }
  Tensor<T> forward(Tensor<T> x) { return conv2d(x, weight, bias, options); }
  Result<Shape> output_shape(const Shape& x) const {
    if (in_channels % groups != 0)
      return failure(ErrorCode::usage, type, ": ", groups, " groups; expected a divisor of ",
                     in_channels, " input channels");
    return conv2d_shape(x, weight_shape(), options);
  }
  LayerCost cost(const Shape& x) const {
    const Shape y = output_shape(x).value();
    const Index depth = in_channels / groups * kernel_h * kernel_w + (has_bias ? 1 : 0);
    return {out_channels * depth, detail::elements_per_sample(y) * depth,
            detail::activation_bytes(y)};
  }
  Shape weight_shape() const { return {out_channels, in_channels / groups, kernel_h, kernel_w}; }
};

/// Mean of each window: [N,C,H,W] to [N,C,P,Q].
template <class T>
struct AvgPool2d {
  static constexpr const char* type = "avg_pool2d";
  AvgPool2dOptions options;

  template <class Fields>
  void visit_fields(Fields& f) {
    f.pair("kernel", options.kernel_h, options.kernel_w, 1, max_layer_window);
    f.pair("stride", options.stride_h, options.stride_w, 1, max_layer_window);
    f.pair("pad", options.pad_h, options.pad_w, 0, max_layer_window);
    f.flag("count_include_pad", options.count_include_pad);
  }
  Tensor<T> forward(Tensor<T> x) { return avg_pool2d(x, options); }
  Result<Shape> output_shape(const Shape& x) const { return avg_pool2d_shape(x, options); }
  LayerCost cost(const Shape& x) const {
    return {0, detail::elements_per_sample(x), detail::activation_bytes(output_shape(x).value())};
  }
};

/// Normalisation over groups of channels: weight and bias [C].
template <class T>
struct GroupNorm {
  static constexpr const char* type = "group_norm";
  Index groups = 1, channels = 0;
  double eps = 1e-5;
  Tensor<T> weight, bias;

  GroupNorm() = default;
  GroupNorm(Index of_groups, Index of_channels) : groups(of_groups), channels(of_channels) {
    allocate_state<T>(*this);
  }
  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("groups", groups, 1, max_layer_channels);
    f.integer("channels", channels, 1, max_layer_channels);
    f.real("eps", eps, 0, 1);
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, Shape{channels}, T(1));
    v.parameter("bias", bias, Shape{channels});
  }
  Tensor<T> forward(Tensor<T> x) { return group_norm(x, groups, weight, bias, eps); }
  Result<Shape> output_shape(const Shape& x) const { return group_norm_shape(x, groups, channels); }
  LayerCost cost(const Shape& x) const {
    return {2 * channels, 2 * detail::elements_per_sample(x), detail::activation_bytes(x)};
  }
};

/// Normalisation over the last dimension: weight and bias [features].
template <class T>
struct LayerNorm {
  static constexpr const char* type = "layer_norm";
  Index features = 0;
  double eps = 1e-5;
  Tensor<T> weight, bias;

  LayerNorm() = default;
  explicit LayerNorm(Index of_features) : features(of_features) { allocate_state<T>(*this); }
  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("features", features, 1, max_linear_features);
    f.real("eps", eps, 0, 1);
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, Shape{features}, T(1));
    v.parameter("bias", bias, Shape{features});
  }
  Tensor<T> forward(Tensor<T> x) { return layer_norm(x, weight, bias, eps); }
  Result<Shape> output_shape(const Shape& x) const { return layer_norm_shape(x, Shape{features}); }
  LayerCost cost(const Shape& x) const {
    return {2 * features, 2 * detail::elements_per_sample(x), detail::activation_bytes(x)};
  }
};

IOTSL_NAMESPACE_END
