#pragma once
// Options are listed once, by functions `list_..._options(options, list)`. CommandLine makes a list
// into options of a command, ConfigWriter into members of config.json, which --config reads back.

#include <algorithm>

#include "host/commands/command.hpp"
#include "iotsl/core/json/json.hpp"
#include "iotsl/core/named_enum.hpp"

namespace iotsl::tool {

/// The text of a value as the command line and config.json have it, where it is not its own.
inline const char* option_text(bool value) { return value ? "on" : "off"; }
template <NamedEnum E>
const char* option_text(E value) {
  return to_string(value);
}
template <class V>
concept ValueWithText = std::is_same_v<V, bool> || NamedEnum<V>;

/// An option as it was given, for the begin of a refusal: "--wire int4", a flag without a value.
inline std::string as_given(const CLI::App& command, const std::string& name) {
  const CLI::Option* option = command.get_option(name);
  std::string out = name;
  if (option->get_expected_max() > 0)
    for (const std::string& value : option->results()) out += " " + value;
  return out;
}

/// Adds the options of a list to a command. The values must outlive it.
class CommandLine {
 public:
  explicit CommandLine(CLI::App& command) : command_(command) {}
  /// Only the options of these names.
  CommandLine(CLI::App& command, std::vector<std::string_view> only)
      : command_(command), only_(std::move(only)) {}

  /// What follows stands under this title in --help, up to end_group(). Groups may lie in groups.
  void begin_group(const char* title) { groups_.push_back(title); }
  void end_group() { groups_.pop_back(); }

  /// An option whose default --help shows. `written`: config.json has it.
  template <class V>
  void option(const char* name, V& value, const char* help, const CLI::Validator& check = {},
              [[maybe_unused]] bool written = true) {
    if (!is_wanted(name)) return;
    if constexpr (ValueWithText<V>)
      add_text<V>(name, value, help)->default_str(option_text(value));
    else
      add(name, value, help, check)->capture_default_str();
  }
  /// An option that is not given where its value is 0 or empty.
  template <class V>
  void given(const char* name, V& value, const char* help, const CLI::Validator& check = {}) {
    if (is_wanted(name)) add(name, value, help, check);
  }
  template <NamedEnum V>
  void given(const char* name, std::optional<V>& value, const char* help) {
    if (is_wanted(name)) add_text<V>(name, value, help);
  }
  void flag(const char* name, bool& value, const char* help) {
    if (is_wanted(name)) place(command_.add_flag(dashed(name), value, help));
  }

 private:
  static std::string dashed(const char* name) { return concat("--", name); }
  bool is_wanted(std::string_view name) const {
    return only_.empty() || std::find(only_.begin(), only_.end(), name) != only_.end();
  }
  CLI::Option* place(CLI::Option* option) {
    return groups_.empty() ? option : option->group(groups_.back());
  }
  template <class V>
  CLI::Option* add(const char* name, V& value, const char* help, const CLI::Validator& check) {
    return place(command_.add_option(dashed(name), value, help)->check(check));
  }
  /// An option that is one of a few words. `value`: a V, or an optional one.
  template <class V, class Value>
  CLI::Option* add_text(const char* name, Value& value, const char* help) {
    std::vector<std::string> words;
    if constexpr (std::is_same_v<V, bool>)
      words = {option_text(true), option_text(false)};
    else
      for (const auto& row : names_of(V{})) words.emplace_back(row.name);
    const auto take = [&value](const std::string& text) {
      if constexpr (std::is_same_v<V, bool>)
        value = text == option_text(true);
      else
        value = find_named<V>(text).value();
    };
    return place(command_.add_option_function<std::string>(dashed(name), take, help)
                     ->check(CLI::IsMember(words)));
  }

  CLI::App& command_;
  std::vector<std::string_view> only_;  // empty: all
  std::vector<const char*> groups_;
};

/// Writes the options of a list as members of a JSON object.
class ConfigWriter {
 public:
  void begin_group(const char*) {}
  void end_group() {}
  template <class V>
  void option(const char* name, const V& value, const char* = "", const CLI::Validator& = {},
              bool written = true) {
    if (written) add(name, value);
  }
  template <class V>
  void given(const char* name, const V& value, const char* = "", const CLI::Validator& = {}) {
    if (value != V{}) add(name, value);
  }
  template <class V>
  void given(const char* name, const std::optional<V>& value, const char* = "",
             const CLI::Validator& = {}) {
    if (value) add(name, *value);
  }
  void flag(const char* name, bool value, const char*) {
    if (value) out_[name] = true;
  }
  Json take() { return std::move(out_); }

 private:
  template <class V>
  void add(const char* name, const V& value) {
    if constexpr (ValueWithText<V>)
      out_[name] = option_text(value);
    else
      out_[name] = value;
  }
  Json out_ = Json::object();
};

/// Gathers the names of a list's options.
struct OptionNames {
  std::vector<const char*> names;
  void begin_group(const char*) {}
  void end_group() {}
  template <class V>
  void option(const char* name, const V&, const char*, const CLI::Validator& = {}) {
    names.push_back(name);
  }
  template <class V>
  void given(const char* name, const V&, const char*, const CLI::Validator& = {}) {
    names.push_back(name);
  }
  void flag(const char* name, bool, const char*) { names.push_back(name); }
};

}  // namespace iotsl::tool
