#pragma once
// Where a command writes its result, looked at before the work begins.

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "host/commands/command.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/files/file_kind.hpp"

namespace iotsl::tool {

/// What a command writes, which may replace another of its kind: not the generator or the weights
/// whose name slipped in.
struct OutputKind {
  const char* name;
  bool (*matches)(std::string_view begin);  ///< the first bytes of a file
};
inline bool begins_as_png(std::string_view begin) { return begin.starts_with("\x89PNG"); }
inline bool begins_as_text(std::string_view begin) {
  const auto is_text = [](unsigned char c) {
    return c >= 0x20 || c == '\t' || c == '\r' || c == '\n';
  };
  return std::all_of(begin.begin(), begin.end(), is_text) && !begins_as_png(begin);
}
inline constexpr OutputKind picture_output{"PNG file", begins_as_png};
inline constexpr OutputKind text_output{"text file", begins_as_text};

/// Looks at the place of a file before the work begins. Refused: a folder, something other than a
/// file, a file that is there already without `overwrite`, one of another `kind`, a place that
/// cannot be written to.
inline void check_output(const std::string& path, bool overwrite,
                         const std::optional<OutputKind>& kind = {}) {
  if (path.empty()) fail_command(ErrorCode::usage, "--out: expected the name of a file");
  if (folder_exists(path)) fail_command(ErrorCode::usage, "--out ", path, ": is a folder");
  struct stat found {};
  const bool exists = ::stat(path.c_str(), &found) == 0;
  if (exists && !S_ISREG(found.st_mode))
    fail_command(ErrorCode::usage, "--out ", path, ": is not a regular file");
  if (exists && !overwrite)
    fail_command(ErrorCode::usage, "--out ", path,
                 ": exists already; choose another file or give --overwrite");
  if (exists && kind) {
    const std::string begin = read_beginning(path);
    if (!begin.empty() && !kind->matches(begin))
      fail_command(ErrorCode::usage, "--out ", path, ": exists and is no ", kind->name);
  }
  // The folder itself is made with the file.
  std::string folder = iotsl::detail::parent_folder(path);
  while (::stat(folder.c_str(), &found) != 0 && folder != "." && folder != "/")
    folder = iotsl::detail::parent_folder(folder);
  if (!folder_exists(folder))
    fail_command(ErrorCode::usage, "--out ", path, ": ", folder, " is not a folder");
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    fail_command(ErrorCode::usage, "--out ", path, ": no permission to write to ", folder);
  if (::access(folder.c_str(), R_OK) != 0)
    fail_command(ErrorCode::usage, "--out ", path, ": no permission to read ", folder,
                 ", without which the file's name cannot be put on the disk");
}

/// Makes the folder of a file that is about to be written.
inline void make_output_folder(const std::string& path) {
  expect(create_folders(iotsl::detail::parent_folder(path)));
}

inline CLI::Option* add_overwrite_option(CLI::App& command, bool& overwrite) {
  return command.add_flag("--overwrite", overwrite, "Replace what is there already");
}

}  // namespace iotsl::tool
