#pragma once
// The clock on the wall, for people; whatever is measured takes the steady clock.

#include <ctime>
#include <string>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN

/// Local time in so many seconds from now, as strftime formats it.
inline std::string local_time(const char* format, double seconds_from_now = 0) {
  const std::time_t at = std::time(nullptr) + static_cast<std::time_t>(seconds_from_now);
  std::tm parts{};
  ::localtime_r(&at, &parts);
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, format, &parts));
}

IOTSL_NAMESPACE_END
