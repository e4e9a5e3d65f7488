// iotsl plan: what a run will cost, before it starts. Parameters, operations and bytes follow from
// the options; memory and time from a few steps of the same run on this machine, where no other is
// named.

#include <cstdio>
#include <memory>

#include "host/files/json_file.hpp"
#include "host/forecast/board_speed.hpp"
#include "host/forecast/preparation_cost.hpp"
#include "host/report/run_report.hpp"
#include "host/run/simulation.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/measure/memory_peak.hpp"
#include "iotsl/split/audit/audit_report.hpp"
#include "iotsl/split/records/smashed_caches.hpp"

namespace iotsl::tool {
namespace {

struct PlanOptions {
  RunOptions run;
  std::string board, server_board;      ///< files of iotsl-bench; empty: this machine
  double device_ms = 0, server_ms = 0;  ///< a step; 0: not given
  std::string audit;                    ///< file of iotsl audit smashed --json; empty: none
};

/// What an audit says of the cut and the form of the wire.
struct Revealed {
  double ssim = 0, mean_image_ssim = 0;
  std::string where;  ///< the cut, the form, the weights and the file
};

struct Plan {
  ModelSummary model;
  split::WireForecast wire;
  std::optional<PreparationCost> preparation;  // of method iotsl
  std::uint64_t device_bytes = 0, server_bytes = 0, checkpoint_bytes = 0;
  std::uint64_t cache_bytes = 0;  // of method cache
  split::StepSeconds step;
  double seconds = 0, turns_seconds = 0;
  measure::PowerModel power;
  split::DeviceEnergy energy;  // of a device, on average
  std::optional<Revealed> revealed;
  std::vector<std::string> assumptions;
};

Json short_json(const LayerCost& cost) {
  Json out = Json::object();
  out["parameters"] = cost.parameters;
  out["operations"] = cost.operations;
  return out;
}

/// "12.3 J in its turns".
std::string joules_text(double joules, const char* what) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f J %s", joules, what);
  return text;
}

void print(const Plan& p, const RunOptions& options, const split::RunConfig& config) {
  // Of a run of generators alone: none.
  const auto epochs = static_cast<Index>(config.turns()) * config.training.local_epochs;
  const double step_seconds =
      p.turns_seconds / static_cast<double>(std::max<std::uint64_t>(1, p.wire.steps));
  const double epoch_seconds = p.turns_seconds / static_cast<double>(std::max<Index>(1, epochs));
  if (options.json) {
    Json out = short_json(p.model.total);
    out["front"] = short_json(p.model.front);
    out["back"] = short_json(p.model.back);
    out["smashed_values"] = p.model.smashed_values;
    out["epochs"] = epochs;
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
      out["generator_iteration_seconds"] = p.preparation->seconds.iteration;
      out["generator_seconds"] = p.preparation->seconds.generators;
      out["pretrain_seconds"] = p.preparation->seconds.pretraining;
      out["preparation_bytes_up"] = p.preparation->bytes_up;
      out["preparation_bytes_down"] = p.preparation->bytes_down;
      out["preparation_values"] = p.preparation->values;
    }
    out["step_seconds"] = step_seconds;
    out["device_step_seconds"] = p.step.device;
    out["server_step_seconds"] = p.step.server;
    out["server_update_seconds"] = p.step.update;
    out["epoch_seconds"] = epoch_seconds;
    out["seconds"] = p.seconds;
    Json energy = to_json_fields(p.energy);
    energy["origin"] = p.power.origin();
    out["device_energy"] = energy;
    if (p.revealed) {
      out["smashed_ssim"] = p.revealed->ssim;
      out["mean_image_ssim"] = p.revealed->mean_image_ssim;
    }
    out["assumptions"] = Json::array_of(p.assumptions);
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
  if (epochs > 0)
    std::printf("work       %ld device epochs, %llu steps of at most %ld samples\n",
                static_cast<long>(epochs), static_cast<unsigned long long>(p.wire.steps),
                static_cast<long>(config.training.batch));
  else
    std::printf("work       no turns: the server trains alone on what the generators make\n");
  std::printf(
      "wire       %s up, %s down (%llu values by the formula of Table I, F = %ld a sample)\n",
      bytes(p.wire.bytes_up).c_str(), bytes(p.wire.bytes_down).c_str(),
      static_cast<unsigned long long>(p.wire.values_formula),
      static_cast<long>(p.model.smashed_values));
  if (p.preparation)
    std::printf(
        "generators at most %llu values each; %s up, %s down for all devices; %s in all, %.0f ms an "
        "iteration\npretrain   at most %s\n",
        static_cast<unsigned long long>(p.preparation->generator_values),
        bytes(p.preparation->bytes_up).c_str(), bytes(p.preparation->bytes_down).c_str(),
        format_seconds(p.preparation->seconds.generators).c_str(),
        1e3 * p.preparation->seconds.iteration,
        format_seconds(p.preparation->seconds.pretraining).c_str());
  std::printf("memory     a device %s, the server %s\n", bytes(p.device_bytes).c_str(),
              bytes(p.server_bytes).c_str());
  std::printf(
      "disk       %s a barrier, three are kept%s\n", bytes(p.checkpoint_bytes).c_str(),
      p.cache_bytes > 0 ? concat("; ", bytes(p.cache_bytes), " of smashed samples").c_str() : "");
  std::printf("time       %s%s", p.preparation ? "at most " : "",
              format_seconds(p.seconds).c_str());
  if (epochs > 0)
    std::printf(
        "; a device epoch %s, a step %.0f ms: %.0f on the device, %.0f on the server, %.0f of which "
        "beside the rest",
        format_seconds(epoch_seconds).c_str(), 1e3 * step_seconds, 1e3 * p.step.device,
        1e3 * (p.step.server + p.step.update), 1e3 * p.step.update);
  std::printf("\n");
  std::printf(
      "energy     a device %s%s, awake for %s\n",
      joules_text(p.energy.turn_joules, "in its turns").c_str(),
      p.energy.generator_joules > 0
          ? concat(" and ", joules_text(p.energy.generator_joules, "for its generator")).c_str()
          : "",
      format_seconds(p.energy.awake_seconds).c_str());
  if (p.revealed)
    std::printf("revealed   images made of smashed data have ssim %.3f, the mean image %.3f (%s)\n",
                p.revealed->ssim, p.revealed->mean_image_ssim, p.revealed->where.c_str());
  for (std::size_t i = 0; i < p.assumptions.size(); ++i)
    std::printf("%-10s %s\n", i == 0 ? "assumed" : "", p.assumptions[i].c_str());
}

/// What a step costs where the options name other machines than this one, on which `tried` was
/// measured; what is assumed of each.
split::StepSeconds choose_step(const PlanOptions& options, Index batch, Plan& p,
                               const split::StepSeconds& tried) {
  split::StepSeconds out = tried;
  const auto say = [&](const auto&... parts) { p.assumptions.push_back(concat(parts...)); };
  const auto milliseconds = [](double seconds) { return concat(std::round(1e4 * seconds) / 10); };
  const auto side = [&](const char* name, double given_ms, const std::string& board,
                        BoardSeconds (*on_board)(const std::string&, const ModelSummary&, Index),
                        double measured) {
    if (given_ms > 0) {
      say(name, ": ", given_ms, " ms a step, as given");
      return given_ms / 1e3;
    }
    if (!board.empty()) {
      const BoardSeconds found = on_board(board, p.model, batch);
      say(name, ": ", milliseconds(found.seconds), " ms a step by ", board, ", row ", found.row,
          " for the operations");
      return found.seconds;
    }
    say(name, ": ", milliseconds(measured), " ms a step, as on this machine");
    return measured;
  };
  out.device = side("device", options.device_ms, options.board, &device_step_on, tried.device);
  const double server = tried.server + tried.update;
  const double chosen =
      side("server", options.server_ms, options.server_board, &server_step_on, server);
  const double share = server > 0 ? tried.update / server : 0;
  out.update = share * chosen;
  out.server = chosen - out.update;
  if (splits(options.run.method))
    say("of the server's time ", std::round(100 * share),
        " % are the update behind the answer to the device, and each step takes ",
        milliseconds(tried.handling), " ms to make, check and move its messages, as here");
  return out;
}

struct TurnsTime {
  double seconds = 0;
  measure::DeviceTimes devices;
};

/// All turns over the network of --link. `frozen`: the front's weights stay.
TurnsTime all_turns(const std::vector<split::TurnWire>& turns, const split::StepSeconds& step,
                    bool frozen, const std::optional<net::LinkSpeed>& link) {
  TurnsTime out;
  for (const split::TurnWire& wire : turns) {
    out.seconds += split::turn_seconds(wire, step, frozen, link);
    out.devices += split::turn_times(wire, step, frozen, link);
  }
  return out;
}

/// Joules of a device, on average, by --power-model.
split::DeviceEnergy device_energy_of(const Plan& p, const measure::DeviceTimes& turns,
                                     Index devices) {
  const double share = 1 / static_cast<double>(devices);
  const double training = p.preparation ? p.preparation->seconds.generators : 0;
  return {.turn_joules = share * p.power.joules(turns),
          .generator_joules = share * p.power.joules({.awake = training, .computing = training}),
          .awake_seconds = share * (turns.awake + training)};
}

/// The row of the audit in `path` for this run; ends the command where it has none.
Revealed read_audit(const std::string& path, const RunOptions& options, const std::string& cut,
                    WireCoding wire) {
  const Result<split::SmashedAudit> audit = split::parse_smashed_audit(read_json_object(path));
  if (!audit)
    fail_command(audit.failure().code, "--audit ", path, ": ", audit.failure().message,
                 "; iotsl audit smashed --json writes such files");
  const ModelSpec& spec = options.model.spec;
  if (audit->model != spec.name || audit->width != spec.width || audit->dataset != options.set_name)
    fail_command(ErrorCode::data, "--audit ", path, ": is of ", audit->model, " of width ",
                 audit->width, " on ", audit->dataset, ", the run is ", spec.name, " of width ",
                 spec.width, " on ", options.set_name);
  const split::AuditedForm* row = audit->find(cut, wire);
  if (row == nullptr)
    fail_command(ErrorCode::data, "--audit ", path, ": has no row for cut ", cut, " in ", wire,
                 "; audit it with --cut ", cut, " --wire ", wire);
  return {row->ssim, audit->mean_image_ssim,
          concat("cut ", cut, ", ", wire, ", weights ", escaped(audit->weights), ", by ", path)};
}

void plan(CLI::App& command, PlanOptions& planned) {
  RunOptions& options = planned.run;
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
  const std::optional<net::LinkSpeed> link = link_of(options);

  Plan p;
  p.model = summarize(model.layers, options.model.spec, model.front_layers);
  if (!planned.audit.empty())
    p.revealed = read_audit(planned.audit, options, model.layers[model.front_layers - 1].name,
                            config.training.wire);
  const RunShape shape = shape_of(options, config);
  const split::WireSizes& sizes = shape.sizes;
  const StepCost sampled = sample_steps(options, config, train, test, manifest);
  p.step = choose_step(planned, config.training.batch, p, sampled.step);

  const std::vector<std::uint64_t> samples = turn_samples(config, manifest);
  const std::uint64_t largest = *std::max_element(samples.begin(), samples.end());
  TurnsTime turns;
  const auto forecast = [&](std::uint64_t barriers_inside) {
    const std::vector<split::TurnWire> each =
        split::forecast_turns(config, sizes, samples, barriers_inside, shape.rank);
    p.wire = split::forecast_wire(each);
    turns = all_turns(each, p.step, config.training.frozen_front, link);
    p.turns_seconds = turns.seconds;
  };
  forecast(0);
  // Barriers inside the turns come by steps and by the clock, whichever is later.
  const auto steps = static_cast<double>(std::max<std::uint64_t>(1, p.wire.steps));
  const double turn_steps = steps / static_cast<double>(std::max<std::uint64_t>(1, config.turns()));
  const double step_seconds = p.turns_seconds / steps;
  const double between = std::max(static_cast<double>(config.barriers.steps),
                                  config.barriers.seconds / std::max(step_seconds, 1e-9));
  const auto inside = static_cast<std::uint64_t>(std::max(0.0, turn_steps - 1) / between);
  if (splits(config.method) && inside > 0) forecast(inside);

  // A kept sample is its pixels, its label and its place in four lists of numbers.
  const auto per_sample = static_cast<std::uint64_t>(train.sample_elems()) + 1 + 4 * sizeof(Index);
  p.device_bytes =
      sampled.device_bytes + (largest - std::min(largest, sampled.samples)) * per_sample;
  const std::uint64_t weight_bytes = 4 * static_cast<std::uint64_t>(p.model.total.parameters);
  const std::uint64_t kept = kept_per_parameter(config.training.optimizer);
  p.server_bytes =
      measure::peak_resident_bytes() + weight_bytes * (most_kept_per_parameter(config) - kept);
  p.checkpoint_bytes = weight_bytes * (1 + kept);
  const std::uint64_t replay_bytes =
      4 * static_cast<std::uint64_t>(config.training.replay) * (sizes.smashed_values + 1);
  p.server_bytes += replay_bytes;
  p.checkpoint_bytes += replay_bytes;
  if (caches(config.method)) p.cache_bytes = split::cache_bytes(sizes, samples);
  p.seconds = p.turns_seconds +
              seconds_beside_steps(sampled, config, p.wire.barriers,
                                   test.size() + static_cast<Index>(manifest.validation.size()));
  p.assumptions.push_back(
      link ? concat("network: ", to_string(*link),
                    " each way for each device, half of the round trip each way, nothing lost")
           : "network: that of this machine");
  p.assumptions.push_back("evaluation and disk: as on this machine");
  if (config.unfreeze_on_plateau > 0)
    p.assumptions.push_back("no plateau: the front stays frozen to the end");
  if (has_generators(config.method)) {
    p.preparation = preparation_cost(config, manifest, sampled, [&](std::size_t device) {
      return load_samples(options, train, manifest.devices[device]);
    });
    p.device_bytes += p.preparation->device_bytes;
    p.wire.bytes_up += p.preparation->bytes_up;
    p.wire.bytes_down += p.preparation->bytes_down;
    p.seconds += p.preparation->seconds.generators + p.preparation->seconds.pretraining;
    // Every device has a connection of its own.
    if (link)
      p.seconds += link->seconds((p.preparation->bytes_up + p.preparation->bytes_down) /
                                 static_cast<std::uint64_t>(config.devices));
    p.assumptions.push_back("generators and pre-training: as on this machine");
    if (config.preparation.imputes())
      p.assumptions.push_back(
          "imputation: partners by the devices' counts; the checks of generators may choose others, "
          "and more");
    if (config.preparation.pretrain)
      p.assumptions.push_back(
          concat("pre-training: ", optimizer_text(config.pretraining_optimizer()),
                 " at a constant rate, each step as long as in the turns"));
  }
  p.power = energy_assumptions(options.energy).model;
  p.energy = device_energy_of(p, turns.devices, config.devices);
  p.assumptions.push_back("energy: " + p.power.figures());
  print(p, options, config);
}

/// A month for a step: beyond, times would not fit their text.
CLI::Validator step_milliseconds() {
  return number_check("above 0, at most 2.6e9", [](double v) { return v > 0 && v <= 2.6e9; });
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand(
      "plan",
      "Say what a run will cost: operations, memory, bytes, seconds (a few steps are tried)");
  add_run_options(*command, options->run, RunUse::plan);
  const auto add = [&](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help)->group("Machines");
  };
  auto* board = add("--board", options->board,
                    "Devices as the machine of this file of iotsl-bench --json; default: "
                    "as this one");
  add("--device-ms-per-step", options->device_ms, "Milliseconds of a device for a step")
      ->check(step_milliseconds())
      ->excludes(board);
  auto* server_board = add("--server-board", options->server_board, "The same of the server");
  add("--server-ms-per-step", options->server_ms, "Milliseconds of the server for a step")
      ->check(step_milliseconds())
      ->excludes(server_board);
  command->add_option(
      "--audit", options->audit,
      "File of iotsl audit smashed --json: what the server can see of the images at "
      "this cut, in this --wire");
  command->callback([command, options] { plan(*command, *options); });
}

}  // namespace iotsl::tool
