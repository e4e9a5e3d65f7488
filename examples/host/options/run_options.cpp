#include "host/options/run_options.hpp"

#include "iotsl/core/file.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/optim/schedule.hpp"
#include "iotsl/split/halves/replay.hpp"
#include "iotsl/split/records/checkpoint.hpp"

namespace iotsl::tool {

namespace {

/// The options of method iotsl.
void add_preparation_options(CLI::App& command, RunOptions& o) {
  const auto is_switch = CLI::IsMember({"on", "off"});
  command
      .add_option("--pretrain", o.pretrain, "iotsl: train on generated samples first; on or off")
      ->check(is_switch)
      ->capture_default_str();
  command
      .add_option("--pretrain-iterations", o.pretrain_iterations,
                  "Steps of pre-training at most; it ends when a held-out part no longer improves")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--pretrain-batch", o.pretrain_batch, "Samples per step of pre-training")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  command
      .add_option("--impute", o.impute,
                  "iotsl: complete each device's classes with other devices' generators; on or off")
      ->check(is_switch)
      ->capture_default_str();
  command
      .add_option("--scarce", o.scarce,
                  "A class with less than this part of the device's mean class size is filled up")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--gan-preset", o.gan_preset,
                  "Training of the generators: tiny (seconds), fast (minutes), paper (hours), auto")
      ->check(CLI::IsMember({"tiny", "fast", "paper", "auto"}))
      ->capture_default_str();
  command.add_option("--gan-width", o.gan_width, "Width of generator and critic; 0: the preset's")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--gan-iterations", o.gan_iterations, "Generator steps; 0: the preset's")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--generators", o.generators,
                     "Folder with trained generators, device-000.iotsl and so on, to use again");
}

}  // namespace

void add_run_options(CLI::App& command, RunOptions& o) {
  add_dataset_options(command, o.data);
  add_partition_options(command, o.data);
  command.add_option("--limit-test", o.data.limit_test, "Test samples at most; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--model", o.model.spec.name, "vgg16bn-compact, vgg16bn-paper or vanilla5")
      ->capture_default_str();
  add_model_options(command, o.model);
  command
      .add_option("--method", o.method,
                  "sl: split learning; iotsl: the same after pre-training on what the devices' "
                  "generators make, which fill missing classes too; fedavg: federated "
                  "averaging, the whole net on each device; central: one net, all data in one "
                  "place; local: devices alone with random gradients, to compare energy")
      ->check(CLI::IsMember({"sl", "iotsl", "fedavg", "central", "local"}))
      ->capture_default_str();
  auto* rounds = command.add_option("--rounds", o.rounds, "Rounds: every device in turn once each")
                     ->check(CLI::PositiveNumber);
  command.add_option("--epochs", o.epochs, "Device epochs in all, instead of --rounds")
      ->check(CLI::PositiveNumber)
      ->excludes(rounds);
  command.add_option("--local-epochs", o.local_epochs, "Epochs of a device per turn")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--batch", o.batch, "Samples per step")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  command.add_option("--optimizer", o.optimizer, "adam or sgd")
      ->check(CLI::IsMember({"adam", "sgd"}))
      ->capture_default_str();
  command.add_option("--lr", o.lr, "Learning rate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--momentum", o.momentum, "Momentum of sgd")
      ->check(CLI::Range(0.0, 0.9999))
      ->capture_default_str();
  command.add_option("--weight-decay", o.weight_decay, "Added to the gradient")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--replay", o.replay,
                  "Smashed samples that the server keeps, to train on other devices' with every "
                  "batch")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--ewc", o.ewc,
                  "Elastic weight consolidation: strength of the pull towards the weights that "
                  "earlier turns needed")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--lr-schedule", o.lr_schedule, "constant, linear or cosine, per turn")
      ->check(CLI::IsMember({"constant", "linear", "cosine"}))
      ->capture_default_str();
  command.add_option("--threads", o.threads, "Threads of each process; 0: all cores")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command.add_option("--eval-every", o.eval_every, "Test after every so many turns; 0: at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--barrier-steps", o.barrier_steps,
                  "Steps between two barriers of a turn; a run goes on from its last barrier")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--barrier-seconds", o.barrier_seconds,
                  "The same in seconds; the later of the two counts")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--offline-limit", o.offline_seconds,
                  "Seconds a device may stay away before its turn is skipped; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_preparation_options(command, o);
  command.add_option("--resume", o.resume, "Go on with the run in this folder, where it stopped");
  command.add_option("--out", o.out, "Run folder; default: runs/<time>-<dataset>-<method>");
  command.add_flag("--overwrite", o.overwrite, "Replace an earlier run in the folder");
  command.add_flag("--json", o.json, "Print one JSON object at the end");
  command.add_flag("--quiet", o.quiet, "No progress");
  command.add_option("--config", o.config, "A run's config.json; other options override it");
}

namespace {

/// What only means something to method iotsl. A config of such a run may lend its other options.
void check_method(const CLI::App& command, const RunOptions& o) {
  if (o.method == "iotsl" || !o.config.empty()) return;
  for (const char* option :
       {"--pretrain", "--pretrain-iterations", "--pretrain-batch", "--impute", "--scarce",
        "--gan-preset", "--gan-width", "--gan-iterations", "--generators"})
    if (command.count(option) > 0)
      fail_command(ErrorCode::usage, option, ": only for --method iotsl, not for --method ",
                   o.method);
}

/// What may differ when a run goes on: nothing that decides its numbers.
bool may_change(const std::string& option) {
  for (const char* free :
       {"resume", "data", "threads", "transport", "barrier-steps", "barrier-seconds",
        "offline-limit", "json", "quiet", "listen", "insecure", "wait"})
    if (option == free) return true;
  return false;
}

void check_unchanged(const CLI::App& command, const std::string& run) {
  for (const CLI::Option* option : command.get_options())
    if (option->count() > 0 && !may_change(option->get_single_name()))
      fail_command(ErrorCode::usage, "--", option->get_single_name(),
                   ": cannot be changed in the run of --resume ", run);
}

}  // namespace

void finish_run_options(CLI::App& command, RunOptions& o) {
  if (!o.resume.empty()) {
    check_unchanged(command, o.resume);
    o.out = o.resume;
    o.config = o.resume + "/config.json";
    if (!file_exists(o.config))
      fail_command(ErrorCode::data, "--resume ", o.resume,
                   ": is no run folder, config.json is missing");
    if (!split::has_begun(o.resume)) {
      // Stopped before anything was begun: from the start, with the same options.
      o.resume.clear();
      o.overwrite = true;
    }
  }
  if (!o.config.empty()) {
    const std::string text = expect(read_text_file(o.config));
    const Result<Json> parsed = parse_json(text);
    if (!parsed)
      fail_command(ErrorCode::usage, "--config ", o.config, ": ", parsed.failure().message);
    if (!parsed->is_object())
      fail_command(ErrorCode::usage, "--config ", o.config, ": not an object");
    for (const JsonMember& member : parsed->as_object()) {
      CLI::Option* option = command.get_option_no_throw("--" + member.key);
      if (option == nullptr && member.key == "transport") continue;  // server: always tcp
      if (option == nullptr || member.key == "config")
        fail_command(ErrorCode::usage, "--config ", o.config, ": unknown key '", member.key, "'");
      if (option->count() > 0) continue;
      // --rounds on the command line beats "epochs" of the file, and the other way round.
      if ((member.key == "epochs" && command.count("--rounds") > 0) ||
          (member.key == "rounds" && command.count("--epochs") > 0))
        continue;
      const std::string value =
          member.value.is_string() ? member.value.as_string() : to_text(member.value);
      try {
        option->add_result(value);
        option->run_callback();
      } catch (const CLI::Error& error) {
        fail_command(ErrorCode::usage, "--config ", o.config, ": ", member.key, ": ", error.what());
      }
    }
  }
  check_method(command, o);
}

RunData load_run_data(RunOptions& o) {
  // Over sockets the devices read their own samples: the server needs the labels only.
  RunData out{expect(load_set(o.data, data::Split::train, o.transport != "tcp")),
              expect(load_set(o.data, data::Split::test))};
  o.set_name = out.train.name;
  o.center_crop = out.train.center_crop;
  o.class_names.clear();
  for (Index c = 0; c < out.train.classes; ++c)
    o.class_names.push_back(data::class_name(out.train, c));
  o.model.spec.in_channels = out.train.channels;
  o.model.spec.height = out.train.height;
  o.model.spec.width_px = out.train.width;
  o.model.spec.classes = out.train.classes;
  if (o.data.limit_test > 0)
    out.test = data::limit_samples(out.test, o.data.limit_test, o.data.seed);
  return out;
}

ModelCard card_of(const RunOptions& o) {
  return {o.model.spec, o.model.cut, o.center_crop, o.set_name, o.class_names};
}

split::RunConfig to_config(const RunOptions& o) {
  if (o.optimizer == "adam" && o.momentum != 0)
    fail_command(ErrorCode::usage, "--momentum ", o.momentum, ": only for --optimizer sgd");
  split::RunConfig config;
  config.method = o.method;
  config.dataset = o.set_name.empty() ? o.data.dataset : o.set_name;
  config.model = o.model.spec;
  config.cut = o.model.cut;
  config.devices = o.method == "central" ? 1 : o.data.devices;
  config.local_epochs = o.local_epochs;
  config.epochs =
      o.epochs > 0 ? o.epochs : std::max<Index>(1, o.rounds) * config.devices * o.local_epochs;
  config.batch = o.batch;
  config.optimizer = {.kind = expect(parse_optimizer(o.optimizer)),
                      .lr = o.lr,
                      .weight_decay = o.weight_decay,
                      .momentum = o.momentum,
                      .ewc = o.ewc};
  config.replay = o.replay;
  config.schedule = expect(parse_schedule(o.lr_schedule));
  config.eval_every = o.eval_every > 0 ? o.eval_every : config.epochs;
  config.seed = o.data.seed;
  config.out = o.out;
  config.resume = !o.resume.empty();
  config.barrier_steps = o.barrier_steps;
  config.barrier_seconds = o.barrier_seconds;
  config.offline_seconds = o.offline_seconds;
  config.gan = expect(gan::gan_preset(o.gan_preset));
  if (o.gan_width > 0) config.gan.width = o.gan_width;
  if (o.gan_iterations > 0) config.gan.iterations = o.gan_iterations;
  config.pretrain = o.pretrain == "on";
  config.impute = o.impute == "on";
  config.pretrain_iterations = o.pretrain_iterations;
  config.pretrain_batch = o.pretrain_batch;
  config.scarce = o.scarce;
  config.generators = o.generators;
  expect(split::check_config(config));
  if (config.replay > 0) {
    const CutModel model = build(o.model);
    const Sequential<float> front = model.layers.slice(0, model.front_layers);
    expect(split::ReplayMemory::check(config.replay, config.devices,
                                      front.output_shape(sample_shape(config.model))));
  }
  return config;
}

Json to_json(const RunOptions& o) {
  Json out = Json::object();
  out["dataset"] = o.data.dataset;
  if (!o.data.folder.empty()) out["data"] = o.data.folder;
  if (!o.data.image_size.empty()) out["image-size"] = o.data.image_size;
  if (o.data.channels != 0) out["channels"] = o.data.channels;
  if (o.data.center_crop) out["center-crop"] = true;
  if (o.data.test_fraction != 0) out["test-fraction"] = o.data.test_fraction;
  if (o.data.per_class != 0) out["per-class"] = o.data.per_class;
  if (is_image_set(o.data)) out["split-seed"] = o.data.split_seed;
  out["devices"] = o.data.devices;
  out["partition"] = o.data.partition;
  out["seed"] = o.data.seed;
  out["limit-train"] = o.data.limit_train;
  out["limit-test"] = o.data.limit_test;
  out["model"] = o.model.spec.name;
  if (!o.model.cut.empty()) out["cut"] = o.model.cut;
  out["width"] = o.model.spec.width;
  out["method"] = o.method;
  if (o.epochs > 0)
    out["epochs"] = o.epochs;
  else
    out["rounds"] = o.rounds > 0 ? o.rounds : 1;
  out["local-epochs"] = o.local_epochs;
  out["batch"] = o.batch;
  out["optimizer"] = o.optimizer;
  out["lr"] = o.lr;
  out["momentum"] = o.momentum;
  out["weight-decay"] = o.weight_decay;
  out["replay"] = o.replay;
  out["ewc"] = o.ewc;
  out["lr-schedule"] = o.lr_schedule;
  out["threads"] = o.threads;
  out["eval-every"] = o.eval_every;
  if (o.test_per_class != 0) out["test-per-class"] = o.test_per_class;
  out["transport"] = o.transport;
  out["barrier-steps"] = o.barrier_steps;
  out["barrier-seconds"] = o.barrier_seconds;
  out["offline-limit"] = o.offline_seconds;
  if (o.method == "iotsl") {
    out["pretrain"] = o.pretrain;
    out["pretrain-iterations"] = o.pretrain_iterations;
    out["pretrain-batch"] = o.pretrain_batch;
    out["impute"] = o.impute;
    out["scarce"] = o.scarce;
    out["gan-preset"] = o.gan_preset;
    out["gan-width"] = o.gan_width;
    out["gan-iterations"] = o.gan_iterations;
    if (!o.generators.empty()) out["generators"] = o.generators;
  }
  return out;
}

}  // namespace iotsl::tool
