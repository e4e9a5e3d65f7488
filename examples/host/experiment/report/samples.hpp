#pragma once
// Pictures of what the generators of a run make: the paper's Table II.

#include <optional>

#include "host/experiment/runs.hpp"

namespace iotsl::tool {

struct SamplePicture {
  std::vector<std::uint8_t> png;
  int width = 0;  ///< pixels
  std::string caption;
};

/// Two images of every class that a device has: a pair of rows for each device, a column for each
/// class. Nothing where the run has no generators.
std::optional<SamplePicture> picture_of_samples(const FinishedRun& run);

}  // namespace iotsl::tool
