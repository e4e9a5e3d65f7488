// iotsl: the host tool. One file per subcommand.

#include <cstdio>
#include <cstdlib>

#include "host/commands/command.hpp"
#include "host/options/help.hpp"
#include "iotsl/config.hpp"
#include "iotsl/core/text.hpp"
#include "support/standard_output.hpp"
#include "support/stop_signals.hpp"
#include "support/wait_policy.hpp"

namespace {

/// The message may quote a file or a peer.
int report(std::string_view message, int code) {
  std::fprintf(stderr, "iotsl: %s\n", iotsl::make_printable(message, true).c_str());
  return code;
}

/// What to say instead of CLI11's "Could not convert: --rounds = 1.5"; other texts as they are.
std::string explain_value(const std::string& what) {
  constexpr std::string_view begin = "Could not convert: ", between = " = ";
  const std::size_t at = what.find(between);
  if (!what.starts_with(begin) || at == what.npos) return what;
  const std::string name = what.substr(begin.size(), at - begin.size()),
                    value = what.substr(at + between.size());
  char* end = nullptr;
  std::strtod(value.c_str(), &end);
  const bool number = !value.empty() && *end == '\0';
  return iotsl::concat(name, ": ", value, number ? " is not a whole number" : " is not a number",
                       number ? ", or too large" : "");
}

int run_command(int argc, char** argv) {
  CLI::App app("iotsl trains one network over many small devices (split learning).", "iotsl");
  app.set_version_flag("--version", IOTSL_VERSION_STRING);
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(iotsl::exit_codes);  // the commands below take it over
  iotsl::tool::add_simulate_command(app);
  iotsl::tool::add_server_command(app);
  iotsl::tool::add_device_command(app);
  iotsl::tool::add_plan_command(app);
  iotsl::tool::add_predict_command(app);
  iotsl::tool::add_experiment_command(app);
  iotsl::tool::add_gan_command(app);
  iotsl::tool::add_model_command(app);
  iotsl::tool::add_data_command(app);
  iotsl::tool::add_privacy_command(app);
  iotsl::tool::add_audit_command(app);
  iotsl::tool::add_bench_command(app);
  iotsl::tool::add_manual_command(app);
  iotsl::tool::use_help_format(app);
  iotsl::tool::use_decimals(app);
  try {
    // An unset variable of a script must not pass for an option that was not given.
    for (int i = 1; i < argc; ++i) {
      const std::string_view given = argv[i], before = argv[i - 1];
      if (given.starts_with("--") && given.ends_with("="))
        return report(iotsl::concat(given.substr(0, given.size() - 1), " needs a value"), 2);
      if (given.empty())
        return report(before.starts_with("--") ? iotsl::concat(before, " needs a value")
                                               : "an argument is empty; expected a value",
                      2);
      if (const std::string what = iotsl::tool::explain_list(app, before, given); !what.empty())
        return report(what, 2);
    }
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; every other one is the user's.
    if (error.get_exit_code() == 0) return app.exit(error);
    const std::string unknown = iotsl::tool::explain_unknown(app);
    if (!unknown.empty()) return report(unknown, 2);
    const CLI::App& command = iotsl::tool::named_command(app);
    // A command of which the part that does something is missing: these are its parts.
    if (command.get_subcommands().empty() && command.get_require_subcommand_min() > 0) {
      std::fputs(app.help().c_str(), stdout);
      return 2;
    }
    const std::string what = error.what(), name = what.substr(0, what.find(':'));
    if (what.ends_with("missing")) return report(name + " needs a value", 2);
    if (what.find("At Most 1 required") != what.npos) return report(name + " is given twice", 2);
    return report(explain_value(what), 2);
  } catch (const iotsl::tool::CommandFailure& end) {
    return report(end.failure.message, iotsl::exit_code(end.failure.code));
  } catch (const iotsl::Error& error) {
    return report(error.what(), 1);
  } catch (const std::bad_alloc& error) {
    return report(error.what(), 1);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  iotsl::restart_with_short_waits(argv);
  // Until a command has something to finish and catches them itself.
  iotsl::on_stop_signals([](int) {
    iotsl::stop_at_once("iotsl: stopped before anything was begun; the same command begins it\n");
  });
  return iotsl::finish_output("iotsl", run_command(argc, argv));
}
