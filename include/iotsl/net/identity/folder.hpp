#pragma once
// The folder of a key and of what is known of others' keys: nobody but its owner may look into it.

#include "iotsl/core/files/shared_file.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

/// A folder of mode 0700 with files of mode 0600, each written as a whole.
class IdentityFolder {
 public:
  static constexpr std::uint64_t max_file_bytes = std::uint64_t{16} << 20;

  /// One that is there.
  static Result<IdentityFolder> open(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0)
      return failure(ErrorCode::usage, "--identity ", path, ": ", std::strerror(errno));
    if (!S_ISDIR(info.st_mode))
      return failure(ErrorCode::usage, "--identity ", path, ": is not a folder");
    if ((info.st_mode & 077) != 0)
      return failure(ErrorCode::usage, "--identity ", path,
                     ": others may look into it; make it private: chmod 700 ", path);
    return IdentityFolder(path);
  }
  /// One that is there, or a new one.
  static Result<IdentityFolder> make(const std::string& path) {
    const Result<void> above = create_folders(iotsl::detail::parent_folder(path));
    if (!above) return above.failure();
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
      return iotsl::detail::file_failure(ErrorCode::usage, path, "cannot make folder", errno);
    return open(path);
  }

  const std::string& path() const { return path_; }
  std::string path_of(std::string_view name) const { return join_path(path_, name); }
  bool has(std::string_view name) const { return file_exists(path_of(name)); }

  /// A secret that others may read is none, so that such a file is refused.
  Result<std::string> read(std::string_view name) const {
    const std::string path = path_of(name);
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0)
      return failure(ErrorCode::usage, path, ": others may read it; make it private: chmod 600 ",
                     path);
    return read_text_file(path, max_file_bytes);
  }
  Result<void> write(std::string_view name, std::string_view text) const {
    const ByteSpan bytes = bytes_of(text);
    return write_file_atomic(path_of(name), std::span<const ByteSpan>(&bytes, 1), 0600);
  }
  Result<void> move(std::string_view from, std::string_view to) const {
    if (::rename(path_of(from).c_str(), path_of(to).c_str()) != 0)
      return iotsl::detail::file_failure(ErrorCode::other, path_of(from), "cannot rename", errno);
    return iotsl::detail::sync_folder(path_);
  }

  /// To be held while a file of the folder is read, changed and written.
  Result<FileLock> lock() const { return FileLock::take(path_of("lock"), 0600); }

 private:
  explicit IdentityFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace net
IOTSL_NAMESPACE_END
