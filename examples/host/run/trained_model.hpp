#pragma once
// A network with its weights, from a run folder or from a weights file.

#include "host/run/run_setup.hpp"
#include "iotsl/nn/state.hpp"

namespace iotsl::tool {

struct TrainedModel {
  ModelCard card;
  CutModel model;
};

/// What the user says of a weights file that has no card, or instead of its card.
struct ModelChoice {
  std::string model;
  Index width = 0;
  std::string cut;
  InputOptions input;

  /// The name of the first option that was given, or null.
  const char* given() const;
};

/// Adds --model, --width and --cut.
void add_model_choice(CLI::App& app, ModelChoice& choice);

/// Which weights of a run: those that it ended with, or those of the device epoch that it is
/// reported by, chosen on its validation part.
enum class RunWeights { last, chosen };

/// Adds --chosen.
CLI::Option* add_run_weights(CLI::App& app, RunWeights& weights);

/// Loads the network of a run folder (config.json, model.json, and model.safetensors or the chosen
/// checkpoint) or of a safetensors file; a file of other programs needs `choice`. Ends the command
/// otherwise.
TrainedModel load_trained(const std::string& path, const ModelChoice& choice,
                          RunWeights weights = RunWeights::last);

/// Ends the command where the summary of the run in `folder` has other weights than `layers`: the
/// file was damaged, or came from elsewhere.
void check_weights_of_run(const std::string& folder, const Sequential<float>& layers);

/// Metadata of a weights file that load_trained reads without any option.
SafeMetadata weights_metadata(const ModelCard& card);

}  // namespace iotsl::tool
