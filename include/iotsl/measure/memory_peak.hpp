#pragma once
// Largest resident memory of the process.

#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>

#include "iotsl/core/files/file.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Peak resident set of this process in bytes, code and stacks included. getrusage alone would also
/// know the program that started this one: Linux keeps its maximum over exec.
inline std::uint64_t peak_resident_bytes() {
  const Result<std::string> status = read_text_file("/proc/self/status", 1 << 16);
  if (status) {
    constexpr std::string_view key = "VmHWM:";
    const std::size_t at = status->find(key);
    if (at != std::string::npos)
      return std::strtoull(status->c_str() + at + key.size(), nullptr, 10) * 1024;  // in kB
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux gives KiB
}

}  // namespace measure
IOTSL_NAMESPACE_END
