// Exif: how a camera was held (JEITA CP-3451, tag 0x0112).

#include <algorithm>

#include "host/images/image_formats.hpp"

namespace iotsl::tool {
namespace {

/// Numbers of a TIFF structure in its own byte order; 0 beyond its end.
class TiffNumbers {
 public:
  explicit TiffNumbers(ByteSpan bytes) : bytes_(bytes) {}
  bool has_header() {
    const std::string_view order = text_of(bytes_.first(std::min<std::size_t>(2, bytes_.size())));
    big_endian_ = order == "MM";
    return (big_endian_ || order == "II") && number(2, 2) == 42;
  }
  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < size; ++i)
      out = out << 8 | bytes_[big_endian_ ? at + i : at + size - 1 - i];
    return out;
  }

 private:
  ByteSpan bytes_;
  bool big_endian_ = false;
};

}  // namespace

int exif_orientation(ByteSpan exif) {
  TiffNumbers tiff(exif);
  if (!tiff.has_header()) return 1;
  const std::size_t directory = tiff.number(4, 4);
  const std::size_t entries = tiff.number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (tiff.number(entry, 2) != 0x0112) continue;
    // The type is "short" by the standard; some cameras write "long".
    const std::uint32_t type = tiff.number(entry + 2, 2);
    const std::uint32_t value = tiff.number(entry + 8, type == 4 ? 4 : 2);
    return (type == 3 || type == 4) && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // Row and column 0 of the stored image are shown at: 1 top left, 2 top right, 3 bottom right,
  // 4 bottom left; 5 to 8 the same with rows and columns exchanged, in the order 5, 8, 7, 6.
  const bool swapped = orientation >= 5;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const auto [height, width] = image.size;
  Image out{image.channels, swapped ? ImageSize{width, height} : image.size, {}};
  out.pixels.resize(image.pixels.size());
  for (Index y = 0; y < height; ++y)
    for (Index x = 0; x < width; ++x) {
      const Index row = swapped ? x : y, column = swapped ? y : x;
      const Index to_row = from_bottom ? out.size.height - 1 - row : row;
      const Index to_column = from_right ? out.size.width - 1 - column : column;
      const std::uint8_t* from = image.pixels.data() + (y * width + x) * image.channels;
      std::copy_n(from, image.channels,
                  out.pixels.data() + (to_row * out.size.width + to_column) * image.channels);
    }
  return out;
}

}  // namespace iotsl::tool
