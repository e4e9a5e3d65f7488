#pragma once
// The exit codes of our programs.

#include "iotsl/core/error.hpp"

namespace iotsl {

/// What the codes mean, for --help and the manual.
inline constexpr const char* exit_codes =
    "Exit codes: 0 success, 1 other error, 2 usage, 3 network, 4 data, 5 stopped and can go on.";

/// As exit_codes says.
inline int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
      return 2;
    case ErrorCode::network:
      return 3;
    case ErrorCode::data:
      return 4;
    case ErrorCode::stopped:
      return 5;
    case ErrorCode::other:
      break;
  }
  return 1;
}

}  // namespace iotsl
