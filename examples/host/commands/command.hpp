#pragma once
// What the subcommands share: how they are registered and how they end.

#include <CLI/CLI.hpp>

#include "host/options/ranges.hpp"
#include "support/exit_code.hpp"

namespace iotsl::tool {

/// Ends a subcommand with a message and the exit code of its kind.
struct CommandFailure {
  Failure failure;
};

/// The value, or the end of the subcommand.
template <class V>
V expect(Result<V> result) {
  if (!result) throw CommandFailure{result.failure()};
  if constexpr (!std::is_void_v<V>) return std::move(result).value();
}

template <class... Parts>
[[noreturn]] void fail_command(ErrorCode code, const Parts&... parts) {
  throw CommandFailure{failure(code, parts...)};
}

void add_model_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_simulate_command(CLI::App& app);
void add_device_command(CLI::App& app);
void add_server_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_predict_command(CLI::App& app);
void add_experiment_command(CLI::App& app);
void add_gan_command(CLI::App& app);
void add_privacy_command(CLI::App& app);
void add_audit_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_manual_command(CLI::App& app);
void add_privacy_audit_command(CLI::App& privacy);

}  // namespace iotsl::tool
