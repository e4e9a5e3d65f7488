// iotsl simulate: all devices and the server of a run on this machine.

#include <memory>

#include "device_processes.hpp"
#include "iotsl/core/file.hpp"
#include "iotsl/core/parallel.hpp"
#include "iotsl/split/session.hpp"
#include "run_report.hpp"

namespace iotsl::tool {
namespace {

/// Steps of the whole run, for the progress bar.
Index total_steps(const split::RunConfig& config, const std::vector<std::vector<Index>>& samples) {
  Index steps = 0, all = 0;
  std::vector<Index> batches;
  for (const std::vector<Index>& device : samples) {
    all += static_cast<Index>(device.size());
    batches.push_back(static_cast<Index>(
        data::batch_ranges(static_cast<Index>(device.size()), config.batch).size()));
  }
  if (config.method == "central")
    batches = {static_cast<Index>(data::batch_ranges(all, config.batch).size())};
  for (Index turn = 0; turn < static_cast<Index>(config.turns()); ++turn)
    steps += batches[static_cast<std::size_t>(turn) % batches.size()] * config.local_epochs;
  return steps;
}

/// The server in this process, and one process for each device over loopback.
Result<split::RunSummary> simulate_tcp(const RunOptions& options, const split::RunConfig& config,
                                       RunReport& report, const data::Dataset& test,
                                       const std::string& manifest,
                                       const DataOptions& device_data) {
  const std::string program = expect(program_beside("iotsl-device"));
  DeviceProcesses devices;
  Failure problem;
  report.on_listening = [&](std::uint16_t port) {
    for (Index i = 0; i < config.devices; ++i) {
      const std::string name = concat("device-", i);
      std::vector<std::string> arguments{program,      "run",
                                         "--server",   concat("127.0.0.1:", port),
                                         "--name",     name,
                                         "--dataset",  device_data.dataset,
                                         "--manifest", manifest,
                                         "--index",    std::to_string(i)};
      if (!device_data.folder.empty()) arguments.insert(arguments.end(), {"--data", device_data.folder});
      if (options.threads > 0)
        arguments.insert(arguments.end(), {"--threads", std::to_string(options.threads)});
      const Result<void> started = devices.start(arguments, options.out + "/" + name + ".log");
      if (!started && problem.message.empty()) problem = started.failure();
    }
  };
  report.should_stop = [&] {
    const std::string log = devices.failed_log();
    if (!log.empty() && problem.message.empty())
      problem = failure(ErrorCode::other, "a device process has failed, see ", log, ":\n",
                        read_text_file(log).ok() ? *read_text_file(log) : std::string());
    return !problem.message.empty();
  };
  auto summary = split::run_server(config, report.hooks(), {}, test);
  if (!problem.message.empty()) return problem;
  devices.wait(10);
  return summary;
}

void simulate(CLI::App& command, RunOptions& options) {
  finish_run_options(command, options);
  if (options.method == "central") options.transport = "none";
  if (options.threads > 0) set_threads(options.threads);
  const auto [train, test] = load_run_data(options);
  const data::Manifest manifest = draw_manifest(options.data, train);
  build(options.model);  // reports a wrong model or cut before anything is written
  to_config(options);
  prepare_run_folder(options);
  const split::RunConfig config = to_config(options);
  const std::string manifest_path = options.out + "/manifest.json";
  expect(data::save_manifest(manifest_path, manifest));

  DataOptions device_data = options.data;
  if (is_image_set(options.data) && options.transport == "tcp") {
    device_data.dataset = "packed";  // devices cannot decode images
    device_data.folder = options.out + "/data";
    expect(data::save_packed(device_data.folder, train, test));
  }

  RunReport report(total_steps(config, manifest.devices),
                   options.transport == "none" ? 0 : sample_bytes(options.model), options.quiet);
  report.note(concat(manifest.dataset, ", ", manifest.partition, ", ", manifest.devices.size(),
                     " devices: samples per device and class\n",
                     data::format_counts(manifest.counts, manifest.unused)));
  catch_stop_signals();
  Result<split::RunSummary> summary = [&]() -> Result<split::RunSummary> {
    if (options.transport == "none")
      return split::run_none(config, report.hooks(), train, test, manifest.devices);
    if (options.transport == "inproc")
      return split::run_inproc(config, report.hooks(), train, test, manifest.devices);
    return simulate_tcp(options, config, report, test, manifest_path, device_data);
  }();
  print_summary(options, expect(std::move(summary)));
}

}  // namespace

void add_simulate_command(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      app.add_subcommand("simulate", "Train with K device processes and a server on this machine");
  add_run_options(*command, *options);
  command->add_option("--transport", options->transport,
                   "tcp: device processes over loopback; inproc: all in this process; none: one "
                   "net in the same order, without any split")
      ->check(CLI::IsMember({"tcp", "inproc", "none"}))
      ->capture_default_str();
  command->callback([command, options] { simulate(*command, *options); });
}

}  // namespace iotsl::tool
