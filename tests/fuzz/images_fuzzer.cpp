// Pictures: PNG, JPEG, BMP, PGM and PPM, and the orientation that they carry.

#include <zlib.h>

#include "fuzz/fuzz.hpp"
#include "host/images/image_formats.hpp"
#include "support/picture_bytes.hpp"

namespace images_fuzzer {
namespace {

using namespace iotsl;
using iotsl::fuzz::chosen;
using iotsl::fuzz::expect;
using iotsl::fuzz::require;
using iotsl::test::Bytes;

/// The checksum of every chunk that is whole; a chunk's length goes no further than the bytes do.
Bytes sealed_png(ByteSpan file) {
  Bytes out(file.begin(), file.end());
  for (std::size_t at = 8; out.size() >= at + 12;) {
    const std::size_t length =
        std::min<std::size_t>(load_be32(out.data() + at), out.size() - at - 12);
    const auto big_endian = [&](std::size_t place, std::uint32_t value) {
      for (std::size_t i = 0; i < 4; ++i)
        out[place + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
    };
    big_endian(at, static_cast<std::uint32_t>(length));
    big_endian(at + 8 + length, static_cast<std::uint32_t>(::crc32(0, out.data() + at + 4,
                                                                   static_cast<uInt>(length + 4))));
    at += 12 + length;
  }
  return out;
}

/// The file with its first size, of so many bytes behind `mark`, as large as may be: pixels that
/// it does not have must take no memory, which libFuzzer's limit of one allocation watches.
Bytes boastful(Bytes file, std::string_view mark, std::size_t behind, std::size_t bytes) {
  const std::size_t at = text_of(file).find(mark) + mark.size() + behind;
  for (std::size_t side = 0; side < 2; ++side) {
    file[at + bytes * side + bytes - 1] = 0;
    file[at + bytes * side + bytes - 2] = 0x2D;  // 11520 x 11520
  }
  return file;
}

void check_image(const tool::Image& image) {
  require(image.channels == 1 || image.channels == 3, image.channels, " channels");
  require(tool::check_picture_size(image.size.height, image.size.width).ok(), "a size of ",
          image.size.height, " x ", image.size.width);
  require(static_cast<Index>(image.pixels.size()) ==
              image.channels * image.size.height * image.size.width,
          "pixels and size do not agree");
}
/// What a reader gives is an image, and one that can be turned and fitted.
void check_stored(const Result<tool::StoredImage>& stored) {
  if (!stored) return;
  check_image(stored->image);
  require(stored->orientation >= 1 && stored->orientation <= 8, "orientation ",
          stored->orientation);
  const tool::Image turned = tool::apply_orientation(stored->image, stored->orientation);
  check_image(turned);
  if (turned.pixels.size() > 4096) return;  // costs time, and finds nothing more
  for (const bool crop : {false, true}) {
    const tool::ImageFit fit{turned.channels, {5, 3}, crop};
    require(tool::fit_image(turned, fit).size() == static_cast<std::size_t>(turned.channels * 15),
            "a fitted image has another size");
  }
}

void run_png(ByteSpan input) {
  if (input.size() < 8) return;
  check_stored(tool::decode_png(input));
  check_stored(tool::decode_png(sealed_png(input)));
}
/// Rows of a picture with 2 x 2 pixels, each with its filter byte.
Bytes rows(std::size_t row_bytes) {
  Bytes out;
  for (std::uint8_t y = 0; y < 2; ++y) {
    out.push_back(y);
    for (std::size_t x = 0; x < row_bytes; ++x) out.push_back(static_cast<std::uint8_t>(7 * x + y));
  }
  return out;
}
std::vector<Bytes> png_seeds() {
  std::vector<Bytes> out;
  const std::pair<std::uint8_t, std::size_t> colours[] = {{0, 2}, {2, 6}, {4, 4}, {6, 8}};
  for (const auto& [colour, row_bytes] : colours)
    out.push_back(test::png_file(
        {.width = 2, .height = 2, .depth = 8, .colour = colour, .rows = rows(row_bytes)}));
  out.push_back(
      test::png_file({.width = 2, .height = 2, .depth = 16, .colour = 0, .rows = rows(4)}));
  out.push_back(
      test::png_file({.width = 2, .height = 2, .depth = 1, .colour = 0, .rows = rows(1)}));
  out.push_back(test::png_file({.width = 2,
                                .height = 2,
                                .depth = 8,
                                .colour = 3,
                                .rows = {0, 0, 1, 0, 1, 0},
                                .extra = "PLTE",
                                .extra_content = {1, 2, 3, 4, 5, 6}}));
  for (const bool big_endian : {false, true})
    out.push_back(test::png_file({.width = 2,
                                  .height = 2,
                                  .rows = rows(6),
                                  .extra = "eXIf",
                                  .extra_content = test::exif_data(6, big_endian)}));
  const std::uint8_t planes[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  out.push_back(tool::encode_png(planes, 3, 2, 2));
  out.push_back(boastful(out.back(), "IHDR", 0, 4));
  return out;
}

void run_jpeg(ByteSpan input) { check_stored(tool::decode_jpeg(input)); }
std::vector<Bytes> jpeg_seeds() {
  std::vector<Bytes> out;
  for (const bool progressive : {false, true}) {
    out.push_back(test::jpeg_file({.progressive = progressive}));
    out.push_back(test::jpeg_file({.components = 1, .pixel = {9}, .progressive = progressive}));
  }
  out.push_back(test::jpeg_file({.components = 4, .pixel = {1, 2, 3, 4}, .adobe = true}));
  out.push_back(test::jpeg_file({.components = 4, .pixel = {1, 2, 3, 4}}));
  out.push_back(test::jpeg_file({.width = 8, .height = 4, .exif = test::exif_data(5, true)}));
  // The frame: marker, length, bits of a value, then the height.
  out.push_back(boastful(out.front(), "\xFF\xC0", 3, 2));
  return out;
}

void run_simple(ByteSpan input) {
  if (input.size() >= 2) check_stored(tool::decode_simple(input));
}
std::vector<Bytes> simple_seeds() {
  const auto bmp = [](std::uint8_t bits, std::int32_t height, std::initializer_list<int> pixels) {
    Bytes out = {'B', 'M', 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0};
    append_le(out, static_cast<std::uint32_t>(height));
    out.insert(out.end(), {1, 0, bits, 0});
    out.resize(54);
    for (const int value : pixels) out.push_back(static_cast<std::uint8_t>(value));
    return out;
  };
  const std::initializer_list<int> pixels = {1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0};
  std::vector<Bytes> out = {bmp(24, 2, pixels), bmp(24, -2, pixels), bmp(32, 2, pixels)};
  Bytes oldest = {'B', 'M', 0, 0, 0, 0, 0, 0, 0, 0, 26, 0,  0,
                  0,   12,  0, 0, 0, 2, 0, 2, 0, 1, 0,  24, 0};
  for (const int value : pixels) oldest.push_back(static_cast<std::uint8_t>(value));
  out.push_back(oldest);
  for (const char* text :
       {"P5 2 2 255\nabcd", "P5\n# a comment\n2 2\n65535\nabcdefgh", "P6 2 2 100 abcdefghijkl",
        "P2 2 1 15\n15 # a comment\n3", "P3 1 1 255 1 2 3"})
    out.push_back(fuzz::bytes_from(text));
  return out;
}

void run_exif(ByteSpan input) {
  const int orientation = tool::exif_orientation(input);
  require(orientation >= 1 && orientation <= 8, "orientation ", orientation);
}
std::vector<Bytes> exif_seeds() { return {test::exif_data(3, false), test::exif_data(8, true)}; }

/// Any file at all, as a class folder has them.
void run_picture_file(ByteSpan input) {
  static fuzz::MemoryFile file;
  fuzz::Fields fields(input);
  const Index channels = fields.byte() % 2 == 0 ? 1 : 3;
  const Result<tool::Image> image = tool::decode_image(file.fill(fields.rest()), channels);
  if (!image) return;
  check_image(*image);
  require(image->channels == channels, "other channels than were asked for");
}
std::vector<Bytes> picture_file_seeds() {
  std::vector<Bytes> out;
  for (const auto& seeds : {png_seeds(), jpeg_seeds(), simple_seeds()})
    for (std::size_t i = 0; i < 2; ++i)
      for (std::uint8_t choice = 0; choice < 2; ++choice) out.push_back(chosen(choice, seeds[i]));
  for (const char* text : {"", "<!DOCTYPE html>", "GIF89a", "P7 2 2"})
    out.push_back(chosen(0, bytes_of(std::string_view(text))));
  return out;
}

const fuzz::Registration registration{
    {"png", 600, &run_png, &png_seeds},
    {"jpeg", 1200, &run_jpeg, &jpeg_seeds},
    {"simple_image", 300, &run_simple, &simple_seeds},
    {"exif", 200, &run_exif, &exif_seeds},
    {"picture_file", 1200, &run_picture_file, &picture_file_seeds},
};

}  // namespace
}  // namespace images_fuzzer
