// iotsl server: the server of a run; the devices are iotsl-device on other machines or terminals.

#include <memory>

#include "host/files/run_folder.hpp"
#include "host/files/run_inputs.hpp"
#include "host/report/device_command.hpp"
#include "host/report/energy_report.hpp"
#include "host/report/run_report.hpp"
#include "host/run/simulation.hpp"
#include "host/run/stop_request.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/net/identity/protection.hpp"
#include "iotsl/split/server/server_tcp.hpp"
#include "support/service_manager.hpp"

namespace iotsl::tool {
namespace {

struct ServerCommandOptions {
  RunOptions run;
  std::string listen = "127.0.0.1:7400";
  net::ProtectionOptions protection = {};
  int wait_seconds = 300;
};

/// Who is to hold which samples: of a run that goes on as it was drawn, of a new one where an
/// option draws it; else nothing, and each device trains on what it has. A part that nobody trains
/// on must be kept from the devices, so that --validation draws, too.
data::Manifest manifest_of(const CLI::App& command, RunOptions& run, const data::Dataset& train) {
  const std::string before = join_path(run.resume, "manifest.json");
  const bool resumed = !run.resume.empty();
  run.data.draws_partition = resumed ? file_exists(before)
                                     : command.count("--partition") > 0 ||
                                           command.count("--limit-train") > 0 ||
                                           run.data.validation > 0;
  if (!run.data.draws_partition) return {};
  return resumed ? expect(data::load_manifest(before)) : draw_manifest(run.data, train);
}

/// What the devices have to show. A private one does not say which samples it holds, only how many.
split::ExpectedData expected_data(const data::Manifest& manifest, const data::Dataset& train,
                                  bool is_private) {
  split::ExpectedData out;
  for (std::size_t d = 0; d < manifest.devices.size(); ++d) {
    if (!is_private)
      out.fingerprints.push_back(data::fingerprint(train.sha256, manifest.devices[d]));
    out.label_counts.emplace_back(manifest.counts[d].begin(), manifest.counts[d].end());
  }
  return out;
}

void serve(CLI::App& command, ServerCommandOptions& options) {
  RunOptions& run = options.run;
  finish_run_options(command, run);
  if (is_complete(run)) return;
  if (pools_data(run.method))
    fail_command(ErrorCode::usage, "--method central: has no devices; use iotsl simulate");
  if (run.threads > 0) set_threads(run.threads);
  split::ServerOptions server;
  server.address = expect(net::parse_address(options.listen));
  expect(net::check_protection(options.protection));
  server.insecure = options.protection.insecure;
  std::optional<net::ServerCredentials> credentials;
  if (options.protection.uses_tls()) {
    credentials = expect(net::ServerCredentials::open(options.protection.identity));
    server.credentials = &*credentials;
  }
  server.gather_limit = options.wait_seconds * net::second_us;
  server.emulated = link_of(run);
  const RunData data = load_run_data(run);
  const data::Manifest manifest = manifest_of(command, run, data.train);
  const bool aside = !manifest.devices.empty();
  const data::Dataset validation = load_validation(run, data.train, manifest);
  check_run(to_config(run), manifest);
  check_run_inputs(run, data, manifest);
  expect(net::ensure_handles(static_cast<std::uint64_t>(run.data.devices)));
  catch_stop_signals();
  RunMeter meter(run);
  RunFolder folder(run);
  if (run.resume.empty()) write_run_description(folder.path(), run, data, manifest);
  if (run.adds_epochs) rewrite_run_options(run);
  split::RunConfig config = to_config(run);
  config.out = folder.path();
  config.resume_command = concat(
      "iotsl server --resume ", shell_word(run.out), " --listen ", to_string(server.address),
      server.insecure ? " --insecure" : "",
      run.start_with > 0 ? concat(" --start-with ", run.start_with) : std::string(),
      credentials ? " --identity " + shell_word(options.protection.identity) : std::string());
  const bool is_private = config.preparation.generator.privacy.is_private();
  server.expected = expected_data(manifest, data.train, is_private);
  RunReport report(sample_bytes(run.model, net::WireFormat::of(run.training)), run.quiet,
                   LineTimes::on);
  report.on_status = [](const std::string& text) { service_manager().status(text); };
  report.should_stop = [] {
    service_manager().progress();
    if (stop_requested()) service_manager().stopping();
    return false;
  };
  report.on_listening = [&](std::uint16_t port) {
    service_manager().ready();
    const net::Address listening{server.address.host, port};
    report.note(concat(
        "listening on ", to_string(listening), " for ", config.devices, " devices; ",
        device_instructions(run, config, reachable_addresses(listening),
                            aside ? join_path(folder.path(), "manifest.json") : std::string(),
                            options.protection.identity)));
  };
  report.on_barrier = [&] { return folder.keep(); };
  Result<split::RunSummary> summary =
      split::run_server(config, report.hooks(), server, {data.test, validation});
  if (!summary) throw CommandFailure{folder.close(summary.failure())};
  meter.finish(*summary);
  expect(folder.keep());
  expect(write_summary(run, *summary));
  print_summary(run, *summary);
}

}  // namespace

void add_server_command(CLI::App& app) {
  auto options = std::make_shared<ServerCommandOptions>();
  CLI::App* command = app.add_subcommand("server", "Serve one run to devices over the network");
  add_run_options(*command, options->run);
  command
      ->add_option("--listen", options->listen,
                   "HOST:PORT; host 0.0.0.0: every network of this machine; port 0: a free one")
      ->group("Run")
      ->capture_default_str();
  command
      ->add_option("--identity", options->protection.identity,
                   "Folder of this server's key and of the list of devices (iotsl device): TLS")
      ->group("Run");
  command
      ->add_flag("--tls", options->protection.tls,
                 "Refuse plain TCP on an address of this machine, too; needs --identity")
      ->group("Run");
  command
      ->add_flag("--insecure", options->protection.insecure,
                 "Allow an address that is not on this machine without TLS: nothing is encrypted")
      ->group("Run");
  command
      ->add_option("--start-with", options->run.start_with,
                   "Begin as soon as so many devices are here: the turns of the others are skipped "
                   "until they come; default: all; not for --method iotsl and cache")
      ->check(above_zero())
      ->group("Run");
  command->add_option("--wait", options->wait_seconds, "Seconds to wait for all devices")
      ->group("Run")
      ->check(between(1, 86400))
      ->capture_default_str();
  command->callback([command, options] { serve(*command, *options); });
}

}  // namespace iotsl::tool
