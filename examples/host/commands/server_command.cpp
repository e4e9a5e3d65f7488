// iotsl server: the server of a run; the devices are iotsl-device on other machines or terminals.

#include <memory>

#include "host/report/device_command.hpp"
#include "host/report/run_report.hpp"
#include "iotsl/core/parallel.hpp"
#include "iotsl/split/server/server_tcp.hpp"

namespace iotsl::tool {
namespace {

struct ServerCommandOptions {
  RunOptions run;
  std::string listen = "127.0.0.1:7400";
  bool insecure = false;
  int wait_seconds = 300;
};

void serve(CLI::App& command, ServerCommandOptions& options) {
  RunOptions& run = options.run;
  finish_run_options(command, run);
  if (is_complete(run)) return;
  if (pools_data(run.method))
    fail_command(ErrorCode::usage, "--method central: has no devices; use iotsl simulate");
  if (averages(run.method))
    fail_command(ErrorCode::usage, "--method fedavg: runs in one process only; use iotsl simulate");
  if (run.threads > 0) set_threads(run.threads);
  split::ServerOptions server;
  server.address = expect(net::parse_address(options.listen));
  server.insecure = options.insecure;
  server.gather_limit = options.wait_seconds * net::second_us;
  const RunData data = load_run_data(run);
  build(run.model);
  to_config(run);
  // A part that nobody trains on must be kept from the devices: then their data have to be those of
  // this server's manifest.
  const bool resumed = !run.resume.empty(), aside = run.data.validation > 0;
  data::Manifest manifest;
  if (aside)
    manifest = resumed ? expect(data::load_manifest(run.resume + "/manifest.json"))
                       : draw_manifest(run.data, data.train);
  const data::Dataset validation = load_validation(run, data.train, manifest);
  expect(net::ensure_handles(static_cast<std::uint64_t>(run.data.devices)));
  prepare_run_folder(run);
  split::RunConfig config = to_config(run);
  config.resume_command = concat("iotsl server --resume ", shell_word(run.out), " --listen ",
                                 to_string(server.address), server.insecure ? " --insecure" : "");
  if (aside && !resumed) expect(data::save_manifest(run.out + "/manifest.json", manifest));
  // A private device does not say which samples it holds: its owner keeps to the manifest.
  const bool is_private = config.preparation.generator.privacy.is_private();
  if (!is_private)
    for (const std::vector<Index>& samples : manifest.devices)
      server.fingerprints.push_back(data::fingerprint(data.train.sha256, samples));
  RunReport report(sample_bytes(run.model), run.quiet, LineTimes::on);
  report.on_listening = [&](std::uint16_t port) {
    const net::Address listening{server.address.host, port};
    report.note(concat("listening on ", to_string(listening), " for ", config.devices, " devices; ",
                       device_instructions(run, config, reachable_addresses(listening),
                                           aside ? run.out + "/manifest.json" : "")));
  };
  catch_stop_signals();
  const split::RunSummary summary =
      expect(split::run_server(config, report.hooks(), server, {data.test, validation}));
  expect(write_summary(run, summary));
  print_summary(run, summary);
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
      ->add_flag("--insecure", options->insecure,
                 "Allow an address that is not on this machine (nothing is encrypted)")
      ->group("Run");
  command->add_option("--wait", options->wait_seconds, "Seconds to wait for all devices")
      ->group("Run")
      ->check(between(1, 86400))
      ->capture_default_str();
  command->callback([command, options] { serve(*command, *options); });
}

}  // namespace iotsl::tool
