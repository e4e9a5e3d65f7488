#pragma once
// Images made small, as a quality check looks at them and a coarse generator learns them, so that
// it takes seconds or minutes at any size; and made large again.

#include "iotsl/core/image_spec.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Pixels of the longer side of a small image, at most.
inline constexpr Index small_side = 32;

/// Pixels of a side that one pixel of the small image stands for.
constexpr Index small_block(Index side) { return (side + small_side - 1) / small_side; }

/// The small images of such images; they are their own.
inline ImageSpec small_spec(ImageSpec images) {
  for (Index* side : {&images.height, &images.width}) {
    const Index block = small_block(*side);
    *side = (*side + block - 1) / block;
  }
  return images;
}

/// The samples with these numbers, in this order. Where a side is longer than small_side, every
/// pixel is the mean of a block of the image, rounded; blocks at the end may be smaller.
inline data::Dataset small_images(const data::Dataset& set, std::span<const Index> samples) {
  const Index high = small_block(set.height), wide = small_block(set.width);
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

namespace detail {

/// Between which two of `count` pixels the middle of pixel `at` of `block` times as many lies, and
/// how far: `part` of 2 block. Beyond the first and the last it is theirs.
struct BetweenPixels {
  Index low, high, part;

  BetweenPixels(Index at, Index block, Index count) {
    const Index halves = std::max<Index>(0, 2 * at + 1 - block);  // of a large pixel
    low = std::min(halves / (2 * block), count - 1);
    high = std::min(low + 1, count - 1);
    part = halves % (2 * block);
  }
};

}  // namespace detail

/// Appends every image of `small`, whose size is small_spec() of the set's, to `set` with its
/// label. Linear between the middles of pixels, in whole numbers.
inline void append_enlarged(data::Dataset& set, const data::Dataset& small) {
  const ImageSpec expected = small_spec({set.channels, set.height, set.width, set.classes});
  if (small.channels != expected.channels || small.height != expected.height ||
      small.width != expected.width)
    fail("append_enlarged: images of ", small.channels, "x", small.height, "x", small.width,
         "; expected ", expected.channels, "x", expected.height, "x", expected.width);
  const Index high = small_block(set.height), wide = small_block(set.width);
  const Index whole = 4 * high * wide;
  for (Index i = 0; i < small.size(); ++i) {
    const std::uint8_t* plane = small.sample(i).data();
    for (Index c = 0; c < set.channels; ++c, plane += small.height * small.width)
      for (Index y = 0; y < set.height; ++y) {
        const detail::BetweenPixels rows(y, high, small.height);
        const std::uint8_t *upper = plane + rows.low * small.width,
                           *lower = plane + rows.high * small.width;
        for (Index x = 0; x < set.width; ++x) {
          const detail::BetweenPixels columns(x, wide, small.width);
          const auto along = [&](const std::uint8_t* row) {
            return row[columns.low] * (2 * wide - columns.part) + row[columns.high] * columns.part;
          };
          const Index sum = along(upper) * (2 * high - rows.part) + along(lower) * rows.part;
          set.pixels.push_back(static_cast<std::uint8_t>((sum + whole / 2) / whole));
        }
      }
    set.labels.push_back(small.labels[static_cast<std::size_t>(i)]);
  }
  set.full_size = set.size();
}

}  // namespace gan
IOTSL_NAMESPACE_END
