#pragma once
// What comes before the turns of a run of method iotsl will cost.

#include "host/run/step_cost.hpp"
#include "iotsl/data/manifest.hpp"
#include "iotsl/split/records/run_config.hpp"

namespace iotsl::tool {

struct PreparationCost {
  std::uint64_t generator_values = 0;  ///< parameters of one
  std::uint64_t bytes_up = 0, bytes_down = 0;
  std::uint64_t values = 0;        ///< of all generators that are sent, up and down
  std::uint64_t device_bytes = 0;  ///< memory of the training, on top of that of the turns
  double iteration_seconds = 0;
  double generator_seconds = 0;  ///< of all devices together; at most
  double pretrain_seconds = 0;   ///< at most
};

/// Bytes follow from the options; seconds from an iteration of generator training on this machine.
PreparationCost preparation_cost(const split::RunConfig& config, const data::Manifest& manifest,
                                 const StepCost& step);

}  // namespace iotsl::tool
