#pragma once
// Largest resident memory of the process.

#include <sys/resource.h>

#include <cstdint>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace measure {

/// Peak resident set of this process in bytes, code and stacks included.
inline std::uint64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux gives KiB
}

}  // namespace measure
IOTSL_NAMESPACE_END
