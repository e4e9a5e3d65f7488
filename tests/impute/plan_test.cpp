#include "iotsl/impute/plan.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "support/temporary_folder.hpp"

namespace {

namespace plan_cases {

using iotsl::Index;
using namespace iotsl::impute;
using Classes = std::vector<Index>;
using iotsl::data::CountTable;

/// Device 0 misses class 2 and is short of class 1; device 1 misses class 0; device 2 is complete.
const CountTable sample_table{{100, 10, 0}, {0, 60, 61}, {50, 50, 50}};

/// The plan by what these checks say of the generators; by nothing where there are none.
iotsl::Result<Plan> plan_for(const CountTable& table, std::vector<GeneratorCheck> checks = {},
                             const PlanOptions& options = {}) {
  checks.resize(table.size());
  const auto log = make_generation_log(table, std::move(checks), options.seed);
  if (!log) return log.failure();
  return make_plan(table, *log, options);
}

Plan sample_plan(const PlanOptions& options = {}) {
  const auto plan = plan_for(sample_table, {}, options);
  REQUIRE(plan.ok());
  return plan.value();
}

TEST_CASE("plan: every class of L' is filled up to the mean class size") {
  const Plan plan = sample_plan({.seed = 7});
  REQUIRE(plan.devices.size() == 3);
  const DevicePlan& first = plan.devices[0];
  CHECK(first.class_size == 55);
  CHECK(first.missing == Classes{2});
  CHECK(first.scarce == Classes{1});
  REQUIRE(first.entries.size() == 2);
  CHECK(first.entries[0].label == 1);
  CHECK(first.entries[0].count == 45);
  CHECK(first.entries[0].generator == 1);
  CHECK(first.entries[1].label == 2);
  CHECK(first.entries[1].count == 55);
  CHECK(first.added() == 100);
  CHECK(first.generators() == Classes{1});
  const DevicePlan& second = plan.devices[1];
  CHECK(second.class_size == 61);  // 60.5
  REQUIRE(second.entries.size() == 1);
  CHECK(second.entries[0].generator == 0);
  CHECK(second.entries[0].count == 61);
  CHECK(!plan.devices[2].defective());
  CHECK(plan.devices[2].entries.empty());
}

TEST_CASE("plan: seeds differ by run, device and class, and nothing else") {
  const Plan one = sample_plan({.seed = 1}), again = sample_plan({.seed = 1});
  const Plan other = sample_plan({.seed = 2});
  CHECK(one == again);
  CHECK(one.devices[0].entries[0].seed != one.devices[0].entries[1].seed);
  CHECK(one.devices[0].entries[0].seed != one.devices[1].entries[0].seed);
  CHECK(one.devices[0].entries[0].seed != other.devices[0].entries[0].seed);
  for (const DevicePlan& device : one.devices)
    for (const PlanEntry& entry : device.entries) CHECK(entry.seed < (std::uint64_t{1} << 53));
  // Who serves has no influence on the seed.
  std::vector<GeneratorCheck> checks(3);
  checks[2] = {.checked = true, .loss = 0.1};
  const auto served = plan_for(sample_table, checks, {.seed = 1});
  REQUIRE(served.ok());
  CHECK(served->devices[0].entries[0].generator == 2);
  CHECK(served->devices[0].entries[0].seed == one.devices[0].entries[0].seed);
}

TEST_CASE("plan: two classes per device need all others, whole data nobody") {
  CountTable pairs, whole;
  for (std::size_t d = 0; d < 5; ++d) {
    std::vector<Index> row(10, 0);
    row[2 * d] = row[2 * d + 1] = 1200;
    pairs.push_back(row);
    whole.emplace_back(10, 1200);
  }
  const auto plan = plan_for(pairs);
  REQUIRE(plan.ok());
  for (const DevicePlan& device : plan->devices) {
    CHECK(device.generators().size() == 4);
    CHECK(device.entries.size() == 8);
    CHECK(device.added() == 8 * 1200);
  }
  const auto none = plan_for(whole);
  REQUIRE(none.ok());
  for (const DevicePlan& device : none->devices) CHECK(!device.defective());
}

TEST_CASE("plan: a scarce class needs another device, or stays as it is") {
  // Nobody else has class 1.
  const CountTable table{{100, 10, 100}, {100, 0, 100}};
  const auto plan = plan_for({{100, 10, 100}, {90, 20, 100}});
  REQUIRE(plan.ok());
  CHECK(plan->devices[0].left_scarce.empty());
  CHECK(plan->devices[0].entries[0].generator == 1);
  CHECK(plan->devices[1].entries[0].generator == 0);

  const auto alone = plan_for(table);
  REQUIRE(alone.ok());
  CHECK(alone->devices[0].scarce == Classes{1});
  CHECK(alone->devices[0].left_scarce == Classes{1});
  CHECK(alone->devices[0].entries.empty());
  CHECK(alone->devices[1].entries[0].generator == 0);
  CHECK(alone->devices[1].entries[0].count == 100);
}

TEST_CASE("plan: what cannot be filled and wrong options are failures") {
  std::vector<GeneratorCheck> checks(3);
  checks[1].trained = {0, 60, 0};
  checks[2].trained = {50, 50, 0};
  CHECK(plan_for(sample_table, checks).failure().message ==
        "imputation: device 0 lacks classes that no other device's generator can give: 2");
  CHECK(plan_for(sample_table, {}, {.scarce = 1.5}).failure().message ==
        "--scarce 1.5: expected 0 to 1");
  CHECK(plan_for({{0}}).failure().message == "label histograms: no device has a sample");
  GenerationLog log;
  log.generators.resize(3);
  CHECK(make_plan({{1, 2}, {3, 4}}, log).failure().message ==
        "generation log: of 3 generators, there are 2 devices");
  log.generators.resize(2);
  log.entries.resize(1);
  log.entries[0].label = 2;
  CHECK(make_plan({{1, 2}, {3, 4}}, log).failure().message ==
        "generation log: class 2 of device 0, there are 2 devices and 2 classes");
}

TEST_CASE("plan: what is written is read") {
  const TemporaryFolder folder;
  const Plan plan = sample_plan();
  const std::string path = folder / "impute_plan.json";
  REQUIRE(save_plan(path, plan).ok());
  const auto read = load_plan(path);
  if (!read) FAIL(read.failure().message);
  CHECK(read.value() == plan);
  const auto left = plan_for({{100, 10, 100}, {100, 0, 100}});
  REQUIRE(left.ok());
  CHECK(parse_plan(to_text(to_json(left.value()))).ok());
  CHECK(load_plan("/no/such").failure().message ==
        "/no/such: cannot open: No such file or directory");
}

TEST_CASE("plan: what does not follow from the counts is refused") {
  const std::string text = to_text(to_json(sample_plan()));
  const auto error_with = [&](std::string_view what, std::string_view by) {
    std::string changed = text;
    const std::size_t at = changed.find(what);
    REQUIRE(at != std::string::npos);
    changed.replace(at, what.size(), by);
    const auto parsed = parse_plan(changed);
    return parsed ? std::string("no error") : parsed.failure().message;
  };
  CHECK(error_with("plan-2", "plan-2") == "no error");
  CHECK(error_with("plan-2", "plan-1") ==
        "imputation plan: format is 'iotsl-impute-plan-1', expected 'iotsl-impute-plan-2'");
  CHECK(error_with("\"format\"", "\"form\"") == "imputation plan: key 'format' is missing");
  CHECK(error_with("\"tie\":\"lower number\"", "\"tie\":\"nicer\"") ==
        "imputation plan: device 0: partners has tie 'nicer'");
  CHECK(error_with("[{\"generator\":1,\"superset\":true,\"tie\":\"lower number\"}]", "[]") ==
        "imputation plan: device 0: partners are not the generators of the entries");
  CHECK(error_with("{\"generator\":1,\"superset\"", "{\"generator\":2,\"superset\"") ==
        "imputation plan: device 0: partners calls generator 2 a superset, which does not give all "
        "that is missing");
  CHECK(error_with("\"count\":45", "\"count\":46") ==
        "imputation plan: device 0: entries[0] is of 46 samples, expected 45");
  CHECK(error_with("\"count\":45", "\"count\":-1") ==
        "imputation plan: key 'count' must be an integer in range, found integer");
  CHECK(error_with("\"generator\":1,\"class\"", "\"generator\":0,\"class\"") ==
        "imputation plan: device 0: entries[0] takes the generator of device 0, expected another "
        "of 3 devices");
  CHECK(error_with("\"generator\":1,\"class\"", "\"generator\":3,\"class\"") ==
        "imputation plan: device 0: entries[0] takes the generator of device 3, expected another "
        "of 3 devices");
  CHECK(error_with("\"class\":1", "\"class\":0") ==
        "imputation plan: device 0: entries[0] is for class 0, expected class 1");
  CHECK(error_with("\"class\":2", "\"class\":9") ==
        "imputation plan: device 0: entries[1] is for class 9, expected class 2");
  CHECK(error_with("\"missing\":[2]", "\"missing\":[]") ==
        "imputation plan: device 0: missing does not follow from the counts");
  CHECK(error_with("\"scarce\":[1]", "\"scarce\":[0]") ==
        "imputation plan: device 0: scarce does not follow from the counts");
  CHECK(error_with("\"left_scarce\":[]", "\"left_scarce\":[1]") ==
        "imputation plan: device 0: entries[0] is for class 1, expected class 2");
  CHECK(error_with("\"left_scarce\":[]", "\"left_scarce\":[2]") ==
        "imputation plan: device 0: class 2 in left_scarce is not scarce");
  CHECK(error_with("\"left_scarce\":[]", "\"left_scarce\":[1,1]") ==
        "imputation plan: device 0: class 1 is twice in left_scarce");
  CHECK(error_with("\"class_size\":55", "\"class_size\":56") ==
        "imputation plan: device 0: class_size is 56, the counts give 55");
  CHECK(error_with("\"counts\":[100,10,0]", "\"counts\":[100,10]") ==
        "imputation plan: label histograms: device 1 has 3 classes, device 0 has 2");
  CHECK(error_with("\"device\":1", "\"device\":2") == "imputation plan: device 1: its number is 2");
  CHECK(error_with("\"scarce_below\":0.5", "\"scarce_below\":2") ==
        "imputation plan: scarce_below is not 0 to 1");
  CHECK(error_with("\"class_size\":55", "\"class_size\":55,\"more\":1") ==
        "imputation plan: has other keys, or in another order, than a plan");
  CHECK(parse_plan("{").failure().message.find("imputation plan: json: byte ") == 0);
  // An entry too few and one too many.
  Plan plan = sample_plan();
  plan.devices[0].entries.pop_back();
  CHECK(parse_plan(to_text(to_json(plan))).failure().message ==
        "imputation plan: device 0: class 2 has no entry");
  plan = sample_plan();
  plan.devices[2].entries.push_back({.generator = 0, .label = 1, .count = 0, .seed = 1});
  CHECK(parse_plan(to_text(to_json(plan))).failure().message ==
        "imputation plan: device 2: entries[0] is for class 1, expected no further entry");
  // No truncated text may pass.
  for (std::size_t length = 0; length < text.size(); ++length)
    CHECK(!parse_plan(std::string_view(text).substr(0, length)).ok());
}

TEST_CASE("plan: the table for the log") {
  CHECK(format_plan(sample_plan()) ==
        "device          0          1          2   generators (classes: rule)\n"
        "0             100      10+45        +55   1 (1 2: superset, lower number)\n"
        "1             +61         60         61   0 (0: superset, lower number)\n"
        "2              50         50         50   complete\n");
  const auto cover = plan_for({{9, 0, 0}, {0, 9, 0}, {0, 0, 9}});
  REQUIRE(cover.ok());
  CHECK(format_plan(*cover).find("1 (1: cover, lower number), 2 (2: cover)\n") !=
        std::string::npos);
  const auto left = plan_for({{100, 10}, {100, 0}, {100, 200}}, {{}, {}, {.trained = {100, 0}}});
  REQUIRE(left.ok());
  CHECK(format_plan(left.value()).find("0             100        10*   none\n") !=
        std::string::npos);
}

}  // namespace plan_cases

}  // namespace
