#include "host/run/process_run.hpp"

#include <algorithm>

#include "host/run/device_processes.hpp"
#include "host/run/run_setup.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/split/server/server_tcp.hpp"

namespace iotsl::tool {
namespace {

/// The folder of a run that has not begun goes, and the log with it.
std::string end_of_log(const std::string& path) {
  constexpr std::size_t most = 2000;
  const Result<std::string> text = read_text_file(path);
  std::string out = text ? *text : std::string();
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out.size() > most ? "..." + out.substr(out.size() - most) : out;
}

}  // namespace

Result<split::RunSummary> run_with_device_processes(const RunOptions& options,
                                                    const split::RunConfig& config,
                                                    RunReport& report, const data::Dataset& train,
                                                    const split::EvaluationSets& sets,
                                                    const std::string& manifest) {
  DataOptions device_data = options.data;
  if (needs_packing(options.data)) {
    device_data.dataset = "packed";  // devices cannot decode images
    device_data.folder = config.out + "/data";
    if (!config.resume) expect(data::save_packed(device_data.folder, train, sets.test()));
  }
  const std::string program = expect(program_beside("iotsl-device"));
  DeviceProcesses devices;
  Failure problem;
  // A device that is put aside would be told so and end.
  std::vector<split::QuarantinedDevice> known;
  if (config.resume) known = expect(split::read_quarantine(config.out)).devices;
  const auto is_put_aside = [&](Index device) {
    return std::any_of(known.begin(), known.end(), [&](const split::QuarantinedDevice& each) {
      return Index{each.device} == device && !each.released;
    });
  };
  report.on_listening = [&](std::uint16_t port) {
    for (Index i = 0; i < config.devices; ++i) {
      if (is_put_aside(i)) continue;
      const std::string name = concat("device-", i);
      std::vector<std::string> arguments{
          program,  "run",     "--with-parent",  "--server",          concat("127.0.0.1:", port),
          "--name", name,      "--dataset",      device_data.dataset, "--manifest",
          manifest, "--index", std::to_string(i)};
      if (!device_data.folder.empty())
        arguments.insert(arguments.end(), {"--data", device_data.folder});
      if (has_generators(config.method))
        arguments.insert(arguments.end(), {"--state", split::device_training_folder(
                                                          config, static_cast<std::size_t>(i))});
      if (config.preparation.generator.privacy.is_private()) arguments.push_back("--private");
      if (config.preparation.generator_only) arguments.push_back("--generator-only");
      if (options.threads > 0)
        arguments.insert(arguments.end(), {"--threads", std::to_string(options.threads)});
      const Result<void> started = devices.start(arguments, config.out + "/" + name + ".log");
      if (!started && problem.message.empty()) problem = started.failure();
    }
  };
  report.should_stop = [&] {
    const Result<int> again = devices.restart_killed();
    if (!again && problem.message.empty()) problem = again.failure();
    if (again && *again > 0) report.note("a device process was killed; it is started again");
    const std::string log = devices.take_failed_log();
    if (!log.empty()) {
      const std::string what =
          concat("a device process has failed; the end of its log ", log, ":\n", end_of_log(log));
      // Later the server hears of it, and goes on with the other devices.
      if (report.all_devices_came())
        report.note(what);
      else if (problem.message.empty())
        problem = failure(ErrorCode::other, what);
    }
    return !problem.message.empty();
  };
  auto summary = split::run_server(config, report.hooks(), {.emulated = link_of(options)}, sets);
  if (!problem.message.empty()) return problem;
  if (summary) devices.wait(10);  // after a stop they would wait for the server to come back
  return summary;
}

}  // namespace iotsl::tool
