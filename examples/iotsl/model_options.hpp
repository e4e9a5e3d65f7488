#pragma once
// The options that choose a model, shared by the subcommands.

#include "command.hpp"
#include "iotsl/models/summary.hpp"

namespace iotsl::tool {

struct ModelOptions {
  ModelSpec spec;
  std::string cut;
};

/// Adds --cut and --width.
inline void add_model_options(CLI::App& app, ModelOptions& options) {
  app.add_option("--cut", options.cut,
                 "Last layer on the device: a name (features.6) or an index from 0; default: after "
                 "the first pool of a VGG net, the second of vanilla5");
  app.add_option("--width", options.spec.width, "Base width; 64 is the published size")
      ->capture_default_str();
}

struct CutModel {
  Sequential<float> layers;
  std::size_t front_layers = 0;
};

/// Builds the chosen model without weights and finds the cut.
inline CutModel build(const ModelOptions& options) {
  expect(check_model(options.spec));
  CutModel out{build_model<float>(options.spec), 0};
  out.front_layers = expect(find_cut(out.layers, options.spec, options.cut));
  return out;
}

/// Bytes that one sample sends over the cut: smashed data and label up, gradient down.
inline Index sample_bytes(const ModelOptions& options) {
  const CutModel model = build(options);
  return 4 * (2 * summarize(model.layers, options.spec, model.front_layers).smashed_values + 1);
}

}  // namespace iotsl::tool
