#pragma once
// Device epochs of a run: those that the schedule is for, and those that were added behind its end.

#include <optional>

#include "host/options/run_options.hpp"

namespace iotsl::tool {

/// The parts of --added-epochs. Ends the command where the text is none.
std::vector<split::AddedEpochs> parse_added_epochs(const std::string& text);

/// Device epochs of the run, without and with those of --added-epochs.
Index scheduled_epochs(const RunOptions& options);
Index all_epochs(const RunOptions& options);
/// Whether the run in options.out has ended with all of them.
bool has_all_epochs(const RunOptions& options);

/// What --resume with --rounds or --epochs asks for.
struct MoreEpochs {
  Index rounds = 0, epochs = 0;  ///< of the whole run; 0: not given
  double rate = 0;
};

/// Takes them from the command line, so that the run's own values can come from its config.json.
std::optional<MoreEpochs> take_more_epochs(CLI::App& command, RunOptions& options);
/// Adds them to the options of the run, which must be complete.
void add_epochs(RunOptions& options, const MoreEpochs& more);

}  // namespace iotsl::tool
