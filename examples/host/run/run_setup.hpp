#pragma once
// What the options of a run name: its data, its network and the engine's settings.

#include "host/options/run_options.hpp"
#include "host/run/model_card.hpp"
#include "iotsl/net/link/link_speed.hpp"

namespace iotsl::tool {

struct RunData {
  data::Dataset train, test;
};

/// Loads both parts of the chosen set, limited as the options say, and fits the model's input to
/// it.
RunData load_run_data(RunOptions& options);

/// These samples of the training set, from `train` where that has its pixels.
data::Dataset load_samples(const RunOptions& options, const data::Dataset& train,
                           const std::vector<Index>& samples);

/// The samples of the validation part in `manifest`. Ends the command where the options name such a
/// part and the manifest does not.
data::Dataset load_validation(const RunOptions& options, const data::Dataset& train,
                              const data::Manifest& manifest);

/// What must be known to use the network of the run. After load_run_data.
ModelCard card_of(const RunOptions& options);

/// The network of --link, or nothing.
std::optional<net::LinkSpeed> link_of(const RunOptions& options);

/// What the engine needs to know of a run. Ends the command where the options do not fit together.
split::RunConfig to_config(const RunOptions& options);

}  // namespace iotsl::tool
