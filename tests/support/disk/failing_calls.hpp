#pragma once
// Lets one file call, or one allocation, of a piece of work fail after the other.

#include <cerrno>
#include <cstdlib>
#include <map>
#include <new>
#include <set>

#include "iotsl/core/memory.hpp"
#include "support/disk/disk_log.hpp"

namespace iotsl::test {

/// The call number `at` below a folder, of those that can fail with that error, fails with it.
class FailingCall : public FileWatcher {
 public:
  FailingCall(const std::string& folder, int error, std::size_t at)
      : folder_(folder), error_(error), at_(at) {}

  bool happened() const { return count_ > at_; }
  const std::string& path() const { return path_; }  ///< that it was made on

  Verdict before(const FileEvent& event) override {
    const auto named = open_.find(event.fd);
    std::string path = event.path != nullptr  ? event.path
                       : named != open_.end() ? named->second
                                              : std::string();
    if (event.call == FileCall::close && named != open_.end()) open_.erase(named);
    if (event.call == FileCall::sync_map) path = folder_;
    if (!path.starts_with(folder_) || !can_fail(event) || count_++ != at_)
      return NoSyncs().before(event);
    path_ = std::move(path);
    return {Verdict::fail, error_};
  }
  void after(const FileEvent& event, std::int64_t result) override {
    if (event.call == FileCall::open) open_[static_cast<int>(result)] = event.path;
  }

 private:
  bool can_fail(const FileEvent& event) const {
    switch (event.call) {
      case FileCall::open:
        return error_ == EMFILE || error_ == EIO || (event.flags & O_CREAT) != 0;
      case FileCall::list:
        return error_ != ENOSPC;
      case FileCall::write:
      case FileCall::sync:
      case FileCall::close:
      case FileCall::rename:
      case FileCall::link:
      case FileCall::make_folder:
      case FileCall::resize:
      case FileCall::reserve:
      case FileCall::sync_map:
        return error_ != EMFILE;
      case FileCall::read:
      case FileCall::unlink:
      case FileCall::map:
      case FileCall::status:
        return error_ == EIO;
      case FileCall::unmap:
      case FileCall::lock:
        return false;
    }
    return false;
  }

  std::string folder_;
  int error_;
  std::size_t at_, count_ = 0;
  std::string path_;
  std::map<int, std::string> open_;
};

/// Descriptors of this process.
inline std::size_t open_descriptors() { return list_folder("/proc/self/fd").size(); }

/// Counts of what was tried.
struct FailureCounts {
  std::size_t calls = 0;   ///< that have failed
  std::size_t errors = 0;  ///< times that the work has ended with an error
};

/// IOTSL_EVERY_CALL: a campaign leaves none out.
inline bool every_call_wanted() { return std::getenv("IOTSL_EVERY_CALL") != nullptr; }

/// `begin()` brings the folder to the old state, `work()` is a Result, `look(done)` gives what is
/// wrong with what there is after it. With every error at every `stride`-th call: an error names a
/// file below the folder and the reason, no descriptor is left open, and the next try succeeds.
template <class Begin, class Work, class Look>
FailureCounts fail_every_call(const std::string& folder, const Begin& begin, const Work& work,
                              const Look& look, std::size_t stride = 1) {
  FailureCounts out;
  NoSyncs quick;
  const WatchFiles watch_all(quick);
  if (every_call_wanted()) stride = 1;
  for (const int error : {EIO, ENOSPC, EMFILE}) {
    for (std::size_t at = 0;; at += stride) {
      begin();
      const std::size_t descriptors = open_descriptors();
      FailingCall failing(folder, error, at);
      auto done = [&] {
        const WatchFiles watch(failing);
        return work();
      }();
      INFO("call " << at << " on " << failing.path() << " fails: " << std::strerror(error));
      CHECK(open_descriptors() == descriptors);
      const std::string wrong = look(done.ok());
      CHECK_MESSAGE(wrong.empty(), wrong);
      if (!failing.happened()) {
        REQUIRE(done.ok());
        break;
      }
      ++out.calls;
      if (done.ok()) continue;
      ++out.errors;
      const std::string& text = done.failure().message;
      CHECK_MESSAGE(text.find(folder) != text.npos, text);
      CHECK_MESSAGE(text.find(std::strerror(error)) != text.npos, text);
      auto again = work();
      REQUIRE_MESSAGE(again.ok(), again.failure().message);
      const std::string later = look(true);
      CHECK_MESSAGE(later.empty(), later);
    }
  }
  return out;
}

/// The same for the allocations of operator new, and for those of the pool. The work raises
/// std::bad_alloc or OutOfMemory.
template <class Begin, class Work, class Look>
FailureCounts fail_every_allocation(const Begin& begin, const Work& work, const Look& look,
                                    std::size_t stride = 1) {
  FailureCounts out;
  NoSyncs quick;
  const WatchFiles watch_all(quick);
  if (every_call_wanted()) stride = 1;
  for (const bool pool : {false, true}) {
    for (std::size_t at = 0;; at += stride) {
      begin();
      const std::size_t descriptors = open_descriptors();
      bool raised = false, done = false;
      if (pool)
        fail_allocation_after(static_cast<long>(at));
      else
        allocations_left = static_cast<long>(at);
      try {
        done = work().ok();
      } catch (const std::bad_alloc&) {
        raised = true;
      }
      allocations_left = -1;
      fail_allocation_after(-1);
      INFO((pool ? "the pool's" : "operator new's") << " allocation " << at << " fails");
      CHECK(open_descriptors() == descriptors);
      const std::string wrong = look(done);
      CHECK_MESSAGE(wrong.empty(), wrong);
      if (!raised) {
        REQUIRE(done);
        break;
      }
      ++out.calls;
      ++out.errors;
      auto again = work();
      REQUIRE_MESSAGE(again.ok(), again.failure().message);
      const std::string later = look(true);
      CHECK_MESSAGE(later.empty(), later);
    }
  }
  return out;
}

}  // namespace iotsl::test
