#pragma once
// The conditional generator: noise and label to an image, by transposed convolutions with pixel
// norm. After GS-WGAN, from which the paper's generator is taken (table I of its appendix).

#include "iotsl/models/image_spec.hpp"
#include "iotsl/nn/init.hpp"
#include "iotsl/nn/module.hpp"
#include "iotsl/ops/embedding.hpp"
#include "iotsl/ops/vector_norm.hpp"

IOTSL_NAMESPACE_BEGIN

/// What a generator is built from.
struct GeneratorSpec {
  ImageSpec images;
  Index width = 64;    ///< channels of the last map; the maps before have 2 and 4 times as many
  Index latent = 10;   ///< values of noise
  bool light = false;  ///< half the width and kernels of 4: about a sixth of the operations

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("images", self.images);
    f("width", self.width);
    f("latent", self.latent);
    f("light", self.light);
  }
  friend bool operator==(const GeneratorSpec&, const GeneratorSpec&) = default;
};

inline Result<void> check_generator(const GeneratorSpec& s) {
  if (const Result<void> good = check_images(s.images); !good) return good;
  if (s.width < 2 || s.width > 1024 || s.width % 2 != 0)
    return failure(ErrorCode::usage, "generator: width ", s.width,
                   "; expected an even number from 2 to 1024");
  if (s.latent < 1 || s.latent > 4096)
    return failure(ErrorCode::usage, "generator: ", s.latent, " latent values; expected 1 to 4096");
  return {};
}

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

/// Noise [N,latent] and N labels give images [N,C,H,W] in (0,1).
///
/// For 28x28 the paper's layers: linear to 4w maps of 4x4; deconvolutions 4w -> 2w of 5x5, cropped to
/// 7x7, 2w -> w of 5x5 to 11x11, w -> C of 8x8 with stride 2. For any other size, and for the light
/// one, each deconvolution of 4x4 doubles the map (and crops it where the image's half is odd).
/// ReLU and pixel norm after each but the last, which a sigmoid follows.
template <class T>
class GeneratorNet {
 public:
  using Scalar = T;

  explicit GeneratorNet(const GeneratorSpec& spec) : spec_(spec) {
    if (const Result<void> good = check_generator(spec); !good) fail(good.failure().message);
    const Index width = spec.light ? spec.width / 2 : spec.width;
    const ImageSpec& images = spec.images;
    if (!spec.light && images.height == 28 && images.width_px == 28) {
      start_ = {4, 4};
      layers_.emplace_back("deconv1", 4 * width, 2 * width, 5, Conv2dOptions{.crop_h = 1, .crop_w = 1});
      layers_.emplace_back("deconv2", 2 * width, width, 5, Conv2dOptions{});
      layers_.emplace_back("deconv3", width, images.channels, 8,
                           Conv2dOptions{.stride_h = 2, .stride_w = 2});
    } else {
      const std::vector<MapSize> maps = detail::halved_maps(images);
      start_ = maps.back();
      for (std::size_t i = maps.size() - 1; i > 0; --i) {
        const Index out = i == 1 ? images.channels : detail::map_channels(i - 1, width);
        layers_.emplace_back(
            concat("deconv", maps.size() - i), detail::map_channels(i, width), out, 4,
            Conv2dOptions{.stride_h = 2,
                          .stride_w = 2,
                          .pad_h = 1,
                          .pad_w = 1,
                          .crop_h = 2 * maps[i].height - maps[i - 1].height,
                          .crop_w = 2 * maps[i].width - maps[i - 1].width});
      }
    }
    const Index features = layers_.front().weight.shape()[0] * start_.height * start_.width;
    weight_ = Tensor<T>::zeros(Shape{features, spec.latent + images.classes});
    bias_ = Tensor<T>::zeros(Shape{features});
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

  /// Parameters, and operations for one image (multiply-adds and biases of linear and
  /// deconvolutions).
  LayerCost cost() const {
    LayerCost out{weight_.size() + bias_.size(), weight_.size() + bias_.size(), 0};
    MapSize map = start_;
    for (const Deconvolution<T>& layer : layers_) {
      const Shape& w = layer.weight.shape();
      const Conv2dOptions& o = layer.options;
      out.parameters += layer.weight.size() + layer.bias.size();
      out.operations += layer.weight.size() * map.height * map.width;
      map.height = (map.height - 1) * o.stride_h - 2 * o.pad_h + w[2] - o.crop_h;
      map.width = (map.width - 1) * o.stride_w - 2 * o.pad_w + w[3] - o.crop_w;
      out.operations += w[1] * map.height * map.width;
    }
    return out;
  }

  template <class Visitor>
  void visit_state(Visitor& visitor) const {
    GeneratorNet shared = *this;
    visitor.prefix = "linear.";
    visitor.parameter("weight", shared.weight_);
    visitor.parameter("bias", shared.bias_);
    for (Deconvolution<T>& layer : shared.layers_) {
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
    for (std::size_t i = 0; i < labels.size(); ++i) {
      T* row = out.raw() + static_cast<Index>(i) * cols;
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
