#pragma once
// Limits of numbers on the command line: --help says them in words, an error what was given.

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdlib>

#include "iotsl/core/error.hpp"

namespace iotsl::tool {
/// `words` as --help has them.
template <class Number = double, class IsIn>
CLI::Validator number_check(const std::string& words, IsIn is_in) {
  const auto check = [words, is_in](const std::string& text) -> std::string {
    char* end = nullptr;
    const Number value = static_cast<Number>(std::strtold(text.c_str(), &end));
    if (text.empty() || *end != 0) {
      std::string point = text;
      std::replace(point.begin(), point.end(), ',', '.');
      const bool comma = point != text && std::strtod(point.c_str(), &end) != 0 && *end == 0;
      return concat(text, " is not a number", comma ? concat("; write ", point) : "");
    }
    return is_in(value) ? "" : concat(text, ", expected ", words);
  };
  return CLI::Validator(check, words);
}

inline CLI::Validator above_zero() {
  return number_check("above 0", [](double v) { return v > 0 && std::isfinite(v); });
}
inline CLI::Validator zero_or_more() {
  return number_check("0 or more", [](double v) { return v >= 0 && std::isfinite(v); });
}
/// Both limits are allowed.
template <class V>
CLI::Validator between(V least, V most) {
  // A double is too narrow for some counts, and a long double too fine for limits that are doubles.
  using Wide = std::conditional_t<std::is_integral_v<V>, long double, double>;
  return number_check<Wide>(concat(least, " to ", most), [least, most](Wide v) {
    return v >= static_cast<Wide>(least) && v <= static_cast<Wide>(most);
  });
}

/// Of generator and critic; 0: that of the preset.
inline CLI::Validator gan_width() {
  return number_check("0 or an even number from 2 to 1024",
                      [](double v) { return v >= 0 && v <= 1024 && std::fmod(v, 2.0) == 0; });
}

}  // namespace iotsl::tool
