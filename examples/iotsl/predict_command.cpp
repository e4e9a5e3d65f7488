// iotsl predict RUN IMAGE | --dataset NAME: the trained network in use.

#include <cmath>
#include <cstdio>
#include <memory>

#include "image.hpp"
#include "iotsl/nn/state.hpp"
#include "iotsl/split/evaluate.hpp"
#include "run_options.hpp"

namespace iotsl::tool {
namespace {

struct Options {
  std::string run, image;
  DataOptions data;
  bool split = false, invert = false, json = false;
};

struct TrainedRun {
  RunOptions options;
  CutModel model;
};

/// Rebuilds the model that config.json of the run folder describes and loads its weights.
TrainedRun load_run(const std::string& folder) {
  TrainedRun out;
  CLI::App reader;
  add_run_options(reader, out.options);
  out.options.config = folder + "/config.json";
  finish_run_options(reader, out.options);
  out.model = build(out.options.model);
  const std::string path = folder + "/model.safetensors";
  const SafeTensors file = expect(load_safetensors(path));
  if (const Result<void> loaded = load_state(out.model.layers, file); !loaded)
    fail_command(ErrorCode::data, path, ": ", loaded.failure().message);
  return out;
}

/// Logits of a batch, by the joined net or by front and back one after the other.
Tensor<float> run_model(CutModel& model, const Tensor<float>& x, bool split) {
  const NoRecord no_record;
  if (!split) return model.layers.forward(x, ForwardMode{});
  Sequential<float> front = model.layers.slice(0, model.front_layers);
  Sequential<float> back = model.layers.slice(model.front_layers, model.layers.size());
  const Tensor<float> smashed = front.forward(x, ForwardMode{});
  return back.forward(smashed, ForwardMode{});
}

void predict_image(const Options& options, TrainedRun& run) {
  const ModelSpec& spec = run.options.model.spec;
  const std::vector<std::uint8_t> pixels =
      expect(read_image(options.image, spec.in_channels, spec.height, spec.width_px));
  Tensor<float> x = Tensor<float>::uninitialized(sample_shape(spec));
  for (Index i = 0; i < x.size(); ++i) {
    const int value = pixels[static_cast<std::size_t>(i)];
    x.raw()[i] = static_cast<float>(options.invert ? 255 - value : value) / 255.0f;
  }
  const Tensor<float> log_probability = log_softmax(run_model(run.model, x, options.split));
  const Index best = split::predicted_class(log_probability.data(), spec.classes);
  const auto probability = [&](Index c) {
    return std::exp(static_cast<double>(log_probability.data()[c]));
  };
  const std::string& dataset = run.options.data.dataset;
  if (options.json) {
    Json out = Json::object();
    out["class"] = best;
    out["name"] = data::class_name(dataset, best);
    Json all = Json::array();
    for (Index c = 0; c < spec.classes; ++c) all.push_back(probability(c));
    out["probabilities"] = all;
    std::printf("%s\n", to_text(out).c_str());
    return;
  }
  std::printf("%s: %s\n", options.image.c_str(), data::class_name(dataset, best).c_str());
  for (Index c = 0; c < spec.classes; ++c)
    std::printf("  %-12s %6.2f %%\n", data::class_name(dataset, c).c_str(), 100 * probability(c));
}

void predict_dataset(const Options& options, TrainedRun& run) {
  data::Dataset test =
      expect(data::load_dataset(options.data.dataset, options.data.folder, data::Split::test));
  if (options.data.limit_test > 0)
    test = data::limit_samples(test, options.data.limit_test, run.options.data.seed);
  const ModelSpec& spec = run.options.model.spec;
  if (test.channels != spec.in_channels || test.height != spec.height || test.width != spec.width_px)
    fail_command(ErrorCode::data, "--dataset ", options.data.dataset, ": samples of ", test.channels,
                 "x", test.height, "x", test.width, ", the run's model expects ", spec.in_channels,
                 "x", spec.height, "x", spec.width_px);
  const split::Evaluation result = split::evaluate(
      test, [&](const Tensor<float>& x) { return run_model(run.model, x, options.split); });
  const std::vector<double> per_class = result.class_accuracy();
  if (options.json) {
    Json out = Json::object();
    out["samples"] = test.size();
    out["loss"] = result.loss;
    out["test_accuracy"] = result.accuracy();
    out["class_accuracy"] = Json::array_of(per_class);
    std::printf("%s\n", to_text(out).c_str());
    return;
  }
  std::printf("%s: %ld test samples, loss %.4f, accuracy %.2f %%\n", test.name.c_str(),
              static_cast<long>(test.size()), result.loss, 100 * result.accuracy());
  for (std::size_t c = 0; c < per_class.size(); ++c)
    std::printf("  %-12s %6.2f %%\n", data::class_name(test.name, static_cast<Index>(c)).c_str(),
                100 * per_class[c]);
}

void predict(const Options& options) {
  if (options.image.empty() == options.data.dataset.empty())
    fail_command(ErrorCode::usage, "predict: expects either an image or --dataset");
  TrainedRun run = load_run(options.run);
  if (options.image.empty())
    predict_dataset(options, run);
  else
    predict_image(options, run);
}

}  // namespace

void add_predict_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->data.dataset.clear();
  CLI::App* command = app.add_subcommand("predict", "Use the network of a finished run");
  command->add_option("run", options->run, "Run folder")->required();
  command->add_option("image", options->image, "PNG, JPEG, BMP or PGM; scaled to the model's input");
  add_dataset_options(*command, options->data);
  command->add_option("--limit-test", options->data.limit_test, "Test samples at most; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--split", options->split, "Run front and back one after the other");
  command->add_flag("--invert", options->invert, "For dark strokes on a light ground");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { predict(*options); });
}

}  // namespace iotsl::tool
