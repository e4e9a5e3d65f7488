// PNG by libpng. The checksums of all chunks are looked at here first, so that the failure can name
// the chunk.

#include <png.h>
#include <zlib.h>

#include <csetjmp>
#include <cstring>

#include "host/images/image_formats.hpp"
#include "iotsl/core/text.hpp"

namespace iotsl::tool {
namespace {

/// Walks over the chunks to the last one and checks each; `exif` is set to the content of eXIf.
Result<void> check_chunks(ByteSpan file, ByteSpan& exif) {
  std::size_t at = 8;
  for (;;) {
    if (file.size() - at < 12)
      return failure(ErrorCode::data, "cut off at byte ", file.size(), ": chunk IEND is missing");
    const std::uint64_t length = load_be32(file.data() + at);
    const std::string_view name = text_of(file.subspan(at + 4, 4));
    if (length > file.size() - at - 12)
      return failure(ErrorCode::data, "cut off at byte ", file.size(), ": the chunk at byte ", at,
                     " needs bytes up to ", at + 12 + length);
    const std::uint8_t* begin = file.data() + at + 4;
    const auto sum = ::crc32(0, begin, static_cast<uInt>(length + 4));
    if (sum != load_be32(begin + 4 + length))
      return failure(ErrorCode::data, "checksum of chunk ", escaped(name), " at byte ", at,
                     " is wrong");
    if (name == "eXIf") exif = file.subspan(at + 8, static_cast<std::size_t>(length));
    at += 12 + static_cast<std::size_t>(length);
    if (name == "IEND") return {};
  }
}

/// One PNG in memory. A mistake comes back by a long jump out of libpng, so that no function here
/// may hold anything that needs a destructor while it calls it.
class PngReader {
 public:
  explicit PngReader(ByteSpan file) : rest_(file) {}
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  /// Reads the header and sets up rows of 8 bits, grey or red, green, blue. False: see why().
  bool begin() {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &on_error, &on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) return false;
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_user_limits(png_, most_side, most_side);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_read_fn(png_, this, &read);
    png_read_info(png_, info_);
    packed_row_ = png_get_rowbytes(png_, info_);
    png_set_palette_to_rgb(png_);
    png_set_expand_gray_1_2_4_to_8(png_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  bool read_rows(std::uint8_t* pixels) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    const std::size_t row = png_get_rowbytes(png_, info_);
    for (int pass = 0; pass < passes_; ++pass)
      for (png_uint_32 y = 0; y < height(); ++y) png_read_row(png_, pixels + y * row, nullptr);
    png_read_end(png_, nullptr);
    return true;
  }

  png_uint_32 height() const { return png_get_image_height(png_, info_); }
  png_uint_32 width() const { return png_get_image_width(png_, info_); }
  /// Bytes of the rows as they lie in the file, before they were packed.
  std::uint64_t packed_bytes() const { return std::uint64_t{packed_row_} * height(); }
  Index channels() const { return png_get_channels(png_, info_); }
  const char* why() const { return why_; }

 private:
  static void read(png_structp png, png_bytep out, std::size_t bytes) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (bytes > self->rest_.size()) png_error(png, "cut off");
    std::memcpy(out, self->rest_.data(), bytes);
    self->rest_ = self->rest_.subspan(bytes);
  }
  static void on_error(png_structp png, png_const_charp text) {
    auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self->why_, text, sizeof self->why_ - 1);
    png_longjmp(png, 1);
  }
  /// The checksum of the packed pixels is only a warning where all rows have come out before it.
  static void on_warning(png_structp png, png_const_charp text) {
    if (std::strstr(text, "data check") != nullptr) png_error(png, text);
  }

  ByteSpan rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::size_t packed_row_ = 0;
  int passes_ = 1;
  char why_[128] = "out of memory";
};

}  // namespace

Result<StoredImage> decode_png(ByteSpan file) {
  ByteSpan exif;
  if (const Result<void> whole = check_chunks(file, exif); !whole) return whole.failure();
  PngReader reader(file);
  if (!reader.begin()) return failure(ErrorCode::data, reader.why());
  const auto height = static_cast<Index>(reader.height()),
             width = static_cast<Index>(reader.width());
  if (const Result<void> fits = check_picture_size(height, width); !fits) return fits.failure();
  // Deflate makes at most 258 bytes of 2 bits: what cannot be in the file takes no memory.
  constexpr std::uint64_t most_per_byte = 1032;
  if (reader.packed_bytes() / most_per_byte > file.size())
    return failure(ErrorCode::data, "cut off: ", file.size(), " bytes cannot hold ", height, " x ",
                   width, " pixels");
  StoredImage out{{reader.channels(), {height, width}, {}}, exif_orientation(exif)};
  out.image.pixels.resize(static_cast<std::size_t>(height * width * out.image.channels));
  if (!reader.read_rows(out.image.pixels.data())) return failure(ErrorCode::data, reader.why());
  return out;
}

}  // namespace iotsl::tool
