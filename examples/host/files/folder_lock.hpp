#pragma once
// One process at work in a folder.

#include <string>

#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {

/// File of a folder that whoever works in it has locked; it says who that is.
inline constexpr const char* lock_name = "run.lock";

/// A folder taken for this process, until the end of the scope or of the process in whatever way.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(FolderLock&& other) noexcept { file_ = std::move(other.file_); }
  FolderLock& operator=(FolderLock&& other) noexcept {
    file_ = std::move(other.file_);
    return *this;
  }
  /// Takes the folder, which must exist. Refused, with who has it, where another process has taken
  /// it.
  static Result<FolderLock> take(const std::string& folder);

 private:
  iotsl::detail::Descriptor file_{-1};
};

}  // namespace iotsl::tool
