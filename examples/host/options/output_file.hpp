#pragma once
// Where a command writes its result, looked at before the work begins.

#include <unistd.h>

#include "host/commands/command.hpp"
#include "iotsl/core/file.hpp"

namespace iotsl::tool {

/// Makes the folder of --out and refuses a place that cannot be written to, or where something
/// other than a file stands.
inline void prepare_output(const std::string& path) {
  if (path.empty()) fail_command(ErrorCode::usage, "--out: expected the name of a file");
  if (folder_exists(path)) fail_command(ErrorCode::usage, "--out ", path, ": is a folder");
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode))
    fail_command(ErrorCode::usage, "--out ", path, ": is not a regular file");
  const std::string folder = iotsl::detail::parent_folder(path);
  if (const Result<void> made = create_folders(folder); !made)
    fail_command(ErrorCode::usage, "--out ", path, ": ", made.failure().message);
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    fail_command(ErrorCode::usage, "--out ", path, ": no permission to write to ", folder);
}

}  // namespace iotsl::tool
