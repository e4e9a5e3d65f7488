#pragma once
// The conditional generator: noise and label to an image, by transposed convolutions with pixel
// norm. After GS-WGAN, from which the paper's generator is taken (table I of its appendix).

#include "iotsl/models/generator_spec.hpp"
#include "iotsl/nn/layers/activation.hpp"
#include "iotsl/nn/layers/gan.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN

/// Noise [N,latent] and N labels give images [N,C,H,W] in (0,1): a linear layer, then the
/// deconvolutions of lay_out, each after ReLU and pixel norm; a sigmoid at the end.
template <class T>
class GeneratorNet {
 public:
  using Scalar = T;

  explicit GeneratorNet(const GeneratorSpec& spec) : spec_(spec) {
    if (const Result<void> good = check_generator(spec); !good) fail(good.failure().message);
    const GeneratorLayout layout = lay_out(spec);
    chain_.add("linear", Linear<T>(layout.linear_in, layout.linear_out));
    chain_.add("unflatten", Unflatten<T>{layout.deconvolutions.front().in, layout.start.height,
                                         layout.start.width});
    for (std::size_t i = 0; i < layout.deconvolutions.size(); ++i) {
      const GeneratorLayout::Layer& l = layout.deconvolutions[i];
      chain_.add(concat("relu", i + 1), Relu<T>{});
      chain_.add(concat("norm", i + 1), PixelNorm<T>{});
      chain_.add(concat("deconv", i + 1), ConvTranspose2d<T>(l.in, l.out, l.kernel, l.options));
    }
    chain_.add("sigmoid", Sigmoid<T>{});
  }

  /// Weights and biases uniform in +-1/sqrt(fan_in), as PyTorch's layers begin.
  void initialize(std::uint64_t seed) {
    std::uint32_t number = 1000;  // away from the critic's
    const std::vector<NamedTensor<T>> all = parameters();
    for (std::size_t i = 0; i < all.size(); i += 2, number += 2) {
      Tensor<T> weight = all[i].tensor, bias = all[i + 1].tensor;
      fill_uniform_fan_in(weight, bias, seed, number);
    }
  }

  Tensor<T> forward(const Tensor<T>& noise, std::span<const std::int32_t> labels) const {
    const Index n = static_cast<Index>(labels.size());
    if (!(noise.shape() == Shape{n, spec_.latent}))
      fail("generator: ", n, " labels expect noise [", n, ",", spec_.latent, "], given ",
           noise.shape());
    return chain_.forward(with_labels(noise, labels), {});
  }

  const GeneratorSpec& spec() const { return spec_; }
  /// What follows the noise and the labels.
  const Sequential<T>& chain() const { return chain_; }

  void visit_state(StateList<T>& list) const { chain_.visit_state(list); }
  std::vector<NamedTensor<T>> parameters() const { return chain_.parameters(); }

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
  Sequential<T> chain_;  // linear, unflatten, relu1, norm1, deconv1, ..., sigmoid
};

IOTSL_FLOAT(class GeneratorNet<float>)

IOTSL_NAMESPACE_END
