#pragma once
// How commands and options are told: --help, what was probably meant, man pages, completion. All of
// it is made from the tables that the command line is read with.

#include <CLI/CLI.hpp>

namespace iotsl::tool {

inline constexpr std::size_t help_columns = 100;

/// What there is to say of one option.
struct OptionText {
  std::string name;                  ///< `--lr X`, `-h,--help`, or of a positional `RUN`
  std::string description;           ///< with what is allowed and the default
  std::vector<std::string> choices;  ///< the words that it takes, where they are few
};
OptionText text_of(const CLI::Option& option);

/// `text` in lines of at most help_columns columns, from column `indent` on; the first line is
/// where the caller stands.
std::string wrap(const std::string& text, std::size_t indent);

/// --help of the command and of all below it.
void use_help_format(CLI::App& app);

/// Numbers are read as people write them, in every command: C would take 010 for 8, and 0x10.
void use_decimals(CLI::App& app);

/// The command that was named as far as it is known: `iotsl gan train` of `iotsl gan train --x`.
const CLI::App& named_command(const CLI::App& app);

/// What is wrong with the commas of an argument that gives a list: an item that is empty. `before`:
/// the argument before it. Empty where nothing is, or it is no list.
std::string explain_list(const CLI::App& app, std::string_view before, std::string_view argument);

/// Of what the command line has and no command knows: the message, with what was probably meant;
/// empty where everything is known.
std::string explain_unknown(const CLI::App& app);

}  // namespace iotsl::tool
