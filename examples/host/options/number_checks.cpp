#include "host/options/number_checks.hpp"

#include <algorithm>

namespace iotsl::tool {
namespace {

enum class NumberKind { whole, real };

/// Why the text is no number; empty where it is one.
std::string why_no_number(const std::string& text, NumberKind kind) {
  double real = 0;
  std::int64_t whole = 0;
  std::uint64_t large = 0;
  // The conversion that the option itself will make.
  const bool good = kind == NumberKind::real ? CLI::detail::lexical_cast(text, real)
                                             : CLI::detail::lexical_cast(text, whole) ||
                                                   CLI::detail::lexical_cast(text, large);
  if (good) return {};
  std::string point = text;
  const auto commas = std::count(point.begin(), point.end(), ',');
  std::replace(point.begin(), point.end(), ',', '.');
  const bool is_real = CLI::detail::lexical_cast(point, real);
  if (commas == 1 && is_real && kind == NumberKind::real)
    return concat("not a number: ", text, " (write ", point, ")");
  return concat(kind == NumberKind::whole && is_real ? "not a whole number: " : "not a number: ",
                text.empty() ? "''" : text);
}

/// "expected a number above 0", or the limits that CLI11 has written into the description.
std::string expectation(const std::string& description) {
  if (description == "POSITIVE") return "a number above 0";
  if (description == "NONNEGATIVE") return "a number of at least 0";
  const std::size_t open = description.find(" in ["), dash = description.find(" - ", open);
  if (open == description.npos || dash == description.npos || description.back() != ']') return {};
  return concat(description.substr(open + 5, dash - open - 5), " to ",
                description.substr(dash + 3, description.size() - dash - 4));
}

/// The range checks of an option, in words.
void explain_ranges(CLI::Option& option) {
  for (int i = 0;; ++i) {
    CLI::Validator* check = nullptr;
    try {
      check = option.get_validator(i);
    } catch (const CLI::OptionNotFound&) {
      return;
    }
    const std::string expected = expectation(check->get_description());
    if (expected.empty()) continue;
    check->operation([plain = *check, expected](std::string& text) {
      const std::string wrong = plain(text);
      return wrong.empty() ? wrong : concat(text, ": expected ", expected);
    });
  }
}

}  // namespace

void explain_numbers(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    const std::string type = option->get_type_name();
    const bool real = type.starts_with("FLOAT");
    if (!real && !type.starts_with("INT") && !type.starts_with("UINT")) continue;
    explain_ranges(*option);
    const NumberKind kind = real ? NumberKind::real : NumberKind::whole;
    option->transform(CLI::Validator(
        [kind](std::string& text) { return why_no_number(text, kind); }, std::string()));
  }
  for (CLI::App* inner : command.get_subcommands({})) explain_numbers(*inner);
}

}  // namespace iotsl::tool
