#pragma once
// Image files that a test draws itself. Only for tests of the host programs: needs stb.

#include <cstdint>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace iotsl::test {

/// A picture of red, green and blue: a disc of one colour on a ground of another, whose place and
/// size depend on `variant`. Pictures of one `kind` have the same colours, so that they can be
/// learned.
struct Picture {
  int height, width;
  std::vector<std::uint8_t> pixels;  // interleaved

  Picture(int kind, int variant, int rows, int columns) : height(rows), width(columns) {
    const int disc[3] = {(kind & 1) * 200 + 40, (kind & 2) * 100 + 40, (kind & 4) * 50 + 40};
    const int radius = rows / 4 + variant % 3;
    const int cy = rows / 2 + variant % 5 - 2, cx = columns / 2 + variant % 7 - 3;
    for (int y = 0; y < rows; ++y)
      for (int x = 0; x < columns; ++x) {
        const bool inside = (y - cy) * (y - cy) + (x - cx) * (x - cx) < radius * radius;
        for (const int value : disc)
          pixels.push_back(static_cast<std::uint8_t>((inside ? value : 255 - value) -
                                                     (x * 7 + y * 3 + variant) % 16));
      }
  }
  bool save(const std::string& path) const {
    if (path.ends_with(".png"))
      return stbi_write_png(path.c_str(), width, height, 3, pixels.data(), 0) != 0;
    return stbi_write_jpg(path.c_str(), width, height, 3, pixels.data(), 95) != 0;
  }
};

}  // namespace iotsl::test
