#pragma once
// Memory that belongs to the state of a run: what a barrier writes and reads back.

#include <cstddef>
#include <cstdint>
#include <string>

#include "iotsl/config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// A name and a place; as many bytes in every barrier of the run.
struct StatePart {
  std::string name;
  std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
};

}  // namespace split
IOTSL_NAMESPACE_END
