#pragma once
// The model of a run in its two halves, and what the devices are told of it.

#include "iotsl/core/json/json.hpp"
#include "iotsl/generators/generator_check.hpp"
#include "iotsl/net/link/link_options.hpp"
#include "iotsl/nn/foreign_state.hpp"
#include "iotsl/ops/bfloat16.hpp"
#include "iotsl/split/halves/front_description.hpp"
#include "iotsl/split/halves/front_state.hpp"
#include "iotsl/split/halves/model_mean.hpp"
#include "iotsl/split/halves/replay.hpp"
#include "iotsl/split/protocol/server/server_actions.hpp"
#include "iotsl/split/records/checkpoint.hpp"
#include "iotsl/split/records/run_config.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// Both halves of a new model, with the initial weights of the seed or of a file. With method
/// fedavg the front is the whole net, and the back has no layer.
struct SplitModel {
  Sequential<float> joined, front, back;
};

/// Loads the weights of a safetensors file, of this program or of another.
inline Result<void> load_initial(const Sequential<float>& joined, const std::string& path) {
  const Result<SafeTensors> file = load_foreign_safetensors(path);
  if (!file) return file.failure();
  const Result<void> loaded = load_foreign_state(joined, *file);
  return loaded ? loaded : failure(loaded.failure().code, path, ": ", loaded.failure().message);
}

/// `config` as it is behind the barrier that the run goes on from.
inline Result<RunConfig> taken_up(RunConfig config) {
  if (!config.resume || config.unfreeze_on_plateau == 0) return config;
  const Result<CheckpointRecord> newest = read_newest_record(config.out);
  if (!newest) return newest.failure();
  config.unfrozen = newest->unfrozen_after > 0;
  return config;
}

inline Result<SplitModel> build_split_model(const RunConfig& config) {
  const Result<void> good = check_config(config);
  if (!good) return good.failure();
  SplitModel out;
  const bool own = config.make_net != nullptr;
  out.joined = own ? config.make_net(config.model.images) : build_model<float>(config.model);
  const Result<std::size_t> cut = averages(config.method) ? Result<std::size_t>(out.joined.size())
                                  : own ? find_cut(out.joined, config.cut, config.model.name)
                                        : find_cut(out.joined, config.model, config.cut);
  if (!cut) return cut.failure();
  const Shape sample = sample_shape(config.model), logits{1, config.model.images.classes};
  const Result<Shape> output = out.joined.output_shape(sample);
  if (!output) return failure(ErrorCode::usage, config.model.name, ": ", output.failure().message);
  if (!(*output == logits))
    return failure(ErrorCode::usage, config.model.name, ": a sample ", sample, " gives ", *output,
                   ", expected ", logits);
  out.joined.initialize(config.seed);
  // A run that goes on has its weights in a barrier.
  if (!config.init.empty() && !config.resume) {
    const Result<void> loaded = load_initial(out.joined, config.init);
    if (!loaded) return loaded.failure();
  }
  out.front = out.joined.slice(0, *cut);
  out.back = out.joined.slice(*cut, out.joined.size());
  return out;
}

/// The optimiser of the front that is handed over. With method fedavg none is: every device begins
/// its own anew.
inline OptimizerOptions handed_over_optimizer(const RunConfig& config) {
  return averages(config.method) ? OptimizerOptions{.kind = OptimizerKind::sgd}
                                 : config.training.optimizer;
}

/// The sizes of what travels in a run with this front.
inline WireSizes wire_sizes_of(const RunConfig& config, const Sequential<float>& front,
                               const Optimizer<float>& optimizer) {
  const Shape sample = sample_shape(config.model);
  if (averages(config.method)) return whole_net_sizes(front, sample);
  WireSizes out =
      wire_sizes(front, optimizer, sample, static_cast<std::uint64_t>(config.training.batch),
                 net::WireFormat::of(config.training_now()));
  if (has_generators(config.method))
    out.generator_bytes =
        generators::generator_file_limit(config.preparation.generator, config.model.images);
  return out;
}

/// How the server half multiplies; an Error where check_config() refuses it.
inline ProductPrecision products_of(ServerPrecision precision) {
  return precision == ServerPrecision::bf16 ? bfloat16_products() : ProductPrecision();
}

/// The memory of --replay, as large as the run's front makes it.
inline Result<ReplayMemory> make_replay(const RunConfig& config, const Sequential<float>& front) {
  return ReplayMemory::create(config.training.replay, config.devices,
                              front.output_shape(sample_shape(config.model)).value(), config.seed);
}

/// HELLO_OK of a run, without its numbers.
inline net::HelloOk make_offer(const RunConfig& config, const Sequential<float>& front) {
  net::HelloOk offer;
  const net::LinkOptions times;
  offer.heartbeat_ms = static_cast<std::uint32_t>(times.ping_interval / 1000);
  offer.dead_ms = static_cast<std::uint32_t>(times.dead_limit / 1000);
  offer.busy_cap_ms = static_cast<std::uint32_t>(times.busy_cap / 1000);
  net::RunDescription& run = offer.description;
  run.method = config.method;
  run.dataset = config.dataset;
  run.model = config.model.name;
  const ImageSpec& images = config.model.images;
  run.channels = static_cast<std::uint16_t>(images.channels);
  run.height = static_cast<std::uint16_t>(images.height);
  run.width = static_cast<std::uint16_t>(images.width);
  run.classes = static_cast<std::uint16_t>(images.classes);
  run.training = config.training_now();
  run.seed = config.seed;
  if (has_generators(config.method))
    run.generator = to_text(to_json_fields(config.preparation.generator));
  run.generator_only = config.preparation.generator_only;
  offer.model_hash = structure_sha256(front);
  return offer;
}

/// What the server's machine must know of a run with these numbers; where it stands is filled in.
inline ServerPlan make_plan(const RunConfig& config, const Sequential<float>& front,
                            const WireSizes& sizes, const RunNumbers& numbers) {
  ServerPlan plan;
  plan.offer = make_offer(config, front);
  plan.offer.run = numbers.run;
  plan.offer.incarnation = numbers.incarnation;
  plan.order = config.turn_order();
  plan.turns = config.turns();
  plan.rates = config.rates();
  plan.smashed_values = sizes.smashed_values;
  plan.largest_batch = sizes.largest_batch;
  plan.format = sizes.format;
  plan.barrier_steps = static_cast<std::uint64_t>(config.barriers.steps);
  plan.last_fence = numbers.fence;
  plan.last_round = numbers.round;
  plan.may_unfreeze = config.unfreeze_on_plateau > 0;
  plan.places = numbers.places;
  plan.min_devices = static_cast<std::uint32_t>(config.min_devices);
  if (config.start_with < config.devices)
    plan.start_with = static_cast<std::uint32_t>(config.start_with);
  return plan;
}

}  // namespace split
IOTSL_NAMESPACE_END
