#include "host/run/trained_model.hpp"

#include "host/files/json_file.hpp"
#include "host/files/run_names.hpp"
#include "iotsl/generators/generator_file.hpp"
#include "iotsl/nn/foreign_state.hpp"
#include "iotsl/split/records/checkpoint.hpp"

namespace iotsl::tool {
namespace {

/// What config.json and model.json of a run folder say.
TrainedModel describe_run(const std::string& folder) {
  RunOptions options;
  CLI::App reader;
  add_run_options(reader, options);
  options.config = folder + "/config.json";
  finish_run_options(reader, options);
  options.set_name = options.data.dataset;
  for (Index c = 0; c < options.model.spec.images.classes; ++c)
    options.class_names.push_back(data::class_name(options.set_name, c));
  TrainedModel out{card_of(options), {}};
  const std::string path = folder + "/" + model_card_name;
  // Older runs have no card; all of them are of ten classes and 1x28x28 pixels.
  if (!file_exists(path)) return out;
  const auto card = parse_model_card(expect(read_text_file(path)));
  if (!card) fail_command(ErrorCode::data, path, ": ", card.failure().message);
  out.card = *card;
  return out;
}

/// What a weights file says of itself, and what the user says.
TrainedModel describe_file(const std::string& path, const SafeTensors& file,
                           const ModelChoice& choice) {
  TrainedModel out;
  bool known = !choice.model.empty();
  if (const std::string* text = file.find_metadata(model_card_key)) {
    auto card = parse_model_card(*text);
    if (!card)
      fail_command(ErrorCode::data, path, ": ", model_card_key, ": ", card.failure().message);
    out.card = std::move(*card);
    known = true;
  }
  if (!known)
    fail_command(
        ErrorCode::usage, path,
        ": does not say which network it is for; give --model, "
        "and --width, --channels, --image-size and --classes where they differ from 64, 1, "
        "28 and 10");
  ModelSpec& spec = out.card.spec;
  if (!choice.model.empty()) spec.name = choice.model;
  if (choice.width != 0) spec.width = choice.width;
  if (!choice.cut.empty()) out.card.cut = choice.cut;
  apply(choice.input, spec);
  return out;
}

void load_into(TrainedModel& model, const std::string& path, const SafeTensors& file) {
  model.model = build({model.card.spec, model.card.cut});
  const Result<void> loaded = load_foreign_state(model.model.layers, file);
  if (!loaded) fail_command(ErrorCode::data, path, ": ", loaded.failure().message);
}

/// What a complete run has left as its summary.
Json summary_of(const std::string& folder) {
  const std::string path = join_path(folder, summary_name);
  if (!file_exists(path))
    fail_command(ErrorCode::data, folder, ": the run is not complete; go on with --resume ",
                 folder);
  return read_json_object(path);
}

TrainedModel load_last(const std::string& folder) {
  TrainedModel out = describe_run(folder);
  const std::string path = join_path(folder, split::model_name);
  if (!file_exists(path)) {
    summary_of(folder);
    fail_command(ErrorCode::data, path, ": is missing, though the run is complete");
  }
  load_into(out, path, expect(load_foreign_safetensors(path)));
  check_weights_of_run(folder, out.model.layers);
  return out;
}

TrainedModel load_chosen(const std::string& folder) {
  TrainedModel out = describe_run(folder);
  const Json summary = summary_of(folder);
  const Json* accuracy = summary.find("chosen_validation_accuracy");
  if (accuracy == nullptr || accuracy->is_null())
    fail_command(ErrorCode::usage, "--chosen: the run in ", folder,
                 " had no --validation and has chosen nothing; without --chosen its last weights "
                 "are taken");
  out.model = build({out.card.spec, out.card.cut});
  expect(split::read_best_model(folder, out.model.layers));
  return out;
}

}  // namespace

const char* ModelChoice::given() const {
  if (!model.empty()) return "--model";
  if (width != 0) return "--width";
  if (!cut.empty()) return "--cut";
  if (input.channels != 0) return "--channels";
  if (input.classes != 0) return "--classes";
  return input.image_size.empty() ? nullptr : "--image-size";
}

void add_model_choice(CLI::App& app, ModelChoice& choice) {
  const auto add = [&](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)
        ->group("Weights files that do not describe themselves");
  };
  add("--model", choice.model, "vgg16bn-compact, vgg16bn-paper or vanilla5");
  add("--width", choice.width, "Base width; default 64")->check(above_zero());
  add("--cut", choice.cut, "Last layer on the device");
}

CLI::Option* add_run_weights(CLI::App& app, RunWeights& weights) {
  return app.add_flag_callback(
      "--chosen", [&weights] { weights = RunWeights::chosen; },
      "Of a run with --validation the weights that it is reported by; default: the last ones");
}

TrainedModel load_trained(const std::string& path, const ModelChoice& choice, RunWeights weights) {
  if (folder_exists(path)) {
    if (choice.given() != nullptr)
      fail_command(ErrorCode::usage, choice.given(), ": only for a weights file; ", path,
                   " is a run folder, which describes its network");
    return weights == RunWeights::chosen ? load_chosen(path) : load_last(path);
  }
  if (weights == RunWeights::chosen)
    fail_command(ErrorCode::usage, "--chosen: only for a run folder, which ", path, " is not");
  if (generators::load_generator(path).ok())
    fail_command(ErrorCode::usage, path, ": is a generator file; iotsl gan inspect reads it");
  const SafeTensors file = expect(load_foreign_safetensors(path));
  TrainedModel out = describe_file(path, file, choice);
  load_into(out, path, file);
  return out;
}

void check_weights_of_run(const std::string& folder, const Sequential<float>& layers) {
  const std::string path = join_path(folder, summary_name);
  if (!file_exists(path)) return;
  const Json summary = read_json_object(path);
  const Json* recorded = summary.find("weights_sha256");
  if (recorded == nullptr || !recorded->is_string()) return;
  if (const std::string found = state_sha256(layers); found != recorded->as_string())
    fail_command(ErrorCode::data, join_path(folder, split::model_name),
                 ": sha256 of the weights is ", found, ", ", summary_name, " says ",
                 recorded->as_string(), "; the file is damaged or of another run");
}

SafeMetadata weights_metadata(const ModelCard& card) {
  return {{"format", "pt"}, {model_card_key, to_text(to_json(card))}};
}

}  // namespace iotsl::tool
