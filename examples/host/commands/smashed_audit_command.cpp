// iotsl audit smashed: what the server can make of the data that devices send it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include "host/images/image_grid.hpp"
#include "host/images/image_sets.hpp"
#include "host/options/output_file.hpp"
#include "host/report/run_report.hpp"
#include "host/run/stop_request.hpp"
#include "host/run/trained_model.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/split/audit/audit_report.hpp"
#include "iotsl/split/audit/reconstruction.hpp"

namespace iotsl::tool {
namespace {

using split::ImageLikeness;
using split::ReconstructionAttack;

struct SmashedAuditOptions {
  std::string model;  // empty: initial weights
  ModelChoice choice;
  DataOptions data;
  std::vector<std::string> cuts, wires{"fp32"};
  split::ReconstructionOptions attack;
  Index known = 10000, targets = 1000, pictures = 10;
  std::string out;
  int threads = 0;
  bool json = false, overwrite = false;
};

/// What has been found, and what it was found with.
struct Audited {
  ModelSpec spec;
  std::string cut;  // of a run; empty: the default one
  split::SmashedAudit found;
  std::vector<Tensor<float>> pictures;  // for each row
};

/// A net with initial weights, for images like these.
Sequential<float> new_net(const SmashedAuditOptions& o, const ImageSpec& images, Audited& report) {
  if (!o.choice.model.empty()) report.spec.name = o.choice.model;
  if (o.choice.width != 0) report.spec.width = o.choice.width;
  report.spec.images = images;
  report.found.weights = "initial";
  check_memory(report.spec, 1);
  Sequential<float> net = build_model<float>(report.spec);
  net.initialize(o.attack.seed);
  return net;
}

/// The net of a run or of a file, which takes images like these.
Sequential<float> known_net(const SmashedAuditOptions& o, const TrainedModel& trained,
                            const ImageSpec& images, Audited& report) {
  report.spec = trained.card.spec;
  report.found.weights = o.model;
  report.cut = trained.card.cut;
  const ImageSpec& known = report.spec.images;
  if (known.channels != images.channels || known.height != images.height ||
      known.width != images.width)
    fail_command(ErrorCode::data, "--dataset ", o.data.dataset, ": images of ", images.channels,
                 "x", images.height, "x", images.width, ", ", o.model, " takes ", known.channels,
                 "x", known.height, "x", known.width);
  return trained.model.layers;
}

/// The first --known images of the training set, drawn by the seed, and the first --targets of the
/// test set.
std::pair<data::Dataset, data::Dataset> load_images(const SmashedAuditOptions& o) {
  data::Dataset known = expect(load_set(o.data, data::Split::train));
  data::Dataset targets = expect(load_set(o.data, data::Split::test));
  expect(data::check_same_shape(known, targets));
  if (o.known < known.size()) known = data::limit_samples(known, o.known, o.attack.seed);
  if (o.targets < targets.size())
    targets = data::limit_samples(targets, o.targets, data::test_part_seed);
  if (known.size() < 2 || targets.size() < 2)
    fail_command(ErrorCode::data, "--dataset ", o.data.dataset, ": ", known.size(), " and ",
                 targets.size(), " images; an audit needs two to train on and two to look at");
  return {std::move(known), std::move(targets)};
}

/// As a device sends them: in one batch.
Tensor<float> pictured(const data::Dataset& targets, Index count) {
  return data::fetch_batch(targets, data::count_up(std::min(count, targets.size()))).x;
}

void run_attack(const SmashedAuditOptions& o, const Sequential<float>& net, std::size_t layers,
                WireCoding wire, const data::Dataset& known, const data::Dataset& targets,
                Audited& report) {
  const auto begin = std::chrono::steady_clock::now();
  split::AuditedForm row;
  row.cut = net[layers - 1].name;
  row.wire = wire;
  const Sequential<float> front = net.slice(0, layers);
  ReconstructionAttack attack =
      expect(ReconstructionAttack::begin(front, report.spec.images, wire, o.attack));
  const StopCheck asked{[](void*) { return stop_requested(); }};
  const Result<bool> trained = attack.train(known, asked);
  if (!trained)
    fail_command(trained.failure().code, "cut ", row.cut, ", wire ", wire, ": ",
                 trained.failure().message);
  if (!*trained) fail_command(ErrorCode::stopped, "stopped; nothing was written");
  row.values = front.output_shape(sample_shape(report.spec))->elements();
  row.bytes =
      net::WireFormat{.smashed = wire}.smashed_bytes(1, static_cast<std::uint64_t>(row.values));
  const ImageLikeness likeness = attack.likeness(targets);
  row.mse = likeness.mse;
  row.ssim = likeness.ssim;
  // A batch of the usual size, so that its statistics are those of a batch.
  report.pictures.push_back(attack.reconstruct(pictured(targets, o.attack.batch), 0));
  row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!o.json)
    std::fprintf(stderr, "%s %s: ssim %.3f, %s\n", row.cut.c_str(), to_string(wire), row.ssim,
                 format_seconds(row.seconds).c_str());
  report.found.rows.push_back(std::move(row));
}

ImageLikeness blind_guess(const data::Dataset& known, const data::Dataset& targets) {
  const Tensor<float> mean = split::mean_image(known), real = pictured(targets, targets.size());
  Tensor<float> guess = Tensor<float>::uninitialized(real.shape());
  for (Index n = 0; n < real.extent(0); ++n)
    std::copy(mean.data(), mean.data() + mean.size(), guess.mutable_data() + n * mean.size());
  return split::compare_images(guess, real);
}

/// Original images, then a row for each cut and form.
Result<void> write_pictures(const SmashedAuditOptions& o, const Audited& report,
                            const data::Dataset& targets) {
  const Index columns = std::min(o.pictures, std::min(o.attack.batch, targets.size()));
  ImageGrid grid(targets.channels, {targets.height, targets.width},
                 1 + static_cast<Index>(report.pictures.size()), columns, 2);
  for (Index i = 0; i < columns; ++i) grid.put(0, i, targets.sample(i));
  grid.begin_group(1);
  const auto values = static_cast<std::size_t>(targets.sample_elems());
  for (std::size_t row = 0; row < report.pictures.size(); ++row)
    for (Index i = 0; i < columns; ++i) {
      const float* from = report.pictures[row].data() + i * targets.sample_elems();
      std::vector<std::uint8_t> bytes(values);
      for (std::size_t k = 0; k < values; ++k)
        bytes[k] = static_cast<std::uint8_t>(255.0F * from[k] + 0.5F);
      grid.put(static_cast<Index>(row) + 1, i, bytes);
    }
  make_output_folder(o.out);
  return grid.write(o.out);
}

void print_text(const split::SmashedAudit& found) {
  std::printf(
      "%s of width %ld, weights %s; a decoder trained on %ld images of %s, judged on %ld others\n\n"
      "%-14s %-5s %9s %9s %8s %8s\n",
      found.model.c_str(), static_cast<long>(found.width), escaped(found.weights).c_str(),
      static_cast<long>(found.known), found.dataset.c_str(), static_cast<long>(found.targets),
      "cut", "wire", "values", "bytes", "mse", "ssim");
  for (const split::AuditedForm& row : found.rows)
    std::printf("%-14s %-5s %9ld %9llu %8.4f %8.3f\n", row.cut.c_str(), to_string(row.wire),
                static_cast<long>(row.values), static_cast<unsigned long long>(row.bytes), row.mse,
                row.ssim);
  std::printf("%-40s %8.4f %8.3f\n", "the mean image", found.mean_image_mse, found.mean_image_ssim);
  std::printf(
      "\nvalues, bytes: of a sample on the wire. ssim: structural similarity to the images that were "
      "sent; 1: the same. What is\nno better than the mean image tells this decoder nothing of a "
      "single image; a better one may see more.\n");
}

/// Fronts by their number of layers, in the order of --cut.
std::vector<std::size_t> chosen_cuts(const SmashedAuditOptions& o, const Sequential<float>& net,
                                     const Audited& report) {
  std::vector<std::size_t> out;
  if (o.cuts.empty()) return {expect(find_cut(net, report.spec, report.cut))};
  if (o.cuts.size() == 1 && o.cuts[0] == "all") {
    for (std::size_t i = 1; i < net.size(); ++i) out.push_back(i);
    return out;
  }
  for (const std::string& cut : o.cuts) {
    if (cut == "all") fail_command(ErrorCode::usage, "--cut all: stands for itself alone");
    out.push_back(expect(find_cut(net, report.spec, cut)));
    if (std::find(out.begin(), out.end() - 1, out.back()) != out.end() - 1)
      fail_command(ErrorCode::usage, "--cut ", cut, ": ", net[out.back() - 1].name,
                   " is given twice");
  }
  return out;
}

void audit_smashed(SmashedAuditOptions o) {
  if (o.threads > 0) set_threads(o.threads);
  if (o.out.empty() && o.overwrite)
    fail_command(ErrorCode::usage, "--overwrite: nothing to replace without --out");
  for (std::size_t i = 0; i < o.wires.size(); ++i)
    if (std::find(o.wires.begin(), o.wires.begin() + static_cast<std::ptrdiff_t>(i), o.wires[i]) !=
        o.wires.begin() + static_cast<std::ptrdiff_t>(i))
      fail_command(ErrorCode::usage, "--wire ", o.wires[i], ": is given twice");
  if (!o.out.empty()) check_output(o.out, o.overwrite, picture_output);
  std::optional<TrainedModel> trained;
  if (!o.model.empty()) trained = load_trained(o.model, o.choice);
  if (o.data.dataset.empty()) o.data.dataset = trained ? trained->card.dataset : "mnist";
  if (o.data.dataset.empty())
    fail_command(ErrorCode::usage, o.model,
                 ": does not say which images it is for; give --dataset");
  const auto [known, targets] = load_images(o);
  if (!o.out.empty() && known.channels != 1 && known.channels != 3)
    fail_command(ErrorCode::usage, "--out: images of ", known.channels,
                 " channels cannot be shown, only 1 or 3");
  Audited report;
  const ImageSpec images{known.channels, known.height, known.width, known.classes};
  const Sequential<float> net =
      trained ? known_net(o, *trained, images, report) : new_net(o, images, report);
  split::SmashedAudit& found = report.found;
  found.model = report.spec.name;
  found.width = report.spec.width;
  found.dataset = known.name;
  found.known = known.size();
  found.targets = targets.size();
  found.epochs = o.attack.epochs;
  found.decoder_width = o.attack.width;
  const ImageLikeness blind = blind_guess(known, targets);
  found.mean_image_mse = blind.mse;
  found.mean_image_ssim = blind.ssim;
  const std::vector<std::size_t> cuts = chosen_cuts(o, net, report);
  // What cannot be decoded is refused before the first training.
  for (const std::size_t layers : cuts)
    expect(
        split::build_decoder(expect(net.slice(0, layers).output_shape(sample_shape(report.spec))),
                             report.spec.images, o.attack.width));
  catch_stop_signals();
  for (const std::size_t layers : cuts)
    for (const std::string& wire : o.wires)
      run_attack(o, net, layers, find_named<WireCoding>(wire).value(), known, targets, report);
  if (o.json)
    std::printf("%s\n", to_text(to_json_fields(found), 2).c_str());
  else
    print_text(found);
  if (!o.out.empty()) expect(write_pictures(o, report, targets));  // a full disk costs no number
}

}  // namespace

void add_audit_command(CLI::App& app) {
  CLI::App* audit = app.add_subcommand("audit", "See what leaves the devices with other eyes");
  audit->require_subcommand(1);
  auto o = std::make_shared<SmashedAuditOptions>();
  o->data.dataset.clear();  // that of the run, else mnist
  CLI::App* command = audit->add_subcommand(
      "smashed",
      "Train a decoder that turns smashed data back into images, per cut and wire format");
  command->add_option("run", o->model,
                      "Run folder, or a safetensors file, whose front the server knows; default: "
                      "the initial weights of --seed");
  add_dataset_options(*command, o->data);
  command
      ->add_option("--model", o->choice.model,
                   "vgg16bn-compact (default), vgg16bn-paper or vanilla5")
      ->check(is_model_name());
  command->add_option("--width", o->choice.width, "Base width; default 64")
      ->check(between(min_model_width, max_model_width));
  command
      ->add_option("--cut", o->cuts,
                   "Cuts to compare, with commas between: names or indices of layers, or all; "
                   "default: the one of a run")
      ->delimiter(',');
  std::vector<std::string> codings;
  for (const auto& row : names_of(WireCoding{})) codings.emplace_back(row.name);
  command->add_option("--wire", o->wires, "Forms to compare, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember(codings))
      ->capture_default_str();
  command->add_option("--known", o->known, "Training images that the server has")
      ->check(between(2, 10000000))
      ->capture_default_str();
  command->add_option("--targets", o->targets, "Test images that devices send")
      ->check(between(2, 10000000))
      ->capture_default_str();
  command->add_option("--epochs", o->attack.epochs, "Passes of the decoder over --known")
      ->check(between(1, 10000))
      ->capture_default_str();
  command->add_option("--decoder-width", o->attack.width, "Channels of the decoder")
      ->check(between(1, 1024))
      ->capture_default_str();
  command->add_option("--seed", o->attack.seed, "Seed of everything random")
      ->check(between(std::uint64_t{0}, std::uint64_t{1} << 53))
      ->capture_default_str();
  command->add_option("--out", o->out,
                      "PNG file: images that were sent, then a row of what the server sees of "
                      "them for each cut and form");
  command->add_option("--pictures", o->pictures, "Images in a row of --out")
      ->check(between(1, 100))
      ->capture_default_str();
  command->add_option("--threads", o->threads, "Threads; 0: all cores")->check(between(0, 256));
  add_overwrite_option(*command, o->overwrite);
  command->add_flag("--json", o->json, "Print one JSON object");
  command->callback([o] { audit_smashed(*o); });
}

}  // namespace iotsl::tool
