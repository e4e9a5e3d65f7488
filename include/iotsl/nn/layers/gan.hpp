#pragma once
// Layers of nets that make images and of those that judge them: from a vector to a map, transposed
// convolution, pixel norm; spectral norm around another layer; a vector for each class.

#include <array>
#include <string_view>

#include "iotsl/nn/layers/standard.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/spectral.hpp"
#include "iotsl/ops/vector_norm.hpp"

IOTSL_NAMESPACE_BEGIN

/// [N,CHW] to [N,C,H,W], what Flatten came from; a view, so it costs nothing.
template <class T>
struct Unflatten {
  static constexpr const char* type = "unflatten";
  Index channels = 1, height = 1, width = 1;

  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("channels", channels, 1, max_layer_channels);
    f.pair("size", height, width, 1, max_layer_channels);
  }
  Tensor<T> forward(Tensor<T> x) { return unflatten(x, channels, height, width); }
  Result<Shape> output_shape(const Shape& x) const {
    return unflatten_shape(x, channels, height, width);
  }
  LayerCost cost(const Shape&) const { return {}; }
};

/// Transposed convolution, with or without bias: weight [K,C,R,S] of K input channels, bias [C].
/// What the options crop is never computed.
template <class T>
struct ConvTranspose2d {
  static constexpr const char* type = "conv_transpose2d";
  Index in_channels = 0, out_channels = 0;
  Index kernel_h = 1, kernel_w = 1;
  Conv2dOptions options;
  Index output_pad_h = 0, output_pad_w = 0;
  bool has_bias = true;
  Tensor<T> weight, bias;

  ConvTranspose2d() = default;
  ConvTranspose2d(Index in, Index out, Index kernel, Conv2dOptions conv_options = {},
                  bool with_bias = true)
      : in_channels(in),
        out_channels(out),
        kernel_h(kernel),
        kernel_w(kernel),
        options(conv_options),
        has_bias(with_bias) {
    if (options.groups.count() != 1)
      fail("ConvTranspose2d: ", options.groups.count(), " groups; expected 1");
    allocate_state<T>(*this);
  }
  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("in_channels", in_channels, 1, max_layer_channels);
    f.integer("out_channels", out_channels, 1, max_layer_channels);
    detail::visit_window_fields(*this, f);
    f.pair("output_pad", output_pad_h, output_pad_w, 0, max_layer_window);
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
  Tensor<T> forward(Tensor<T> x) {
    return conv_transpose2d(x, weight, bias, options, output_pad_h, output_pad_w);
  }
  Result<Shape> output_shape(const Shape& x) const {
    return conv_transpose2d_shape(x, weight_shape(), options, output_pad_h, output_pad_w);
  }
  LayerCost cost(const Shape& x) const {
    const Shape y = output_shape(x).value();
    const Index weights = in_channels * out_channels * kernel_h * kernel_w;
    const Index biases = has_bias ? out_channels : 0;
    return {weights + biases, weights * x[2] * x[3] + biases * y[2] * y[3],
            detail::activation_bytes(y)};
  }
  Shape weight_shape() const { return {in_channels, out_channels, kernel_h, kernel_w}; }
};

/// Every pixel over the root mean square of its channels.
template <class T>
struct PixelNorm {
  static constexpr const char* type = "pixel_norm";
  double eps = 1e-10;

  template <class Fields>
  void visit_fields(Fields& f) {
    f.real("eps", eps, 0, 1);
  }
  Tensor<T> forward(Tensor<T> x) { return pixel_norm(x, eps); }
  Result<Shape> output_shape(const Shape& x) const { return pixel_norm_shape(x); }
  LayerCost cost(const Shape& x) const {
    return {0, 2 * detail::elements_per_sample(x), detail::activation_bytes(x)};
  }
};

/// A vector for each class: weight [classes,features]; N labels give [N,features]. It takes no
/// tensor, so it stands beside a chain and in none.
template <class T>
struct Embedding {
  Index classes = 0, features = 0;
  Tensor<T> weight;

  Embedding() = default;
  Embedding(Index of_classes, Index of_features) : classes(of_classes), features(of_features) {
    allocate_state<T>(*this);
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, weight_shape());
  }
  Tensor<T> forward(std::span<const std::int32_t> labels) const {
    return embedding(weight, labels);
  }
  Shape weight_shape() const { return {classes, features}; }
};

namespace detail {

/// `spectral_` and the name of the layer within, as a string that ends with 0.
template <class L>
inline constexpr auto spectral_type = [] {
  constexpr std::string_view before = "spectral_", inner = L::type;
  std::array<char, before.size() + inner.size() + 1> out{};
  std::copy(inner.begin(), inner.end(), std::copy(before.begin(), before.end(), out.begin()));
  return out;
}();

}  // namespace detail

/// A layer with its weight over an estimate of its largest singular value, which one power
/// iteration before each pass in training follows: `spectral_conv2d` is SpectralNorm<T, Conv2d>.
/// The state of the layer keeps its names; the vectors stand beside it as `u` and `v`, as in
/// PyTorch's parametrisation; an iteration turns v, then u, as torch.nn.utils.spectral_norm does.
/// The matrix is of the weight's first extent: of a transposed convolution that is its inputs,
/// where PyTorch takes its outputs. A pass before initialize() raises an Error.
template <class T, template <class> class Layer>
struct SpectralNorm {
  static constexpr const char* type = detail::spectral_type<Layer<T>>.data();
  Layer<T> layer;
  Tensor<T> u, v;  ///< of the weight as a matrix [out, rest]

  SpectralNorm() = default;
  explicit SpectralNorm(Layer<T> within) : layer(std::move(within)) { allocate_state<T>(*this); }

  template <class Fields>
  void visit_fields(Fields& f) {
    layer.visit_fields(f);
  }
  template <class Visitor>
  void visit_state(Visitor& state) {
    layer.visit_state(state);
    const Shape weight = layer.weight_shape();
    state.buffer("u", u, Shape{weight[0]});
    state.buffer("v", v, Shape{detail::elements_per_sample(weight)});
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    layer.initialize(seed, number);
    find_spectrum(seed, number + 65536);
  }
  /// u of the seed's random numbers, then both turned towards the singular pair of the weight.
  void find_spectrum(std::uint64_t seed, std::uint32_t tensor_number) {
    fill_normal(u, 1.0, seed, tensor_number);
    power_iteration(layer.weight, u, v, 15);
  }
  /// One power iteration.
  void follow_spectrum() { power_iteration(layer.weight, u, v); }
  /// The layer with its weight over its spectral norm, for any number of passes. It keeps vectors
  /// of its own: these may go on before its gradients are taken.
  Layer<T> normalized() const {
    Layer<T> out = layer;
    out.weight = spectral_norm(layer.weight, u.clone(), v.clone());
    return out;
  }
  Tensor<T> forward(Tensor<T> x, const ForwardMode& mode) {
    if (mode.training) follow_spectrum();
    return normalized().forward(std::move(x), mode);
  }
  Result<Shape> output_shape(const Shape& x) const { return layer.output_shape(x); }
  LayerCost cost(const Shape& x) const { return layer.cost(x); }
};

IOTSL_NAMESPACE_END
