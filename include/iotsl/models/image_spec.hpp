#pragma once
// What generator and critic are told about the images, and the map sizes that both go through.

#include <vector>

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN

/// Labelled images as a generator makes them: values in [0,1].
struct ImageSpec {
  Index channels = 1, height = 28, width_px = 28;
  Index classes = 10;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("channels", self.channels);
    f("height", self.height);
    f("width", self.width_px);
    f("classes", self.classes);
  }
  friend bool operator==(const ImageSpec&, const ImageSpec&) = default;
};

/// The failure names what cannot be generated.
inline Result<void> check_images(const ImageSpec& s) {
  if (s.channels < 1 || s.channels > 16 || s.height < 8 || s.height > 1024 || s.width_px < 8 ||
      s.width_px > 1024)
    return failure(ErrorCode::usage, "generator: images of ", s.channels, "x", s.height, "x",
                   s.width_px, "; expected 1 to 16 channels and 8 to 1024 pixels a side");
  if (s.classes < 1 || s.classes > 4096)
    return failure(ErrorCode::usage, "generator: ", s.classes, " classes; expected 1 to 4096");
  return {};
}

struct MapSize {
  Index height, width;
};

namespace detail {

/// The image's size, then halved (rounded up) until no side is above 4: 28, 14, 7, 4.
inline std::vector<MapSize> halved_maps(const ImageSpec& images) {
  std::vector<MapSize> out{{images.height, images.width_px}};
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
