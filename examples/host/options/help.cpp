#include "host/options/help.hpp"

#include <cctype>

#include "iotsl/core/error.hpp"

namespace iotsl::tool {
namespace {

constexpr std::size_t name_columns = 28;

/// The words of "{a,b,c}".
std::vector<std::string> words_of_set(std::string_view set) {
  std::vector<std::string> out;
  set = set.substr(1, set.size() - 2);
  while (!set.empty()) {
    const std::size_t comma = std::min(set.find(','), set.size());
    out.emplace_back(set.substr(0, comma));
    set.remove_prefix(std::min(set.size(), comma + 1));
  }
  return out;
}
std::string join_or(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i)
    out += concat(i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", words[i]);
  return out;
}

std::string value_name(std::string_view type) {
  if (type == "INT" || type == "UINT") return "N";
  if (type == "FLOAT") return "X";
  return std::string(type);
}

class HelpFormat : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool) const override {
    const OptionText text = text_of(*option);
    return row(text.name, text.description);
  }
  std::string make_subcommand(const CLI::App* command) const override {
    return row(command->get_name(), command->get_description());
  }
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    std::string text = CLI::Formatter::make_help(app, std::move(name), mode);
    // One empty line between groups is enough.
    for (std::size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;)
      text.erase(at, 1);
    return text;
  }
  std::string make_description(const CLI::App* app) const override {
    return wrap(app->get_description(), 0) + "\n";
  }

 private:
  static std::string row(const std::string& name, const std::string& description) {
    const bool fits = name.size() + 3 < name_columns;
    const std::string gap = fits ? std::string(name_columns - 2 - name.size(), ' ')
                                 : "\n" + std::string(name_columns, ' ');
    return concat("  ", name, gap, wrap(description, name_columns), "\n");
  }
};

/// Edits (a letter more, less, another, or two exchanged) that make `b` of `a`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t other = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + other});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

/// The nearest of the names, or none where all are far.
std::string nearest(std::string_view given, const std::vector<std::string>& names) {
  std::string best;
  std::size_t least = 1 + given.size() / 3;
  for (const std::string& name : names) {
    // A part of a longer name is meant as often as a name with a slip in it.
    const bool begins = given.size() >= 4 && name.starts_with(given);
    const std::size_t distance = begins ? 1 : edit_distance(given, name);
    if (distance > least || (distance == least && !best.empty())) continue;
    least = distance;
    best = name;
  }
  return best;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* each : app.get_subcommands({}))
    if (!each->get_group().empty()) out.push_back(each->get_name());
  return out;
}
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* each : app.get_options())
    for (const std::string& name : each->get_lnames()) out.push_back("--" + name);
  return out;
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name()
                                     : full_name(*app.get_parent()) + " " + app.get_name();
}

}  // namespace

OptionText text_of(const CLI::Option& option) {
  OptionText out;
  out.name = option.get_positional() ? option.get_name(true, false) : option.get_name(false, true);
  // The type, and what each check says, behind a colon each.
  std::string type = option.get_type_name(), allowed;
  const std::size_t colon = std::min(type.find(':'), type.size());
  if (colon < type.size()) allowed = type.substr(colon + 1);
  type.resize(colon);
  if (option.get_type_size() != 0 && !option.get_positional()) out.name += " " + value_name(type);
  std::string notes;
  const auto note = [&](const std::string& text) { notes += (notes.empty() ? "" : "; ") + text; };
  if (allowed.starts_with("{") && allowed.ends_with("}")) {
    out.choices = words_of_set(allowed);
    note(join_or(out.choices));
  } else if (!allowed.empty()) {
    note(allowed);
  }
  if (!option.get_default_str().empty()) note("default " + option.get_default_str());
  if (option.get_required() && !option.get_positional()) note("required");
  for (const CLI::Option* other : option.get_excludes())
    note("not with " + other->get_name(false, true));
  out.description = option.get_description();
  if (!notes.empty()) out.description += concat(" (", notes, ")");
  return out;
}

std::string wrap(const std::string& text, std::size_t indent) {
  std::string out;
  std::size_t column = indent, at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > indent && column + 1 + word.size() > help_columns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) out += ' ', ++column;
    out += word;
    column += word.size();
    at = end + 1;
  }
  return out;
}

std::string explain_list(const CLI::App& app, std::string_view before, std::string_view argument) {
  const std::size_t equals = argument.starts_with("--") ? argument.find('=') : argument.npos;
  const std::string_view name = equals == argument.npos ? before : argument.substr(0, equals);
  const std::string_view items = equals == argument.npos ? argument : argument.substr(equals + 1);
  if (!name.starts_with("--")) return {};
  for (const CLI::Option* option : app.get_options())
    if (option->get_delimiter() == ',' && option->check_name(std::string(name)) &&
        (items.starts_with(',') || items.ends_with(',') || items.find(",,") != items.npos))
      return concat(name, " ", items, ": an item is empty");
  for (const CLI::App* each : app.get_subcommands({}))
    if (std::string what = explain_list(*each, before, argument); !what.empty()) return what;
  return {};
}

void use_decimals(CLI::App& app) {
  const CLI::Validator decimal(
      [](std::string& text) -> std::string {
        const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
        if (text.find_first_of("xX") != text.npos) return text + " is not a number in decimals";
        while (text.size() > sign + 1 && text[sign] == '0' && std::isdigit(text[sign + 1]) != 0)
          text.erase(sign, 1);
        return {};
      },
      "");
  for (CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT"))
      option->transform(decimal);
  }
  for (CLI::App* each : app.get_subcommands({})) use_decimals(*each);
}

void use_help_format(CLI::App& app) {
  app.formatter(std::make_shared<HelpFormat>());
  for (CLI::App* each : app.get_subcommands({})) use_help_format(*each);
}

const CLI::App& named_command(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : named_command(*parsed.front());
}

std::string explain_unknown(const CLI::App& app) {
  const std::vector<std::string> unknown = app.remaining(true);
  if (unknown.empty()) return {};
  const CLI::App& command = named_command(app);
  const std::string given = unknown.front().substr(0, unknown.front().find('='));
  const bool is_option = given.starts_with("-");
  const bool has_commands = !command_names(command).empty();
  const std::string meant =
      nearest(given, is_option ? option_names(command) : command_names(command));
  return concat(is_option      ? "unknown option "
                : has_commands ? "unknown command "
                               : "one argument too many: ",
                given, is_option ? " of " + full_name(command) : "",
                meant.empty() ? "" : concat("; did you mean ", meant, "?"), "\nsee ",
                full_name(command), " --help");
}

}  // namespace iotsl::tool
