#pragma once
// Images that are moved a little, so that a net learns a thing wherever it lies.

#include "iotsl/core/random.hpp"
#include "iotsl/core/tensor.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// Moves each image of x [N,C,H,W] by up to `pixels` in either direction, as `random` draws it;
/// what comes in is 0. Image i uses the numbers 2i and 2i + 1.
inline Tensor<float> shift_images(const Tensor<float>& x, Index pixels, const Random& random) {
  const Shape& shape = x.shape();
  if (shape.rank() != 4 || pixels < 0)
    fail("shift_images: ", shape, " by ", pixels, " pixels, expected [N,C,H,W] and 0 or more");
  const Index n = shape[0], channels = shape[1], height = shape[2], width = shape[3];
  Tensor<float> out = Tensor<float>::zeros(shape);
  const float* from = x.data();
  float* to = out.mutable_data();
  const auto reach = static_cast<std::uint64_t>(2 * pixels + 1);
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<std::uint64_t>(2 * i);
    const Index down = static_cast<Index>(random.below(at, reach)) - pixels;
    const Index right = static_cast<Index>(random.below(at + 1, reach)) - pixels;
    const Index first = std::max<Index>(0, right), last = std::min(width, width + right);
    for (Index plane = i * channels; plane < (i + 1) * channels && first < last; ++plane)
      for (Index row = std::max<Index>(0, down); row < std::min(height, height + down); ++row) {
        const float* line = from + (plane * height + row - down) * width + first - right;
        std::copy(line, line + (last - first), to + (plane * height + row) * width + first);
      }
  }
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
