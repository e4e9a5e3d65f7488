#pragma once
// The calls by which this program uses files and asks for memory, looked at one by one.
// file_calls.cpp defines the C library's functions once more: a program that is linked with it
// calls these, in the headers' inline code as in any library's, so that the engine needs no seam
// and none of its calls can go around one. A thread without a watcher goes straight on to the C
// library.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace iotsl::test {

enum class FileCall {
  open,
  write,
  read,
  sync,
  close,
  rename,
  link,
  unlink,
  make_folder,
  resize,
  reserve,
  map,
  unmap,
  sync_map,
  list,
  status,
  lock
};

/// One call. What does not belong to it is null, -1 or 0.
struct FileEvent {
  FileCall call;
  const char* path = nullptr;
  const char* second = nullptr;  ///< the new name
  int fd = -1;                   ///< that it is made on
  int flags = 0;
  const void* memory = nullptr;  ///< written from, or mapped
  std::uint64_t bytes = 0;       ///< of the memory, or the new size
  std::int64_t offset = -1;      ///< of pwrite and pread
};

/// Sees the calls of the thread that it watches. Its own calls are not seen.
class FileWatcher {
 public:
  struct Verdict {
    enum {
      go_on,
      fail,
      pretend
    } what = go_on;  ///< pretend: nothing is done, and that is a success
    int error = 0;
  };
  virtual ~FileWatcher() = default;
  virtual Verdict before(const FileEvent&) { return {}; }
  /// `result` as the C library gave it, 0 or more; not told of calls that failed.
  virtual void after(const FileEvent&, std::int64_t /*result*/) {}
};

/// No sync is made: for files that are thrown away.
struct NoSyncs : FileWatcher {
  Verdict before(const FileEvent& event) override {
    const bool sync = event.call == FileCall::sync || event.call == FileCall::sync_map;
    return {sync ? Verdict::pretend : Verdict::go_on};
  }
};

inline thread_local FileWatcher* file_watcher = nullptr;

/// Watches this thread in a scope.
class WatchFiles {
 public:
  explicit WatchFiles(FileWatcher& watcher) : before_(file_watcher) { file_watcher = &watcher; }
  WatchFiles(const WatchFiles&) = delete;
  WatchFiles& operator=(const WatchFiles&) = delete;
  ~WatchFiles() { file_watcher = before_; }

 private:
  FileWatcher* before_;
};

/// Allocations by operator new that this thread may still make; the next one after them raises
/// std::bad_alloc, once. Negative: no limit.
inline thread_local long allocations_left = -1;

}  // namespace iotsl::test
