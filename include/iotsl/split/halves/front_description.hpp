#pragma once
// The front as a list of layers on the wire. The device builds its half from the list, so it needs
// neither the back nor a table of models, and both sides know from it how large each message may
// be.
//
// extents: conv2d {in, out, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h,
// dilation_w}; batch_norm2d {channels}; max_pool2d {kernel_h, kernel_w, stride_h, stride_w, pad_h,
// pad_w}; linear {in, out}; dropout {place}; none for the others.

#include "iotsl/net/run_description.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Most parameters that a device accepts: 256 MiB of float32.
inline constexpr Index max_front_parameters = Index{1} << 26;

namespace detail {

using net::LayerDescription;
using net::LayerType;

inline std::uint16_t to_extent(Index value) {
  if (value < 0 || value > 65535) fail("split: a layer's extent is ", value, ", limit 65535");
  return static_cast<std::uint16_t>(value);
}

template <class... Values>
void describe(LayerDescription& out, LayerType type, Values... values) {
  out.type = type;
  out.extents = {to_extent(values)...};
}
inline void describe(LayerDescription& out, const Conv2d<float>& l) {
  const Shape& w = l.weight.shape();
  const Conv2dOptions& o = l.options;
  describe(out, LayerType::conv2d, w[1], w[0], w[2], w[3], o.stride_h, o.stride_w, o.pad_h, o.pad_w,
           o.dilation_h, o.dilation_w);
}
inline void describe(LayerDescription& out, const BatchNorm2d<float>& l) {
  describe(out, LayerType::batch_norm2d, l.weight.size());
}
inline void describe(LayerDescription& out, const Relu<float>&) { describe(out, LayerType::relu); }
inline void describe(LayerDescription& out, const MaxPool2d<float>& l) {
  const Pool2dOptions& o = l.options;
  describe(out, LayerType::max_pool2d, o.kernel_h, o.kernel_w, o.stride_h, o.stride_w, o.pad_h,
           o.pad_w);
}
inline void describe(LayerDescription& out, const GlobalAvgPool2d<float>&) {
  describe(out, LayerType::global_avg_pool2d);
}
inline void describe(LayerDescription& out, const Flatten<float>&) {
  describe(out, LayerType::flatten);
}
inline void describe(LayerDescription& out, const Dropout<float>& l) {
  describe(out, LayerType::dropout, Index{l.place});
  out.probability = l.probability;
}
inline void describe(LayerDescription& out, const Linear<float>& l) {
  describe(out, LayerType::linear, l.weight.shape()[1], l.weight.shape()[0]);
}

/// How many extents each type has, and the least value of each.
inline Result<void> check_layer(const LayerDescription& layer) {
  const auto wrong = [&](const char* why) {
    return failure(ErrorCode::network, "front: layer '", layer.name, "': ", why);
  };
  std::size_t expected = 0;
  switch (layer.type) {
    case LayerType::conv2d:
      expected = 10;
      break;
    case LayerType::batch_norm2d:
      expected = 1;
      break;
    case LayerType::max_pool2d:
      expected = 6;
      break;
    case LayerType::dropout:
      expected = 1;
      break;
    case LayerType::linear:
      expected = 2;
      break;
    case LayerType::relu:
    case LayerType::global_avg_pool2d:
    case LayerType::flatten:
      break;
    default:
      return wrong("type is unknown");
  }
  if (layer.extents.size() != expected) return wrong("wrong number of extents");
  if (layer.type == LayerType::dropout)
    return layer.probability >= 0 && layer.probability < 1 ? Result<void>()
                                                           : wrong("probability is not in [0,1)");
  for (std::size_t i = 0; i < expected; ++i) {
    const bool padding = (layer.type == LayerType::conv2d && (i == 6 || i == 7)) ||
                         (layer.type == LayerType::max_pool2d && i >= 4);
    if (layer.extents[i] == 0 && !padding) return wrong("an extent is 0");
    const bool window =
        layer.type == LayerType::max_pool2d || (layer.type == LayerType::conv2d && i >= 2);
    if (window && layer.extents[i] > 15) return wrong("kernel, stride or padding is above 15");
  }
  return {};
}

inline Index parameters_of(const LayerDescription& layer) {
  const auto at = [&](std::size_t i) { return Index{layer.extents[i]}; };
  switch (layer.type) {
    case LayerType::conv2d:
      return at(0) * at(1) * at(2) * at(3) + at(1);
    case LayerType::batch_norm2d:
      return 4 * at(0);
    case LayerType::linear:
      return at(0) * at(1) + at(1);
    default:
      return 0;
  }
}

inline void add_layer(Sequential<float>& net, const LayerDescription& layer) {
  const auto at = [&](std::size_t i) { return Index{layer.extents[i]}; };
  const std::string& name = layer.name;
  switch (layer.type) {
    case LayerType::conv2d: {
      const Conv2dOptions o{.stride_h = at(4),
                            .stride_w = at(5),
                            .pad_h = at(6),
                            .pad_w = at(7),
                            .dilation_h = at(8),
                            .dilation_w = at(9)};
      return net.add(name, Conv2d<float>(at(0), at(1), at(2), o));
    }
    case LayerType::batch_norm2d:
      return net.add(name, BatchNorm2d<float>(at(0)));
    case LayerType::relu:
      return net.add(name, Relu<float>{});
    case LayerType::max_pool2d:
      return net.add(name, MaxPool2d<float>{{.kernel_h = at(0),
                                             .kernel_w = at(1),
                                             .stride_h = at(2),
                                             .stride_w = at(3),
                                             .pad_h = at(4),
                                             .pad_w = at(5)}});
    case LayerType::global_avg_pool2d:
      return net.add(name, GlobalAvgPool2d<float>{});
    case LayerType::flatten:
      return net.add(name, Flatten<float>{});
    case LayerType::dropout:
      return net.add(name, Dropout<float>{layer.probability, layer.extents[0]});
    case LayerType::linear:
      return net.add(name, Linear<float>(at(0), at(1)));
  }
}

/// Extents after one layer, or a failure where the layer does not take x. Shapes come from the
/// peer, so a mismatch must not raise an Error.
inline Result<Shape> shape_after(const LayerDescription& layer, const Shape& x) {
  const auto at = [&](std::size_t i) { return Index{layer.extents[i]}; };
  const auto wrong = [&](const char* why) {
    return failure(ErrorCode::network, "front: layer '", layer.name, "' ", why, ", its input is ",
                   x);
  };
  const bool image = x.rank() == 4;
  const auto window = [&](Index channels, std::size_t kernel, std::size_t stride, std::size_t pad,
                          Index dilate_h, Index dilate_w) -> Result<Shape> {
    const Index h = x[2] + 2 * at(pad) - dilate_h * (at(kernel) - 1) - 1;
    const Index w = x[3] + 2 * at(pad + 1) - dilate_w * (at(kernel + 1) - 1) - 1;
    if (h < 0 || w < 0) return wrong("has a kernel larger than its input");
    return Shape{x[0], channels, h / at(stride) + 1, w / at(stride + 1) + 1};
  };
  switch (layer.type) {
    case LayerType::conv2d:
      if (!image || x[1] != at(0)) return wrong("expects other channels");
      if (at(2) != at(3)) return wrong("has a kernel that is not square");
      return window(at(1), 2, 4, 6, at(8), at(9));
    case LayerType::batch_norm2d:
      if (!image || x[1] != at(0)) return wrong("expects other channels");
      return x;
    case LayerType::max_pool2d:
      if (!image) return wrong("expects an image");
      if (2 * at(4) > at(0) || 2 * at(5) > at(1)) return wrong("pads more than half its kernel");
      return window(x[1], 0, 2, 4, 1, 1);
    case LayerType::global_avg_pool2d:
      if (!image) return wrong("expects an image");
      return Shape{x[0], x[1]};
    case LayerType::flatten:
      return Shape{x[0], x.elements() / x[0]};
    case LayerType::linear:
      if (x.rank() != 2 || x[1] != at(0)) return wrong("expects another input");
      return Shape{x[0], at(1)};
    case LayerType::relu:
    case LayerType::dropout:
      break;
  }
  return x;
}

}  // namespace detail

/// The layers of a front.
inline std::vector<net::LayerDescription> describe_layers(const Sequential<float>& front) {
  std::vector<net::LayerDescription> out;
  for (const NamedLayer<float>& named : front.layers()) {
    net::LayerDescription& layer = out.emplace_back();
    layer.name = named.name;
    std::visit([&](const auto& l) { detail::describe(layer, l); }, named.layer);
  }
  return out;
}

/// The front of a description for samples of the given shape [1,C,H,W], without weights. Everything
/// is checked before memory is taken.
inline Result<Sequential<float>> build_front(const std::vector<net::LayerDescription>& layers,
                                             const Shape& sample) {
  if (layers.empty()) return failure(ErrorCode::network, "front: has no layers");
  Index parameters = 0;
  Shape shape = sample;
  for (const net::LayerDescription& layer : layers) {
    const Result<void> good = detail::check_layer(layer);
    if (!good) return good.failure();
    const Result<Shape> after = detail::shape_after(layer, shape);
    if (!after) return after.failure();
    shape = *after;
    parameters += detail::parameters_of(layer);
    if (parameters > max_front_parameters || shape.elements() > max_front_parameters)
      return failure(ErrorCode::network, "front: more than ", max_front_parameters,
                     " parameters or values of a sample at layer '", layer.name, "'");
  }
  Sequential<float> front;
  for (const net::LayerDescription& layer : layers) detail::add_layer(front, layer);
  return front;
}

}  // namespace split
IOTSL_NAMESPACE_END
