#pragma once
// What a generator is built from, and the layers that follow from it.

#include "iotsl/models/image_spec.hpp"
#include "iotsl/nn/layer_cost.hpp"
#include "iotsl/ops/conv_options.hpp"

IOTSL_NAMESPACE_BEGIN

struct GeneratorSpec {
  ImageSpec images = {};
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

/// Most parameters that a generator may have, so that a file or a peer cannot ask for more memory.
inline constexpr Index max_generator_parameters = Index{1} << 24;

/// The layers of a generator without their values.
struct GeneratorLayout {
  struct Layer {
    Index in, out, kernel;
    Conv2dOptions options;
  };
  MapSize start{};  ///< map that the linear layer gives
  Index linear_in = 0, linear_out = 0;
  std::vector<Layer> deconvolutions;

  /// Parameters, and operations for one image: the multiply-adds and biases of all layers.
  LayerCost cost() const {
    const Index linear = linear_out * (linear_in + 1);
    LayerCost out{linear, linear, 0};
    MapSize map = start;
    for (const Layer& l : deconvolutions) {
      const Index weights = l.in * l.out * l.kernel * l.kernel;
      out.parameters += weights + l.out;
      out.operations += weights * map.height * map.width;
      map = {
          (map.height - 1) * l.options.stride_h - 2 * l.options.pad_h + l.kernel - l.options.crop_h,
          (map.width - 1) * l.options.stride_w - 2 * l.options.pad_w + l.kernel - l.options.crop_w};
      out.operations += l.out * map.height * map.width;
    }
    return out;
  }
};

/// For 28x28 the paper's layers: linear to 4w maps of 4x4; deconvolutions 4w -> 2w of 5x5, cropped
/// to 7x7, 2w -> w of 5x5 to 11x11, w -> C of 8x8 with stride 2. For any other size, and for the
/// light one, each deconvolution of 4x4 doubles the map (cropped where the larger one is odd).
inline GeneratorLayout lay_out(const GeneratorSpec& spec) {
  GeneratorLayout out;
  const ImageSpec& images = spec.images;
  const Index width = spec.light ? spec.width / 2 : spec.width;
  if (!spec.light && images.height == 28 && images.width == 28) {
    out.start = {4, 4};
    out.deconvolutions = {{4 * width, 2 * width, 5, {.crop_h = 1, .crop_w = 1}},
                          {2 * width, width, 5, {}},
                          {width, images.channels, 8, {.stride_h = 2, .stride_w = 2}}};
  } else {
    const std::vector<MapSize> maps = detail::halved_maps(images);
    out.start = maps.back();
    for (std::size_t i = maps.size() - 1; i > 0; --i)
      out.deconvolutions.push_back({detail::map_channels(i, width),
                                    i == 1 ? images.channels : detail::map_channels(i - 1, width),
                                    4,
                                    {.stride_h = 2,
                                     .stride_w = 2,
                                     .pad_h = 1,
                                     .pad_w = 1,
                                     .crop_h = 2 * maps[i].height - maps[i - 1].height,
                                     .crop_w = 2 * maps[i].width - maps[i - 1].width}});
  }
  out.linear_in = spec.latent + images.classes;
  out.linear_out = out.deconvolutions.front().in * out.start.height * out.start.width;
  return out;
}

/// Checks a description before any memory is taken; the failure names what was given.
inline Result<void> check_generator(const GeneratorSpec& s) {
  if (const Result<void> good = check_images(s.images); !good) return good;
  if (s.width < 2 || s.width > 1024 || s.width % 2 != 0)
    return failure(ErrorCode::usage, "generator: width ", s.width,
                   "; expected an even number from 2 to 1024");
  if (s.light && s.width < 4)  // of the half, one map, pixel norm leaves the sign only
    return failure(ErrorCode::usage, "light generator: width ", s.width, "; expected at least 4");
  if (s.latent < 1 || s.latent > 4096)
    return failure(ErrorCode::usage, "generator: ", s.latent, " latent values; expected 1 to 4096");
  const Index parameters = lay_out(s).cost().parameters;
  if (parameters > max_generator_parameters)
    return failure(ErrorCode::usage, "generator: ", parameters, " parameters at width ", s.width,
                   "; limit ", max_generator_parameters);
  return {};
}

IOTSL_NAMESPACE_END
