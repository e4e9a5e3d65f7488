#pragma once
// Images as a quality check looks at them: small, so that it takes seconds at any size.

#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Pixels of an image's longer side that a check looks at, at most.
inline constexpr Index judged_side = 32;

/// The samples with these numbers, in this order. Where a side is longer than judged_side, every
/// pixel is the mean of a block of the image, rounded; blocks at the end may be smaller.
inline data::Dataset small_images(const data::Dataset& set, std::span<const Index> samples) {
  const auto block = [](Index side) { return (side + judged_side - 1) / judged_side; };
  const Index high = block(set.height), wide = block(set.width);
  if (high <= 1 && wide <= 1) return data::select_samples(set, samples);
  data::Dataset out = data::empty_like(set);
  out.height = (set.height + high - 1) / high;
  out.width = (set.width + wide - 1) / wide;
  out.pixels.reserve(samples.size() * static_cast<std::size_t>(out.sample_elems()));
  for (const Index i : samples) {
    const std::uint8_t* plane = set.sample(i).data();
    for (Index c = 0; c < set.channels; ++c, plane += set.height * set.width)
      for (Index top = 0; top < set.height; top += high)
        for (Index left = 0; left < set.width; left += wide) {
          const Index bottom = std::min(top + high, set.height),
                      right = std::min(left + wide, set.width);
          Index sum = 0;
          for (Index y = top; y < bottom; ++y)
            for (Index x = left; x < right; ++x) sum += plane[y * set.width + x];
          const Index pixels = (bottom - top) * (right - left);
          out.pixels.push_back(static_cast<std::uint8_t>((sum + pixels / 2) / pixels));
        }
    out.labels.push_back(set.labels[static_cast<std::size_t>(i)]);
  }
  return out;
}

}  // namespace gan
IOTSL_NAMESPACE_END
