#pragma once
// What describes a classifier.

#include <string>

#include "iotsl/core/image_spec.hpp"
#include "iotsl/nn/layers/standard.hpp"
#include "iotsl/nn/sequential.hpp"

IOTSL_NAMESPACE_BEGIN

/// A classifier by name, with its base width (channels; 64 is the published size) and the images
/// that it tells apart.
struct ModelSpec {
  std::string name = "vgg16bn-compact";
  Index width = 64;
  ImageSpec images = {};
};

/// One batch of one sample of the model's input.
inline Shape sample_shape(const ModelSpec& spec) {
  return Shape{1, spec.images.channels, spec.images.height, spec.images.width};
}

namespace detail {
/// `channels` of the published net at another base width.
inline Index scaled(const ModelSpec& spec, Index channels) {
  const Index out = channels * spec.width / 64;
  return out < 1 ? 1 : out;
}
}  // namespace detail

IOTSL_NAMESPACE_END
