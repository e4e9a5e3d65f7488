// The log that pre-training and the partner search go by.

#include "iotsl/impute/generation_log.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

namespace generation_log_test {

using namespace iotsl::impute;
using iotsl::Index;
using iotsl::data::CountTable;

/// "device:class x count", in order.
std::string text_of(const GenerationLog& log) {
  std::string out;
  for (const GenerationEntry& e : log.entries)
    out += iotsl::concat(out.empty() ? "" : ", ", e.device, ":", e.label, " x ", e.count);
  return out;
}

GenerationLog log_of(const CountTable& table, const std::vector<GeneratorCheck>& checks,
                     std::uint64_t seed = 1) {
  const auto log = make_generation_log(table, checks, seed);
  REQUIRE(log.ok());
  return *log;
}

constexpr Verdict good = Verdict::passed, bad = Verdict::failed, unknown = Verdict::unchecked;

TEST_CASE("generation log: classes and counts of every device, from its own generator") {
  const CountTable table{{13, 12, 0}, {0, 8, 7}};
  const GenerationLog log = log_of(table, {{}, {}}, 7);
  CHECK(text_of(log) == "0:0 x 13, 0:1 x 12, 1:1 x 8, 1:2 x 7");
  CHECK(log.samples() == 40);
  CHECK(log.struck.empty());
  CHECK(log.used_though_failed.empty());
  for (const GenerationEntry& entry : log.entries) {
    CHECK(entry.seed < (std::uint64_t{1} << 53));
    CHECK(entry.trained == entry.count);
    for (const GenerationEntry& other : log.entries)
      CHECK((entry.seed == other.seed) == (&entry == &other));
  }
  CHECK(log_of(table, {{}, {}}, 7).entries == log.entries);
  CHECK(log_of(table, {{}, {}}, 8).entries[0].seed != log.entries[0].seed);
  // What a generator has never seen is not asked of it.
  std::vector<GeneratorCheck> checks(2);
  checks[0].trained = {5, 0, 0};
  const GenerationLog part = log_of(table, checks);
  CHECK(text_of(part) == "0:0 x 13, 1:1 x 8, 1:2 x 7");
  CHECK(part.entries[0].trained == 5);
}

TEST_CASE("generation log: a class that failed is struck where another generator's has passed") {
  const CountTable table{{10, 10}, {20, 20}, {30, 30}, {41, 40}};
  std::vector<GeneratorCheck> checks(4);
  checks[0].verdicts = {bad, bad};
  checks[1].verdicts = {good, unknown};
  checks[2].verdicts = {good, unknown};
  checks[3].verdicts = {bad, bad};
  const GenerationLog log = log_of(table, checks);
  // Of class 0 the 51 samples of devices 0 and 3 are shared out among those that passed; class 1
  // nobody has passed: all of it stays, and it is said so.
  CHECK(text_of(log) == "0:1 x 10, 1:0 x 45, 1:1 x 20, 2:0 x 56, 2:1 x 30, 3:1 x 40");
  CHECK(log.samples() == 201);
  CHECK(log.struck == std::vector<ClassOfGenerator>{{0, 0}, {3, 0}});
  CHECK(log.used_though_failed == std::vector<ClassOfGenerator>{{0, 1}, {3, 1}});
  CHECK(format_failed_classes(log.struck, log.used_though_failed) ==
        "not used, since another's is better: class 0 of device 0, 0 of device 3; used although "
        "failed, since nobody's is better: class 1 of device 0, 1 of device 3");
  CHECK(format_failed_classes({}, {}).empty());
  // One that has not seen the class cannot be better.
  checks[1].trained = checks[2].trained = {0, 5};
  CHECK(log_of(table, checks).struck.empty());
}

TEST_CASE("generation log: the grade of a generator") {
  const CountTable table{{1, 1, 1, 1}, {1, 1, 0, 0}, {1, 0, 0, 0}, {1, 1, 0, 0}};
  std::vector<GeneratorCheck> checks(4);
  for (std::size_t d = 0; d < 3; ++d) checks[d] = {.checked = true, .loss = 0.6};
  const GenerationLog log = log_of(table, checks);
  CHECK(log.generators[0].relative_loss == doctest::Approx(0.6 / std::log(4.0)));
  CHECK(log.generators[1].relative_loss == doctest::Approx(0.6 / std::log(2.0)));
  CHECK_FALSE(log.generators[2].checked);  // one class
  CHECK_FALSE(log.generators[3].checked);
  CHECK(log.generators[0] < log.generators[1]);
  CHECK(log.generators[1] < log.generators[2]);
  CHECK_FALSE(log.generators[2] < log.generators[3]);
  CHECK_FALSE(log.generators[3] < log.generators[1]);
}

TEST_CASE("generation log: it is written with the names that readers expect") {
  std::vector<GeneratorCheck> checks(2);
  checks[0].verdicts = {bad, bad};
  checks[1].verdicts = {good, unknown};
  const std::string text = iotsl::to_text(iotsl::to_json_fields(log_of({{3, 4}, {5, 0}}, checks)));
  CHECK(text.find("{\"format\":\"iotsl-generation-2\",\"generators\":[{\"checked\":false,"
                  "\"relative_loss\":0.0},") == 0);
  CHECK(text.find("\"struck\":[{\"device\":0,\"class\":0}],"
                  "\"used_though_failed\":[{\"device\":0,\"class\":1}]}") != std::string::npos);
}

TEST_CASE("generation log: checks that no generator can have are refused") {
  const auto error_of = [](const std::vector<GeneratorCheck>& checks) {
    const auto log = make_generation_log({{1, 0}, {0, 1}}, checks, 1);
    return log ? std::string("no error") : log.failure().message;
  };
  CHECK(error_of(std::vector<GeneratorCheck>(3)) == "generation log: 3 generators for 2 devices");
  std::vector<GeneratorCheck> checks(2);
  checks[1].trained = {1};
  CHECK(error_of(checks) ==
        "generation log: the generator of device 1 has 1 classes and 2 verdicts, expected 2");
  checks[1].trained = {5, std::numeric_limits<Index>::max()};
  CHECK(error_of(checks) ==
        "generation log: the generator of device 1 was trained on 9223372036854775807 samples of "
        "class 1, expected 0 to 1000000000");
  checks[1].trained = {-1, 5};
  CHECK(error_of(checks).find("on -1 samples of class 0") != std::string::npos);
  checks[1] = {.checked = true, .loss = std::nan("")};
  CHECK(error_of(checks) ==
        "generation log: the loss of the generator of device 1 is nan, expected a number");
}

}  // namespace generation_log_test
