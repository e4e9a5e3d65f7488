// iotsl predict RUN|WEIGHTS IMAGE | --dataset NAME: the trained network in use.

#include <cmath>
#include <cstdio>
#include <memory>

#include "host/run/trained_model.hpp"
#include "iotsl/train/evaluate.hpp"

namespace iotsl::tool {
namespace {

struct PredictOptions {
  std::string model, image;
  DataOptions data;
  ModelChoice choice;
  bool split = false, invert = false, json = false;
};

/// Logits of a batch, by the joined net or by front and back one after the other.
Tensor<float> run_model(CutModel& model, const Tensor<float>& x, bool split) {
  const NoRecord no_record;
  if (!split) return model.layers.forward(x, ForwardMode{});
  Sequential<float> front = model.layers.slice(0, model.front_layers);
  Sequential<float> back = model.layers.slice(model.front_layers, model.layers.size());
  const Tensor<float> smashed = front.forward(x, ForwardMode{});
  return back.forward(smashed, ForwardMode{});
}

void predict_image(const PredictOptions& options, TrainedModel& trained) {
  const ModelCard& card = trained.card;
  const ModelSpec& spec = card.spec;
  if (spec.in_channels != 1 && spec.in_channels != 3)
    fail_command(ErrorCode::usage, options.image, ": an image has 1 or 3 channels, the network ",
                 spec.in_channels);
  const ImageFit fit{
      spec.in_channels, {spec.height, spec.width_px}, card.center_crop || options.data.center_crop};
  const std::vector<std::uint8_t> pixels = expect(read_image(options.image, fit));
  Tensor<float> x = Tensor<float>::uninitialized(sample_shape(spec));
  float* values = x.mutable_data();
  for (Index i = 0; i < x.size(); ++i) {
    const int value = pixels[static_cast<std::size_t>(i)];
    values[i] = static_cast<float>(options.invert ? 255 - value : value) / 255.0f;
  }
  const Tensor<float> logits = run_model(trained.model, x, options.split);
  const Tensor<float> log_probability = log_softmax(logits);
  const Index best = argmax(logits)[0];
  const auto probability = [&](Index c) {
    return std::exp(static_cast<double>(log_probability.data()[c]));
  };
  if (options.json) {
    Json out = Json::object();
    out["class"] = best;
    out["name"] = class_name(card, best);
    Json all = Json::array(), raw = Json::array();
    for (Index c = 0; c < spec.classes; ++c) all.push_back(probability(c));
    for (Index c = 0; c < spec.classes; ++c) raw.push_back(static_cast<double>(logits.data()[c]));
    out["probabilities"] = all;
    out["logits"] = raw;
    std::printf("%s\n", to_text(out).c_str());
    return;
  }
  std::printf("%s: %s\n", options.image.c_str(), class_name(card, best).c_str());
  for (Index c = 0; c < spec.classes; ++c)
    std::printf("  %-12s %6.2f %%\n", class_name(card, c).c_str(), 100 * probability(c));
}

/// The test set, its images brought to the network's input unless the user says otherwise.
data::Dataset load_test(const PredictOptions& options, const TrainedModel& trained) {
  const ModelSpec& spec = trained.card.spec;
  DataOptions data = options.data;
  if (is_image_set(data)) {
    if (data.image_size.empty()) data.image_size = concat(spec.height, "x", spec.width_px);
    if (data.channels == 0) data.channels = spec.in_channels;
    data.center_crop = data.center_crop || trained.card.center_crop;
  }
  data::Dataset test = expect(load_set(data, data::Split::test));
  if (data.limit_test > 0) test = data::limit_samples(test, data.limit_test, data::test_part_seed);
  if (test.channels != spec.in_channels || test.height != spec.height ||
      test.width != spec.width_px)
    fail_command(ErrorCode::data, "--dataset ", data.dataset, ": samples of ", test.channels, "x",
                 test.height, "x", test.width, ", the model expects ", spec.in_channels, "x",
                 spec.height, "x", spec.width_px);
  if (test.classes != spec.classes)
    fail_command(ErrorCode::data, "--dataset ", data.dataset, ": ", test.classes,
                 " classes, the model has ", spec.classes);
  // An exported file that names no set knows its classes by number only.
  for (Index c = 0; c < test.classes && !trained.card.dataset.empty(); ++c)
    if (!test.class_names.empty() && data::class_name(test, c) != class_name(trained.card, c))
      fail_command(ErrorCode::data, "--dataset ", data.dataset, ": class ", c, " is '",
                   data::class_name(test, c), "', of the model '", class_name(trained.card, c),
                   "'");
  return test;
}

void predict_dataset(const PredictOptions& options, TrainedModel& trained) {
  const data::Dataset test = load_test(options, trained);
  const train::Evaluation result = train::evaluate(
      test, [&](const Tensor<float>& x) { return run_model(trained.model, x, options.split); });
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
    std::printf("  %-12s %6.2f %%\n", data::class_name(test, static_cast<Index>(c)).c_str(),
                100 * per_class[c]);
}

void predict(PredictOptions options) {
  if (options.image.empty() == options.data.dataset.empty())
    fail_command(ErrorCode::usage, "predict: expects either an image or --dataset");
  // For a weights file these two describe the network; for a run folder, the files of --dataset.
  if (!folder_exists(options.model)) {
    options.choice.input.channels = options.data.channels;
    options.choice.input.image_size = options.data.image_size;
    if (!is_image_set(options.data)) {
      options.data.channels = 0;
      options.data.image_size.clear();
    }
  }
  TrainedModel trained = load_trained(options.model, options.choice);
  if (options.image.empty())
    predict_dataset(options, trained);
  else
    predict_image(options, trained);
}

}  // namespace

void add_predict_command(CLI::App& app) {
  auto options = std::make_shared<PredictOptions>();
  options->data.dataset.clear();
  CLI::App* command = app.add_subcommand("predict", "Use a trained network");
  command->add_option("model", options->model, "Run folder, or a safetensors file")->required();
  command->add_option("image", options->image, "PNG, JPEG, BMP, PGM or PPM; scaled to the input");
  add_dataset_options(*command, options->data);
  command->add_option("--limit-test", options->data.limit_test, "Test samples at most; 0: no limit")
      ->check(zero_or_more());
  add_model_choice(*command, options->choice);
  command->add_flag("--split", options->split, "Run front and back one after the other");
  command->add_flag("--invert", options->invert, "For dark strokes on a light ground");
  command->add_flag("--json", options->json, "Print one JSON object, with logits for an image");
  command->callback([options] { predict(*options); });
}

}  // namespace iotsl::tool
