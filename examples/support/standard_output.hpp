#pragma once
// What was printed must have arrived before a program says that all is well.

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace iotsl {

/// The exit code `code`, or 1 with a message where standard output could not be written: a full
/// disk, a closed pipe.
inline int finish_output(const char* program, int code) {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed_before) return code;
  std::fprintf(stderr, "%s: cannot write to standard output%s%s\n", program, errno != 0 ? ": " : "",
               errno != 0 ? std::strerror(errno) : "");
  return code == 0 ? 1 : code;
}

}  // namespace iotsl
