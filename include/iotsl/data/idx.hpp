#pragma once
// idx files, the format of MNIST: a big-endian header, then the values. Images are bytes, N x H x W
// or N x C x H x W; labels are bytes or, above 256 classes, two bytes each. Raw, or packed with
// gzip where the build has zlib (IOTSL_WITH_ZLIB=1). Read as a stream: memory grows with the
// samples that are kept, not with what a header announces.

#include <string>
#include <vector>

#include "iotsl/core/files/file.hpp"
#include "iotsl/data/dataset.hpp"

#if IOTSL_READS_GZIP
#include <zlib.h>
#endif

IOTSL_NAMESPACE_BEGIN
namespace data {

/// What an idx file may hold at most.
struct IdxLimits {
  Index max_samples = 10'000'000;
  Index max_side = 4096;             ///< pixels
  Index max_bytes = Index{2} << 30;  ///< unpacked pixels that are kept
};

/// What the files hold and how much of it is wanted.
struct IdxRead {
  bool planes = false;  ///< four dimensions N, C, H, W instead of N, H, W
  /// The samples to keep, ascending (a device reads only its own); null: all.
  const std::vector<Index>* keep = nullptr;
  bool pixels = true;  ///< false: labels only, as a server needs them to draw a partition
  IdxLimits limits = {};
};

namespace detail {

inline bool has_gz_name(const std::string& path) { return path.ends_with(".gz"); }

/// Reads a raw or gzip-packed file from its beginning and adds what it reads to a hash.
class IdxStream {
 public:
  IdxStream(std::string path, Sha256& hash) : path_(std::move(path)), hash_(hash) {}
  IdxStream(const IdxStream&) = delete;
  IdxStream& operator=(const IdxStream&) = delete;
#if IOTSL_READS_GZIP
  ~IdxStream() {
    if (file_ != nullptr) gzclose(file_);
  }
  Result<void> open() {
    // Takes plain files as they are.
    file_ = gzopen(path_.c_str(), "rbe");
    if (file_ == nullptr)
      return iotsl::detail::file_failure(ErrorCode::data, path_, "cannot open", errno);
    gzbuffer(file_, 1 << 17);
    return {};
  }
#else
  ~IdxStream() = default;
  Result<void> open() {
    if (has_gz_name(path_))
      return failure(ErrorCode::data, path_, ": this build cannot unpack .gz files; run gunzip -k ",
                     path_, ", or compile with -DIOTSL_WITH_ZLIB=1 and link -lz");
    file_ = iotsl::detail::Descriptor(iotsl::detail::open_retrying(path_, O_RDONLY));
    if (!file_.ok())
      return iotsl::detail::file_failure(ErrorCode::data, path_, "cannot open", errno);
    return {};
  }
#endif

  /// Exactly these bytes; a failure that says what was wanted where the file ends before.
  Result<void> read(std::uint8_t* out, std::size_t bytes, std::string_view what) {
    std::size_t filled = 0;
    while (filled < bytes) {
      auto got = read_some(out + filled, bytes - filled);
      if (!got) return got.failure();
      if (*got == 0)
        return failure(ErrorCode::data, path_, ": truncated at offset ",
                       offset_ + static_cast<Index>(filled), ": ", what, " needs bytes up to ",
                       offset_ + static_cast<Index>(bytes));
      filled += *got;
    }
    hash_.update(ByteSpan(out, bytes));
    offset_ += static_cast<Index>(bytes);
    return {};
  }

  Result<void> expect_end() {
    std::uint8_t extra = 0;
    auto got = read_some(&extra, 1);
    if (!got) return got.failure();
    if (*got != 0)
      return failure(ErrorCode::data, path_, ": offset ", offset_,
                     ": the file goes on after the last value that its header announces");
    return {};
  }

  /// Bytes read so far, counted in the unpacked file.
  Index offset() const { return offset_; }
  const std::string& path() const { return path_; }

 private:
#if IOTSL_READS_GZIP
  /// zlib's messages begin with the name of the file.
  std::string_view without_path(std::string_view text) const {
    if (text.starts_with(path_ + ": ")) text.remove_prefix(path_.size() + 2);
    return text;
  }
#endif
  Result<std::size_t> read_some(std::uint8_t* out, std::size_t bytes) {
    bytes = std::min(bytes, std::size_t{1} << 20);
#if IOTSL_READS_GZIP
    const int got = gzread(file_, out, static_cast<unsigned>(bytes));
    int status = Z_OK;
    const char* text = gzerror(file_, &status);
    // A packed stream that ends in the middle gives its last bytes together with this status.
    if (got <= 0 && status != Z_OK && status != Z_STREAM_END)
      return failure(
          ErrorCode::data, path_, ": offset ", offset_, " (unpacked): ",
          status == Z_BUF_ERROR ? "truncated: the packed stream ends early" : without_path(text));
    return static_cast<std::size_t>(got);
#else
    ssize_t got;
    do got = ::read(file_.get(), out, bytes);
    while (got < 0 && errno == EINTR);
    if (got < 0) return iotsl::detail::file_failure(ErrorCode::data, path_, "cannot read", errno);
    return static_cast<std::size_t>(got);
#endif
  }

  std::string path_;
  Index offset_ = 0;
  Sha256& hash_;
#if IOTSL_READS_GZIP
  gzFile file_ = nullptr;
#else
  iotsl::detail::Descriptor file_{-1};
#endif
};

inline std::string hex32(std::uint32_t v) {
  std::string out = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) out.push_back("0123456789abcdef"[(v >> shift) & 15]);
  return out;
}

/// Checks the magic number and reads the extents.
inline Result<std::vector<Index>> read_idx_header(IdxStream& file, std::uint32_t magic,
                                                  const char* what) {
  std::vector<Index> extents(magic & 255);
  for (std::size_t i = 0; i <= extents.size(); ++i) {
    std::uint8_t bytes[4];
    if (auto got = file.read(bytes, 4, "the header"); !got) return got.failure();
    const std::uint32_t value = load_be32(bytes);
    if (i != 0)
      extents[i - 1] = value;
    else if (value != magic)
      return failure(ErrorCode::data, file.path(), ": offset 0: magic ", hex32(value),
                     ", expected ", hex32(magic), " (", what, ")");
  }
  return extents;
}

/// Walks through ascending sample numbers; without any, every sample is wanted.
class KeepCursor {
 public:
  explicit KeepCursor(const std::vector<Index>* keep) : keep_(keep) {}
  bool wants(Index i) {
    if (keep_ == nullptr) return true;
    if (next_ == keep_->size() || (*keep_)[next_] != i) return false;
    ++next_;
    return true;
  }

 private:
  const std::vector<Index>* keep_;
  std::size_t next_ = 0;
};

inline Result<void> read_idx_images(IdxStream& file, const IdxRead& read, Dataset& out) {
  const IdxLimits& limits = read.limits;
  const std::vector<Index>* keep = read.keep;
  if (auto opened = file.open(); !opened) return opened;
  const auto header = read.planes
                          ? read_idx_header(file, 0x00000804, "unsigned bytes, 4 dimensions")
                          : read_idx_header(file, 0x00000803, "unsigned bytes, 3 dimensions");
  if (!header) return header.failure();
  const Index count = header->front();
  out.channels = read.planes ? (*header)[1] : 1;
  out.height = (*header)[header->size() - 2];
  out.width = header->back();
  if (count < 1 || count > limits.max_samples)
    return failure(ErrorCode::data, file.path(), ": offset 4: ", count, " images, expected 1 to ",
                   limits.max_samples);
  if (out.channels != 1 && out.channels != 3)
    return failure(ErrorCode::data, file.path(), ": offset 8: ", out.channels,
                   " channels, expected 1 or 3");
  for (const Index side : {out.height, out.width})
    if (side < 1 || side > limits.max_side)
      return failure(ErrorCode::data, file.path(), ": offset ", read.planes ? 12 : 8,
                     ": images of ", out.height, " x ", out.width, " pixels, expected 1 to ",
                     limits.max_side, " each");
  const Index elems = out.sample_elems();
  const Index kept = !read.pixels ? 0 : keep == nullptr ? count : static_cast<Index>(keep->size());
  if (kept > limits.max_bytes / elems)
    return failure(ErrorCode::data, file.path(), ": ", kept, " images of ", elems,
                   " bytes, limit is ", limits.max_bytes, " bytes");
  out.full_size = count;
  // Saves the copies of a growing vector for every usual set, and a liar gains nothing by it.
  constexpr Index usual = Index{64} << 20;
  const auto in_file = file_size(file.path());
  const Index max_reserve = in_file ? std::max(usual, static_cast<Index>(*in_file)) : usual;
  out.pixels.reserve(static_cast<std::size_t>(std::min(kept * elems, max_reserve)));
  KeepCursor cursor(keep);
  std::vector<std::uint8_t> image(static_cast<std::size_t>(elems));
  for (Index i = 0; i < count; ++i) {
    if (auto got = file.read(image.data(), image.size(), "the next image"); !got)
      return failure(got.failure().code, got.failure().message, " (image ", i, " of ", count, ")");
    if (!cursor.wants(i) || !read.pixels) continue;
    const std::uint8_t* values = image.data();
    out.pixels.insert(out.pixels.end(), values, values + image.size());
  }
  return file.expect_end();
}

inline Result<void> read_idx_labels(IdxStream& file, const std::string& images_path,
                                    const std::vector<Index>* keep, Dataset& out) {
  if (auto opened = file.open(); !opened) return opened;
  const bool wide = idx_label_type(out.classes) == idx_shorts;
  const auto header = wide ? read_idx_header(file, 0x00000B01, "numbers of 2 bytes, 1 dimension")
                           : read_idx_header(file, 0x00000801, "unsigned bytes, 1 dimension");
  if (!header) return header.failure();
  const Index count = (*header)[0];
  if (count != out.full_size)
    return failure(ErrorCode::data, file.path(), ": offset 4: ", count, " labels, but ",
                   images_path, " has ", out.full_size, " images");
  KeepCursor cursor(keep);
  const Index width = wide ? 2 : 1;
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count * width));
  const Index start = file.offset();
  if (auto got = file.read(bytes.data(), bytes.size(), "the last label"); !got) return got;
  for (Index i = 0; i < count; ++i) {
    const std::uint8_t* at = bytes.data() + i * width;
    const auto label = static_cast<Label>(wide ? at[0] * 256 + at[1] : at[0]);
    if (label >= out.classes)
      return failure(ErrorCode::data, file.path(), ": offset ", start + i * width, ": label ",
                     label, ", expected 0 to ", out.classes - 1);
    if (cursor.wants(i)) out.labels.push_back(label);
  }
  return file.expect_end();
}

}  // namespace detail

/// Reads an image file and its label file. Every failure names the file, and the offset in it,
/// unpacked.
inline Result<Dataset> load_idx(const std::string& images_path, const std::string& labels_path,
                                Index classes, const IdxRead& options) {
  const std::vector<Index>* keep = options.keep;
  Dataset out;
  out.classes = classes;
  out.path = images_path;
  Sha256 hash;
  detail::IdxStream images(images_path, hash);
  if (auto read = detail::read_idx_images(images, options, out); !read) return read.failure();
  detail::IdxStream labels(labels_path, hash);
  if (auto read = detail::read_idx_labels(labels, images_path, keep, out); !read)
    return read.failure();
  if (keep != nullptr && out.labels.size() != keep->size())
    return failure(ErrorCode::data, images_path, ": has ", out.full_size,
                   " images; the samples asked for must be ascending and below that");
  out.sha256 = to_hex(hash.digest());
  return out;
}
/// The whole set, or the samples `keep`, with their pixels.
inline Result<Dataset> load_idx(const std::string& images_path, const std::string& labels_path,
                                Index classes, const std::vector<Index>* keep = nullptr,
                                const IdxLimits& limits = {}) {
  return load_idx(images_path, labels_path, classes, IdxRead{.keep = keep, .limits = limits});
}

}  // namespace data
IOTSL_NAMESPACE_END
