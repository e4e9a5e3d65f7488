#pragma once
// A folder that is written beside its place, and takes the place once it is worth it: until then
// what stands there is left as it is.

#include <functional>
#include <string>
#include <vector>

#include "host/files/folder_lock.hpp"
#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {

/// Those of the folders down to `path` that are not there, outermost first.
std::vector<std::string> missing_folders(const std::string& path);

class StagedFolder {
 public:
  /// Where the new folder of `place` is written.
  static std::string path_for(const std::string& place);
  /// Makes the folder to write into, for `place`, which may exist. `is_own`: whether an entry of a
  /// folder is what this kind of folder holds: only such entries give way to the new ones, others
  /// of the old folder stay.
  static Result<StagedFolder> begin(
      const std::string& place,
      std::function<bool(const std::string& folder, const std::string& name)> is_own);
  StagedFolder() = default;
  StagedFolder(StagedFolder&& other) noexcept { swap(other); }
  StagedFolder& operator=(StagedFolder&& other) noexcept {
    swap(other);
    return *this;
  }
  /// What has not taken its place is removed, unless it was left.
  ~StagedFolder();

  /// Where to write.
  const std::string& path() const { return path_; }
  bool staged() const { return !path_.empty() && !done_; }
  /// Puts the new folder in the place of the old one. path() stays another name of it as long as
  /// this lives, for whoever writes on.
  Result<void> publish();
  /// Keeps what was written, under path(), though it has not taken its place.
  void leave() { left_ = true; }

 private:
  void swap(StagedFolder& other) noexcept;
  Result<void> exchange();
  Result<void> move_entries();
  bool gives_way(const std::string& folder, const std::string& name) const;

  std::string place_, path_;
  std::vector<std::string> made_;  // folders above that were not there
  std::function<bool(const std::string&, const std::string&)> is_own_;
  bool done_ = false, left_ = false;
  FolderLock lock_;  // of path_: nobody else writes there
};

}  // namespace iotsl::tool
