#pragma once
// The options that choose a model, shared by the subcommands.

#include "host/images/image.hpp"
#include "host/options/option_list.hpp"
#include "iotsl/models/summary.hpp"
#include "iotsl/net/wire_format.hpp"

namespace iotsl::tool {

struct ModelOptions {
  ModelSpec spec;
  std::string cut;
};

/// --cut and --width.
template <class Options, class List>
void list_model_options(Options& o, List& list) {
  list.given("cut", o.cut,
             "Last layer on the device: a name (features.6) or an index from 0; default: after "
             "the first pool of a VGG net, the second of vanilla5");
  list.option("width", o.spec.width, "Base width; 64 is the published size");
}

inline void add_model_options(CLI::App& app, ModelOptions& options) {
  CommandLine list(app);
  list_model_options(options, list);
}

/// The network's input and output where no data set decides them.
struct InputOptions {
  std::string image_size;
  Index channels = 0, classes = 0;  // 0: not given
};

/// Adds --channels, --image-size and --classes.
inline void add_input_options(CLI::App& app, InputOptions& options) {
  app.add_option("--channels", options.channels, "Input channels; default 1")
      ->check(between(1, 4096));
  app.add_option("--image-size", options.image_size,
                 "Input of SIDE or HEIGHTxWIDTH pixels; default 28");
  app.add_option("--classes", options.classes, "Classes; default 10")
      ->check(between(Index{2}, Index{4096}));
}

/// Takes over what was given.
inline void apply(const InputOptions& options, ModelSpec& spec) {
  if (options.channels != 0) spec.in_channels = options.channels;
  if (options.classes != 0) spec.classes = options.classes;
  if (options.image_size.empty()) return;
  const ImageSize size = expect(parse_image_size(options.image_size));
  spec.height = size.height;
  spec.width_px = size.width;
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
  const auto values = static_cast<std::uint64_t>(
      summarize(model.layers, options.spec, model.front_layers).smashed_values);
  const net::WireFormat format;
  return static_cast<Index>(net::label_bytes(1) + format.smashed_bytes(1, values) +
                            format.gradient_bytes(1, values));
}

}  // namespace iotsl::tool
