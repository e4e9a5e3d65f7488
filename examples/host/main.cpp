// iotsl: the host tool. One file per subcommand.

#include <cstdio>

#include "host/commands/command.hpp"
#include "host/options/number_checks.hpp"
#include "iotsl/config.hpp"
#include "support/standard_output.hpp"
#include "support/wait_policy.hpp"

namespace {

int run_command(int argc, char** argv) {
  CLI::App app("iotsl trains one network over many small devices (split learning).", "iotsl");
  app.set_version_flag("--version", IOTSL_VERSION_STRING);
  app.footer(iotsl::exit_codes_text);  // of the subcommands, too
  app.require_subcommand(1);
  app.fallthrough();
  iotsl::tool::add_simulate_command(app);
  iotsl::tool::add_server_command(app);
  iotsl::tool::add_plan_command(app);
  iotsl::tool::add_predict_command(app);
  iotsl::tool::add_experiment_command(app);
  iotsl::tool::add_gan_command(app);
  iotsl::tool::add_model_command(app);
  iotsl::tool::add_data_command(app);
  iotsl::tool::add_privacy_command(app);
  iotsl::tool::explain_numbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; every other one is the user's.
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const iotsl::tool::CommandFailure& end) {
    std::fprintf(stderr, "iotsl: %s\n", end.failure.message.c_str());
    return iotsl::exit_code(end.failure.code);
  } catch (const iotsl::Error& error) {
    std::fprintf(stderr, "iotsl: %s\n", error.what());
    return 1;
  } catch (const std::bad_alloc& error) {
    std::fprintf(stderr, "iotsl: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  iotsl::restart_with_passive_wait(argv);
  return iotsl::finish_output("iotsl", run_command(argc, argv));
}
