#pragma once
// Image files in and out, for the host only.

#include <cstdint>
#include <string>
#include <vector>

#include "iotsl/core/error.hpp"
#include "iotsl/core/shape.hpp"

namespace iotsl::tool {

/// Reads a PNG, JPEG, BMP, PGM or PPM file as `channels` planes of height x width bytes, scaled
/// bilinearly where its size is another one.
Result<std::vector<std::uint8_t>> read_image(const std::string& path, Index channels, Index height,
                                             Index width);

/// Writes planes of bytes [channels,height,width] (1 or 3 channels) as a PNG file.
Result<void> write_png(const std::string& path, const std::uint8_t* planes, Index channels,
                       Index height, Index width);

}  // namespace iotsl::tool
