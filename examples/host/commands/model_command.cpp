// iotsl model summary | export

#include <cstdio>
#include <memory>

#include "host/options/output_file.hpp"
#include "host/run/trained_model.hpp"
#include "iotsl/core/json/json.hpp"

namespace iotsl::tool {
namespace {

Json to_json(const LayerCost& cost) {
  Json out = Json::object();
  out["parameters"] = cost.parameters;
  out["operations"] = cost.operations;
  out["activation_bytes"] = cost.activation_bytes;
  return out;
}

Json to_json(const ModelSummary& summary, const ModelSpec& spec) {
  Json out = to_json(summary.total);
  out["model"] = spec.name;
  out["width"] = spec.width;
  out["cut"] = summary.layers[summary.front_layers - 1].name;
  out["smashed_values"] = summary.smashed_values;
  out["front"] = to_json(summary.front);
  out["back"] = to_json(summary.back);
  Json layers = Json::array();
  for (const LayerSummary& layer : summary.layers) {
    Json entry = Json::object();
    entry["name"] = layer.name;
    entry["type"] = layer.type;
    entry["fields"] = layer.fields;
    Json shape = Json::array();
    for (int d = 1; d < layer.output.rank(); ++d) shape.push_back(layer.output[d]);
    entry["output_shape"] = shape;
    const Json cost = to_json(layer.cost);
    for (const JsonMember& member : cost.as_object()) entry[member.key] = member.value;
    layers.push_back(entry);
  }
  out["layers"] = layers;
  return out;
}

void print_row(const char* name, const char* type, const std::string& shape, const LayerCost& cost,
               const std::string& fields = "") {
  std::printf("%-14s %-17s %-14s %12ld %14ld %12ld%s%s\n", name, type, shape.c_str(),
              static_cast<long>(cost.parameters), static_cast<long>(cost.operations),
              static_cast<long>(cost.activation_bytes), fields.empty() ? "" : "  ", fields.c_str());
}

void print_table(const ModelSummary& summary, const ModelSpec& spec) {
  std::printf("%s, width %ld, input %ldx%ldx%ld, costs for one sample\n\n", spec.name.c_str(),
              static_cast<long>(spec.width), static_cast<long>(spec.images.channels),
              static_cast<long>(spec.images.height), static_cast<long>(spec.images.width));
  std::printf("%-14s %-17s %-14s %12s %14s %12s  %s\n", "layer", "type", "output", "parameters",
              "operations", "bytes", "fields");
  for (std::size_t i = 0; i < summary.layers.size(); ++i) {
    const LayerSummary& layer = summary.layers[i];
    Shape sample;
    for (int d = 1; d < layer.output.rank(); ++d) sample.push_back(layer.output[d]);
    print_row(layer.name.c_str(), layer.type, to_string(sample), layer.cost, layer.fields);
    if (i + 1 == summary.front_layers)
      std::printf("-- cut: %ld values of smashed data per sample --\n",
                  static_cast<long>(summary.smashed_values));
  }
  std::printf("\n");
  print_row("front", "", "", summary.front);
  print_row("back", "", "", summary.back);
  print_row("total", "", "", summary.total);
}

struct ModelCommandOptions {
  ModelOptions model;
  InputOptions input;
  std::string run;
  RunWeights weights = RunWeights::last;
  bool json = false, overwrite = false;
  std::uint64_t seed = 1;
  std::string out = "model.safetensors";
};

void summary(ModelCommandOptions options) {
  apply(options.input, options.model.spec);
  const ShapesOnly no_weights;
  const CutModel model = build(options.model);
  const ModelSummary summary = summarize(model.layers, options.model.spec, model.front_layers);
  if (options.json)
    std::printf("%s\n", to_text(to_json(summary, options.model.spec), 2).c_str());
  else
    print_table(summary, options.model.spec);
}

void export_run(const ModelCommandOptions& options) {
  const TrainedModel trained = load_trained(options.run, {}, options.weights);
  make_output_folder(options.out);
  expect(save_safetensors(options.out, state_views(trained.model.layers),
                          weights_metadata(trained.card)));
  std::printf("%s: %s weights of %s, front and back joined, sha256 %s\n", options.out.c_str(),
              options.weights == RunWeights::chosen ? "chosen" : "last", options.run.c_str(),
              state_sha256(trained.model.layers).c_str());
}

void export_weights(ModelCommandOptions options) {
  check_output(options.out, options.overwrite);
  if (!options.run.empty()) return export_run(options);
  apply(options.input, options.model.spec);
  CutModel model = build(options.model);
  model.layers.initialize(options.seed);
  SafeMetadata metadata = weights_metadata({options.model.spec, options.model.cut, false, "", {}});
  metadata.emplace_back("seed", std::to_string(options.seed));
  make_output_folder(options.out);
  expect(save_safetensors(options.out, state_views(model.layers), metadata));
  std::printf("%s: initial weights of %s, seed %llu, sha256 %s\n", options.out.c_str(),
              options.model.spec.name.c_str(), static_cast<unsigned long long>(options.seed),
              state_sha256(model.layers).c_str());
}

}  // namespace

void add_model_command(CLI::App& app) {
  auto options = std::make_shared<ModelCommandOptions>();
  CLI::App* model = app.add_subcommand("model", "Describe a model or write its weights");
  model->require_subcommand(1);
  const auto common = [&](CLI::App* command) {
    command
        ->add_option("name", options->model.spec.name, "vgg16bn-compact, vgg16bn-paper or vanilla5")
        ->capture_default_str();
    add_model_options(*command, options->model);
    add_input_options(*command, options->input);
  };
  CLI::App* show = model->add_subcommand("summary", "Parameters, operations and activation bytes");
  common(show);
  show->add_flag("--json", options->json, "Print one JSON object");
  show->callback([options] { summary(*options); });
  CLI::App* write =
      model->add_subcommand("export", "Write weights as safetensors, for PyTorch too");
  common(write);
  CLI::Option* run = write->add_option("--run", options->run,
                                       "Trained weights of this run; default: initial ones");
  for (const char* other : {"name", "--width", "--cut", "--channels", "--image-size", "--classes"})
    run->excludes(write->get_option(other));
  write->add_option("--seed", options->seed, "Seed of the initial weights")
      ->check(between(std::uint64_t{0}, std::uint64_t{1} << 53))
      ->capture_default_str();
  write->add_option("--out", options->out, "File to write")->capture_default_str();
  run->excludes("--seed");
  add_run_weights(*write, options->weights)->needs(run);
  add_overwrite_option(*write, options->overwrite);
  write->callback([options] { export_weights(*options); });
}

}  // namespace iotsl::tool
