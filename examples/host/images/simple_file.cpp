// BMP, PGM and PPM by stb, which fills up what is missing at the end of a BMP: its size is checked
// here.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
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
  // Where it says something else stb makes room for the pixels first.
  constexpr Index depths[] = {1, 4, 8, 16, 24, 32};
  if (std::find(std::begin(depths), std::end(depths), bits) == std::end(depths))
    return failure(ErrorCode::data, bits, " bits a pixel, expected 1, 4, 8, 16, 24 or 32");
  const Index needed = begin + (width * bits + 31) / 32 * 4 * height;
  if (needed > static_cast<Index>(file.size()))
    return failure(ErrorCode::data, "cut off at byte ", file.size(), ", ", width, " x ", height,
                   " pixels of ", bits, " bits need bytes up to ", needed);
  return {};
}

Result<StoredImage> decode_bmp(ByteSpan file) {
  const auto bytes = static_cast<int>(file.size());
  int width = 0, height = 0, channels = 0;
  if (file.size() < 26) return failure(ErrorCode::data, "cut off: ", file.size(), " bytes");
  if (stbi_info_from_memory(file.data(), bytes, &width, &height, &channels) == 0)
    return failure(ErrorCode::data, stbi_failure_reason());
  const Index rows = std::abs(Index{height});  // below 0 where the first row is the top one
  if (const Result<void> fits = check_picture_size(rows, width); !fits) return fits.failure();
  if (const Result<void> whole = check_bmp_size(file, rows, width); !whole) return whole.failure();
  const int wanted = channels < 3 ? 1 : 3;
  const std::unique_ptr<std::uint8_t, void (*)(void*)> pixels(
      stbi_load_from_memory(file.data(), bytes, &width, &height, &channels, wanted),
      &stbi_image_free);
  if (pixels == nullptr) return failure(ErrorCode::data, stbi_failure_reason());
  StoredImage out{{wanted, {height, width}, {}}};
  out.image.pixels.assign(pixels.get(), pixels.get() + out.image.channels * height * width);
  return out;
}

/// The next number of a PGM's or PPM's header, after blanks and comments; -1 where there is none.
Index next_number(ByteSpan file, std::size_t& at) {
  const auto letter = [&] { return at < file.size() ? static_cast<char>(file[at]) : '\0'; };
  const auto is_blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (is_blank(letter()) || letter() == '#')
    if (letter() != '#')
      ++at;
    else
      while (at < file.size() && letter() != '\n') ++at;
  constexpr Index most = 1'000'000'000;  // above all limits, however many digits follow
  Index out = -1;
  for (; letter() >= '0' && letter() <= '9'; ++at)
    out = std::min(most, std::max<Index>(out, 0) * 10 + (letter() - '0'));
  return out;
}

/// The pixels of a PGM or PPM file, value by value: in one or two bytes each, or as text (P2, P3).
class PnmValues {
 public:
  PnmValues(ByteSpan file, std::size_t at, Index most)
      : file_(file),
        at_(file[1] < '5' ? at : at + 1),  // of bytes, behind one blank
        most_(most),
        bytes_(file[1] < '5' ? 0 : (most < 256 ? 1 : 2)) {}

  /// Whether the file can hold so many.
  Result<void> check_length(Index count) const {
    // As text each takes a digit, and a blank before it.
    const Index needed = static_cast<Index>(at_) + count * (bytes_ > 0 ? bytes_ : 2);
    if (needed <= static_cast<Index>(file_.size())) return {};
    return failure(ErrorCode::data, "cut off at byte ", file_.size(),
                   ", the pixels need bytes up to ", needed);
  }
  Result<Index> next() {
    if (bytes_ == 0) {
      const Index value = next_number(file_, at_);
      if (value >= 0 && value <= most_) return value;
      if (value < 0) return failure(ErrorCode::data, "no number at byte ", at_, " of the pixels");
      return failure(ErrorCode::data, "pixel of ", value, ", the highest value is ", most_);
    }
    const Index high = bytes_ == 2 ? file_[at_] * 256 : 0;
    at_ += static_cast<std::size_t>(bytes_);
    return high + file_[at_ - 1];
  }

 private:
  ByteSpan file_;
  std::size_t at_;
  Index most_, bytes_;
};

/// netpbm's pgm(5) and ppm(5): P2, P3, P5 or P6, width, height and the highest value, the pixels.
Result<StoredImage> decode_pnm(ByteSpan file) {
  std::size_t at = 2;
  const Index width = next_number(file, at), height = next_number(file, at);
  const Index most = next_number(file, at);
  if (const Result<void> fits = check_picture_size(height, width); !fits) return fits.failure();
  if (most < 1 || most > 65535)
    return failure(ErrorCode::data, "highest value ", most, ", expected 1 to 65535");
  const Index channels = file[1] == '2' || file[1] == '5' ? 1 : 3;
  const Index count = channels * height * width;
  PnmValues values(file, at, most);
  if (const Result<void> whole = values.check_length(count); !whole) return whole.failure();
  StoredImage out{{channels, {height, width}, {}}};
  out.image.pixels.resize(static_cast<std::size_t>(count));
  for (std::uint8_t& pixel : out.image.pixels) {
    const Result<Index> value = values.next();
    if (!value) return value.failure();
    pixel = static_cast<std::uint8_t>(std::min<Index>(255, (*value * 255 + most / 2) / most));
  }
  return out;
}

}  // namespace

Result<StoredImage> decode_simple(ByteSpan file) {
  return text_of(file).starts_with("BM") ? decode_bmp(file) : decode_pnm(file);
}

}  // namespace iotsl::tool
