// iotsl gan train | sample | inspect

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "host/images/image_grid.hpp"
#include "host/images/image_sets.hpp"
#include "host/options/gan_options.hpp"
#include "host/options/generator_options.hpp"
#include "host/options/output_file.hpp"
#include "host/report/generator_report.hpp"
#include "host/report/run_report.hpp"
#include "host/report/training_report.hpp"
#include "host/run/stop_request.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/files/shared_file.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/generators/training.hpp"

namespace iotsl::tool {
namespace {

using Clock = std::chrono::steady_clock;

struct GanCommandOptions {
  DataOptions data;
  GanOptions gan;
  GeneratorOptions generator;
  std::string ledger;  // empty: beside the generator
  double max_epsilon = privacy::epsilon_range.high;
  bool new_data = false;
  std::string manifest;
  Index device = -1;  // -1: not given
  std::string out, resume;
  std::vector<std::string> files;
  Index rows = 8, zoom = 2;
  int threads = 0;
  bool overwrite = false, json = false, quiet = false;
};

/// The device's samples, or all of them where no device is named.
data::Dataset load_samples(const GanCommandOptions& o) {
  if (o.device < 0) {
    data::Dataset all = expect(load_set(o.data, data::Split::train));
    return o.data.limit_train > 0 ? data::limit_samples(all, o.data.limit_train, o.data.seed)
                                  : std::move(all);
  }
  const data::Manifest manifest =
      o.manifest.empty()
          ? draw_manifest(o.data, expect(load_set(o.data, data::Split::train, false)))
          : expect(data::load_manifest(o.manifest));
  const std::string from = o.manifest.empty() ? "--partition " + o.data.partition : o.manifest;
  const auto devices = static_cast<Index>(manifest.devices.size());
  if (o.device >= devices)
    fail_command(ErrorCode::usage, "--device ", o.device, ": ", from, " has devices 0 to ",
                 devices - 1);
  const std::vector<Index>& samples = manifest.devices[static_cast<std::size_t>(o.device)];
  data::Dataset set =
      needs_packing(o.data)
          ? data::select_samples(expect(load_set(o.data, data::Split::train)), samples)
          : expect(data::load_dataset(o.data.dataset, o.data.folder, data::Split::train, &samples));
  if (const auto good = data::check_manifest(manifest, set, o.device); !good)
    fail_command(good.failure().code, from, ": ", good.failure().message);
  return set;
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A state is written this often, so that a power failure costs no more.
constexpr double save_seconds = 120;

/// Refuses to destroy the result or the state of hours.
void check_places(const GanCommandOptions& o, const std::string& state) {
  check_output(o.out, o.overwrite);
  for (const std::string& taken : {o.out, state, state + ".critics"})
    if (!o.ledger.empty() && std::filesystem::path(o.ledger).lexically_normal() ==
                                 std::filesystem::path(taken).lexically_normal())
      fail_command(ErrorCode::usage, "--ledger ", o.ledger,
                   ": is where the generator or its training is written; expected another file");
  if (o.resume.empty() && file_exists(state) && !o.overwrite)
    fail_command(ErrorCode::usage, state, ": a training that was stopped; go on with --resume ",
                 state, ", or give --overwrite to begin anew");
}

/// No other training writes to the same place meanwhile. The lock's file goes when this does.
class TrainingLock {
 public:
  explicit TrainingLock(const std::string& state) : path_(state + ".lock"), held_(take(path_)) {}
  TrainingLock(const TrainingLock&) = delete;
  ~TrainingLock() { ::unlink(path_.c_str()); }

 private:
  static FileLock take(const std::string& path) {
    Result<FileLock> lock = FileLock::take(path);
    if (!lock)
      fail_command(lock.failure().code, path, ": ", lock.failure().message,
                   "; no two trainings may write to one place");
    return std::move(lock).value();
  }
  std::string path_;
  FileLock held_;
};

[[noreturn]] void leave_training(const generators::GeneratorTraining& training,
                                 const std::string& state) {
  fail_command(ErrorCode::stopped, "stopped after iteration ", training.iteration(), " of ",
               training.iterations(), "; to go on, give the same options and --resume ", state);
}

/// The training that the options ask for, from the beginning or from its state.
std::unique_ptr<generators::GeneratorTraining> make_training(const GanCommandOptions& o,
                                                             const data::Dataset& set,
                                                             const std::string& state) {
  const generators::GeneratorSettings settings =
      generator_settings(o.generator, gan_settings(o.gan));
  expect(generators::check_settings(settings, gan::image_spec(set)));
  if (settings.privacy.is_private())
    expect(generators::planned_release(settings, static_cast<std::uint64_t>(set.size())));
  privacy::ChaChaKey key{};
  if (settings.privacy.is_private()) key = expect(privacy::new_noise_key());
  auto out = std::make_unique<generators::GeneratorTraining>(
      set, data::count_up(set.size()),
      generators::GeneratorTask{settings, o.data.seed,
                                static_cast<std::uint32_t>(std::max<Index>(0, o.device))},
      key, state + ".critics");
  if (!o.resume.empty()) expect(out->load(o.resume));
  return out;
}

/// Counts a private release before its first step and says what it promises.
void enter_ledger(const GanCommandOptions& o, const std::string& state,
                  generators::GeneratorTraining& training, TrainingReport& report) {
  if (!training.is_private()) return;
  const std::string path =
      o.ledger.empty() ? join_path(iotsl::detail::parent_folder(o.out), privacy::ledger_name)
                       : o.ledger;
  // Before a state that is there gives way to this one.
  expect(training.check_ledger(path, o.max_epsilon, o.new_data));
  expect(training.save(state));
  const Result<void> entered = training.enter_ledger(path, o.max_epsilon, o.new_data);
  // Nothing was begun: the next try has nothing to go on with.
  if (!entered && o.resume.empty()) ::unlink(state.c_str());
  expect(entered);
  report.note(concat("entered into ", path, "\n", describe(training.promise())));
}

/// All iterations; where the user stops them, the state is kept and the command ends.
void run_training(generators::GeneratorTraining& training, const std::string& state,
                  Clock::time_point begin, TrainingReport& report) {
  Clock::time_point saved = begin;
  const StopCheck asked{[](void*) { return stop_requested(); }};
  while (!training.done()) {
    report.step(expect(training.step(asked)));
    if (training.done()) break;
    const bool stop = stop_requested();
    if (!stop && seconds_since(saved) < save_seconds) continue;
    expect(training.save(state, seconds_since(begin)));
    saved = Clock::now();
    if (stop) leave_training(training, state);
  }
  expect(training.save(state, seconds_since(begin)));
}

void train(const GanCommandOptions& o) {
  if (o.threads > 0) set_threads(o.threads);
  const std::string state = o.resume.empty() ? o.out + ".training" : o.resume;
  check_places(o, state);
  const data::Dataset set = load_samples(o);
  if (set.size() == 0) fail_command(ErrorCode::data, "gan train: no samples to train on");
  const auto training = make_training(o, set, state);
  catch_stop_signals();
  make_output_folder(o.out);
  const TrainingLock lock(state);
  check_places(o, state);  // another may have ended meanwhile
  TrainingReport report(*training, o.quiet);
  report.note(concat(set.name, ": ", set.size(), " samples; ",
                     o.resume.empty()
                         ? std::string("training begins")
                         : concat("training goes on after iteration ", training->iteration())));
  if (training->settings().net.check_every > 0 && training->check_every() == 0)
    report.note(
        concat("the quality cannot be checked without held-out samples of two classes: all ",
               training->iterations(), " iterations are trained"));
  const Clock::time_point begin = Clock::now();
  enter_ledger(o, state, *training, report);
  run_training(*training, state, begin, report);
  if (!training->is_private())
    report.note(concat("checking the quality; until that is done the training is kept in ", state));
  const StopCheck asked{[](void*) { return stop_requested(); }};
  const std::optional<generators::GeneratorFile> made = training->finish(asked);
  if (!made) leave_training(*training, state);
  const generators::GeneratorFile& file = *made;
  expect(generators::save_generator(o.out, file));
  std::remove(state.c_str());
  std::remove((state + ".critics").c_str());
  const double seconds = training->seconds_before() + seconds_since(begin);
  if (o.json) {
    Json json = generator_json(file);
    json["seconds"] = seconds;  // of this machine, not of the generator
    std::printf("%s\n", to_text(json, 2).c_str());
  } else {
    print_generator(o.out, file);
    std::printf("time        %s%s\n", format_seconds(seconds).c_str(),
                training->is_private() ? "" : " with the check");
  }
}

std::vector<generators::GeneratorFile> load_generators(const std::vector<std::string>& paths) {
  std::vector<generators::GeneratorFile> out;
  for (const std::string& path : paths) {
    out.push_back(expect(generators::load_generator(path)));
    const ImageSpec &images = out.back().card.images, &first = out[0].card.images;
    if (!(images == first))
      fail_command(ErrorCode::data, path, ": images of ", images.channels, "x", images.height, "x",
                   images.width, " in ", images.classes, " classes, those of ", paths[0], " are ",
                   first.channels, "x", first.height, "x", first.width, " in ", first.classes);
    if (images.channels != 1 && images.channels != 3)
      fail_command(ErrorCode::data, path, ": images of ", images.channels,
                   " channels cannot be shown, only 1 or 3");
  }
  return out;
}

/// The paper's Table II: a group of rows for each generator, a column for each class that any of
/// them knows. A class that a generator was not trained on stays white.
void sample(const GanCommandOptions& o) {
  if (o.threads > 0) set_threads(o.threads);
  const std::vector<generators::GeneratorFile> generators = load_generators(o.files);
  check_output(o.out, o.overwrite, picture_output);
  const ImageSpec& images = generators[0].card.images;
  std::vector<Index> columns;
  for (Index label = 0; label < images.classes; ++label)
    for (const generators::GeneratorFile& g : generators)
      if (g.card.label_counts[static_cast<std::size_t>(label)] > 0) {
        columns.push_back(label);
        break;
      }
  if (columns.empty()) fail_command(ErrorCode::data, o.files[0], ": was trained on no class");
  const auto groups = static_cast<Index>(generators.size());
  ImageGrid grid(images.channels, {images.height, images.width}, groups * o.rows,
                 static_cast<Index>(columns.size()), o.zoom);
  for (Index group = 0; group < groups; ++group) {
    const generators::GeneratorFile& g = generators[static_cast<std::size_t>(group)];
    if (group > 0) grid.begin_group(group * o.rows);
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const Index label = columns[column];
      if (g.card.label_counts[static_cast<std::size_t>(label)] == 0) continue;
      data::Dataset made = gan::empty_set(g.card.dataset, images);
      g.append(made, label, o.rows, o.data.seed);
      for (Index row = 0; row < o.rows; ++row)
        grid.put(group * o.rows + row, static_cast<Index>(column), made.sample(row));
    }
  }
  make_output_folder(o.out);
  expect(grid.write(o.out));
  std::string names;
  for (const Index label : columns)
    names += concat(names.empty() ? "" : ", ", class_name(generators[0].card, label));
  std::printf("%s: %ld rows of each generator, columns %s\n", o.out.c_str(),
              static_cast<long>(o.rows), names.c_str());
}

void inspect(const GanCommandOptions& o) {
  const generators::GeneratorFile file = expect(generators::load_generator(o.files[0]));
  if (o.json)
    std::printf("%s\n", to_text(generator_json(file), 2).c_str());
  else
    print_generator(o.files[0], file);
}

void add_train(CLI::App& gan, const std::shared_ptr<GanCommandOptions>& o) {
  CLI::App* command = gan.add_subcommand(
      "train", "Train a generator on the samples of one device, or on all of them");
  add_dataset_options(*command, o->data);
  add_partition_options(*command, o->data);
  command->add_option("--manifest", o->manifest, "Which samples are whose, instead of --partition")
      ->excludes("--devices", "--partition", "--limit-train", "--validation");
  CLI::Option* device =
      command
          ->add_option("--device", o->device,
                       "Train on the samples of this device, from 0; default: on all samples")
          ->check(zero_or_more());
  for (const char* of_devices : {"--manifest", "--devices", "--partition", "--validation"})
    command->get_option(of_devices)->needs(device);
  add_gan_options(*command, o->gan);
  CommandLine list(*command);
  list.begin_group("Privacy");
  list_generator_options(o->generator, list);
  const auto of_privacy = [&](CLI::Option* option) { option->group("Privacy"); };
  of_privacy(command->add_option("--ledger", o->ledger,
                                 "Where private releases are counted; default: " +
                                     std::string(privacy::ledger_name) + " beside the generator"));
  of_privacy(command
                 ->add_option("--max-epsilon", o->max_epsilon,
                              "Release nothing where all releases together would exceed this")
                 ->check(above_zero()));
  of_privacy(command->add_flag("--new-data", o->new_data,
                               "None of these images is in an earlier release of the ledger"));
  command->add_option("--out", o->out, "Generator file to write")->required();
  command->add_option("--resume", o->resume, "Go on from the state of a training that was stopped")
      ->check(CLI::ExistingFile);
  command->add_flag("--overwrite", o->overwrite, "Replace the file, and a state beside it");
  command->add_option("--threads", o->threads, "Threads; 0: all cores")->check(between(0, 256));
  command->add_flag("--json", o->json, "Print one JSON object at the end");
  command->add_flag("--quiet", o->quiet, "No progress");
  command->callback([command, o] {
    check_net_options(*command, o->generator);
    if (chosen_mode(o->generator) == privacy::PrivacyMode::off)
      for (const char* of_releases : {"--ledger", "--max-epsilon", "--new-data", "--delta"})
        if (command->count(of_releases) > 0)
          fail_command(ErrorCode::usage, as_given(*command, of_releases),
                       ": needs --privacy, which is off");
    train(*o);
  });
}

}  // namespace

void add_gan_command(CLI::App& app) {
  auto options = std::make_shared<GanCommandOptions>();
  CLI::App* gan = app.add_subcommand("gan", "Train a generator, look at what it makes");
  gan->require_subcommand(1);
  add_train(*gan, options);

  CLI::App* grid = gan->add_subcommand("sample", "Write generated images as one PNG file");
  grid->add_option("generators", options->files, "Generator files; a group of rows for each")
      ->required();
  grid->add_option("--out", options->out, "PNG file to write")->required();
  grid->add_option("--rows", options->rows, "Images of each class")
      ->check(between(1, 200))
      ->capture_default_str();
  grid->add_option("--zoom", options->zoom, "Pixels of the picture for one of an image, each way")
      ->check(between(1, 16))
      ->capture_default_str();
  grid->add_option("--seed", options->data.seed, "Seed of the noise")
      ->check(between(std::uint64_t{0}, std::uint64_t{1} << 53))
      ->capture_default_str();
  grid->add_option("--threads", options->threads, "Threads; 0: all cores")->check(between(0, 256));
  add_overwrite_option(*grid, options->overwrite);
  grid->callback([options] { sample(*options); });

  CLI::App* look = gan->add_subcommand("inspect", "What a generator file says about itself");
  look->add_option("generator", options->files, "Generator file")->required()->expected(1);
  look->add_flag("--json", options->json, "Print one JSON object");
  look->callback([options] { inspect(*options); });
}

}  // namespace iotsl::tool
