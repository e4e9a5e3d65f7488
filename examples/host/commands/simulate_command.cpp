// iotsl simulate: all devices and the server of a run on this machine.

#include <memory>

#include "host/report/run_report.hpp"
#include "host/run/simulation.hpp"

namespace iotsl::tool {

void add_simulate_command(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      app.add_subcommand("simulate", "Train with K device processes and a server on this machine");
  add_run_options(*command, *options);
  command
      ->add_option("--transport", options->transport,
                   "tcp: device processes over loopback; inproc: all in this process; none: one "
                   "net in the same order, without any split")
      ->check(CLI::IsMember(std::vector<std::string>{"tcp", "inproc", "none"}))
      ->group("Run")
      ->capture_default_str();
  command
      ->add_option("--test-per-class", options->test_per_class,
                   "Test on so many samples of each class that some device holds; 0: on the set")
      ->check(zero_or_more())
      ->group("Data")
      ->capture_default_str();
  command->callback([command, options] {
    // Asked before a config.json gives options too.
    const bool over_sockets = command->count("--transport") > 0 && options->transport == "tcp";
    const bool limits_absence = command->count("--offline-limit") > 0;
    const bool limits_failures = command->count("--min-devices") > 0;
    finish_run_options(*command, *options);
    if (pools_data(options->method) && over_sockets)
      fail_command(
          ErrorCode::usage,
          "--method central --transport tcp: nothing is sent; it runs with --transport none");
    const bool has_processes = options->transport == "tcp" && !pools_data(options->method);
    const auto refuse = [&](const char* option) {
      fail_command(ErrorCode::usage, as_given(*command, option),
                   ": only where devices are processes of their own, with --transport tcp and "
                   "a method other than central, not with --transport ",
                   options->transport, " and --method ", options->method);
    };
    if (limits_absence && !has_processes) refuse("--offline-limit");
    if (limits_failures && options->transport == "none")
      fail_command(ErrorCode::usage, as_given(*command, "--min-devices"),
                   ": only where devices can fail, not with --transport none");
    // In memory nothing takes time on its way, and times without it would pass for those with it.
    if (link_of(*options) && !has_processes) refuse("--link");
    if (!is_complete(*options)) print_summary(*options, expect(simulate(*options)));
  });
}

}  // namespace iotsl::tool
