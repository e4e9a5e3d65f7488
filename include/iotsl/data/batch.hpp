#pragma once
// Samples of a set as a net takes them.

#include "iotsl/core/tensor.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// Images and their labels as a net takes them.
struct Batch {
  Tensor<float> x;                   ///< [N,C,H,W], in [0,1]
  std::vector<std::int32_t> labels;  ///< [N]
};

/// The samples with these numbers, in this order. Raises an Error where a number is out of range.
inline Batch fetch_batch(const Dataset& set, std::span<const Index> samples) {
  const auto n = static_cast<Index>(samples.size());
  Batch out{Tensor<float>::uninitialized({n, set.channels, set.height, set.width}),
            std::vector<std::int32_t>(samples.size())};
  copy_batch(set, samples, out.x.mutable_data(), out.labels.data());
  return out;
}

/// Images that a program has in memory, such as a camera's, as a net takes them: [N,C,H,W], value /
/// 255. Raises an Error where `pixels` are not whole images.
inline Tensor<float> image_tensor(ByteSpan pixels, const ImageLayout& layout) {
  check_layout("image_tensor", layout);
  const Index channels = layout.channels, area = layout.height * layout.width;
  const auto size = static_cast<Index>(pixels.size());
  if (size == 0 || size % (channels * area) != 0)
    fail("image_tensor: ", size, " bytes of pixels; images of ", channels, "x", layout.height, "x",
         layout.width, " have ", channels * area, " each");
  const Index count = size / (channels * area);
  Tensor<float> x = Tensor<float>::uninitialized({count, channels, layout.height, layout.width});
  float* to = x.mutable_data();
  const bool planes = layout.order == PixelOrder::chw;
  const Index next_channel = planes ? area : 1, next_pixel = planes ? 1 : channels;
  for (Index n = 0; n < count; ++n)
    for (Index c = 0; c < channels; ++c)
      for (Index i = 0; i < area; ++i)
        *to++ = static_cast<float>(pixels[static_cast<std::size_t>(
                    n * channels * area + c * next_channel + i * next_pixel)]) /
                255.0f;
  return x;
}

}  // namespace data
IOTSL_NAMESPACE_END
