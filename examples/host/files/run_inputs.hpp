#pragma once
// What a run depends on beside its weights, as it was when the run began: a run that goes on with
// other data or options would be another one.

#include "host/run/run_setup.hpp"
#include "iotsl/data/manifest.hpp"

namespace iotsl::tool {

/// Writes what describes the run into `folder`, its own: config.json, model.json, manifest.json
/// (where `manifest` has devices) and inputs.json.
void write_run_description(const std::string& folder, const RunOptions& options,
                           const RunData& data, const data::Manifest& manifest);

/// Of a run that goes on: ends the command where training or test images, manifest, options or
/// generators are not those that it began with, and names what has changed. Older runs have no
/// inputs.json; of them the training images are compared, and a note says so.
void check_run_inputs(const RunOptions& options, const RunData& data,
                      const data::Manifest& manifest);

/// Writes the options of a run to which epochs were added.
void rewrite_run_options(const RunOptions& options);

}  // namespace iotsl::tool
