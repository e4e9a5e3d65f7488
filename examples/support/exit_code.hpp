#pragma once
// The exit codes of our programs.

#include "iotsl/core/error.hpp"

namespace iotsl {

/// 0 success; 1 other; 2 usage; 3 network; 4 data.
inline int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
      return 2;
    case ErrorCode::network:
      return 3;
    case ErrorCode::data:
      return 4;
    case ErrorCode::other:
      break;
  }
  return 1;
}

}  // namespace iotsl
