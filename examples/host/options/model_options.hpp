#pragma once
// The options that choose a model, shared by the subcommands.

#include <cstdlib>

#include "host/images/image.hpp"
#include "host/options/option_list.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/models/summary.hpp"
#include "iotsl/net/messages/wire_format.hpp"
#include "iotsl/nn/shapes_only.hpp"

namespace iotsl::tool {

struct ModelOptions {
  ModelSpec spec;
  std::string cut;
};

/// That a text is the name of a network.
inline CLI::Validator is_model_name() {
  return CLI::IsMember(std::vector<std::string>(std::begin(model_names), std::end(model_names)));
}

/// --cut and --width.
template <class Options, class List>
void list_model_options(Options& o, List& list) {
  list.given("cut", o.cut,
             "Last layer on the device: a name (features.6) or an index from 0; default: after "
             "the first pool of a VGG net, the second of vanilla5");
  list.option("width", o.spec.width, "Base width; 64 is the published size",
              between(min_model_width, max_model_width));
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
  if (options.channels != 0) spec.images.channels = options.channels;
  if (options.classes != 0) spec.images.classes = options.classes;
  if (options.image_size.empty()) return;
  const ImageSize size = expect(parse_image_size(options.image_size));
  spec.images.height = size.height;
  spec.images.width = size.width;
}

struct CutModel {
  Sequential<float> layers;
  std::size_t front_layers = 0;
};

/// Memory that the system can still give, as far as it says so; 0: it does not.
inline std::uint64_t available_bytes() {
  const Result<std::string> text = read_text_file("/proc/meminfo");
  const std::string_view key = "MemAvailable:";
  const std::size_t at = text ? text->find(key) : std::string::npos;
  if (at == std::string::npos) return 0;
  return std::strtoull(text->c_str() + at + key.size(), nullptr, 10) * 1024;
}

/// Ends the command where a net needs more than there is for `copies` of its parameters: the
/// weights, and in training their gradients and what the optimizer keeps.
inline void check_memory(const ModelSpec& spec, std::uint64_t copies) {
  expect(check_model(spec));
  if (ShapesOnly::active()) return;
  const ShapesOnly no_weights;
  const Sequential<float> layers = build_model<float>(spec);
  std::uint64_t parameters = 0;
  for (const StateEntry<float>& entry : state_entries<float>(layers))
    if (entry.kind == StateKind::parameter)
      parameters += static_cast<std::uint64_t>(entry.shape.elements());
  const std::uint64_t needed = parameters * sizeof(float) * copies, free = available_bytes();
  if (free > 0 && needed > free)
    fail_command(ErrorCode::usage, spec.name, " of width ", spec.width, " for ",
                 spec.images.channels, "x", spec.images.height, "x", spec.images.width, ": ",
                 parameters, " parameters need ", needed >> 20, " MiB",
                 copies > 1 ? " in training" : "", ", the system has ", free >> 20, " MiB free");
}

/// Builds the chosen model without initial weights and finds the cut.
inline CutModel build(const ModelOptions& options) {
  check_memory(options.spec, 1);
  CutModel out{build_model<float>(options.spec), 0};
  out.front_layers = expect(find_cut(out.layers, options.spec, options.cut));
  return out;
}

/// Bytes that one sample sends over the cut: smashed data and label up, gradient down.
inline Index sample_bytes(const ModelOptions& options, const net::WireFormat& format) {
  const ShapesOnly no_weights;
  const CutModel model = build(options);
  const auto values = static_cast<std::uint64_t>(
      summarize(model.layers, options.spec, model.front_layers).smashed_values);
  return static_cast<Index>(net::label_bytes(1) + format.smashed_bytes(1, values) +
                            format.gradient_bytes(1, values));
}

}  // namespace iotsl::tool
