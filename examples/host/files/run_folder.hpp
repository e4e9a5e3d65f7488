#pragma once
// The folder of a run: one process at a time, and an earlier run gives way only to one that has
// reached its first barrier.

#include "host/files/folder_lock.hpp"
#include "host/files/staged_folder.hpp"
#include "host/options/run_options.hpp"

namespace iotsl::tool {

/// Taken for a new run, or for one that goes on, when everything else has been looked at.
class RunFolder {
 public:
  /// Takes the folder of --resume, or that of --out; where neither is given a new one,
  /// runs/TIME-..., and options.out then names it. Ends the command where another process is at
  /// work in it, or where it holds a run and --overwrite is not given.
  explicit RunFolder(RunOptions& options);
  RunFolder(const RunFolder&) = delete;
  /// A run that has not begun leaves nothing.
  ~RunFolder();

  /// Where the run writes. An earlier run may still stand in options.out.
  const std::string& path() const { return staged_.path().empty() ? place_ : staged_.path(); }
  /// The run can go on from here: it takes the place of an earlier one.
  Result<void> keep();
  /// What to tell of a run that has ended with `why`: whether it can go on, and what has become of
  /// an earlier one.
  Failure close(Failure why);

 private:
  void choose_place(RunOptions& options);
  void take(const RunOptions& options);

  std::string place_;
  std::vector<std::string> made_;  // folders that were not there, outermost first
  bool fresh_ = false;             // nothing of a run was there
  bool kept_ = false;
  StagedFolder staged_;
  FolderLock lock_;
};

}  // namespace iotsl::tool
