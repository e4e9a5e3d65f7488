// The C library's file calls and operator new, for programs whose tests watch them.

#include "support/disk/file_calls.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

namespace {

using iotsl::test::FileCall;
using iotsl::test::FileEvent;
using iotsl::test::FileWatcher;

/// The C library's own function of that name.
template <class F>
F next(F, const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

/// `real()` with the watcher's eyes on it. `failed`: what the call gives where it fails, `done`
/// where it does nothing and is a success.
template <class Real, class R>
R watched(const FileEvent& event, const Real& real, R failed, R done) {
  FileWatcher* const watcher = std::exchange(iotsl::test::file_watcher, nullptr);
  if (watcher == nullptr) return real();
  const FileWatcher::Verdict verdict = watcher->before(event);
  R result = done;
  if (verdict.what == FileWatcher::Verdict::go_on) result = real();
  if (verdict.what == FileWatcher::Verdict::fail) {
    result = failed;
    errno = verdict.error;
  }
  const int error = errno;
  if (verdict.what == FileWatcher::Verdict::go_on && result != failed) {
    if constexpr (std::is_pointer_v<R>)
      watcher->after(event, reinterpret_cast<std::intptr_t>(result));
    else
      watcher->after(event, static_cast<std::int64_t>(result));
  }
  errno = error;
  iotsl::test::file_watcher = watcher;
  return result;
}

}  // namespace

#define NEXT(name) static const auto real = next(&::name, #name)

extern "C" {

int open(const char* path, int flags, ...) {
  NEXT(open);
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list more;
    va_start(more, flags);
    mode = va_arg(more, mode_t);
    va_end(more);
  }
  return watched(
      {.call = FileCall::open, .path = path, .flags = flags},
      [&] { return real(path, flags, mode); }, -1, 0);
}
ssize_t write(int fd, const void* data, std::size_t bytes) {
  NEXT(write);
  return watched(
      {.call = FileCall::write, .fd = fd, .memory = data, .bytes = bytes},
      [&] { return real(fd, data, bytes); }, ssize_t{-1}, static_cast<ssize_t>(bytes));
}
ssize_t pwrite(int fd, const void* data, std::size_t bytes, off_t offset) {
  NEXT(pwrite);
  return watched(
      {.call = FileCall::write, .fd = fd, .memory = data, .bytes = bytes, .offset = offset},
      [&] { return real(fd, data, bytes, offset); }, ssize_t{-1}, static_cast<ssize_t>(bytes));
}
ssize_t read(int fd, void* data, std::size_t bytes) {
  NEXT(read);
  return watched(
      {.call = FileCall::read, .fd = fd, .bytes = bytes}, [&] { return real(fd, data, bytes); },
      ssize_t{-1}, ssize_t{0});
}
ssize_t pread(int fd, void* data, std::size_t bytes, off_t offset) {
  NEXT(pread);
  return watched(
      {.call = FileCall::read, .fd = fd, .bytes = bytes, .offset = offset},
      [&] { return real(fd, data, bytes, offset); }, ssize_t{-1}, ssize_t{0});
}
int fsync(int fd) {
  NEXT(fsync);
  return watched(
      {.call = FileCall::sync, .fd = fd}, [&] { return real(fd); }, -1, 0);
}
// A descriptor is released even where closing it fails.
int close(int fd) {
  NEXT(close);
  int failed = 0;
  const int result = watched(
      {.call = FileCall::close, .fd = fd}, [&] { return failed = real(fd); }, -1, 0);
  if (result != 0 && failed == 0) {
    const int error = errno;
    real(fd);
    errno = error;
  }
  return result;
}
int rename(const char* path, const char* to) noexcept {
  NEXT(rename);
  return watched(
      {.call = FileCall::rename, .path = path, .second = to}, [&] { return real(path, to); }, -1,
      0);
}
int link(const char* path, const char* to) noexcept {
  NEXT(link);
  return watched(
      {.call = FileCall::link, .path = path, .second = to}, [&] { return real(path, to); }, -1, 0);
}
int unlink(const char* path) noexcept {
  NEXT(unlink);
  return watched(
      {.call = FileCall::unlink, .path = path}, [&] { return real(path); }, -1, 0);
}
int mkdir(const char* path, mode_t mode) noexcept {
  NEXT(mkdir);
  return watched(
      {.call = FileCall::make_folder, .path = path}, [&] { return real(path, mode); }, -1, 0);
}
int truncate(const char* path, off_t size) noexcept {
  NEXT(truncate);
  return watched(
      {.call = FileCall::resize, .path = path, .bytes = static_cast<std::uint64_t>(size)},
      [&] { return real(path, size); }, -1, 0);
}
int ftruncate(int fd, off_t size) noexcept {
  NEXT(ftruncate);
  return watched(
      {.call = FileCall::resize, .fd = fd, .bytes = static_cast<std::uint64_t>(size)},
      [&] { return real(fd, size); }, -1, 0);
}
// Gives the error instead of setting errno.
int posix_fallocate(int fd, off_t offset, off_t bytes) {
  NEXT(posix_fallocate);
  const int result = watched(
      {.call = FileCall::reserve,
       .fd = fd,
       .bytes = static_cast<std::uint64_t>(offset) + static_cast<std::uint64_t>(bytes)},
      [&] {
        const int error = real(fd, offset, bytes);
        if (error != 0) errno = error;
        return error == 0 ? 0 : -1;
      },
      -1, 0);
  return result == 0 ? 0 : errno;
}
void* mmap(void* at, std::size_t bytes, int access, int flags, int fd, off_t offset) noexcept {
  NEXT(mmap);
  return watched(
      {.call = FileCall::map, .fd = fd, .flags = flags, .bytes = bytes, .offset = offset},
      [&] { return real(at, bytes, access, flags, fd, offset); }, MAP_FAILED, MAP_FAILED);
}
int munmap(void* memory, std::size_t bytes) noexcept {
  NEXT(munmap);
  return watched(
      {.call = FileCall::unmap, .memory = memory, .bytes = bytes},
      [&] { return real(memory, bytes); }, -1, 0);
}
int msync(void* memory, std::size_t bytes, int flags) {
  NEXT(msync);
  return watched(
      {.call = FileCall::sync_map, .flags = flags, .memory = memory, .bytes = bytes},
      [&] { return real(memory, bytes, flags); }, -1, 0);
}
DIR* opendir(const char* path) {
  NEXT(opendir);
  return watched(
      {.call = FileCall::list, .path = path}, [&] { return real(path); },
      static_cast<DIR*>(nullptr), static_cast<DIR*>(nullptr));
}
int stat(const char* path, struct stat* out) noexcept {
  static const auto real =
      reinterpret_cast<int (*)(const char*, struct stat*)>(::dlsym(RTLD_NEXT, "stat"));
  return watched(
      {.call = FileCall::status, .path = path}, [&] { return real(path, out); }, -1, 0);
}
int fstat(int fd, struct stat* out) noexcept {
  static const auto real =
      reinterpret_cast<int (*)(int, struct stat*)>(::dlsym(RTLD_NEXT, "fstat"));
  return watched(
      {.call = FileCall::status, .fd = fd}, [&] { return real(fd, out); }, -1, 0);
}
int statvfs(const char* path, struct statvfs* out) noexcept {
  static const auto real =
      reinterpret_cast<int (*)(const char*, struct statvfs*)>(::dlsym(RTLD_NEXT, "statvfs"));
  return watched(
      {.call = FileCall::status, .path = path}, [&] { return real(path, out); }, -1, 0);
}
int flock(int fd, int operation) noexcept {
  NEXT(flock);
  return watched(
      {.call = FileCall::lock, .fd = fd}, [&] { return real(fd, operation); }, -1, 0);
}

}  // extern "C"

// Not inlined: the compiler knows the pair by its names only.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  long& left = iotsl::test::allocations_left;
  const bool fails = left == 0;
  if (left >= 0) --left;
  void* const block = fails ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }
