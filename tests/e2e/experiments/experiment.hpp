#pragma once
// What the tests of iotsl experiment look at: its results, its page.

#include <doctest/doctest.h>

#include "e2e/program.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/json.hpp"
#include "iotsl/core/json/parse.hpp"

namespace iotsl::test {

inline ProgramResult run_well(const std::string& arguments) {
  ProgramResult result = run_program(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  return result;
}

inline std::string read(const std::string& path) {
  auto text = read_text_file(path);
  REQUIRE_MESSAGE(text.ok(), path);
  return std::move(text).value();
}

inline Json read_json(const std::string& path) {
  Result<Json> json = parse_json(read(path));
  REQUIRE_MESSAGE(json.ok(), path);
  return std::move(json).value();
}

inline Json read_results(const std::string& folder) { return read_json(folder + "/results.json"); }

/// The member `key` of the curve of this name in results.json.
inline const Json& curve_of(const Json& results, std::string_view key) {
  for (const Json& each : results.find("curves")->as_array())
    if (each.find("key")->as_string() == key) return each;
  FAIL("no curve ", std::string(key));
  return results;
}

inline std::size_t count(const std::string& text, std::string_view part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++out;
  return out;
}

/// Needs nothing from elsewhere, runs nothing, and every number is one.
inline void check_page(const std::string& page) {
  CHECK(page.starts_with("<!doctype html>"));
  for (const char* foreign : {"http:", "https:", "<script", "<link", "@import", "url("})
    CHECK_MESSAGE(page.find(foreign) == page.npos, foreign);
  for (const char* broken : {"nan", "inf", "not a number"})
    CHECK_MESSAGE(page.find(std::string(">") + broken) == page.npos, broken);
  for (const char* element : {"svg", "table", "h1", "text", "code", "figure", "span"})
    CHECK_MESSAGE(count(page, std::string("<") + element + ">") +
                          count(page, std::string("<") + element + " ") ==
                      count(page, std::string("</") + element + ">"),
                  element);
  CHECK(count(page, "src=\"") == count(page, "src=\"data:image/png;base64,"));
}

}  // namespace iotsl::test
