#pragma once
// The options of a training run, shared by simulate, server and plan, and their form in
// config.json.

#include "host/files/run_names.hpp"
#include "host/images/image_sets.hpp"
#include "host/options/energy_options.hpp"
#include "host/options/generator_options.hpp"
#include "host/options/model_options.hpp"
#include "iotsl/split/records/run_config.hpp"

namespace iotsl::tool {

struct RunOptions {
  DataOptions data;
  ModelOptions model;
  // What load_run_data has found out.
  std::string set_name;
  std::vector<std::string> class_names;
  bool center_crop = false;

  Method method = Method::split_learning;
  std::string transport = "tcp";
  Index rounds = 0;  // 0: not given
  OrderPolicy order = OrderPolicy::fixed;
  double participation = 1;
  /// epochs 0: not given, the rounds count; eval_every 0: at the end.
  TrainingOptions training{.epochs = 0, .schedule = Schedule::cosine};
  ServerPrecision server_precision = ServerPrecision::float32;
  split::BarrierOptions barriers;
  double offline_seconds = 300;
  Index min_devices = 1;
  Index start_with = 0;           // of a server that is started, not of a run; 0: all devices
  double cache_limit_gib = 16;    // of method cache
  Index unfreeze_on_plateau = 0;  // the same
  std::string link;               // as LinkSpeed; empty or none: that of this machine
  split::PreparationOptions preparation;  // its generator: to_config makes it of those below
  GeneratorOptions generator;
  EnergyOptions energy;
  std::string gan_preset = "fast";
  std::string gan;                          // full or light; empty: the preset's
  Index gan_width = 0, gan_iterations = 0;  // 0: the preset's
  int threads = 0;                          // 0: all cores
  Index test_per_class = 0;                 // 0: the whole test set, or --limit-test of it
  std::string out;
  bool json = false;
  bool quiet = false;
  std::string config;
  std::string resume;        ///< folder of the run to go on with
  std::string init;          ///< weights to begin with; empty: those of the seed
  std::string added_epochs;  ///< EPOCHS@RATE,...: behind the schedule's end
  bool adds_epochs = false;  ///< --resume with more rounds than the run had
  bool overwrite = false;
};

/// What a command does with the options of a run: a plan leaves no folder and waits for nobody.
enum class RunUse { train, plan };

/// Adds every option of a run to `command` that has a use there.
void add_run_options(CLI::App& command, RunOptions& options, RunUse use = RunUse::train);

/// Adds those of the training that have one of these names.
void add_training_options(CLI::App& command, RunOptions& options, const char* group,
                          std::vector<std::string_view> names);

/// Whether a run that goes on may have another value of the option: it decides no number.
bool may_change_on_resume(const std::string& option);

/// Takes what --config, or the config.json of --resume, names for every option that the command
/// line does not give, and checks the whole. Ends the command with a usage error otherwise.
void finish_run_options(CLI::App& command, RunOptions& options);

/// "adam 0.001", "sgd 0.01 with momentum 0.9": kind and rate.
std::string optimizer_text(const OptimizerOptions& optimizer);

/// What config.json holds: one member per option, so that --config can read it back.
Json to_json(const RunOptions& options);

}  // namespace iotsl::tool
