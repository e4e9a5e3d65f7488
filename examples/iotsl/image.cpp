#include "image.hpp"

#include <algorithm>
#include <memory>

#include "iotsl/core/file.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_FAILURE_USERMSG
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace iotsl::tool {
namespace {

/// Value at a place between pixels of one interleaved channel.
double sample(const std::uint8_t* pixels, int height, int width, Index channels, Index channel,
              double y, double x) {
  y = std::clamp(y, 0.0, static_cast<double>(height - 1));
  x = std::clamp(x, 0.0, static_cast<double>(width - 1));
  const int y0 = static_cast<int>(y), x0 = static_cast<int>(x);
  const int y1 = std::min(y0 + 1, height - 1), x1 = std::min(x0 + 1, width - 1);
  const double fy = y - y0, fx = x - x0;
  const auto at = [&](int row, int column) {
    return static_cast<double>(pixels[(Index{row} * width + column) * channels + channel]);
  };
  return (1 - fy) * ((1 - fx) * at(y0, x0) + fx * at(y0, x1)) +
         fy * ((1 - fx) * at(y1, x0) + fx * at(y1, x1));
}

}  // namespace

Result<std::vector<std::uint8_t>> read_image(const std::string& path, Index channels, Index height,
                                             Index width) {
  const auto bytes = read_file(path, std::uint64_t{1} << 28);
  if (!bytes) return bytes.failure();
  int file_width = 0, file_height = 0, file_channels = 0;
  const std::unique_ptr<std::uint8_t, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes->data(), static_cast<int>(bytes->size()), &file_width,
                            &file_height, &file_channels, static_cast<int>(channels)),
      &stbi_image_free);
  if (pixels == nullptr)
    return failure(ErrorCode::data, path, ": not an image: ", stbi_failure_reason());
  std::vector<std::uint8_t> out;
  out.reserve(static_cast<std::size_t>(channels * height * width));
  for (Index c = 0; c < channels; ++c)
    for (Index y = 0; y < height; ++y)
      for (Index x = 0; x < width; ++x) {
        // Centres of pixels correspond.
        const double from_y = (static_cast<double>(y) + 0.5) * file_height / static_cast<double>(height) - 0.5;
        const double from_x = (static_cast<double>(x) + 0.5) * file_width / static_cast<double>(width) - 0.5;
        const double value = sample(pixels.get(), file_height, file_width, channels, c, from_y, from_x);
        out.push_back(static_cast<std::uint8_t>(value + 0.5));
      }
  return out;
}

Result<void> write_png(const std::string& path, const std::uint8_t* planes, Index channels,
                       Index height, Index width) {
  std::vector<std::uint8_t> interleaved;
  for (Index i = 0; i < height * width; ++i)
    for (Index c = 0; c < channels; ++c) interleaved.push_back(planes[c * height * width + i]);
  std::vector<std::uint8_t> png;
  const auto append = [](void* context, void* data, int size) {
    auto* out = static_cast<std::vector<std::uint8_t>*>(context);
    const auto* begin = static_cast<const std::uint8_t*>(data);
    out->insert(out->end(), begin, begin + size);
  };
  stbi_write_png_to_func(append, &png, static_cast<int>(width), static_cast<int>(height),
                         static_cast<int>(channels), interleaved.data(), 0);
  return write_file_atomic(path, ByteSpan(png));
}

}  // namespace iotsl::tool
