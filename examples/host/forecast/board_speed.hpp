#pragma once
// What steps will cost on another machine, from its file of iotsl-bench.

#include "host/options/model_options.hpp"

namespace iotsl::tool {

/// Seconds of one step, and the row of the file that they come from.
struct BoardSeconds {
  double seconds = 0;
  std::string row;
};

/// Of the front of `model` in training on `batch` samples on the machine of `path`: the time of the
/// published net's front with the nearest batch and the most threads, by operations. Ends the
/// command where the file is none of iotsl-bench or lacks the row.
BoardSeconds device_step_on(const std::string& path, const ModelSummary& model, Index batch);
/// The same of the back, from the training of the published net as a whole.
BoardSeconds server_step_on(const std::string& path, const ModelSummary& model, Index batch);

}  // namespace iotsl::tool
