#include "host/options/run_options.hpp"

#include "host/files/json_file.hpp"
#include "host/options/added_epochs.hpp"
#include "host/options/link_option.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/text.hpp"
#include "iotsl/split/records/checkpoint.hpp"

namespace iotsl::tool {

namespace {

template <class Options, class List>
void list_net_options(Options& o, List& list) {
  list.begin_group("Data");
  list_dataset_options(o.data, list);
  list_partition_options(o.data, list);
  list.option("limit-test", o.data.limit_test, "Test samples at most; 0: no limit", zero_or_more());
  list.end_group();
  list.begin_group("Model");
  list.option("model", o.model.spec.name, "Network", is_model_name());
  list_model_options(o.model, list);
  list.given("init", o.init,
             "Begin with the weights of this safetensors file or run folder; default: those of the "
             "seed");
  list.end_group();
}

template <class Options, class List>
void list_training_options(Options& o, List& list) {
  auto& t = o.training;
  list.option(
      "method", o.method,
      "sl: split learning; iotsl: the same after pre-training on what the devices' "
      "generators make, which fill missing classes too; cache: the same with a front that "
      "is frozen then, so that each sample is smashed and sent once and the server trains on "
      "alone; fedavg: federated averaging, the "
      "whole net on each device; central: one net, all data in one place; local: devices "
      "alone with random gradients, to compare energy");
  list.given("rounds", o.rounds, "Rounds: every device that takes part in one has a turn",
             above_zero());
  list.given("epochs", t.epochs, "Device epochs in all, instead of --rounds", above_zero());
  list.option(
      "order", o.order,
      "The devices' turns in a round: fixed, by their places, or shuffled, in another order "
      "every round, drawn from the seed",
      {}, o.order != OrderPolicy::fixed);
  list.option("participation", o.participation,
              "Part of the devices, rounded up, that takes part in a round: which ones is drawn "
              "from the seed, the others wait; only turns that are taken count as device epochs",
              between(0.0, 1.0), o.participation < 1);
  list.option("local-epochs", t.local_epochs, "Epochs of a device per turn",
              between(local_epochs_range.least, local_epochs_range.most));
  list.option("batch", t.batch, "Samples per step", between(batch_range.least, batch_range.most));
  list.option("optimizer", t.optimizer.kind, "adam or sgd");
  list.option("lr", t.optimizer.lr, "Learning rate", above_zero());
  list.option("momentum", t.optimizer.momentum, "Momentum of sgd", between(0.0, 0.9999));
  list.option("weight-decay", t.optimizer.weight_decay, "Added to the gradient", zero_or_more());
  list.option("replay", t.replay,
              "Smashed samples that the server keeps, to train on other devices' with every batch",
              zero_or_more());
  list.option("ewc", t.optimizer.ewc,
              "Elastic weight consolidation: strength of the pull towards the weights that earlier "
              "turns needed",
              zero_or_more());
  list.option("lr-schedule", t.schedule, "constant, linear or cosine, per turn");
  list.given("schedule-epochs", t.schedule_epochs,
             "Device epochs over which the rate falls, at least --epochs; default: --epochs",
             above_zero());
  list.given("added-epochs", o.added_epochs,
             "EPOCHS@RATE,...: device epochs behind the end of the schedule, at a constant rate; a "
             "resumed run gets some by --rounds and --lr");
  list.option(
      "frozen-front", t.frozen_front,
      "The front keeps the weights that it begins with, of method iotsl those of "
      "pre-training: no gradient reaches a device, half of the traffic is saved; on or off");
  list.option("wire", t.wire,
              "Smashed batches travel as they are (fp32), or rounded, with a scale for every 128 "
              "values: fp16, int8, int4");
  list.given("wire-gradients", t.wire_gradients,
             "The same of their gradients; default: as --wire, but int8 for int4");
  list.option(
      "server-precision", o.server_precision,
      "What the server half rounds the operands of its convolutions and linear layers to in "
      "training: float, or bf16, faster on a CPU with AVX-512 BF16; weights and sums stay "
      "float");
  list.option("threads", o.threads, "Threads of each process; 0: all cores", between(0, 256));
  list.option("eval-every", t.eval_every, "Test after every so many turns; 0: at the end",
              zero_or_more());
}

template <class Options, class List>
void list_barrier_options(Options& o, List& list) {
  list.option("barrier-steps", o.barriers.steps,
              "Steps between two barriers of a turn; a run goes on from its last barrier",
              above_zero());
  list.option("barrier-seconds", o.barriers.seconds,
              "The same in seconds; the later of the two counts", zero_or_more());
}

template <class Options, class List>
void list_absence_options(Options& o, List& list) {
  list.option("offline-limit", o.offline_seconds,
              "Seconds a device may stay away before its turn is skipped; 0: no limit",
              zero_or_more());
  list.option("min-devices", o.min_devices,
              "A device that fails by itself is put aside; with fewer left than so many the run "
              "stops",
              above_zero());
}

template <class Options, class List>
void list_cache_options(Options& o, List& list) {
  list.option("cache-limit", o.cache_limit_gib,
              "cache: GiB that the smashed samples of all devices may take", above_zero());
  list.option(
      "unfreeze-on-plateau", o.unfreeze_on_plateau,
      "cache: after so many evaluations in a row that brought no better validation accuracy "
      "the front is trained again, in turns as those of sl; 0: never",
      CLI::Range(split::plateau_range.least, split::plateau_range.most));
}

/// The options of method iotsl.
template <class Options, class List>
void list_preparation_options(Options& o, List& list) {
  auto& p = o.preparation;
  list.option("pretrain", p.pretrain, "iotsl: train on generated samples first; on or off");
  list.option("pretrain-iterations", p.pretrain_iterations,
              "Steps of pre-training at most; it ends when a held-out part no longer improves",
              above_zero());
  list.option("pretrain-batch", p.pretrain_batch, "Samples per step of pre-training",
              between(batch_range.least, batch_range.most));
  list.given(
      "pretrain-optimizer", p.pretrain_optimizer.kind,
      "How pre-training steps, adam or sgd, where not as the turns do; default: --optimizer");
  list.given("pretrain-lr", p.pretrain_optimizer.lr,
             "Learning rate of pre-training, which does not fall; default: --lr", above_zero());
  list.given("pretrain-momentum", p.pretrain_optimizer.momentum,
             "Momentum of pre-training with sgd; default: --momentum", between(0.0, 0.9999));
  list.option(
      "pretrain-shift", p.pretrain_shift,
      "Pixels that an image is moved by at most in a step of pre-training; -1: 1 with moments, "
      "else 0");
  list.option("impute", p.impute,
              "iotsl: complete each device's classes with other devices' generators; on or off");
  list.option("scarce", p.scarce,
              "A class with less than this part of the device's mean class size is filled up",
              between(0.0, 1.0));
  const auto& presets = gan::preset_names;
  list.option("gan-preset", o.gan_preset,
              "Training of the generators: tiny (seconds), fast (minutes), paper (hours), auto",
              CLI::IsMember(std::vector<std::string>(std::begin(presets), std::end(presets))));
  list.given(
      "gan", o.gan,
      "Generators: full, light with about a sixth of the operations, or coarse, of at most 32 "
      "pixels a side and enlarged; default: the preset's",
      CLI::IsMember({"full", "light", "coarse"}));
  list.option("gan-width", o.gan_width, "Width of generator and critic; 0: the preset's",
              gan_width());
  list.option("gan-iterations", o.gan_iterations, "Generator steps; 0: the preset's",
              zero_or_more());
  list_generator_options(o.generator, list);
  list.option("generator-only", p.generator_only,
              "iotsl: nothing but generators leaves a device; the server trains alone on what they "
              "make; on or off");
  list.given("max-epsilon", p.max_epsilon,
             "Refuse a device's generator whose promise is weaker than this epsilon, or none",
             above_zero());
  list.given("generators", p.generators,
             "Folder with trained generators, device-000.iotsl and so on, to use again");
  list.flag("foreign-generators", p.foreign_generators,
            "Take generators that were trained on another set or on classes of other names, too");
}

}  // namespace

void add_run_options(CLI::App& command, RunOptions& o, RunUse use) {
  CommandLine list(command);
  list_net_options(o, list);
  list.begin_group("Training");
  list_training_options(o, list);
  list.end_group();
  command.get_option("--epochs")->excludes(command.get_option("--rounds"));
  list.begin_group("IoTSL");
  list_preparation_options(o, list);
  list.end_group();
  list.begin_group("Run");
  list_barrier_options(o, list);
  list_cache_options(o, list);
  list_link_option(o.link, list);
  list_power_model_option(o.energy, list);
  if (use == RunUse::train) {
    list_slowdown_option(o.energy, list);
    list_meter_options(o.energy, list);
    list_absence_options(o, list);
    list.given("resume", o.resume, "Go on with the run in this folder, where it stopped");
    list.given("out", o.out, "Run folder; default: runs/<time>-<dataset>-<method>");
    list.flag("overwrite", o.overwrite, "Replace an earlier run in the folder");
    list.flag("quiet", o.quiet, "No progress");
  }
  list.flag("json", o.json, "Print one JSON object at the end");
  list.given("config", o.config, "A run's config.json; other options override it");
  list.end_group();
}

void add_training_options(CLI::App& command, RunOptions& options, const char* group,
                          std::vector<std::string_view> names) {
  CommandLine list(command, std::move(names));
  list.begin_group(group);
  list_training_options(options, list);
  list.end_group();
}

namespace {

/// What means nothing to the method. A config of another method's run may lend its other options.
void check_method(const CLI::App& command, const RunOptions& o) {
  if (!o.config.empty()) return;
  if (!has_fronts(o.method) && command.count("--cut") > 0)
    fail_command(ErrorCode::usage, as_given(command, "--cut"), ": --method ", o.method,
                 " cuts no net; expected sl, iotsl, cache or local");
  for (const char* option : {"--cache-limit", "--unfreeze-on-plateau"})
    if (!caches(o.method) && command.count(option) > 0)
      fail_command(ErrorCode::usage, as_given(command, option),
                   ": only for --method cache, not for --method ", o.method);
  if (o.unfreeze_on_plateau > 0 && o.data.validation == 0)
    fail_command(ErrorCode::usage, as_given(command, "--unfreeze-on-plateau"),
                 ": needs --validation, to see the plateau on");
  if (has_generators(o.method)) return;
  OptionNames list;
  list_preparation_options(o, list);
  for (const char* name : list.names)
    if (const std::string option = concat("--", name); command.count(option) > 0)
      fail_command(ErrorCode::usage, as_given(command, option),
                   ": only for --method iotsl and cache, not for --method ", o.method);
}

/// What is given for a part of method iotsl that is switched off.
void check_switched_off(const CLI::App& command, const RunOptions& o) {
  if (!has_generators(o.method) || !o.config.empty()) return;
  const auto refuse = [&](bool off, const char* by, std::initializer_list<const char*> options) {
    for (const char* option : options)
      if (off && command.count(option) > 0)
        fail_command(ErrorCode::usage, as_given(command, option), ": does nothing with ", by);
  };
  refuse(!o.preparation.pretrain, "--pretrain off",
         {"--pretrain-iterations", "--pretrain-batch", "--pretrain-optimizer", "--pretrain-lr",
          "--pretrain-momentum", "--pretrain-shift"});
  refuse(!o.preparation.imputes(), o.preparation.impute ? "--generator-only on" : "--impute off",
         {"--scarce"});
  refuse(chosen_mode(o.generator) == privacy::PrivacyMode::off, "--privacy off", {"--delta"});
  refuse(o.preparation.generators.empty(), "no --generators", {"--foreign-generators"});
}

/// JSON is UTF-8: config.json could not say what the run was given.
void check_can_be_recorded(const RunOptions& o) {
  const Json options = to_json(o);
  for (const JsonMember& member : options.as_object())
    if (member.value.is_string() && !is_utf8(member.value.as_string()))
      fail_command(ErrorCode::usage, "--", member.key, " ", escaped(member.value.as_string()),
                   ": is not UTF-8, which config.json needs; rename it, or give a link to it");
}

/// What a run's config.json holds and not every command has: a server is always tcp, a plan waits
/// for nobody.
bool is_of_another_command(const std::string& key) {
  return key == "transport" || key == "test-per-class" || key == "offline-limit" ||
         key == "min-devices" || key == "device-slowdown";
}

void check_unchanged(const CLI::App& command, const std::string& run) {
  for (const CLI::Option* option : command.get_options())
    if (const std::string key = option->get_single_name();
        option->count() > 0 && !may_change_on_resume(key)) {
      const Json config = read_json_object(run + "/config.json");
      const Json* was = config.find(key);
      fail_command(ErrorCode::usage, as_given(command, "--" + key),
                   ": cannot be changed in the run of --resume ", run, ", which ",
                   was == nullptr ? "has none given" : concat("has ", to_text(*was)));
    }
}

}  // namespace

bool may_change_on_resume(const std::string& option) {
  for (const char* free : {"resume",        "data",
                           "threads",       "transport",
                           "barrier-steps", "barrier-seconds",
                           "offline-limit", "min-devices",
                           "cache-limit",   "link",
                           "json",          "quiet",
                           "listen",        "insecure",
                           "identity",      "tls",
                           "wait",          "start-with",
                           "power-model",   "device-slowdown",
                           "meter",         "meter-root"})
    if (option == free) return true;
  return false;
}

void finish_run_options(CLI::App& command, RunOptions& o) {
  const bool says_front = command.count("--frozen-front") > 0;
  std::optional<MoreEpochs> more;
  if (!o.resume.empty()) {
    o.out = o.resume;
    o.config = o.resume + "/config.json";
    if (!file_exists(o.config))
      fail_command(ErrorCode::data, "--resume ", o.resume,
                   ": is no run folder, config.json is missing");
    more = take_more_epochs(command, o);
    check_unchanged(command, o.resume);
    if (!expect(split::has_begun(o.resume))) {
      // Stopped before anything was begun: from the start, with the same options.
      o.resume.clear();
      o.overwrite = true;
    }
  }
  if (!o.config.empty()) {
    const Json config = read_json_object(o.config);
    for (const JsonMember& member : config.as_object()) {
      CLI::Option* option = command.get_option_no_throw("--" + member.key);
      if (option == nullptr && is_of_another_command(member.key)) continue;
      if (option == nullptr || member.key == "config")
        fail_command(ErrorCode::data, o.config, ": unknown key '", member.key, "'");
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
        fail_command(ErrorCode::data, o.config, ": ", member.key, ": ", error.what());
      }
    }
  }
  if (more) add_epochs(o, *more);
  if (caches(o.method) && !says_front) o.training.frozen_front = true;
  if (folder_exists(o.init)) o.init = join_path(o.init, split::model_name);
  check_method(command, o);
  check_switched_off(command, o);
  if (o.config.empty()) check_net_options(command, o.generator);
  check_can_be_recorded(o);
}

std::string optimizer_text(const OptimizerOptions& optimizer) {
  return concat(optimizer.kind, " ", to_text(Json(optimizer.lr)),
                optimizer.momentum != 0 ? concat(" with momentum ", optimizer.momentum) : "");
}

Json to_json(const RunOptions& options) {
  RunOptions o = options;
  if (o.training.epochs == 0) o.rounds = std::max<Index>(1, o.rounds);
  ConfigWriter list;
  list_net_options(o, list);
  list_training_options(o, list);
  list.given("test-per-class", o.test_per_class);
  list.option("transport", o.transport);
  list_barrier_options(o, list);
  list_absence_options(o, list);
  list_link_option(o.link, list);
  list_power_model_option(o.energy, list);
  list_slowdown_option(o.energy, list);
  if (caches(o.method)) list_cache_options(o, list);
  if (has_generators(o.method)) list_preparation_options(o, list);
  return list.take();
}

}  // namespace iotsl::tool
