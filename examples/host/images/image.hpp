#pragma once
// Image files in and out, for the host only.

#include <cstdint>
#include <string>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/core/shape.hpp"

namespace iotsl::tool {

struct ImageSize {
  Index height = 0, width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

/// Reads "128" (a square) or "96x128" (height x width), 1 to 4096 each.
Result<ImageSize> parse_image_size(const std::string& text);

/// What images are brought to before they enter a network.
struct ImageFit {
  Index channels = 1;  ///< 1: grey (the usual weights of red, green, blue), 3: red, green, blue
  ImageSize size;
  bool center_crop = false;  ///< cut out the largest centred part of the target's shape first
};

/// An image as a viewer shows it: rows of pixels, each of `channels` bytes.
struct Image {
  Index channels = 0;
  ImageSize size;
  std::vector<std::uint8_t> pixels;
};

/// Reads a PNG, JPEG, BMP, PGM or PPM file, whatever its name ends with, as an image of 1 or 3
/// channels; Exif orientation is applied. A failure names the file, and what it is or what is wrong
/// with it.
Result<Image> decode_image(const std::string& path, Index channels);

/// Planes [channels,height,width] of the target's size. Scaled bilinearly, with a filter that grows
/// with the reduction, so that no pixel is skipped; the same size is left as it is.
std::vector<std::uint8_t> fit_image(const Image& image, const ImageFit& fit);

/// decode_image, then fit_image.
Result<std::vector<std::uint8_t>> read_image(const std::string& path, const ImageFit& fit);

/// Planes of bytes [channels,height,width] (1 or 3 channels) as the bytes of a PNG file.
std::vector<std::uint8_t> encode_png(const std::uint8_t* planes, Index channels, Index height,
                                     Index width);

/// Writes planes of bytes [channels,height,width] (1 or 3 channels) as a PNG file.
Result<void> write_png(const std::string& path, const std::uint8_t* planes, Index channels,
                       Index height, Index width);

}  // namespace iotsl::tool
