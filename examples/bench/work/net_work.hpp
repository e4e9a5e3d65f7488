#pragma once
// How much work the nets' convolutions and linear layers are. What stands between them (batch norm,
// ReLU, pools) is not counted: a share below 1 is what it costs.

#include <vector>

#include "bench/work/workload.hpp"
#include "iotsl/models/generator_spec.hpp"
#include "iotsl/models/model.hpp"

namespace iotsl::bench {

/// One pass over a layer of `products` multiply-adds with so many values: forward reads input and
/// weights and writes the output, either gradient reads two of the three and writes the third.
inline Work product_work(Index products, Index inputs, Index weights, Index outputs) {
  return {2 * static_cast<double>(products), 4 * static_cast<double>(inputs + weights + outputs)};
}

/// A pass over each of some layers.
struct LayersWork {
  Work all, first;

  void add(const Work& layer) {
    if (all.flops == 0) first = layer;
    all += layer;
  }
  /// Forward, and both gradients but that of the first layer's input.
  Work training() const { return 3 * all + (-1) * first; }
};

/// For a batch x.
inline LayersWork net_work(const Sequential<float>& net, Shape x) {
  LayersWork out;
  for (const NamedLayer<float>& named : net.layers()) {
    const Shape y = named.output_shape(x).value();
    Index weights = 0;
    if (const auto* conv = named.layer.get_if<Conv2d<float>>())
      weights = conv->weight_shape().elements();
    if (const auto* linear = named.layer.get_if<Linear<float>>())
      weights = linear->weight_shape().elements();
    if (weights > 0)
      out.add(product_work(y.elements() * (weights / y[1]), x.elements(), weights, y.elements()));
    x = y;
  }
  return out;
}

/// The critic's convolutions (5x5, halving) and its score, for `n` images.
inline LayersWork critic_work(const ImageSpec& images, Index width, Index n) {
  LayersWork out;
  const std::vector<MapSize> maps = iotsl::detail::halved_maps(images);
  Index in = images.channels, pixels = maps[0].height * maps[0].width;
  for (std::size_t i = 1; i < maps.size(); ++i) {
    const Index features = iotsl::detail::map_channels(i, width), weights = features * in * 25;
    const Index out_pixels = maps[i].height * maps[i].width;
    out.add(product_work(n * out_pixels * weights, n * in * pixels, weights,
                         n * features * out_pixels));
    in = features;
    pixels = out_pixels;
  }
  out.add(product_work(n * in * pixels, n * in * pixels, in * pixels, n));
  return out;
}

/// The generator's linear layer and transposed convolutions, for `n` images.
inline LayersWork generator_work(const GeneratorLayout& layout, Index n) {
  LayersWork out;
  out.add(product_work(n * layout.linear_in * layout.linear_out, n * layout.linear_in,
                       layout.linear_in * layout.linear_out, n * layout.linear_out));
  Index height = layout.start.height, width = layout.start.width;
  for (const GeneratorLayout::Layer& l : layout.deconvolutions) {
    const Index weights = l.in * l.out * l.kernel * l.kernel, pixels = height * width;
    const Conv2dOptions& o = l.options;
    height = (height - 1) * o.stride_h - 2 * o.pad_h + l.kernel - o.crop_h;
    width = (width - 1) * o.stride_w - 2 * o.pad_w + l.kernel - o.crop_w;
    out.add(
        product_work(n * pixels * weights, n * l.in * pixels, weights, n * l.out * height * width));
  }
  return out;
}

}  // namespace iotsl::bench
