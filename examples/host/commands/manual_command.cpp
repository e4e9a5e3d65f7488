// iotsl manual: man pages and bash completion, made from the tables that the command lines are read
// with. For `cmake --install`; not listed in --help.

#include <memory>

#include "bench/options.hpp"
#include "device/options.hpp"
#include "host/options/help.hpp"
#include "host/options/output_file.hpp"
#include "support/exit_code.hpp"

namespace iotsl::tool {
namespace {

/// Text in a page of troff: hyphens that can be copied, and no line that is read as a request.
std::string troff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '-' || c == '\\') out.push_back('\\');
    out += c == '\\' ? std::string("e") : std::string(1, c);
  }
  return out;
}

std::string page_head(const std::string& name, const std::string& does) {
  return concat(".TH ", name, " 1 \"\" \"iotsl ", IOTSL_VERSION_STRING, "\"\n.SH NAME\n", name,
                " \\- ", troff(does), "\n");
}

std::string option_entries(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty() || option->get_lnames() == std::vector<std::string>{"help"})
      continue;
    const OptionText text = text_of(*option);
    out += concat(".TP\n.B ", troff(text.name), "\n", troff(text.description), "\n");
  }
  return out;
}

/// Sections of the commands below `app`, which are called `path` together.
void append_commands(std::string& out, const CLI::App& app, const std::string& path) {
  for (const CLI::App* each : app.get_subcommands({})) {
    if (each->get_group().empty()) continue;
    const std::string name = concat(path, " ", each->get_name());
    if (each->get_subcommands({}).empty())
      out += concat(".SS ", troff(name), "\n", troff(each->get_description()), "\n",
                    option_entries(*each));
    append_commands(out, *each, name);
  }
}

std::string host_page(const CLI::App& app) {
  std::string out = page_head(app.get_name(), app.get_description());
  out += concat(".SH SYNOPSIS\n.B iotsl\n.I COMMAND\n[options]\n.SH COMMANDS\n");
  append_commands(out, app, app.get_name());
  return concat(out, ".SH EXIT STATUS\n", troff(exit_codes),
                "\n.SH SEE ALSO\n.BR iotsl-bench (1),\n.BR iotsl-device (1)\n");
}

/// Of a usage text, whose rows of options begin with two blanks.
std::string usage_page(const std::string& program, const std::string& does, std::string_view text) {
  std::string out = page_head(program, does);
  out += ".SH SYNOPSIS\n.nf\n";
  text.remove_prefix(std::string_view("Usage: ").size());
  bool in_usage = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    if (in_usage && line.empty()) {
      out += ".fi\n.SH DESCRIPTION\n";
      in_usage = false;
    } else if (line.starts_with("  --")) {
      const std::size_t gap = std::min(line.find("  ", 2), line.size());
      out += concat(".TP\n.B ", troff(line.substr(2, gap - 2)), "\n");
      line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ', gap)));
      out += concat(troff(line), "\n");
    } else {
      line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
      out += line.empty() ? ".PP\n" : concat(troff(line), "\n");
    }
  }
  return out + ".SH SEE ALSO\n.BR iotsl (1)\n";
}

/// A line of the completion for each command: what may follow it, and the words of its options.
void append_completion(std::string& cases, std::string& values, const CLI::App& app,
                       const std::string& path) {
  std::string words;
  for (const CLI::App* each : app.get_subcommands({}))
    if (!each->get_group().empty()) words += concat(each->get_name(), " ");
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames()) {
      words += concat("--", name, " ");
      std::string choices;
      for (const std::string& choice : text_of(*option).choices) choices += choice + " ";
      if (!choices.empty())
        values += concat("    '", path, " --", name, "') choices='", choices, "' ;;\n");
    }
  }
  cases += concat("    '", path, "') words='", words, "' ;;\n");
  for (const CLI::App* each : app.get_subcommands({}))
    append_completion(cases, values, *each, concat(path, " ", each->get_name()));
}

/// The options that stand in a usage text.
std::string usage_words(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; (at = text.find("\n  --", at)) != std::string_view::npos;) {
    at += 3;
    out += concat(text.substr(at, text.find_first_of(" ,\n", at) - at), " ");
  }
  return out;
}

std::string completion(const CLI::App& app) {
  // The first entry of a command counts: bench has the other program's options.
  std::string cases = concat("    'iotsl bench') words='", usage_words(bench::usage), "' ;;\n");
  std::string values;
  append_completion(cases, values, app, app.get_name());
  return concat(R"(# bash completion for iotsl, iotsl-bench and iotsl-device
_iotsl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local path=iotsl words= choices= word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    _iotsl_words "$path"
    [[ $word != -* && " $words " == *" $word "* ]] && path+=" $word"
  done
  _iotsl_words "$path"
  case "$path $previous" in
)",
                values, R"(  esac
  if [[ -n $choices ]]; then
    COMPREPLY=($(compgen -W "$choices" -- "$current"))
  elif [[ $previous == --* && $current != -* ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
_iotsl_words() {
  words=
  case "$1" in
)",
                cases, R"(  esac
}
complete -o filenames -o bashdefault -F _iotsl iotsl
complete -o bashdefault -o default -W 'run enroll )",
                usage_words(device::usage), R"(' iotsl-device
complete -o bashdefault -o default -W ')",
                usage_words(bench::usage), "' iotsl-bench\n");
}

}  // namespace

void add_manual_command(CLI::App& app) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("manual", "Write man pages and bash completion")->group("");
  command
      ->add_option("--out", *folder,
                   "Folder for iotsl.1, iotsl-bench.1, iotsl-device.1, iotsl.bash")
      ->required();
  command->callback([&app, folder] {
    expect(create_folders(*folder));
    expect(write_file_atomic(join_path(*folder, "iotsl.1"), host_page(app)));
    expect(write_file_atomic(
        join_path(*folder, "iotsl-bench.1"),
        usage_page("iotsl-bench", "how fast the engine is on this machine", bench::usage)));
    expect(write_file_atomic(
        join_path(*folder, "iotsl-device.1"),
        usage_page("iotsl-device", "one device of a split-learning run", device::usage)));
    expect(write_file_atomic(join_path(*folder, "iotsl.bash"), completion(app)));
  });
}

}  // namespace iotsl::tool
