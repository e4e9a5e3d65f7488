#pragma once
// What describes a classifier.

#include <string>

#include "iotsl/models/image_spec.hpp"
#include "iotsl/nn/layers.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN

/// A classifier by name, with its base width (64 is the published size) and its input.
struct ModelSpec {
  std::string name = "vgg16bn-compact";
  Index width = 64;
  Index in_channels = 1;
  Index height = 28, width_px = 28;
  Index classes = 10;
};

/// The images that a classifier tells apart.
inline ImageSpec image_spec(const ModelSpec& model) {
  return {model.in_channels, model.height, model.width_px, model.classes};
}

/// One batch of one sample of the model's input.
inline Shape sample_shape(const ModelSpec& spec) {
  return Shape{1, spec.in_channels, spec.height, spec.width_px};
}

namespace detail {
/// `channels` of the published net at another base width.
inline Index scaled(const ModelSpec& spec, Index channels) {
  const Index out = channels * spec.width / 64;
  return out < 1 ? 1 : out;
}
}  // namespace detail

IOTSL_NAMESPACE_END
