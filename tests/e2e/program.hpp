#pragma once
// Runs the programs of this build as a user would and keeps what they print.

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "iotsl/core/json/json.hpp"
#include "support/temporary_folder.hpp"

namespace iotsl::test {

struct ProgramResult {
  int exit_code = -1;
  std::string out;  ///< standard output
  std::string err;  ///< standard error
};

using ::TemporaryFolder;

inline std::string read_stream(std::FILE* stream) {
  std::string out;
  std::array<char, 4096> chunk;
  while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), stream))
    out.append(chunk.data(), n);
  return out;
}

/// Runs `iotsl ARGUMENTS` (or another program of the build folder) through the shell.
inline ProgramResult run_program(const std::string& arguments,
                                 const std::string& program = "iotsl") {
  const TemporaryFolder folder;
  const std::string err_path = folder / "stderr";
  const std::string command =
      std::string(IOTSL_PROGRAMS_DIR) + "/" + program + " " + arguments + " 2>" + err_path;
  ProgramResult result;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  result.out = read_stream(pipe);
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (std::FILE* err = std::fopen(err_path.c_str(), "r")) {
    result.err = read_stream(err);
    std::fclose(err);
  }
  return result;
}

}  // namespace iotsl::test
