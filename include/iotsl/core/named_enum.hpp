#pragma once
// Enumerations whose values have names on the command line, in config.json and on the wire. Such an
// enumeration has one table of rows with `value` and `name`; `names_of(E)` gives the array.

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "iotsl/core/error.hpp"

IOTSL_NAMESPACE_BEGIN

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E value) {
  names_of(value);
};

/// A row of a table that has nothing to say but the name.
template <class E>
struct NamedValue {
  E value;
  const char* name;
};

/// The name of a value.
template <NamedEnum E>
constexpr const char* to_string(E value) {
  for (const auto& row : names_of(value))
    if (row.value == value) return row.name;
  return "";
}

/// The value of that name, if there is one.
template <NamedEnum E>
constexpr std::optional<E> find_named(std::string_view name) {
  for (const auto& row : names_of(E{}))
    if (row.name == name) return row.value;
  return std::nullopt;
}

/// All names, for messages: "one of a, b, c".
template <NamedEnum E>
std::string list_names() {
  std::string out;
  for (const auto& row : names_of(E{})) out += concat(out.empty() ? "one of " : ", ", row.name);
  return out;
}

IOTSL_NAMESPACE_END
