#pragma once
// Reads PNG files back. Only for tests of the host programs: needs stb.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace iotsl::test {

/// An image as it is in its file; no pixels where it could not be read.
struct ReadPicture {
  int height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;  // interleaved

  explicit ReadPicture(const std::string& path) {
    const std::unique_ptr<std::uint8_t, void (*)(void*)> read(
        stbi_load(path.c_str(), &width, &height, &channels, 0), &stbi_image_free);
    if (read != nullptr) pixels.assign(read.get(), read.get() + channels * height * width);
  }
  int at(int y, int x, int channel = 0) const {
    return pixels[static_cast<std::size_t>((y * width + x) * channels + channel)];
  }
};

}  // namespace iotsl::test
