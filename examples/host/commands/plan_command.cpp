// iotsl plan: what a run will cost, before it starts. Parameters, operations and bytes follow from
// the options; memory and time from a few steps of the same run on this machine.

#include <cstdio>
#include <memory>

#include "host/report/run_report.hpp"
#include "host/run/preparation_cost.hpp"
#include "host/run/simulation.hpp"
#include "iotsl/core/parallel.hpp"
#include "iotsl/measure/memory_peak.hpp"
#include "iotsl/split/halves/cut.hpp"
#include "iotsl/split/records/smashed_caches.hpp"
#include "iotsl/split/records/wire_forecast.hpp"

namespace iotsl::tool {
namespace {

struct Plan {
  ModelSummary model;
  split::WireForecast wire;
  std::optional<PreparationCost> preparation;  // of method iotsl
  std::uint64_t device_bytes = 0, server_bytes = 0, checkpoint_bytes = 0;
  std::uint64_t cache_bytes = 0;  // of method cache
  double seconds = 0, device_step_seconds = 0, step_seconds = 0;
};

Json short_json(const LayerCost& cost) {
  Json out = Json::object();
  out["parameters"] = cost.parameters;
  out["operations"] = cost.operations;
  return out;
}

void print(const Plan& p, const RunOptions& options, const split::RunConfig& config) {
  if (options.json) {
    Json out = short_json(p.model.total);
    out["front"] = short_json(p.model.front);
    out["back"] = short_json(p.model.back);
    out["smashed_values"] = p.model.smashed_values;
    out["epochs"] = config.training.epochs;
    out["steps"] = p.wire.steps;
    out["bytes_up"] = p.wire.bytes_up;
    out["bytes_down"] = p.wire.bytes_down;
    out["values_formula"] = p.wire.values_formula;
    out["device_peak_memory_bytes"] = p.device_bytes;
    out["server_peak_memory_bytes"] = p.server_bytes;
    out["checkpoint_bytes"] = p.checkpoint_bytes;
    if (p.cache_bytes > 0) out["cache_bytes"] = p.cache_bytes;
    if (p.preparation) {
      out["generator_values"] = p.preparation->generator_values;
      out["generator_iteration_seconds"] = p.preparation->iteration_seconds;
      out["generator_seconds"] = p.preparation->generator_seconds;
      out["pretrain_seconds"] = p.preparation->pretrain_seconds;
      out["preparation_bytes_up"] = p.preparation->bytes_up;
      out["preparation_bytes_down"] = p.preparation->bytes_down;
      out["preparation_values"] = p.preparation->values;
    }
    out["step_seconds"] = p.step_seconds;
    out["device_step_seconds"] = p.device_step_seconds;
    out["seconds"] = p.seconds;
    std::printf("%s\n", to_text(out).c_str());
    return;
  }
  const auto bytes = [](std::uint64_t n) { return format_bytes(static_cast<double>(n)); };
  const auto side = [&](const char* name, const LayerCost& cost) {
    std::printf("%-10s %14ld parameters %16ld operations a sample\n", name,
                static_cast<long>(cost.parameters), static_cast<long>(cost.operations));
  };
  side("front", p.model.front);
  side("back", p.model.back);
  side("together", p.model.total);
  std::printf("work       %ld device epochs, %llu steps of at most %ld samples\n",
              static_cast<long>(config.training.epochs),
              static_cast<unsigned long long>(p.wire.steps),
              static_cast<long>(config.training.batch));
  std::printf(
      "wire       %s up, %s down (%llu values by the formula of Table I, F = %ld a sample)\n",
      bytes(p.wire.bytes_up).c_str(), bytes(p.wire.bytes_down).c_str(),
      static_cast<unsigned long long>(p.wire.values_formula),
      static_cast<long>(p.model.smashed_values));
  if (p.preparation)
    std::printf(
        "generators %llu values each; %s up, %s down for all devices; %s in all, %.0f ms an "
        "iteration\npretrain   at most %s\n",
        static_cast<unsigned long long>(p.preparation->generator_values),
        bytes(p.preparation->bytes_up).c_str(), bytes(p.preparation->bytes_down).c_str(),
        format_seconds(p.preparation->generator_seconds).c_str(),
        1e3 * p.preparation->iteration_seconds,
        format_seconds(p.preparation->pretrain_seconds).c_str());
  std::printf("memory     a device %s, the server %s\n", bytes(p.device_bytes).c_str(),
              bytes(p.server_bytes).c_str());
  std::printf(
      "disk       %s a barrier, three are kept%s\n", bytes(p.checkpoint_bytes).c_str(),
      p.cache_bytes > 0 ? concat("; ", bytes(p.cache_bytes), " of smashed samples").c_str() : "");
  std::printf("time       %s%s on this machine: %.0f ms a step, %.0f of them on the device\n",
              p.preparation ? "at most " : "", format_seconds(p.seconds).c_str(),
              1e3 * p.step_seconds, 1e3 * p.device_step_seconds);
}

void plan(CLI::App& command, RunOptions& options) {
  finish_run_options(command, options);
  if (!has_fronts(options.method))
    fail_command(ErrorCode::usage, "--method ", options.method,
                 ": a plan is for runs with a split: sl, iotsl, cache and local");
  if (options.threads > 0) set_threads(options.threads);
  const auto [train, test] = load_run_data(options);
  const data::Manifest manifest = draw_manifest(options.data, train);
  const split::RunConfig config = to_config(options);
  check_run(config, manifest);
  const CutModel model = build(options.model);
  const OptimizerOptions& optimizer = config.training.optimizer;

  Plan p;
  p.model = summarize(model.layers, options.model.spec, model.front_layers);
  const split::FrontHalf front(model.layers.slice(0, model.front_layers), optimizer, config.seed);
  const split::WireSizes sizes = split::wire_sizes(
      front.layers(), front.optimizer(), sample_shape(config.model),
      static_cast<std::uint64_t>(config.training.batch), net::WireFormat::of(config.training));
  const StepCost sampled = sample_steps(options, config, train, test, manifest);

  const std::vector<std::uint64_t> samples = turn_samples(config, manifest);
  const std::uint64_t largest = *std::max_element(samples.begin(), samples.end());
  const auto rank =
      static_cast<std::size_t>(front.layers().output_shape(sample_shape(config.model))->rank());
  p.wire = split::forecast_wire(config, sizes, samples, 0, rank);
  // Barriers inside the turns come by steps and by the clock, whichever is later.
  const double turn_steps = static_cast<double>(p.wire.steps) / static_cast<double>(config.turns());
  const double between = std::max(static_cast<double>(config.barriers.steps),
                                  config.barriers.seconds / std::max(sampled.step_seconds, 1e-9));
  const auto inside = static_cast<std::uint64_t>(std::max(0.0, turn_steps - 1) / between);
  if (splits(config.method) && inside > 0)
    p.wire = split::forecast_wire(config, sizes, samples, inside, rank);

  // A kept sample is its pixels, its label and its place in four lists of numbers.
  const auto per_sample = static_cast<std::uint64_t>(train.sample_elems()) + 1 + 4 * sizeof(Index);
  p.device_bytes =
      sampled.device_bytes + (largest - std::min(largest, sampled.samples)) * per_sample;
  p.server_bytes = measure::peak_resident_bytes();
  p.checkpoint_bytes = 4 * static_cast<std::uint64_t>(p.model.total.parameters) *
                       (1 + kept_per_parameter(optimizer));
  const std::uint64_t replay_bytes =
      4 * static_cast<std::uint64_t>(config.training.replay) * (sizes.smashed_values + 1);
  p.server_bytes += replay_bytes;
  p.checkpoint_bytes += replay_bytes;
  if (caches(config.method)) p.cache_bytes = split::cache_bytes(sizes, samples);
  p.step_seconds = sampled.step_seconds;
  p.device_step_seconds = sampled.device_seconds;
  p.seconds = run_seconds(sampled, config, p.wire.steps, p.wire.barriers,
                          test.size() + static_cast<Index>(manifest.validation.size()));
  if (has_generators(config.method)) {
    p.preparation = preparation_cost(config, manifest, sampled);
    p.device_bytes += p.preparation->device_bytes;
    p.wire.bytes_up += p.preparation->bytes_up;
    p.wire.bytes_down += p.preparation->bytes_down;
    p.seconds += p.preparation->generator_seconds + p.preparation->pretrain_seconds;
  }
  print(p, options, config);
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand(
      "plan",
      "Say what a run will cost: operations, memory, bytes, seconds (a few steps are tried)");
  add_run_options(*command, *options, RunUse::plan);
  command->callback([command, options] { plan(*command, *options); });
}

}  // namespace iotsl::tool
