#pragma once
// The net that turns smashed data back into images.

#include <algorithm>
#include <vector>

#include "iotsl/core/image_spec.hpp"
#include "iotsl/nn/layers/activation.hpp"
#include "iotsl/nn/layers/gan.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

namespace detail {

/// Sizes from a map of `map` pixels a side up to an image of `image`: each about twice the one
/// before, as pools with stride 2 have halved it; the first is `map`, the last `image`.
inline std::vector<Index> growing_sizes(Index map, Index image) {
  std::vector<Index> out{image};
  while (out.back() / 2 >= map && out.back() > 1) out.push_back(out.back() / 2);
  if (out.back() != map) out.push_back(map);
  std::reverse(out.begin(), out.end());
  return out;
}

/// A transposed convolution of `channels` that makes a map of `to` pixels of one of `from`, to >=
/// from.
inline ConvTranspose2d<float> grow_map(Index channels, const Index (&from)[2],
                                       const Index (&to)[2]) {
  ConvTranspose2d<float> out;
  out.in_channels = out.out_channels = channels;
  out.options.stride_h = std::max<Index>(1, to[0] / from[0]);
  out.options.stride_w = std::max<Index>(1, to[1] / from[1]);
  out.kernel_h = to[0] - (from[0] - 1) * out.options.stride_h;
  out.kernel_w = to[1] - (from[1] - 1) * out.options.stride_w;
  out.has_bias = false;
  return out;
}

inline void add_convolution(Sequential<float>& net, Index number, Index in, Index out) {
  net.add(concat("conv", number), Conv2d<float>(in, out, 3, {.pad_h = 1, .pad_w = 1}, false));
  net.add(concat("bn", number), BatchNorm2d<float>(out));
  net.add(concat("relu", number), Relu<float>{});
}

}  // namespace detail

/// A net from smashed data `smashed` ([1,C,H,W], or [1,F] behind the flattening) to images:
/// convolutions of `width` channels on maps that grow from the smashed ones' size to the image's,
/// and a sigmoid. Without initial weights. A failure where the maps are larger than the image.
inline Result<Sequential<float>> build_decoder(const Shape& smashed, const ImageSpec& images,
                                               Index width) {
  Sequential<float> net;
  Index channels = 0, size[2] = {};
  if (smashed.rank() == 2) {
    channels = width;
    size[0] = std::max<Index>(1, images.height / 4);
    size[1] = std::max<Index>(1, images.width / 4);
    net.add("head", Linear<float>(smashed[1], channels * size[0] * size[1]));
    net.add("map", Unflatten<float>{channels, size[0], size[1]});
  } else if (smashed.rank() == 4) {
    channels = smashed[1];
    size[0] = smashed[2];
    size[1] = smashed[3];
  } else {
    return failure(ErrorCode::usage, "decoder: smashed data ", smashed,
                   ", expected [N,C,H,W] or [N,F]");
  }
  if (size[0] > images.height || size[1] > images.width)
    return failure(ErrorCode::usage, "decoder: smashed maps of ", size[0], "x", size[1],
                   " are larger than the images of ", images.height, "x", images.width);
  std::vector<Index> heights = detail::growing_sizes(size[0], images.height),
                     widths = detail::growing_sizes(size[1], images.width);
  // The shorter list waits at its first size.
  while (heights.size() < widths.size()) heights.insert(heights.begin(), size[0]);
  while (widths.size() < heights.size()) widths.insert(widths.begin(), size[1]);
  Index number = 1;
  detail::add_convolution(net, number++, channels, width);
  for (std::size_t i = 1; i < heights.size(); ++i) {
    const Index from[2] = {heights[i - 1], widths[i - 1]}, to[2] = {heights[i], widths[i]};
    net.add(concat("grow", i), detail::grow_map(width, from, to));
    detail::add_convolution(net, number++, width, width);
  }
  net.add("image", Conv2d<float>(width, images.channels, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("sigmoid", Sigmoid<float>{});
  return net;
}

}  // namespace split
IOTSL_NAMESPACE_END
