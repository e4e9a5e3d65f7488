#pragma once
// The conditional generator: noise and label to an image, by transposed convolutions with pixel
// norm. After GS-WGAN, from which the paper's generator is taken (table I of its appendix).

#include "iotsl/models/generator_spec.hpp"
#include "iotsl/nn/init.hpp"
#include "iotsl/nn/module.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/matmul.hpp"
#include "iotsl/ops/vector_norm.hpp"

IOTSL_NAMESPACE_BEGIN

/// One transposed convolution of the generator: weight [in,out,k,k], bias [out].
template <class T>
struct Deconvolution {
  std::string name;
  Tensor<T> weight, bias;
  Conv2dOptions options;

  Deconvolution(std::string layer, Index in, Index out, Index kernel, const Conv2dOptions& o)
      : name(std::move(layer)),
        weight(Tensor<T>::zeros(Shape{in, out, kernel, kernel})),
        bias(Tensor<T>::zeros(Shape{out})),
        options(o) {
    weight.set_requires_grad();
    bias.set_requires_grad();
  }
};

/// Noise [N,latent] and N labels give images [N,C,H,W] in (0,1): a linear layer, then the
/// deconvolutions of lay_out, each after ReLU and pixel norm; a sigmoid at the end.
template <class T>
class GeneratorNet {
 public:
  using Scalar = T;

  explicit GeneratorNet(const GeneratorSpec& spec) : spec_(spec) {
    if (const Result<void> good = check_generator(spec); !good) fail(good.failure().message);
    const GeneratorLayout layout = lay_out(spec);
    start_ = layout.start;
    weight_ = Tensor<T>::zeros(Shape{layout.linear_out, layout.linear_in});
    bias_ = Tensor<T>::zeros(Shape{layout.linear_out});
    for (const GeneratorLayout::Layer& l : layout.deconvolutions)
      layers_.emplace_back(concat("deconv", layers_.size() + 1), l.in, l.out, l.kernel, l.options);
    weight_.set_requires_grad();
    bias_.set_requires_grad();
  }

  /// Weights and biases uniform in +-1/sqrt(fan_in), as PyTorch's layers begin.
  void initialize(std::uint64_t seed) {
    std::uint32_t number = 1000;  // away from the critic's
    const auto fill = [&](Tensor<T>& weight, Tensor<T>& bias, Index fan_in) {
      const double bound = 1 / scalar_math::sqrt(static_cast<double>(fan_in));
      fill_uniform(weight, bound, seed, number++);
      fill_uniform(bias, bound, seed, number++);
    };
    fill(weight_, bias_, weight_.shape()[1]);
    for (Deconvolution<T>& layer : layers_)
      fill(layer.weight, layer.bias, layer.weight.size() / layer.weight.shape()[0]);
  }

  Tensor<T> forward(const Tensor<T>& noise, std::span<const std::int32_t> labels) const {
    const Index n = static_cast<Index>(labels.size());
    if (!(noise.shape() == Shape{n, spec_.latent}))
      fail("generator: ", n, " labels expect noise [", n, ",", spec_.latent, "], given ",
           noise.shape());
    Tensor<T> x = linear(with_labels(noise, labels), weight_, bias_);
    x = reshape(x, Shape{n, layers_.front().weight.shape()[0], start_.height, start_.width});
    for (const Deconvolution<T>& layer : layers_)
      x = conv_transpose2d(pixel_norm(relu(std::move(x))), layer.weight, layer.bias, layer.options);
    return sigmoid(std::move(x));
  }

  const GeneratorSpec& spec() const { return spec_; }

  template <class Visitor>
  void visit_state(Visitor& visitor) const {
    visitor.prefix = "linear.";
    visitor.parameter("weight", weight_);
    visitor.parameter("bias", bias_);
    for (const Deconvolution<T>& layer : layers_) {
      visitor.prefix = layer.name + ".";
      visitor.parameter("weight", layer.weight);
      visitor.parameter("bias", layer.bias);
    }
  }
  std::vector<NamedTensor<T>> parameters() const { return collect_state(*this).parameters; }

 private:
  /// [noise, one-hot label].
  Tensor<T> with_labels(const Tensor<T>& noise, std::span<const std::int32_t> labels) const {
    const Index classes = spec_.images.classes, cols = spec_.latent + classes;
    detail::check_labels("generator", labels, classes);
    Tensor<T> out = Tensor<T>::zeros(Shape{noise.shape()[0], cols});
    T* values = out.mutable_data();
    for (std::size_t i = 0; i < labels.size(); ++i) {
      T* row = values + static_cast<Index>(i) * cols;
      std::copy_n(noise.data() + static_cast<Index>(i) * spec_.latent, spec_.latent, row);
      row[spec_.latent + labels[i]] = T(1);
    }
    return out;
  }

  GeneratorSpec spec_;
  MapSize start_{};
  Tensor<T> weight_, bias_;  // of the linear layer
  std::vector<Deconvolution<T>> layers_;
};

IOTSL_FLOAT(class GeneratorNet<float>)

IOTSL_NAMESPACE_END
