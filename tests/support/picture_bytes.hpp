#pragma once
// Picture files byte by byte, with faults where a test wants them. Only for tests of the host
// programs: needs libjpeg.

#include <cstdio>  // jpeglib.h needs it

#include <jpeglib.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace iotsl::test {

using Bytes = std::vector<std::uint8_t>;

/// CRC-32 of PNG's chunks, bit by bit (ISO 3309).
inline std::uint32_t png_sum(const Bytes& bytes) {
  std::uint32_t sum = ~0u;
  for (const std::uint8_t byte : bytes) {
    sum ^= byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum & 1) != 0 ? sum >> 1 ^ 0xEDB88320u : sum >> 1;
  }
  return ~sum;
}

inline void append_be32(Bytes& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

inline void append_chunk(Bytes& png, std::string_view name, const Bytes& content) {
  Bytes chunk(name.begin(), name.end());
  chunk.insert(chunk.end(), content.begin(), content.end());
  append_be32(png, static_cast<std::uint32_t>(content.size()));
  png.insert(png.end(), chunk.begin(), chunk.end());
  append_be32(png, png_sum(chunk));
}

struct PngParts {
  std::uint32_t width = 1, height = 1;
  std::uint8_t depth = 8, colour = 2;  ///< 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  Bytes rows = {};                     ///< each with its filter byte; below 64 KB
  std::string_view extra = {};         ///< name of a further chunk before the pixels
  Bytes extra_content = {};
  bool good_adler = true;
};

/// A PNG whose pixels are stored and not packed.
inline Bytes png_file(const PngParts& parts) {
  Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}, header, pixels = {0x78, 0x01, 1};
  append_be32(header, parts.width);
  append_be32(header, parts.height);
  header.insert(header.end(), {parts.depth, parts.colour, 0, 0, 0});
  append_chunk(out, "IHDR", header);
  if (!parts.extra.empty()) append_chunk(out, parts.extra, parts.extra_content);
  const auto size = static_cast<std::uint32_t>(parts.rows.size());
  for (const std::uint32_t length : {size, ~size}) {
    pixels.push_back(static_cast<std::uint8_t>(length));
    pixels.push_back(static_cast<std::uint8_t>(length >> 8));
  }
  std::uint32_t a = 1, b = 0;
  for (const std::uint8_t byte : parts.rows) {
    pixels.push_back(byte);
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  append_be32(pixels, (b << 16 | a) ^ (parts.good_adler ? 0u : 1u));
  append_chunk(out, "IDAT", pixels);
  append_chunk(out, "IEND", {});
  return out;
}

/// Exif data with an orientation, in either byte order.
inline Bytes exif_data(int orientation, bool big_endian) {
  const auto value = static_cast<std::uint8_t>(orientation);
  if (big_endian)
    return {'M', 'M', 0, 42, 0, 0, 0,     8, 0, 1, 1, 0x12, 0,
            3,   0,   0, 0,  1, 0, value, 0, 0, 0, 0, 0,    0};
  return {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, value, 0, 0, 0, 0, 0, 0, 0};
}

struct JpegParts {
  int width = 16, height = 16, components = 3;  ///< 1 grey, 3 RGB, 4 inks
  Bytes pixel = {255, 0, 0};                    ///< of the left half; the right one is 255 less it
  bool adobe = false, progressive = false;
  Bytes exif = {};  ///< with the head "Exif\0\0" put before it
};

inline Bytes jpeg_file(const JpegParts& parts) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(parts.width);
  info.image_height = static_cast<JDIMENSION>(parts.height);
  info.input_components = parts.components;
  info.in_color_space = parts.components == 4   ? JCS_CMYK
                        : parts.components == 3 ? JCS_RGB
                                                : JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  if (parts.progressive) jpeg_simple_progression(&info);
  if (parts.components == 4) info.write_Adobe_marker = parts.adobe ? TRUE : FALSE;
  jpeg_start_compress(&info, TRUE);
  if (!parts.exif.empty()) {
    Bytes content = {'E', 'x', 'i', 'f', 0, 0};
    content.insert(content.end(), parts.exif.begin(), parts.exif.end());
    jpeg_write_marker(&info, JPEG_APP0 + 1, content.data(), static_cast<unsigned>(content.size()));
  }
  Bytes row;
  for (int x = 0; x < parts.width; ++x)
    for (const std::uint8_t value : parts.pixel)
      row.push_back(x < parts.width / 2 ? value : static_cast<std::uint8_t>(255 - value));
  while (info.next_scanline < info.image_height) {
    JSAMPROW line = row.data();
    jpeg_write_scanlines(&info, &line, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Bytes out(memory, memory + size);
  std::free(memory);
  return out;
}

}  // namespace iotsl::test
