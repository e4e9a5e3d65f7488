#pragma once
// What comes before the turns of a run of method iotsl will cost.

#include <functional>

#include "host/forecast/step_cost.hpp"
#include "iotsl/data/manifest.hpp"
#include "iotsl/split/records/run_config.hpp"

namespace iotsl::tool {

struct PreparationSeconds {
  double iteration = 0;    ///< of the training of a generator
  double generators = 0;   ///< of all devices together; at most
  double pretraining = 0;  ///< at most
};

struct PreparationCost {
  PreparationSeconds seconds;
  std::uint64_t generator_values = 0;  ///< numbers of one, at most
  std::uint64_t bytes_up = 0, bytes_down = 0;
  std::uint64_t values = 0;        ///< of all generators that are sent, up and down
  std::uint64_t device_bytes = 0;  ///< memory of the training, on top of that of the turns
};

/// The samples of a device, with their pixels.
using DeviceSamples = std::function<data::Dataset(std::size_t device)>;

/// From an iteration of generator training on this machine, of moments from all of it, in processor
/// time of the thread that computes.
PreparationSeconds preparation_seconds(const split::RunConfig& config,
                                       const data::Manifest& manifest, const StepCost& step);

/// The same with values, bytes and memory. Those of nets follow from the options. How many bytes
/// moments take depends on the samples: they are those of the run but for a card's last digits,
/// with privacy but for what the noise draws.
PreparationCost preparation_cost(const split::RunConfig& config, const data::Manifest& manifest,
                                 const StepCost& step, const DeviceSamples& samples_of);

}  // namespace iotsl::tool
