// JPEG by libjpeg-turbo.

#include <cstdio>  // jpeglib.h needs it

#include <jpeglib.h>

#include <jerror.h>

#include <csetjmp>
#include <cstring>

#include "host/images/image_formats.hpp"

namespace iotsl::tool {
namespace {

/// A photograph has some ten scans; a file of thousands of them only costs time.
constexpr int most_scans = 500;

/// One JPEG in memory. A mistake comes back by a long jump out of the library, so that no function
/// here may hold anything that needs a destructor while it calls it.
class JpegReader {
 public:
  JpegReader() {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = &on_error;
    errors_.emit_message = &on_message;
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info_); }

  bool read_header(ByteSpan file) {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&info_);
    progress_.progress_monitor = &on_progress;
    info_.progress = &progress_;
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_mem_src(&info_, file.data(), static_cast<unsigned long>(file.size()));
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  /// Decodes to grey, to red, green, blue, or to the four inks.
  bool read_rows(std::uint8_t* pixels) {
    if (setjmp(jump_) != 0) return false;
    info_.out_color_space = has_inks() ? JCS_CMYK : is_grey() ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info_);
    const std::size_t row = std::size_t{info_.output_width} * components();
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW out = pixels + info_.output_scanline * row;
      jpeg_read_scanlines(&info_, &out, 1);
    }
    return true;
  }

  Index height() const { return info_.image_height; }
  Index width() const { return info_.image_width; }
  /// Most pixels that a byte of the file can stand for: a Huffman code has at least one bit, for a
  /// block of 8x8 values, of a component that is sampled every fourth time each way. Arithmetic
  /// codes have no such bound: nearly blank pictures may be left out by this one.
  Index most_per_byte() const { return info_.arith_code != 0 ? 256 * 256 : 8 * 64 * 16; }
  bool is_grey() const { return info_.num_components == 1; }
  bool has_inks() const { return info_.num_components == 4; }
  bool is_by_adobe() const { return info_.saw_Adobe_marker != 0; }
  std::size_t components() const { return has_inks() ? 4 : is_grey() ? 1 : 3; }
  int orientation() const {
    constexpr std::string_view head("Exif\0", 5);  // and one more byte
    for (auto* marker = info_.marker_list; marker != nullptr; marker = marker->next) {
      const ByteSpan data(marker->data, marker->data_length);
      if (data.size() > 6 && text_of(data.first(5)) == head)
        return exif_orientation(data.subspan(6));
    }
    return 1;
  }
  const char* why() const { return why_; }

 private:
  static JpegReader& self(j_common_ptr info) {
    return *static_cast<JpegReader*>(info->client_data);
  }
  static void on_error(j_common_ptr info) {
    info->err->format_message(info, self(info).why_);
    std::longjmp(self(info).jump_, 1);
  }
  /// Warnings after which the pixels are not those that were written. Others are of no harm:
  /// padding between markers, which some cameras write, or a colour profile that is not looked at.
  static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    switch (info->err->msg_code) {
      case JWRN_JPEG_EOF:
        std::strcpy(self(info).why_, "cut off: the file ends before the image does");
        std::longjmp(self(info).jump_, 1);
      case JWRN_HIT_MARKER:
      case JWRN_HUFF_BAD_CODE:
      case JWRN_ARITH_BAD_CODE:
      case JWRN_MUST_RESYNC:
      case JWRN_BOGUS_PROGRESSION:
        on_error(info);
        break;
      default:
        break;
    }
  }
  static void on_progress(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= most_scans) return;
    std::snprintf(self(info).why_, sizeof self(info).why_, "more than %d scans", most_scans);
    std::longjmp(self(info).jump_, 1);
  }

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char why_[JMSG_LENGTH_MAX] = "";
};

/// Adobe's inks are stored as 255 less the amount.
std::vector<std::uint8_t> to_rgb(std::span<const std::uint8_t> inks) {
  std::vector<std::uint8_t> out;
  out.reserve(inks.size() / 4 * 3);
  for (std::size_t i = 0; i < inks.size(); i += 4)
    for (std::size_t c = 0; c < 3; ++c)
      out.push_back(static_cast<std::uint8_t>((inks[i + c] * inks[i + 3] + 127) / 255));
  return out;
}

}  // namespace

Result<StoredImage> decode_jpeg(ByteSpan file) {
  JpegReader reader;
  if (!reader.read_header(file)) return failure(ErrorCode::data, reader.why());
  const Index height = reader.height(), width = reader.width();
  if (const Result<void> fits = check_picture_size(height, width); !fits) return fits.failure();
  if (height * width / reader.most_per_byte() > static_cast<Index>(file.size()))
    return failure(ErrorCode::data, "cut off: ", file.size(), " bytes cannot hold ", height, " x ",
                   width, " pixels");
  if (reader.has_inks() && !reader.is_by_adobe())
    return failure(
        ErrorCode::data,
        "four components without an Adobe marker, which would say whether 255 is no ink or all of "
        "it; convert it to RGB");
  StoredImage out{{reader.is_grey() ? 1 : 3, {height, width}, {}}, reader.orientation()};
  std::vector<std::uint8_t>& pixels = out.image.pixels;
  pixels.resize(static_cast<std::size_t>(height * width) * reader.components());
  if (!reader.read_rows(pixels.data())) return failure(ErrorCode::data, reader.why());
  if (reader.has_inks()) pixels = to_rgb(pixels);
  return out;
}

}  // namespace iotsl::tool
