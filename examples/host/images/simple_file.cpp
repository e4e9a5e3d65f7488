// BMP, PGM and PPM by stb, which fills up what is missing at the end of a BMP: its size is checked
// here.

#include <memory>

#include "host/images/image_formats.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 32768
#define STBI_FAILURE_USERMSG
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace iotsl::tool {
namespace {

/// Whether a BMP has all the bytes that its pixels need. Packed ones (RLE) stb refuses by itself.
Result<void> check_bmp_size(ByteSpan file, Index height, Index width) {
  if (file.size() < 30) return failure(ErrorCode::data, "cut off: ", file.size(), " bytes");
  const auto begin = static_cast<Index>(load_le<std::uint32_t>(file.data() + 10));
  // The oldest header has sizes of two bytes, and the bits of a pixel at another place.
  const bool oldest = load_le<std::uint32_t>(file.data() + 14) == 12;
  const Index bits = load_le<std::uint16_t>(file.data() + (oldest ? 24 : 28));
  const Index needed = begin + (width * bits + 31) / 32 * 4 * height;
  if (needed > static_cast<Index>(file.size()))
    return failure(ErrorCode::data, "cut off at byte ", file.size(), ", ", width, " x ", height,
                   " pixels of ", bits, " bits need bytes up to ", needed);
  return {};
}

}  // namespace

Result<StoredImage> decode_simple(ByteSpan file) {
  const auto bytes = static_cast<int>(file.size());
  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_memory(file.data(), bytes, &width, &height, &channels) == 0)
    return failure(ErrorCode::data, stbi_failure_reason());
  if (const Result<void> fits = check_picture_size(height, width); !fits) return fits.failure();
  if (text_of(file).starts_with("BM"))
    if (const Result<void> whole = check_bmp_size(file, height, width); !whole)
      return whole.failure();
  const int wanted = channels < 3 ? 1 : 3;
  const std::unique_ptr<std::uint8_t, void (*)(void*)> pixels(
      stbi_load_from_memory(file.data(), bytes, &width, &height, &channels, wanted),
      &stbi_image_free);
  if (pixels == nullptr) return failure(ErrorCode::data, stbi_failure_reason());
  StoredImage out{{wanted, {height, width}, {}}};
  out.image.pixels.assign(pixels.get(), pixels.get() + out.image.channels * height * width);
  return out;
}

}  // namespace iotsl::tool
