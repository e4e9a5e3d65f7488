#pragma once
// What was printed must have arrived before a program says that all is well.

#include <cstdio>

namespace iotsl {

/// The exit code `code`, or 1 with a message where standard output could not be written: a full
/// disk, a closed pipe.
inline int finish_output(const char* program, int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "%s: cannot write to standard output\n", program);
  return code == 0 ? 1 : code;
}

}  // namespace iotsl
