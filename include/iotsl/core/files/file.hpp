#pragma once
// Files. Reading is bounded, writing is atomic: after a failure or a loss of power a file holds
// either all of its old bytes or all of its new ones. Messages give the path and the system's text.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "iotsl/core/bytes.hpp"
#include "iotsl/core/error.hpp"
#include "iotsl/core/failpoint.hpp"
#include "iotsl/core/heap_sort.hpp"

IOTSL_NAMESPACE_BEGIN

/// Most bytes of a file that is read whole, unless more are asked for.
inline constexpr std::uint64_t default_max_file_bytes = std::uint64_t{2} << 30;

namespace detail {

/// Closes a descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }
  /// 0 or -1 with errno. Linux has released the descriptor in both cases.
  int close() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

inline IOTSL_COLD Failure file_failure(ErrorCode code, const std::string& path, const char* action,
                                       int error) {
  return failure(code, path, ": ", action, ": ", std::strerror(error));
}

/// What a reader's error says of the file: a lack of descriptors or memory nothing, so that nobody
/// takes the file for damaged.
inline ErrorCode read_error_code(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM ? ErrorCode::other : ErrorCode::data;
}

inline int open_retrying(const std::string& path, int flags, mode_t mode = 0) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/// All bytes, or false with errno.
inline bool write_all(int fd, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t done =
        IOTSL_FAILPOINT_FAILS("file.write") ? -1 : ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return true;
}

template <class Container>
Result<Container> read_whole(const std::string& path, std::uint64_t max_bytes) {
  Descriptor file(open_retrying(path, O_RDONLY));
  if (!file.ok()) return file_failure(read_error_code(errno), path, "cannot open", errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return file_failure(read_error_code(errno), path, "cannot stat", errno);
  if (S_ISDIR(info.st_mode)) return failure(ErrorCode::data, path, ": is a folder, not a file");
  const auto announced = static_cast<std::uint64_t>(info.st_size);
  const auto too_large = [&](std::uint64_t size) {
    return failure(ErrorCode::data, path, ": has at least ", size, " bytes, limit is ", max_bytes);
  };
  if (announced > max_bytes) return too_large(announced);

  // One byte more than announced, so that the end shows without a second buffer; a file that grows
  // meanwhile, or that announces nothing (a pipe), is read on up to the limit.
  Container out;
  std::size_t filled = 0;
  out.resize(static_cast<std::size_t>(announced) + 1);
  for (;;) {
    if (filled == out.size()) {
      if (filled > max_bytes) return too_large(filled);
      out.resize(filled * 2 + 4096);
    }
    const ssize_t got = ::read(file.get(), out.data() + filled, out.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_failure(read_error_code(errno), path, "cannot read", errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled > max_bytes) return too_large(filled);
  out.resize(filled);
  return out;
}

/// "a/b" for "a/b/c", "." for "c", "/" for "/c".
inline std::string parent_folder(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Puts the names in a folder on the disk. Opened before a name is changed, so that a lack of
/// descriptors shows while nothing has happened yet.
class FolderSync {
 public:
  explicit FolderSync(std::string folder)
      : folder_(std::move(folder)), handle_(open_retrying(folder_, O_RDONLY | O_DIRECTORY)) {
    if (!handle_.ok()) error_ = errno;
  }
  Result<void> opened() const {
    if (handle_.ok()) return {};
    return file_failure(ErrorCode::other, folder_, "cannot open folder", error_);
  }
  Result<void> sync() const {
    // Some file systems cannot sync a folder and say EINVAL.
    if ((IOTSL_FAILPOINT_FAILS("file.sync_folder") || ::fsync(handle_.get()) != 0) &&
        errno != EINVAL)
      return file_failure(ErrorCode::other, folder_, "cannot sync folder", errno);
    return {};
  }

 private:
  std::string folder_;
  Descriptor handle_;
  int error_ = 0;
};

inline Result<void> sync_folder(const std::string& folder) {
  const FolderSync handle(folder);
  const Result<void> opened = handle.opened();
  return opened ? handle.sync() : opened;
}

/// Puts the name of a folder that was just made on the disk; it is removed again where that fails.
/// Who may write in the folder above but not read it gets no promise.
inline Result<void> sync_new_folder(const std::string& folder) {
  const std::string parent = parent_folder(folder);
  const FolderSync above(parent);
  if (::access(parent.c_str(), R_OK) != 0) return {};
  Result<void> synced = above.opened();
  if (synced) synced = above.sync();
  if (!synced) ::rmdir(folder.c_str());
  return synced;
}

/// Whether the disk of `folder` has `size` bytes for what `path` names.
inline Result<void> check_free_space(const std::string& folder, const std::string& path,
                                     std::uint64_t size) {
  struct statvfs space {};
  if (::statvfs(folder.c_str(), &space) != 0)
    return file_failure(ErrorCode::other, folder, "cannot stat folder", errno);
  const std::uint64_t free_bytes =
      static_cast<std::uint64_t>(space.f_bavail) * static_cast<std::uint64_t>(space.f_frsize);
  if (space.f_blocks != 0 && free_bytes < size)
    return failure(ErrorCode::other, path, ": needs ", size, " bytes, the disk has ", free_bytes,
                   " free");
  return {};
}

/// Writes and syncs a new file. The caller removes it after a failure.
inline Result<void> write_new_file(int fd, const std::string& path,
                                   std::span<const ByteSpan> parts) {
  Descriptor file(fd);
  for (const ByteSpan& part : parts)
    if (!write_all(file.get(), part))
      return file_failure(ErrorCode::other, path, "cannot write", errno);
  if (IOTSL_FAILPOINT_FAILS("file.sync") || ::fsync(file.get()) != 0)
    return file_failure(ErrorCode::other, path, "cannot sync", errno);
  if (IOTSL_FAILPOINT_FAILS("file.close") || file.close() != 0)
    return file_failure(ErrorCode::other, path, "cannot close", errno);
  return {};
}

}  // namespace detail

/// "folder/name", without a second slash.
inline std::string join_path(std::string_view folder, std::string_view name) {
  std::string out(folder);
  if (!out.empty() && out.back() != '/') out.push_back('/');
  return out.append(name);
}

/// "mnist" for "/a/mnist/".
inline std::string_view last_component(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);
}

/// Whether a file (not a folder) can be found there.
inline bool file_exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

/// Whether there is a folder of that name.
inline bool folder_exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// Size in bytes.
inline Result<std::uint64_t> file_size(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return detail::file_failure(ErrorCode::data, path, "cannot stat", errno);
  return static_cast<std::uint64_t>(info.st_size);
}

/// Whether there is a file, where it matters: a disk that does not answer is no missing file.
inline Result<bool> look_for_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return !S_ISDIR(info.st_mode);
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return detail::file_failure(ErrorCode::data, path, "cannot stat", errno);
}

/// Makes a folder and the folders above it, whose names are on the disk then; no error where it
/// exists.
inline Result<void> create_folders(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string folder = path.substr(0, end);
    if (IOTSL_FAILPOINT_FAILS("file.make_folder") || ::mkdir(folder.c_str(), 0777) != 0) {
      // EROFS and EACCES are also the answers for a folder that exists on a protected path.
      const int error = errno;
      struct stat info {};
      const bool found = ::stat(folder.c_str(), &info) == 0;
      if (!found || !S_ISDIR(info.st_mode))
        return detail::file_failure(ErrorCode::other, folder, "cannot make folder",
                                    !found && error == EEXIST ? errno : error);
    } else if (const Result<void> synced = detail::sync_new_folder(folder); !synced) {
      return synced;
    }
    if (end == std::string::npos) return {};
  }
}

/// The whole file; a failure where it has more than `max_bytes`.
inline Result<std::vector<std::uint8_t>> read_file(
    const std::string& path, std::uint64_t max_bytes = default_max_file_bytes) {
  return detail::read_whole<std::vector<std::uint8_t>>(path, max_bytes);
}

/// The whole file as text; a failure where it is larger than `max_bytes`.
inline Result<std::string> read_text_file(const std::string& path,
                                          std::uint64_t max_bytes = std::uint64_t{64} << 20) {
  return detail::read_whole<std::string>(path, max_bytes);
}

/// Replaces or makes the file at `path`: free space is checked, the parts go one after another into
/// a temporary file beside it, which is synced and renamed, and the folder is synced. After a
/// failure the old file is untouched and the temporary one removed. A failed sync is final, never
/// retried: the kernel may have dropped the pages. `mode` is what the umask leaves of it: 0600 for
/// secrets.
inline Result<void> write_file_atomic(const std::string& path, std::span<const ByteSpan> parts,
                                      mode_t mode = 0666) {
  const std::string folder = detail::parent_folder(path);
  std::uint64_t size = 0;
  for (const ByteSpan& part : parts) size += part.size();
  if (const Result<void> fits = detail::check_free_space(folder, path, size); !fits) return fits;
  const detail::FolderSync names(folder);
  if (const Result<void> opened = names.opened(); !opened) return opened;

  // A temporary file of a process that died may be in the way under the same number.
  std::string temporary;
  int fd = -1;
  for (int attempt = 0; attempt < 100 && fd < 0; ++attempt) {
    temporary = concat(path, ".tmp.", static_cast<long>(::getpid()), ".", attempt);
    fd = detail::open_retrying(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0 && errno != EEXIST) break;
  }
  if (fd < 0) return detail::file_failure(ErrorCode::other, temporary, "cannot create", errno);
  IOTSL_FAILPOINT("file.created");
  if (auto written = detail::write_new_file(fd, temporary, parts); !written) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (IOTSL_FAILPOINT_FAILS("file.rename") || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return detail::file_failure(ErrorCode::other, path, "cannot rename the new file to it", error);
  }
  return names.sync();
}

/// Writes bytes that are in one piece.
inline Result<void> write_file_atomic(const std::string& path, ByteSpan bytes) {
  return write_file_atomic(path, std::span<const ByteSpan>(&bytes, 1));
}
/// Writes a text.
inline Result<void> write_file_atomic(const std::string& path, std::string_view text) {
  return write_file_atomic(path, bytes_of(text));
}

/// Appends to a file, which is made where it does not exist; not synced. For line logs.
inline Result<void> append_file(const std::string& path, std::string_view text) {
  detail::Descriptor file(detail::open_retrying(path, O_WRONLY | O_CREAT | O_APPEND, 0666));
  if (!file.ok()) return detail::file_failure(ErrorCode::other, path, "cannot open", errno);
  if (IOTSL_FAILPOINT_FAILS("file.append") || !detail::write_all(file.get(), bytes_of(text)))
    return detail::file_failure(ErrorCode::other, path, "cannot write", errno);
  if (file.close() != 0) return detail::file_failure(ErrorCode::other, path, "cannot close", errno);
  return {};
}

/// Puts what was appended to a file on the disk.
inline Result<void> sync_file(const std::string& path) {
  detail::Descriptor file(detail::open_retrying(path, O_RDONLY));
  if (!file.ok()) return detail::file_failure(ErrorCode::other, path, "cannot open", errno);
  if (IOTSL_FAILPOINT_FAILS("file.sync_appended") || ::fsync(file.get()) != 0)
    return detail::file_failure(ErrorCode::other, path, "cannot sync", errno);
  return {};
}

/// Cuts a file to its first `size` bytes; a failure where it has fewer.
inline Result<void> cut_file(const std::string& path, std::uint64_t size) {
  const Result<std::uint64_t> now = file_size(path);
  if (!now) return now.failure();
  if (*now < size)
    return failure(ErrorCode::data, path, ": has ", *now, " bytes, at least ", size, " expected");
  if (IOTSL_FAILPOINT_FAILS("file.cut") || ::truncate(path.c_str(), static_cast<off_t>(size)) != 0)
    return detail::file_failure(ErrorCode::other, path, "cannot cut", errno);
  return {};
}

/// Gives a file a second name, replacing what had it; a copy where the disk knows no links.
inline Result<void> link_file(const std::string& path, const std::string& second) {
  const std::string temporary = concat(second, ".tmp.", static_cast<long>(::getpid()));
  const std::string folder = detail::parent_folder(second);
  const detail::FolderSync names(folder);
  if (const Result<void> opened = names.opened(); !opened) return opened;
  ::unlink(temporary.c_str());
  if (IOTSL_FAILPOINT_FAILS("file.link") || ::link(path.c_str(), temporary.c_str()) != 0) {
    const auto bytes = read_file(path, std::uint64_t{16} << 30);
    if (!bytes) return bytes.failure();
    return write_file_atomic(second, ByteSpan(*bytes));
  }
  if (IOTSL_FAILPOINT_FAILS("file.rename_link") ||
      ::rename(temporary.c_str(), second.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return detail::file_failure(ErrorCode::other, second, "cannot rename the new link to it",
                                error);
  }
  ::unlink(temporary.c_str());  // stays where `second` was this file already
  return names.sync();
}

/// The names in a folder, sorted; none where it does not exist.
inline Result<std::vector<std::string>> read_folder(const std::string& folder) {
  struct Folder {
    DIR* handle;
    ~Folder() {
      if (handle != nullptr) ::closedir(handle);
    }
  };
  std::vector<std::string> out;
  const Folder open{::opendir(folder.c_str())};
  if (open.handle == nullptr && errno == ENOENT) return out;
  if (open.handle == nullptr)
    return detail::file_failure(detail::read_error_code(errno), folder, "cannot open folder",
                                errno);
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(open.handle);
    if (entry == nullptr && errno != 0)
      return detail::file_failure(ErrorCode::data, folder, "cannot read folder", errno);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") out.emplace_back(name);
  }
  heap_sort(out);
  return out;
}
/// The same where a folder that cannot be read is as good as none.
inline std::vector<std::string> list_folder(const std::string& folder) {
  Result<std::vector<std::string>> names = read_folder(folder);
  return names ? std::move(names).value() : std::vector<std::string>();
}

/// Removes what write_file_atomic() and link_file() have left of files whose names begin so, where
/// the program died in the middle. Of a folder that nobody else writes such files to.
inline void remove_leftovers(const std::string& folder, std::string_view begin) {
  for (const std::string& name : list_folder(folder))
    if (name.starts_with(begin) && name.find(".tmp.", begin.size()) != name.npos)
      ::unlink(join_path(folder, name).c_str());
}

IOTSL_NAMESPACE_END
