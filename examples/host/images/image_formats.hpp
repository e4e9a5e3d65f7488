#pragma once
// The readers of image formats, one for each library behind them. Every one checks what its format
// can check, refuses what is damaged or cut, and takes no more memory than an image of
// `most_pixels` needs, whatever a header announces.

#include "host/images/image.hpp"
#include "iotsl/core/bytes.hpp"

namespace iotsl::tool {

inline constexpr Index most_side = 32768;
inline constexpr Index most_pixels = Index{1} << 27;  ///< 134 million; a decoded one takes 3 bytes

/// A failure where an image is larger than that; the text has no file name, as those of all
/// readers.
Result<void> check_picture_size(Index height, Index width);

/// An image as stored, of 1 or 3 channels: transparency is dropped, 16 bits are cut to the upper 8,
/// and the orientation that Exif data may give is not applied yet.
struct StoredImage {
  Image image;
  int orientation = 1;  ///< 1 to 8, of tag 0x0112
};

Result<StoredImage> decode_png(ByteSpan file);
Result<StoredImage> decode_jpeg(ByteSpan file);
/// Of BMP, PGM and PPM.
Result<StoredImage> decode_simple(ByteSpan file);

/// The orientation in Exif data (a TIFF header and its first directory), 1 where there is none.
int exif_orientation(ByteSpan exif);

/// The image turned and mirrored as a viewer shows it.
Image apply_orientation(Image image, int orientation);

}  // namespace iotsl::tool
