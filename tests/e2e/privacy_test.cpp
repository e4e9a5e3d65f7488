// `iotsl privacy epsilon` and `iotsl privacy plan`.

#include <doctest/doctest.h>

#include <cmath>

#include "e2e/program.hpp"

using namespace iotsl;
using test::run_program;

namespace privacy_test {

namespace {

Json parsed(const std::string& arguments) {
  const auto result = run_program("privacy " + arguments + " --json");
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  Result<Json> json = parse_json(result.out);
  REQUIRE(json.ok());
  return std::move(json).value();
}

double number(const Json& json, const char* key) {
  REQUIRE(json.find(key) != nullptr);
  return json.find(key)->as_double();
}

}  // namespace

TEST_CASE("privacy epsilon: a row of the reference, published figures, several mechanisms") {
  const Json row =
      parsed("epsilon --noise-multiplier 1.07 --sampling-rate 0.01 --steps 10000 --delta 1e-5");
  CHECK(number(row, "epsilon_rdp") == doctest::Approx(5.91649).epsilon(1e-3));
  CHECK(number(row, "epsilon_tight") == doctest::Approx(5.455).epsilon(1e-3));
  CHECK(number(row, "order") > 1);
  const Json gaussian = parsed("epsilon --mu 2 --delta 1e-5");
  CHECK(number(gaussian, "epsilon_tight") == doctest::Approx(9.9973).epsilon(1e-4));
  CHECK(number(gaussian, "epsilon_rdp") == doctest::Approx(10.72).epsilon(1e-3));
  const Json shards = parsed(
      "epsilon --noise-multiplier 1.07 --sampling-rate 0.01 --steps 20000 --delta 1e-5 --adjacency "
      "replace-one");
  CHECK(number(shards, "epsilon_tight") == doctest::Approx(10.76).epsilon(1e-3));
  CHECK(number(shards, "epsilon_rdp") == doctest::Approx(19.4).epsilon(3e-3));
  // mu's add in squares: 1.2, 1.6.
  const Json both = parsed("epsilon --mu 1.2 --noise-multiplier 1.25 2 --steps 1 0 --delta 1e-5");
  CHECK(number(both, "epsilon_tight") ==
        doctest::Approx(number(parsed("epsilon --mu 1.44222051 --delta 1e-5"), "epsilon_tight"))
            .epsilon(1e-6));
  CHECK(both.find("mechanisms")->size() == 3);
}

TEST_CASE("privacy epsilon: the text rounds up") {
  const auto text = run_program("privacy epsilon --mu 2 --delta 1e-5");
  CHECK(text.exit_code == 0);
  // The orders around the best one differ in the last digits only.
  CHECK(
      text.out.starts_with("epsilon 9.9973 at delta 1e-05, zero-out\n"
                           "        10.725 by Renyi divergences, order 3."));
}

TEST_CASE("privacy: wrong options end with exit code 2 and name what was given and expected") {
  struct Wrong {
    const char* arguments;
    const char* text;
  };
  for (const Wrong& w :
       {Wrong{"--noise-multiplier 0 --delta 1e-5",
              "--noise-multiplier 0: expected a number from 1e-06 to 1e+09"},
        {"--noise-multiplier nan --delta 1e-5",
         "--noise-multiplier nan: expected a number from 1e-06"},
        {"--noise-multiplier -1 --delta 1e-5",
         "--noise-multiplier -1: expected a number from 1e-06"},
        {"--noise-multiplier 1 --sampling-rate 1.5 --delta 1e-5",
         "--sampling-rate 1.5: expected a number from 0 to 1"},
        {"--noise-multiplier 1 --delta 0", "--delta 0: out of range, expected 1e-17 <= delta < 1"},
        {"--noise-multiplier 1 --delta 1", "--delta 1: out of range, expected 1e-17 <= delta < 1"},
        {"--noise-multiplier 1 --delta 1e-18",
         "--delta 1e-18: out of range, expected 1e-17 <= delta < 1"},
        {"--noise-multiplier 1 --delta nan", "--delta nan: out of range"},
        {"--noise-multiplier 1 --delta -1e-5", "--delta -1e-05: out of range"},
        {"--noise-multiplier 1 --steps 99999999999999999 --delta 1e-5",
         "--steps 99999999999999999: expected at most 9007199254740992"},
        {"--noise-multiplier 1 --steps -5 --delta 1e-5", "--steps"},
        {"--noise-multiplier 1 --steps 1.5 --delta 1e-5", "--steps"},
        {"--noise-multiplier 1 2 --steps 5 --delta 1e-5",
         "--steps: 1 values, expected as many as --noise-multiplier has: 2"},
        {"--mu 0 --delta 1e-5", "--mu 0: expected a number from 1e-09 to 1e+06"},
        {"--mu 1 --delta 1e-5 --adjacency add", "--adjacency"},
        {"--mu 1", "--delta"},
        {"--delta 1e-5", "expected --noise-multiplier or --mu"}}) {
    const auto result = run_program(std::string("privacy epsilon ") + w.arguments);
    CAPTURE(w.arguments);
    CAPTURE(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find(w.text) != std::string::npos);
    CHECK(result.out.empty());
  }
  CHECK(run_program("privacy").exit_code == 2);
}

TEST_CASE(
    "privacy plan: the setting it finds keeps to the target, a little less noise or one more step does not") {
  const auto again = [](const Json& found, double multiplier, std::int64_t steps) {
    return number(parsed(concat("epsilon --noise-multiplier ", std::to_string(multiplier),
                                " --sampling-rate ", std::to_string(number(found, "sampling_rate")),
                                " --steps ", steps, " --delta 1e-5")),
                  "epsilon_tight");
  };
  const Json noise = parsed("plan --epsilon 3 --delta 1e-5 --steps 500 --sampling-rate 0.02");
  const double multiplier = number(noise, "noise_multiplier");
  CHECK(number(noise, "epsilon_tight") <= 3);
  CHECK(again(noise, multiplier, 500) <= 3);
  CHECK(again(noise, multiplier * 0.999, 500) > 3);
  const Json steps =
      parsed("plan --epsilon 2 --delta 1e-5 --noise-multiplier 0.9 --sampling-rate 0.02");
  const std::int64_t count = steps.find("steps")->as_int();
  CHECK(number(steps, "epsilon_tight") <= 2);
  CHECK(again(steps, 0.9, count) <= 2);
  CHECK(again(steps, 0.9, count + 2) > 2);
  // One Gaussian release: mu 2.0004 for epsilon 10.
  const Json once = parsed("plan --epsilon 10 --delta 1e-5 --steps 1");
  CHECK(number(once, "noise_multiplier") == doctest::Approx(1 / 2.00044562).epsilon(1e-4));
  CHECK(number(once, "epsilon_tight") <= 10);
}

TEST_CASE("privacy plan: what cannot be met is said") {
  const auto too_little =
      run_program("privacy plan --epsilon 0.1 --delta 1e-5 --noise-multiplier 1");
  CHECK(too_little.exit_code == 2);
  CHECK(too_little.err.find("epsilon 0.1: expected at least 4.37718, what one step gives") !=
        std::string::npos);
  CHECK(run_program("privacy plan --epsilon 1 --delta 1e-5").exit_code == 2);
  CHECK(run_program("privacy plan --epsilon 1 --delta 1e-5 --steps 3 --noise-multiplier 1")
            .exit_code == 2);
  CHECK(run_program("privacy plan --epsilon 0 --delta 1e-5 --steps 3")
            .err.find("--epsilon 0: expected a number") != std::string::npos);
}

}  // namespace privacy_test
