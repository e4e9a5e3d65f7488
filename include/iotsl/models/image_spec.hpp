#pragma once
// The map sizes that generator and critic go through.

#include <vector>

#include "iotsl/core/image_spec.hpp"

IOTSL_NAMESPACE_BEGIN

struct MapSize {
  Index height, width;
};

namespace detail {

/// The image's size, then halved (rounded up) until no side is above 4: 28, 14, 7, 4.
inline std::vector<MapSize> halved_maps(const ImageSpec& images) {
  std::vector<MapSize> out{{images.height, images.width}};
  while (std::max(out.back().height, out.back().width) > 4)
    out.push_back({(out.back().height + 1) / 2, (out.back().width + 1) / 2});
  return out;
}

/// Channels of map i of halved_maps, i from 1: w, 2w, 4w, and 4w in any smaller one.
inline Index map_channels(std::size_t i, Index width) {
  return width << std::min<std::size_t>(i - 1, 2);
}

}  // namespace detail

IOTSL_NAMESPACE_END
