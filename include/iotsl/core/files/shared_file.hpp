#pragma once
// A file that several processes read, change and write: a lock for those who write, and a stamp by
// which those who read see that it is another one.

#include <sys/file.h>

#include "iotsl/core/files/file.hpp"

IOTSL_NAMESPACE_BEGIN

/// Held by one process at a time while it reads, changes and writes the file that the lock is for.
class FileLock {
 public:
  /// `path` of the lock's own file, which is made with `mode` and stays. Waits for another holder
  /// for a second at most: it holds the lock for one file.
  static Result<FileLock> take(const std::string& path, mode_t mode = 0666) {
    FileLock out;
    out.file_ = detail::Descriptor(detail::open_retrying(path, O_RDWR | O_CREAT, mode));
    if (!out.file_.ok()) return detail::file_failure(ErrorCode::other, path, "cannot open", errno);
    for (int attempt = 0; ::flock(out.file_.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
      if (errno != EWOULDBLOCK && errno != EINTR)
        return detail::file_failure(ErrorCode::other, path, "cannot lock", errno);
      if (attempt == 50)
        return failure(ErrorCode::other, detail::parent_folder(path),
                       ": is in use by another process");
      ::usleep(20000);
    }
    return out;
  }
  FileLock(FileLock&& other) noexcept { file_ = std::move(other.file_); }

 private:
  FileLock() = default;
  detail::Descriptor file_{-1};
};

/// What changes whenever a file is written anew (write_file_atomic makes another file each time);
/// all zeros where there is none.
struct FileStamp {
  std::uint64_t inode = 0, bytes = 0;
  std::int64_t seconds = 0, nanoseconds = 0;

  static FileStamp of(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return {};
    return {static_cast<std::uint64_t>(info.st_ino), static_cast<std::uint64_t>(info.st_size),
            std::int64_t{info.st_mtim.tv_sec}, std::int64_t{info.st_mtim.tv_nsec}};
  }
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

IOTSL_NAMESPACE_END
