#pragma once
// What is said of an option whose value is no number, or is out of range. CLI11's own texts print
// the limits of a double with 309 digits, and a comma as if it were a matter of range.

#include "host/commands/command.hpp"

namespace iotsl::tool {

/// Gives every option of the command and its subcommands that takes a number the checks of this
/// file. After all options were added.
void explain_numbers(CLI::App& command);

}  // namespace iotsl::tool
