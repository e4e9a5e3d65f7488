#include "host/forecast/step_cost.hpp"

#include <filesystem>

#include "host/run/process_run.hpp"
#include "iotsl/split/halves/cut.hpp"

namespace iotsl::tool {
namespace {

/// A folder that is gone at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "iotsl-plan-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      fail_command(ErrorCode::other, pattern, ": cannot be made: ", std::strerror(errno));
    path_ = pattern;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr Index sampled_steps = 6, sampled_tests = 512;

/// A network as far away as `link`, on which nothing has to be waited for long.
std::optional<net::LinkSpeed> trial_link(std::optional<net::LinkSpeed> link) {
  constexpr std::uint64_t least = 200'000'000;
  if (link) link->bits_per_second = std::max(link->bits_per_second, least);
  return link;
}

}  // namespace

RunShape shape_of(const RunOptions& options, const split::RunConfig& config) {
  const CutModel model = build(options.model);
  const split::FrontHalf front(model.layers.slice(0, model.front_layers), config.training.optimizer,
                               config.seed);
  const Shape sample = sample_shape(config.model);
  return {split::wire_sizes(front.layers(), front.optimizer(), sample,
                            static_cast<std::uint64_t>(config.training.batch),
                            net::WireFormat::of(config.training)),
          static_cast<std::size_t>(front.layers().output_shape(sample)->rank())};
}

StepCost sample_steps(const RunOptions& options, const split::RunConfig& planned,
                      const data::Dataset& train, const data::Dataset& test,
                      const data::Manifest& manifest) {
  const ScratchFolder folder;
  data::Manifest few = manifest;
  few.devices.resize(1);
  few.counts.resize(1);
  few.validation.clear();
  std::vector<Index>& samples = few.devices[0];
  const auto most = static_cast<std::size_t>(sampled_steps * planned.training.batch);
  if (samples.size() > most) samples.resize(most);
  few.unused = train.size() - static_cast<Index>(samples.size());
  few.counts[0].assign(static_cast<std::size_t>(train.classes), 0);
  for (const Index i : samples) ++few.counts[0][train.labels[static_cast<std::size_t>(i)]];
  const std::string manifest_path = folder.path() + "/manifest.json";
  expect(data::save_manifest(manifest_path, few));

  split::RunConfig config = planned;
  config.devices = 1;
  TrainingOptions& training = config.training;
  training.epochs = 2;
  training.local_epochs = 1;
  training.eval_every = 1;
  training.schedule_epochs = 0;
  training.replay = 0;  // one device has nobody to replay
  config.added.clear();
  config.unfreeze_on_plateau = 0;
  // The turns are the same; a device that makes no generator has none to keep private.
  if (has_generators(config.method)) config.method = Method::split_learning;
  config.preparation.generator.privacy = {};
  config.preparation.generator_only = false;
  config.out = folder.path();
  const data::Dataset tests = data::limit_samples(test, sampled_tests, config.seed);
  RunReport silent(0, true);
  RunOptions trial = options;
  const std::optional<net::LinkSpeed> link = trial_link(link_of(options));
  if (link) trial.link = to_string(*link);
  const split::RunSummary summary =
      expect(run_with_device_processes(trial, config, silent, train, tests, manifest_path));
  const measure::EpochRecord& warm = summary.epochs.at(1);
  StepCost out;
  const auto steps = static_cast<double>(warm.steps);
  out.step = {.device = warm.seconds_device / steps,
              .server = warm.seconds_server / steps,
              .update = warm.seconds_update / steps};
  const RunShape shape = shape_of(options, config);
  const split::TurnWire wire =
      split::forecast_turn(config, shape.sizes, samples.size(), false, 0, shape.rank);
  const double measured = warm.seconds_device + warm.seconds_server + warm.seconds_network;
  const double explained = split::turn_seconds(wire, out.step, config.training.frozen_front, link);
  out.step.handling = std::max(0.0, (measured - explained) / steps);
  // With replay the server works on twice the samples.
  if (planned.training.replay > 0) {
    out.step.server *= 2;
    out.step.update *= 2;
  }
  out.evaluate_seconds = warm.seconds_evaluate / static_cast<double>(tests.size());
  out.barrier_seconds = warm.seconds_barrier;
  out.device_bytes = warm.peak_memory_bytes;
  out.samples = samples.size();
  return out;
}

double run_seconds(const StepCost& cost, const split::RunConfig& config, std::uint64_t steps,
                   std::uint64_t barriers, Index judged) {
  return static_cast<double>(steps) *
             split::step_seconds(cost.step, 0, config.training.frozen_front) +
         seconds_beside_steps(cost, config, barriers, judged);
}

double seconds_beside_steps(const StepCost& cost, const split::RunConfig& config,
                            std::uint64_t barriers, Index judged) {
  const auto epochs = static_cast<Index>(config.turns()) * config.training.local_epochs;
  const auto evaluations = static_cast<double>(epochs / config.training.eval_every);
  return static_cast<double>(barriers) * cost.barrier_seconds +
         std::max(1.0, evaluations) * static_cast<double>(judged) * cost.evaluate_seconds;
}

}  // namespace iotsl::tool
