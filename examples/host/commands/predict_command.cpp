// iotsl predict RUN|WEIGHTS IMAGE | --dataset NAME: the trained network in use.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "host/options/output_file.hpp"
#include "host/run/trained_model.hpp"
#include "iotsl/core/finite.hpp"
#include "iotsl/core/text.hpp"
#include "iotsl/data/image_folder.hpp"
#include "iotsl/train/evaluate.hpp"

namespace iotsl::tool {
namespace {

struct PredictOptions {
  std::string model, image, out;
  DataOptions data;
  ModelChoice choice;
  RunWeights weights = RunWeights::last;
  bool split = false, invert = false, json = false, overwrite = false;
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

/// How an image is brought to the network's input.
ImageFit fit_of(const PredictOptions& options, const ModelCard& card) {
  const ModelSpec& spec = card.spec;
  if (spec.images.channels != 1 && spec.images.channels != 3)
    fail_command(ErrorCode::usage, options.image, ": an image has 1 or 3 channels, the network ",
                 spec.images.channels);
  return {spec.images.channels,
          {spec.images.height, spec.images.width},
          card.center_crop || options.data.center_crop};
}

/// Whether a network of light strokes on a dark ground, as those of MNIST and its kin, is shown a
/// mostly light image.
bool looks_inverted(const ModelCard& card, std::span<const std::uint8_t> pixels, bool invert) {
  if (card.spec.images.channels != 1 || card.dataset == "images" || card.dataset == "celeba")
    return false;
  const auto light = std::count_if(pixels.begin(), pixels.end(), [](int v) { return v > 127; });
  const bool mostly_light = 2 * light > static_cast<std::ptrdiff_t>(pixels.size());
  return mostly_light != invert;
}

/// What the network says of one image.
struct Prediction {
  Index best = 0;
  std::vector<double> probabilities, logits;
};

Prediction predict_pixels(const PredictOptions& options, TrainedModel& trained,
                          std::span<const std::uint8_t> pixels) {
  Tensor<float> x = Tensor<float>::uninitialized(sample_shape(trained.card.spec));
  float* values = x.mutable_data();
  for (Index i = 0; i < x.size(); ++i) {
    const int value = pixels[static_cast<std::size_t>(i)];
    values[i] = static_cast<float>(options.invert ? 255 - value : value) / 255.0f;
  }
  const Tensor<float> logits = run_model(trained.model, x, options.split);
  if (!all_finite(logits))
    fail_command(ErrorCode::data, options.model,
                 ": the network's output is NaN or Inf; its weights are too large");
  const Tensor<float> log_probability = log_softmax(logits);
  Prediction out;
  out.best = argmax(logits)[0];
  for (Index c = 0; c < trained.card.spec.images.classes; ++c) {
    out.probabilities.push_back(std::exp(static_cast<double>(log_probability.data()[c])));
    out.logits.push_back(static_cast<double>(logits.data()[c]));
  }
  return out;
}

constexpr const char* invert_hint =
    "mostly light, but the network has learned from light strokes on a dark ground; --invert turns "
    "an image round";
constexpr const char* inverted_hint = "mostly light after --invert; try without it";

void predict_image(const PredictOptions& options, TrainedModel& trained) {
  const ModelCard& card = trained.card;
  const std::vector<std::uint8_t> pixels = expect(read_image(options.image, fit_of(options, card)));
  if (looks_inverted(card, pixels, options.invert))
    std::fprintf(stderr, "note: %s is %s\n", escaped(options.image).c_str(),
                 options.invert ? inverted_hint : invert_hint);
  const Prediction found = predict_pixels(options, trained, pixels);
  if (options.json) {
    Json out = Json::object();
    out["class"] = found.best;
    out["name"] = class_name(card, found.best);
    out["probabilities"] = Json::array_of(found.probabilities);
    out["logits"] = Json::array_of(found.logits);
    std::printf("%s\n", to_text(out).c_str());
    return;
  }
  std::printf("%s: %s\n", escaped(options.image).c_str(), class_name(card, found.best).c_str());
  for (Index c = 0; c < card.spec.images.classes; ++c)
    std::printf("  %-12s %6.2f %%\n", class_name(card, c).c_str(),
                100 * found.probabilities[static_cast<std::size_t>(c)]);
}

/// What is below a folder, sorted, with the paths in it.
class FolderImages {
 public:
  explicit FolderImages(const std::string& folder) : folder_(folder) { add({}); }
  std::vector<std::string> images;
  std::vector<data::BadFile> others;

 private:
  void add(const std::string& inside) {
    const std::string path = join_path(folder_, inside);
    struct stat here {};
    if (::stat(path.c_str(), &here) != 0) return;
    // A link to a folder above would lead back here for ever.
    for (const struct stat& above : above_)
      if (above.st_ino == here.st_ino && above.st_dev == here.st_dev) return;
    above_.push_back(here);
    const data::detail::FolderEntries entries = expect(data::detail::list_folder(path));
    for (const std::string& file : entries.files)
      if (std::string why = data::detail::why_no_image(join_path(path, file)); why.empty())
        images.push_back(join_path(inside, file));
      else
        others.push_back({join_path(inside, file), std::move(why)});
    for (const std::string& name : entries.folders) add(join_path(inside, name));
    above_.pop_back();
  }

  const std::string& folder_;
  std::vector<struct stat> above_;
};

/// Files are passed over that nobody may have meant, but perhaps somebody has.
void note_others(const std::vector<data::BadFile>& others) {
  constexpr std::size_t most = 20;
  if (others.empty()) return;
  std::string list;
  for (std::size_t i = 0; i < std::min(most, others.size()); ++i)
    list += concat("\n  ", escaped(others[i].path), ": ", others[i].why);
  std::fprintf(stderr, "note: other files are passed over: %zu%s%s\n", others.size(), list.c_str(),
               others.size() > most ? "\n  ..." : "");
}

/// A cell of a table with commas (RFC 4180).
std::string csv_cell(const std::string& text) {
  const std::string shown = escaped(text);
  if (shown.find_first_of(",\"") == shown.npos) return shown;
  std::string out = "\"";
  for (const char c : shown) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

/// A line for every image of a folder: file, class, name, probability. Nothing is written where an
/// image cannot be read, unless bad ones are to be left out.
void predict_folder(const PredictOptions& options, TrainedModel& trained) {
  if (!options.out.empty()) check_output(options.out, options.overwrite, text_output);
  const FolderImages found(options.image);
  const std::vector<std::string>& files = found.images;
  note_others(found.others);
  if (files.empty())
    fail_command(ErrorCode::data, options.image, ": no images; expected ",
                 data::detail::image_names, " files");
  const ImageFit fit = fit_of(options, trained.card);
  std::string table = "file,class,name,probability\n", bad;
  std::size_t light = 0, failed = 0;
  for (const std::string& file : files) {
    const auto pixels = read_image(join_path(options.image, file), fit);
    if (!pixels) {
      ++failed;
      if (failed <= 20) bad += concat(bad.empty() ? "" : "\n  ", pixels.failure().message);
      continue;
    }
    light += looks_inverted(trained.card, *pixels, options.invert) ? 1 : 0;
    const Prediction said = predict_pixels(options, trained, *pixels);
    char probability[32];
    std::snprintf(probability, sizeof probability, "%.6f",
                  said.probabilities[static_cast<std::size_t>(said.best)]);
    table +=
        concat(csv_cell(file), ",", said.best, ",", csv_cell(class_name(trained.card, said.best)),
               ",", std::string(probability), "\n");
  }
  if (failed > 0 && (!options.data.skip_bad || failed == files.size()))
    fail_command(ErrorCode::data, bad, "\n", failed, " of ", files.size(), " files are bad",
                 failed < files.size() ? "; --skip-bad leaves them out" : "");
  if (failed > 0) std::fprintf(stderr, "%zu files left out:\n  %s\n", failed, bad.c_str());
  if (light > 0)
    std::fprintf(stderr, "note: %zu of %zu images are %s\n", light, files.size(),
                 options.invert ? inverted_hint : invert_hint);
  if (options.out.empty()) {
    std::fputs(table.c_str(), stdout);
    return;
  }
  make_output_folder(options.out);
  expect(write_file_atomic(options.out, table));
  std::printf("%s: %zu images\n", options.out.c_str(), files.size() - failed);
}

/// The test set, its images brought to the network's input unless the user says otherwise.
data::Dataset load_test(const PredictOptions& options, const TrainedModel& trained) {
  const ModelSpec& spec = trained.card.spec;
  DataOptions data = options.data;
  if (takes_image_size(data) && data.image_size.empty())
    data.image_size = concat(spec.images.height, "x", spec.images.width);
  if (is_image_set(data)) {
    if (data.channels == 0) data.channels = spec.images.channels;
    data.center_crop = data.center_crop || trained.card.center_crop;
  }
  data::Dataset test = expect(load_set(data, data::Split::test));
  if (data.limit_test > 0) test = data::limit_samples(test, data.limit_test, data::test_part_seed);
  if (test.channels != spec.images.channels || test.height != spec.images.height ||
      test.width != spec.images.width)
    fail_command(ErrorCode::data, "--dataset ", data.dataset, ": samples of ", test.channels, "x",
                 test.height, "x", test.width, ", the model expects ", spec.images.channels, "x",
                 spec.images.height, "x", spec.images.width);
  if (test.classes != spec.images.classes)
    fail_command(ErrorCode::data, "--dataset ", data.dataset, ": ", test.classes,
                 " classes, the model has ", spec.images.classes);
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
  if (!std::isfinite(result.loss))
    fail_command(ErrorCode::data, options.model, ": the loss on ", test.name, " is ", result.loss,
                 "; the weights are too large");
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

void predict(const CLI::App& command, PredictOptions options) {
  if (options.image.empty() == options.data.dataset.empty())
    fail_command(ErrorCode::usage, "predict: expects either an image or --dataset");
  // What says which samples of a set are meant.
  for (const char* option :
       {"--data", "--limit-test", "--test-fraction", "--per-class", "--split-seed"})
    if (options.data.dataset.empty() && command.count(option) > 0)
      fail_command(ErrorCode::usage, as_given(command, option),
                   ": only for --dataset, not for an image");
  if (options.out.empty() && options.overwrite)
    fail_command(ErrorCode::usage, "--overwrite: nothing to replace without --out");
  if (folder_exists(options.model) && options.data.classes != 0 && options.data.dataset != "idx")
    fail_command(ErrorCode::usage, as_given(command, "--classes"),
                 ": only for a weights file and for --dataset idx; ", options.model,
                 " is a run folder, which describes its network");
  for (const char* option : {"--image-size", "--channels"})
    if (folder_exists(options.model) && options.data.dataset.empty() && command.count(option) > 0)
      fail_command(ErrorCode::usage, as_given(command, option),
                   ": only for a weights file and for --dataset; ", options.model,
                   " is a run folder, which describes its network");
  // For a weights file these describe the network; for a run folder, the files of --dataset.
  if (!folder_exists(options.model)) {
    options.choice.input.channels = options.data.channels;
    options.choice.input.classes = options.data.classes;
    options.choice.input.image_size = options.data.image_size;
    if (!is_image_set(options.data)) options.data.channels = 0;
    if (!takes_image_size(options.data)) options.data.image_size.clear();
    if (options.data.dataset != "idx") options.data.classes = 0;
  }
  const bool folder = folder_exists(options.image);
  if (!folder && !options.out.empty())
    fail_command(ErrorCode::usage, as_given(command, "--out"),
                 ": only for a folder of images, not for ",
                 options.image.empty() ? "--dataset" : "an image");
  if (!folder && !options.image.empty() && options.data.skip_bad)
    fail_command(ErrorCode::usage, "--skip-bad: only for a folder of images and for --dataset");
  if (folder && options.json)
    fail_command(ErrorCode::usage, "--json: not for a folder, which gives a table");
  TrainedModel trained = load_trained(options.model, options.choice, options.weights);
  if (folder)
    predict_folder(options, trained);
  else if (options.image.empty())
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
  command->add_option(
      "image", options->image,
      "PNG, JPEG, BMP, PGM or PPM, scaled to the input; or a folder of them: a table of file, class, "
      "name and probability");
  add_dataset_options(*command, options->data);
  command->add_option("--limit-test", options->data.limit_test, "Test samples at most; 0: no limit")
      ->check(zero_or_more());
  add_model_choice(*command, options->choice);
  add_run_weights(*command, options->weights);
  command->add_option("--out", options->out,
                      "Table of a folder's images; default: standard output");
  command->add_flag("--overwrite", options->overwrite, "Replace the file of --out");
  command->add_flag("--split", options->split, "Run front and back one after the other");
  command->add_flag("--invert", options->invert, "For dark strokes on a light ground");
  command->add_flag("--json", options->json, "Print one JSON object, with logits for an image");
  command->callback([command, options] { predict(*command, *options); });
}

}  // namespace iotsl::tool
