#pragma once
// Writes an idx file value by value, so that a set larger than memory can be written. The file
// appears under its name only when it is whole.

#include <string>
#include <utility>

#include "iotsl/core/files/file.hpp"
#include "iotsl/data/dataset.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

class IdxWriter {
 public:
  explicit IdxWriter(std::string path)
      : path_(std::move(path)), temporary_(concat(path_, ".tmp.", static_cast<long>(::getpid()))) {}
  IdxWriter(const IdxWriter&) = delete;
  IdxWriter& operator=(const IdxWriter&) = delete;
  ~IdxWriter() {
    if (file_.ok()) ::unlink(temporary_.c_str());
  }

  /// Begins with `header`; `bytes` of values must follow. A disk without room for both is refused
  /// before anything is written.
  Result<void> open(ByteSpan header, Index bytes) {
    file_ = iotsl::detail::Descriptor(
        iotsl::detail::open_retrying(temporary_, O_WRONLY | O_CREAT | O_TRUNC, 0666));
    if (!file_.ok())
      return iotsl::detail::file_failure(ErrorCode::other, temporary_, "cannot create", errno);
    const Result<void> fits =
        iotsl::detail::check_free_space(iotsl::detail::parent_folder(path_), path_,
                                        header.size() + static_cast<std::uint64_t>(bytes));
    if (!fits) return fits;
    left_ = bytes;
    return put(header);
  }

  Result<void> write(ByteSpan values) {
    left_ -= static_cast<Index>(values.size());
    if (left_ < 0) fail("idx: ", path_, ": ", -left_, " bytes more than announced");
    return put(values);
  }

  /// Syncs the file and gives it its name.
  Result<void> finish() {
    if (left_ != 0) fail("idx: ", path_, ": ", left_, " bytes less than announced");
    const auto broken = [&](const char* action) {
      const int error = errno;
      ::unlink(temporary_.c_str());
      return iotsl::detail::file_failure(ErrorCode::other, path_, action, error);
    };
    if (::fsync(file_.get()) != 0) return broken("cannot sync");
    if (file_.close() != 0) return broken("cannot close");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
      return broken("cannot rename the new file to it");
    return iotsl::detail::sync_folder(iotsl::detail::parent_folder(path_));
  }

 private:
  Result<void> put(ByteSpan bytes) {
    if (!iotsl::detail::write_all(file_.get(), bytes))
      return iotsl::detail::file_failure(ErrorCode::other, path_, "cannot write", errno);
    return {};
  }

  std::string path_, temporary_;
  iotsl::detail::Descriptor file_{-1};
  Index left_ = 0;
};

/// Writes a set as an image file and a label file, which load_idx() reads. Each appears when it is
/// whole.
inline Result<void> save_idx(const std::string& images_path, const std::string& labels_path,
                             const Dataset& set) {
  const auto write = [](const std::string& path, ByteSpan header, ByteSpan values) {
    IdxWriter file(path);
    Result<void> done = file.open(header, static_cast<Index>(values.size()));
    if (done) done = file.write(values);
    return done ? file.finish() : done;
  };
  if (static_cast<Index>(set.pixels.size()) != set.size() * set.sample_elems())
    fail("save_idx: ", set.name, " was loaded without its pixels");
  const Result<void> images =
      write(images_path, detail::idx_image_header(set.size(), set.channels, set.height, set.width),
            set.pixels);
  if (!images) return images;
  return write(labels_path, detail::idx_header(detail::idx_label_type(set.classes), {set.size()}),
               detail::idx_labels(set.labels, set.classes));
}

}  // namespace data
IOTSL_NAMESPACE_END
