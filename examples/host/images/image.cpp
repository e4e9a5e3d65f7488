#include "host/images/image.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "host/images/image_formats.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/files/file_kind.hpp"
#include "iotsl/core/text.hpp"

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

namespace iotsl::tool {
namespace {

/// How much each input pixel counts for one output pixel.
struct Taps {
  Index first = 0;
  std::vector<double> weights;
};

/// Triangle filter over the input pixels [from, from + length) for `count` output pixels, so that
/// the borders of both correspond.
std::vector<Taps> make_taps(Index from, Index length, Index count) {
  const double scale = static_cast<double>(length) / static_cast<double>(count);
  const double reach = std::max(scale, 1.0);
  std::vector<Taps> out;
  for (Index i = 0; i < count; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const Index first = std::max<Index>(0, static_cast<Index>(std::floor(center - reach)));
    const Index last = std::min(length - 1, static_cast<Index>(std::ceil(center + reach)));
    Taps taps{from + first, {}};
    double sum = 0;
    for (Index x = first; x <= last; ++x) {
      const double off = std::abs(static_cast<double>(x) + 0.5 - center) / reach;
      taps.weights.push_back(std::max(0.0, 1.0 - off));
      sum += taps.weights.back();
    }
    for (double& weight : taps.weights) weight /= sum;
    out.push_back(std::move(taps));
  }
  return out;
}

/// The window of the input that is kept.
struct Window {
  Index top, left;
  ImageSize size;
};

Window window_of(const Image& image, const ImageFit& fit) {
  if (!fit.center_crop) return {0, 0, image.size};
  const auto [height, width] = image.size;
  // Rounded to whole pixels, at least one.
  const auto scaled = [](Index side, Index part, Index whole) {
    return std::max<Index>(1, (2 * side * part + whole) / (2 * whole));
  };
  const ImageSize kept{std::min(height, scaled(width, fit.size.height, fit.size.width)),
                       std::min(width, scaled(height, fit.size.width, fit.size.height))};
  return {(height - kept.height) / 2, (width - kept.width) / 2, kept};
}

/// Grey as three equal channels, or colours as grey with the usual weights.
Image with_channels(Image image, Index channels) {
  if (image.channels == channels) return image;
  Image out{channels, image.size, {}};
  out.pixels.reserve(static_cast<std::size_t>(channels * image.size.height * image.size.width));
  if (image.channels == 1) {
    for (const std::uint8_t value : image.pixels) out.pixels.insert(out.pixels.end(), 3, value);
    return out;
  }
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    const std::uint8_t* p = image.pixels.data() + i;
    out.pixels.push_back(static_cast<std::uint8_t>((77 * p[0] + 150 * p[1] + 29 * p[2]) >> 8));
  }
  return out;
}

}  // namespace

Result<ImageSize> parse_image_size(const std::string& text) {
  const std::size_t cross = text.find('x');
  const std::string parts[2] = {text.substr(0, cross),
                                cross == text.npos ? text : text.substr(cross + 1)};
  Index sides[2] = {0, 0};
  for (int i = 0; i < 2; ++i) {
    const char* end = parts[i].data() + parts[i].size();
    const auto [stop, status] = std::from_chars(parts[i].data(), end, sides[i]);
    if (status != std::errc() || stop != end || sides[i] < 1 || sides[i] > 4096)
      return failure(ErrorCode::usage, "--image-size ", text,
                     ": expected a side such as 128, or height x width such as 96x128, 1 to 4096");
  }
  return ImageSize{sides[0], sides[1]};
}

Result<void> check_picture_size(Index height, Index width) {
  if (height >= 1 && height <= most_side && width >= 1 && width <= most_side &&
      height * width <= most_pixels)
    return {};
  return failure(ErrorCode::data, height, " x ", width, " pixels, expected 1 to ", most_side,
                 " each and ", most_pixels, " in all");
}

Result<Image> decode_image(const std::string& path, Index channels) {
  const auto bytes = read_file(path, std::uint64_t{1} << 28);
  if (!bytes) return bytes.failure();
  const std::string_view text = text_of(*bytes);
  const auto decode = [&]() -> Result<StoredImage> {
    if (text.starts_with("\x89PNG\r\n\x1A\n")) return decode_png(*bytes);
    if (text.starts_with("\xFF\xD8\xFF")) return decode_jpeg(*bytes);
    for (const std::string_view simple : {"BM", "P2", "P3", "P5", "P6"})
      if (text.starts_with(simple)) return decode_simple(*bytes);
    constexpr const char* expected = "; expected PNG, JPEG, BMP, PGM or PPM";
    if (text.empty()) return failure(ErrorCode::data, "not an image: the file is empty");
    if (const std::string_view kind = foreign_kind(*bytes); !kind.empty())
      return failure(ErrorCode::data, "is ", kind, expected);
    return failure(ErrorCode::data, "not an image: begins with '", escaped(text.substr(0, 8)), "'",
                   expected);
  };
  auto stored = decode();
  if (!stored) return failure(ErrorCode::data, escaped(path), ": ", stored.failure().message);
  return with_channels(apply_orientation(std::move(stored->image), stored->orientation), channels);
}

std::vector<std::uint8_t> fit_image(const Image& image, const ImageFit& fit) {
  const Window window = window_of(image, fit);
  const auto columns = make_taps(window.left, window.size.width, fit.size.width);
  const auto rows = make_taps(window.top, window.size.height, fit.size.height);
  const Index in_width = image.size.width, out_width = fit.size.width;
  // First every needed row in the new width, then the rows.
  std::vector<double> narrow(static_cast<std::size_t>(image.size.height * out_width));
  std::vector<std::uint8_t> out;
  out.reserve(static_cast<std::size_t>(image.channels * fit.size.height * out_width));
  for (Index c = 0; c < image.channels; ++c) {
    for (Index y = 0; y < image.size.height; ++y)
      for (Index x = 0; x < out_width; ++x) {
        const Taps& taps = columns[static_cast<std::size_t>(x)];
        const std::uint8_t* from =
            image.pixels.data() + (y * in_width + taps.first) * image.channels + c;
        double sum = 0;
        for (const double weight : taps.weights) {
          sum += weight * *from;
          from += image.channels;
        }
        narrow[static_cast<std::size_t>(y * out_width + x)] = sum;
      }
    for (const Taps& taps : rows)
      for (Index x = 0; x < out_width; ++x) {
        const double* from = narrow.data() + taps.first * out_width + x;
        double sum = 0;
        for (const double weight : taps.weights) {
          sum += weight * *from;
          from += out_width;
        }
        out.push_back(static_cast<std::uint8_t>(std::clamp(sum + 0.5, 0.0, 255.0)));
      }
  }
  return out;
}

Result<std::vector<std::uint8_t>> read_image(const std::string& path, const ImageFit& fit) {
  const auto image = decode_image(path, fit.channels);
  if (!image) return image.failure();
  return fit_image(*image, fit);
}

std::vector<std::uint8_t> encode_png(const std::uint8_t* planes, Index channels, Index height,
                                     Index width) {
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
  return png;
}

Result<void> write_png(const std::string& path, const std::uint8_t* planes, Index channels,
                       Index height, Index width) {
  return write_file_atomic(path, ByteSpan(encode_png(planes, channels, height, width)));
}

}  // namespace iotsl::tool
