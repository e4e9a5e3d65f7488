#pragma once
// The command line of a program that has no room for a library: switches, and options with a value
// as `--name VALUE` or `--name=VALUE`.

#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "iotsl/core/error.hpp"

namespace iotsl {

/// An option and where its value goes; the type of the place says what it takes.
struct OptionSlot {
  OptionSlot(std::string_view option, std::string* place) : name(option), text(place) {}
  /// A whole number from `least_value` to 1000000.
  OptionSlot(std::string_view option, int* place, int least_value = 1)
      : name(option), number(place), least(least_value) {}
  /// A number above 0.
  OptionSlot(std::string_view option, double* place) : name(option), real(place) {}
  /// A switch, which takes no value.
  OptionSlot(std::string_view option, bool* place) : name(option), chosen(place) {}

  std::string_view name;
  std::string* text = nullptr;
  int* number = nullptr;
  int least = 1;
  double* real = nullptr;
  bool* chosen = nullptr;
  bool given = false;  ///< with a value, which must not be given twice
};

namespace detail {

inline Result<int> parse_number(std::string_view option, std::string_view text, int least) {
  constexpr int most = 1000000;
  int value = 0;
  bool good = !text.empty() && text.size() <= 7;
  for (char c : text) {
    good = good && c >= '0' && c <= '9';
    if (good) value = value * 10 + (c - '0');
  }
  if (!good || value < least || value > most)
    return failure(ErrorCode::usage, option, " ", text, ": expected a number from ", least, " to ",
                   most);
  return value;
}

inline Result<double> parse_positive(std::string_view option, std::string_view text) {
  const std::string digits(text);
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (digits.empty() || *end != 0 || !(value > 0 && value <= 1e12))
    return failure(ErrorCode::usage, option, " ", text,
                   ": expected a number above 0, at most 1e+12");
  return value;
}

}  // namespace detail

/// Stores the option that begins at argument number `at`, which is left at its last argument. The
/// failure names the option and what it expects; `program` is whose --help knows more.
IOTSL_SMALL inline Result<void> parse_option(std::span<OptionSlot> slots, std::string_view program,
                                             int argc, char** argv, int& at) {
  std::string_view option = argv[at], value;
  const std::size_t equals = option.find('=');
  const bool joined = equals != std::string_view::npos;
  if (joined) {
    value = option.substr(equals + 1);
    option = option.substr(0, equals);
  }
  OptionSlot* slot = nullptr;
  for (OptionSlot& each : slots)
    if (each.name == option) slot = &each;
  if (slot == nullptr)
    return failure(ErrorCode::usage, "unknown argument '", option, "'; see ", program, " --help");
  if (slot->chosen != nullptr) {
    if (joined) return failure(ErrorCode::usage, option, " takes no value, given ", value);
    *slot->chosen = true;
    return {};
  }
  if (std::exchange(slot->given, true)) return failure(ErrorCode::usage, option, " is given twice");
  if (!joined) {
    if (at + 1 == argc) return failure(ErrorCode::usage, option, " needs a value");
    value = argv[++at];
  }
  if (slot->text != nullptr) {
    if (value.empty())
      return failure(ErrorCode::usage, option, " needs a value, given an empty one");
    *slot->text = value;
  } else if (slot->real != nullptr) {
    const Result<double> parsed = detail::parse_positive(option, value);
    if (!parsed) return parsed.failure();
    *slot->real = *parsed;
  } else {
    const Result<int> parsed = detail::parse_number(option, value, slot->least);
    if (!parsed) return parsed.failure();
    *slot->number = *parsed;
  }
  return {};
}

}  // namespace iotsl
