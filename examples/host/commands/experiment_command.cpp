// iotsl experiment: repeats a figure of the paper and writes its numbers beside ours.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "host/experiment/checks.hpp"
#include "host/experiment/estimate.hpp"
#include "host/experiment/report/report.hpp"
#include "host/files/folder_lock.hpp"
#include "host/options/model_options.hpp"
#include "host/report/device_command.hpp"
#include "host/report/progress.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/data/source.hpp"

namespace iotsl::tool {
namespace {

struct ExperimentCommandOptions {
  std::string name, scale = "quick", out;
  RunOptions run;
  std::string model, gan_preset;                    ///< empty: that of the scale
  std::vector<std::string> curves;                  ///< keys; empty: all
  std::string link;                                 ///< empty: the default one
  ExperimentSizes given{.pretrain_iterations = 0};  ///< 0: likewise
  std::uint64_t seeds = 1;
  bool yes = false;
};

/// The command as it was given, for the report.
std::string command_text(const CLI::App& command) {
  std::string out = "iotsl experiment";
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0 || option->check_name("--help")) continue;
    if (!option->get_positional()) out += concat(" --", option->get_single_name());
    if (option->get_expected_max() == 0) continue;  // a flag
    for (const std::string& value : option->results()) out += " " + shell_word(value);
  }
  return out;
}

/// What is known of the images of fig15 before they are loaded. Ends the command where they do not
/// fit into memory.
void take_image_set(Experiment& e) {
  const Index classes = e.spec->classes, of_class = e.sizes.per_class;
  const Index side = e.sizes.image_side, trained = of_class - std::max<Index>(1, of_class / 10);
  e.images = ImageSpec{3, side, side, classes};
  const std::string& set = e.common.data.dataset;
  if (!check_in_memory(set, classes * trained, 3 * side * side))
    fail_command(
        ErrorCode::usage, "--dataset ", set, ": ", classes * trained, " images of ", side, "x",
        side, " pixels do not fit into memory as they are; write them once: iotsl data ",
        "pack --dataset ", set, set == "celeba" ? " --data CELEBA" : "", " --image-size ", side,
        " --per-class ", of_class, " --out DIR; then: iotsl experiment ", e.spec->name, " --scale ",
        e.scale == Scale::paper ? "paper" : "quick", " --dataset packed --data DIR");
}

/// What the card of a packed set says of it; as many images of a class as it has, where no other
/// number was `given`.
void take_packed_set(Experiment& e, Index given) {
  for (const std::string& folder : data::detail::dataset_folders("packed", e.common.data.folder)) {
    if (!file_exists(join_path(folder, data::pack_card_name))) continue;
    const data::PackCard card = expect(data::load_pack_card(folder));
    const auto classes = static_cast<Index>(card.class_names.size());
    if (classes != e.spec->classes)
      fail_command(ErrorCode::data, folder, ": a packed set of ", classes, " classes, ",
                   e.spec->name, " takes ", e.spec->classes);
    e.images = ImageSpec{card.channels, card.height, card.width, classes};
    e.pack_sha256 = card.train.sha256;
    const Index packed = (card.train.samples + card.test.samples) / classes;
    if (given > packed)
      fail_command(ErrorCode::usage, "--per-class ", given, ": ", folder, " has ", packed);
    e.sizes.per_class = given > 0 ? given : packed;
    if (e.sizes.per_class == packed) return;
    const Index of_class = e.sizes.per_class - std::max<Index>(1, e.sizes.per_class / 10);
    e.limit_iid = static_cast<Index>(static_cast<double>(of_class * classes) *
                                     (1 - e.common.data.validation));
    return;
  }  // none: the loading of the set says where it was looked for
}

/// Whether the experiment is one of its set, and the sizes of faces are given for faces.
void check_dataset(const Experiment& e, const ExperimentSizes& given) {
  const std::string& set = e.common.data.dataset;
  const auto sets = datasets_of(*e.spec);
  std::string names;
  for (const std::string_view name : sets) names += concat(names.empty() ? "" : ", ", name);
  if (std::find(sets.begin(), sets.end(), set) == sets.end())
    fail_command(ErrorCode::usage, "--dataset ", set, ": ", e.spec->name, " takes ", names);
  if (e.sizes.image_side > 0 && e.spec->dataset != "faces")
    fail_command(ErrorCode::usage, "--image-size ", e.sizes.image_side, ": not for ", e.spec->name);
  if (e.sizes.per_class > 0 && e.spec->dataset != "faces")
    fail_command(ErrorCode::usage, "--per-class ", e.sizes.per_class, ": not for ", e.spec->name);
  if (set == "faces" && !e.common.data.folder.empty())
    fail_command(ErrorCode::usage, "--data ", e.common.data.folder,
                 ": --dataset faces is drawn, it has no files");
  if (set == "packed" && given.image_side > 0)
    fail_command(ErrorCode::usage, "--image-size ", given.image_side,
                 ": a packed set has the size with which it was packed");
}

Experiment make_experiment(const CLI::App& command, const ExperimentCommandOptions& o) {
  Experiment e;
  const ExperimentSpec& spec = *find_experiment(o.name);
  const bool constant = o.run.training.schedule == Schedule::constant;
  e.spec = constant ? without_constant_rates(spec) : std::make_shared<ExperimentSpec>(spec);
  if (!o.curves.empty()) e.spec = with_curves(*e.spec, o.curves);
  e.scale = o.scale == "quick" ? Scale::quick : Scale::paper;
  e.sizes = e.scale == Scale::quick ? e.spec->quick : e.spec->paper;
  const auto take = [](auto& size, const auto& given) {
    if (given != 0) size = given;
  };
  if (!o.model.empty()) e.sizes.model = o.model;
  take(e.sizes.width, o.given.width);
  take(e.sizes.limit_train, o.given.limit_train);
  take(e.sizes.limit_test, o.given.limit_test);
  take(e.sizes.epochs, o.given.epochs);
  take(e.sizes.iotsl_epochs, o.given.epochs);
  take(e.sizes.calibrated_epochs, o.given.epochs);
  take(e.sizes.schedule_epochs, o.run.training.schedule_epochs);
  if (constant && e.sizes.schedule_epochs > 0)
    fail_command(ErrorCode::usage, "--schedule-epochs ", e.sizes.schedule_epochs,
                 ": with --lr-schedule constant there is nothing to fall");
  take(e.sizes.gan_width, o.given.gan_width);
  take(e.sizes.gan_iterations, o.given.gan_iterations);
  take(e.sizes.pretrain_iterations, o.given.pretrain_iterations);
  if (!o.gan_preset.empty()) e.sizes.gan_preset = o.gan_preset;
  take(e.sizes.threshold_mnist, o.given.threshold_mnist);
  take(e.sizes.threshold_fashion, o.given.threshold_mnist);
  e.common = o.run;
  GeneratorOptions& shared = e.common.generator;  // what privacy needs comes first
  if (shared.kind.empty() && chosen_mode(shared) == privacy::PrivacyMode::off)
    shared.kind = e.sizes.generator;
  if (e.sizes.batch > 0 && command.count("--batch") == 0) e.common.training.batch = e.sizes.batch;
  take(e.sizes.image_side, o.given.image_side);
  take(e.sizes.per_class, o.given.per_class);
  if (e.common.data.dataset.empty()) e.common.data.dataset = e.spec->dataset;
  check_dataset(e, o.given);
  if (takes_image_size(e.common.data)) take_image_set(e);
  if (e.common.data.dataset == "packed") take_packed_set(e, o.given.per_class);
  if (e.common.transport.empty()) e.common.transport = e.spec->transport;
  e.energy = energy_assumptions(o.run.energy);
  const bool over_sockets = e.common.transport == "tcp";
  // A run over sockets has the network itself, in memory it is calculated.
  if (over_sockets)
    e.common.link = !o.link.empty() ? o.link : spec.transport == "tcp" ? default_link : "";
  else
    e.energy.link = parse_link_option(o.link.empty() ? std::string(default_link) : o.link);
  e.seeds = o.seeds;
  e.out = o.out.empty() ? concat("runs/", o.name, "-", e.common.data.dataset, "-", o.scale) : o.out;
  e.overwrite = o.run.overwrite;
  e.command = command_text(command);
  return e;
}

void describe(const Experiment& e, const std::vector<PlannedRun>& runs,
              const std::vector<double>& seconds) {
  const auto all_or = [](Index n) { return n == 0 ? std::string("all") : std::to_string(n); };
  std::fprintf(stderr,
               "%s\n%s, %s of width %ld, at most %s training images over all devices, folder %s\n"
               "learning rate %s\n",
               e.title().c_str(), e.common.data.dataset.c_str(), std::string(e.sizes.model).c_str(),
               static_cast<long>(e.sizes.width), all_or(e.sizes.limit_train).c_str(), e.out.c_str(),
               e.rate_text().c_str());
  double sum = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const PlannedRun& run = runs[i];
    std::fprintf(stderr, "  %-34.*s %-7s %-10.*s seed %llu  %4ld %s epochs",
                 static_cast<int>(run.curve->label.size()), run.curve->label.data(),
                 to_string(run.options.method), static_cast<int>(run.curve->partition.size()),
                 run.curve->partition.data(), static_cast<unsigned long long>(run.seed),
                 static_cast<long>(run.options.training.epochs),
                 pools_data(run.options.method) ? "whole" : "device");
    if (i < seconds.size()) {
      std::fprintf(stderr, "  about %s", format_seconds(seconds[i]).c_str());
      sum += seconds[i];
    }
    std::fprintf(stderr, has_ended(run) && !e.overwrite ? "  (has ended before)\n" : "\n");
  }
  if (!seconds.empty())
    std::fprintf(stderr, "together about %s on this machine\n", format_seconds(sum).c_str());
}

/// Runs of hours start only when somebody has said yes.
void confirm(const ExperimentCommandOptions& o) {
  if (o.yes) return;
  if (isatty(STDIN_FILENO) != 1)
    fail_command(ErrorCode::usage, "--scale paper: give --yes to start runs of that length");
  std::fprintf(stderr, "Start? [y/N] ");
  const int answer = std::getchar();
  if (answer != 'y' && answer != 'Y') fail_command(ErrorCode::usage, "not started");
}

/// The folder of an experiment. One that was made for it goes again where nothing has begun.
class ExperimentFolder {
 public:
  explicit ExperimentFolder(const std::string& path) {
    if (!folder_exists(path)) made_ = path;
    expect(create_folders(path));
  }
  ExperimentFolder(const ExperimentFolder&) = delete;
  ExperimentFolder& operator=(const ExperimentFolder&) = delete;
  ~ExperimentFolder() {
    std::error_code ignored;
    if (!made_.empty()) std::filesystem::remove_all(made_, ignored);
  }
  void keep() { made_.clear(); }

 private:
  std::string made_;  // empty: it was there, or is kept
};

void experiment(const CLI::App& command, const ExperimentCommandOptions& o) {
  const Experiment e = make_experiment(command, o);
  check_experiment(command, e);
  const bool full = e.scale == Scale::paper;
  ExperimentFolder folder(e.out);
  const FolderLock lock = expect(FolderLock::take(e.out));
  write_partition_tables(e);  // the estimate reads them, too
  const std::vector<PlannedRun> runs = plan_runs(e);
  check_runs(e, runs);
  describe(e, runs, full ? estimate_seconds(runs) : std::vector<double>());
  if (full) confirm(o);
  folder.keep();
  CarriedOut done = carry_out_all(e, runs);
  const bool stopped = done.stopped;
  const std::size_t missing = done.missing.size();
  // Nothing to report: as a run by itself would have ended.
  if (done.finished.empty()) throw CommandFailure{done.missing.front().reason};
  const ExperimentResult result = summarize(e, std::move(done));
  write_results(result);
  write_report(result);
  std::printf("%s\nreport  %s\n", format_table(result).c_str(),
              join_path(e.out, report_name).c_str());
  if (stopped)
    fail_command(ErrorCode::stopped, e.out, ": stopped; ", runs.size() - missing, " of ",
                 runs.size(), " runs are in the report, ", going_on(e));
  if (missing > 0)
    fail_command(ErrorCode::other, e.out, ": ", missing, " of ", runs.size(),
                 " runs have failed; the report says why");
}

}  // namespace

void add_experiment_command(CLI::App& app) {
  auto o = std::make_shared<ExperimentCommandOptions>();
  o->run.transport.clear();
  o->run.data.dataset.clear();
  o->run.data.validation = 0.1;
  CLI::App* command =
      app.add_subcommand("experiment", "Repeat a figure of the paper; writes a page to read");
  std::vector<std::string> names;
  for (const ExperimentSpec& spec : all_experiments()) names.emplace_back(spec.name);
  command->add_option("name", o->name, "Which figure")->required()->check(CLI::IsMember(names));
  command
      ->add_option("--scale", o->scale,
                   "quick: minutes, a narrow net and few images; paper: the paper's sizes, hours")
      ->check(CLI::IsMember({"quick", "paper"}))
      ->capture_default_str();
  command->add_option("--out", o->out,
                      "Folder; default: runs/NAME-DATASET-SCALE. Runs that it holds are taken up");
  command->add_option(
      "--dataset", o->run.data.dataset,
      "mnist, fashion-mnist or glyphs; of fig15 faces, celeba or packed. Default: mnist, of "
      "fig10 fashion-mnist, of fig15 faces");
  command->add_option("--data", o->run.data.folder,
                      "Folder with the files, or its parent; default: $IOTSL_DATA, else ./data");
  command
      ->add_option("--validation", o->run.data.validation,
                   "Part of each class of the training set that no device gets; by it the reported "
                   "points are chosen and thresholds are judged")
      ->check(between(0.0, data::most_validation))
      ->capture_default_str();
  command->add_option("--seeds", o->seeds, "Repetitions, with the seeds 1 to N")
      ->check(between(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--curves", o->curves,
                   "Only these curves, by the names of their run folders: sl-a,iotsl-a; default: "
                   "all of the figure")
      ->delimiter(',');
  command->add_flag("--yes", o->yes, "Start runs of --scale paper without a question");
  command->add_flag("--overwrite", o->run.overwrite, "Begin every run anew");
  command->add_flag("--quiet", o->run.quiet, "No progress within a run");

  const auto size = [&](const char* option, auto& value, const char* help) {
    return command->add_option(option, value, help)->group("Sizes, instead of those of the scale");
  };
  size("--model", o->model, "Network: vgg16bn-compact, vgg16bn-paper or vanilla5")
      ->check(is_model_name());
  size("--width", o->given.width, "Base width of the network")
      ->check(between(min_model_width, max_model_width));
  size("--limit-train", o->given.limit_train, "Training images over all devices")
      ->check(above_zero());
  size("--limit-test", o->given.limit_test, "Test images")->check(above_zero());
  size("--epochs", o->given.epochs, "Device epochs of every run")->check(above_zero());
  size("--gan-preset", o->gan_preset, "Training of the generators: tiny, fast, paper or auto")
      ->check(CLI::IsMember({"tiny", "fast", "paper", "auto"}));
  size("--gan", o->run.gan,
       "Generators: full, light with about a sixth of the operations, or coarse, of at most 32 "
       "pixels a side and enlarged")
      ->check(CLI::IsMember({"full", "light", "coarse"}));
  size("--gan-width", o->given.gan_width, "Width of generator and critic")->check(gan_width());
  size("--gan-iterations", o->given.gan_iterations, "Generator steps")->check(above_zero());
  size("--image-size", o->given.image_side, "fig15: pixels of a side")->check(between(16, 1024));
  size("--per-class", o->given.per_class,
       "fig15: images of each class, a tenth of them to test; of a packed set those that it has")
      ->check(between(20, 1000000));
  size("--pretrain-iterations", o->given.pretrain_iterations, "Steps of pre-training at most")
      ->check(above_zero());
  size("--threshold", o->given.threshold_mnist, "Accuracy to be exceeded, %")
      ->check(between(1.0, 100.0));
  CommandLine list(*command);
  list.begin_group("Generators of every run");
  list_generator_options(o->run.generator, list);
  add_training_options(
      *command, o->run, "Training",
      {"batch", "optimizer", "lr", "momentum", "lr-schedule", "schedule-epochs", "threads"});
  command
      ->add_option("--transport", o->run.transport,
                   "inproc: all in this process, bytes counted; tcp: device processes; none: no "
                   "split. Default: inproc, and of fig3 tcp")
      ->check(CLI::IsMember({"inproc", "tcp", "none"}))
      ->group("Training");
  const char* energy = "Energy of the devices";
  command
      ->add_option("--link", o->link,
                   concat("Network of each device, as 50mbit,20ms: what runs over tcp have, and by "
                          "which time on the way is calculated for the others; none: as it is; "
                          "default: ",
                          default_link, ", but none for tcp except in fig3"))
      ->check(is_link())
      ->group(energy);
  list.begin_group(energy);
  list_power_model_option(o->run.energy, list);
  list_slowdown_option(o->run.energy, list);
  list.end_group();
  command->callback([command, o] { experiment(*command, *o); });
}

}  // namespace iotsl::tool
