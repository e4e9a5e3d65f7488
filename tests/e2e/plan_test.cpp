// What `iotsl plan` says, against the run itself.

#include <doctest/doctest.h>

#include <cmath>

#include "e2e/program.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/core/json/parse.hpp"

using namespace iotsl;
using test::run_program;
using test::TemporaryFolder;

namespace plan_test {

namespace {

Json parsed(const test::ProgramResult& result) {
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  Result<Json> json = parse_json(result.out);
  REQUIRE(json.ok());
  return std::move(json).value();
}

/// `planned` lies within `percent` of `measured`.
void check_near(const char* what, double planned, double measured, double percent) {
  INFO(what << ": planned " << planned << ", measured " << measured);
  CHECK(std::abs(planned - measured) <= percent / 100 * measured);
}

void check_plan(const std::string& options) {
  const TemporaryFolder folder;
  const Json plan = parsed(run_program("plan " + options + " --json"));
  const Json run =
      parsed(run_program("simulate " + options + " --json --quiet --out " + (folder / "run")));
  const auto number = [](const Json& json, const char* key) {
    return static_cast<double>(json.find(key)->as_int());
  };
  check_near("bytes up", number(plan, "bytes_up"), number(run, "bytes_up"), 1);
  check_near("bytes down", number(plan, "bytes_down"), number(run, "bytes_down"), 1);
  CHECK(number(plan, "values_formula") == number(run, "values_formula"));
  double memory = 0, steps = 0;
  for (const Json& epoch : run.find("epochs")->as_array()) {
    memory = std::max(memory, number(epoch, "peak_memory_bytes"));
    steps += number(epoch, "steps");
  }
  CHECK(number(plan, "steps") == steps);
  check_near("peak memory of a device", number(plan, "device_peak_memory_bytes"), memory, 10);
  CHECK(plan.find("seconds")->as_double() > 0);
  // Joules follow from the times; both say by which model.
  const Json& energy = *plan.find("device_energy");
  const double awake = energy.find("awake_seconds")->as_double();
  const double joules =
      energy.find("turn_joules")->as_double() + energy.find("generator_joules")->as_double();
  CHECK(joules >= 2.7 * awake);
  CHECK(joules <= 6.4 * awake);
  CHECK(energy.find("origin")->as_string().starts_with("model pi4: 2.7 W idle, 6.4 W computing"));
  CHECK(run.find("energy")->find("turn_joules")->as_double() > 0);
  CHECK((run.find("energy")->find("generator_joules")->as_double() > 0) ==
        (run.find("preparation") != nullptr));
}

}  // namespace

TEST_CASE("plan: bytes and memory are those of the run") {
  check_plan(
      "--dataset glyphs --devices 2 --limit-train 1200 --limit-test 100 --epochs 2 --width 16 "
      "--batch 32");
  check_plan(
      "--dataset glyphs --devices 3 --partition classes:4 --limit-train 900 --limit-test 50 "
      "--epochs 3 --model vanilla5 --width 8 --batch 16 --optimizer sgd --momentum 0.9 --order "
      "shuffled --participation 0.6");
  // With generators, and samples that imputation adds.
  check_plan(
      "--method iotsl --dataset glyphs --devices 2 --partition classes:5 --limit-train 600 "
      "--limit-test 50 --epochs 2 --width 16 --batch 32 --gan-preset tiny --gan-iterations 2 "
      "--pretrain-iterations 4");
}

TEST_CASE("plan: numbers and bytes of the moments are those of the run") {
  const TemporaryFolder folder;
  int runs = 0;
  // All but the largest device's may be beside it by the digits of their quality, private ones by
  // what the noise draws.
  const auto check = [&](const std::string& options, Index devices, bool noise = false) {
    INFO(options);
    const std::string both = concat(
        "--method iotsl --generator moments --devices ", devices,
        " --limit-test 20 --epochs 2 --width 4 --batch 8 --pretrain-iterations 2 --json ", options);
    const Json plan = parsed(run_program("plan " + both));
    const Json run = parsed(run_program("simulate --transport none --quiet --out " +
                                        (folder / concat("run", ++runs)) + " " + both));
    const Json& made = *run.find("preparation");
    std::int64_t most_values = 0;
    for (const Json& each : made.find("generators")->as_array())
      most_values = std::max(most_values, each.find("values")->as_int());
    CHECK(plan.find("generator_values")->as_int() == most_values);
    CHECK(plan.find("preparation_values")->as_int() == made.find("values_formula")->as_int());
    const std::int64_t up = made.find("bytes_up")->as_int(),
                       down = made.find("bytes_down")->as_int();
    const std::int64_t beside = std::abs(plan.find("preparation_bytes_up")->as_int() - up);
    MESSAGE(up, " bytes up, planned ", beside, " beside");
    CHECK(beside <= (noise ? up / 200 : 64 * (devices - 1)));
    // The run's have the plan of imputation beside the files.
    const std::int64_t planned = plan.find("preparation_bytes_down")->as_int();
    MESSAGE(down, " bytes down, planned ", planned);
    CHECK((planned > 0) == (down > 0));
    CHECK(std::abs(planned - down) <= (noise ? down / 100 : 0) + 512 * devices);
  };
  check("--dataset glyphs --limit-train 120", 1);
  check("--dataset glyphs --limit-train 120 --partition classes:5", 2);
  check("--dataset glyphs --limit-train 90 --partition classes:4 --epsilon 10", 3, true);
  check("--dataset faces --image-size 16 --per-class 20", 1);
  check("--dataset faces --image-size 16 --per-class 20 --partition classes:4", 2);
}

TEST_CASE("plan: parameters and operations of the published net") {
  const Json plan = parsed(run_program(
      "plan --dataset glyphs --devices 1 --limit-train 16 --limit-test 10 --epochs 1 --batch 8 "
      "--json"));
  CHECK(plan.find("parameters")->as_int() == 14727114);
  CHECK(plan.find("front")->find("parameters")->as_int() == 37824);
  CHECK(plan.find("front")->find("operations")->as_int() == 29804544);
  CHECK(plan.find("smashed_values")->as_int() == 12544);
}

TEST_CASE("plan: joules of a device's own step and model") {
  const TemporaryFolder folder;
  const std::string model = folder / "board.json";
  REQUIRE(write_file_atomic(model, R"({"name": "board", "source": "the test", "idle_watts": 1,
                                       "computing_watts": 3})")
              .ok());
  const std::string options =
      "plan --dataset glyphs --devices 2 --limit-train 200 --limit-test 20 --epochs 2 --width 4 "
      "--batch 50 --device-ms-per-step 5000 --server-ms-per-step 1 --power-model ";
  const auto result = run_program(options + model);
  CHECK(result.out.find("energy     a device ") != std::string::npos);
  CHECK(result.out.find("energy: model board: 1.0 W idle, 3.0 W computing") != std::string::npos);
  // Two steps of 5 s at 3 W, and a little of waiting for the rest.
  const Json plan = parsed(run_program(options + model + " --json"));
  const double joules = plan.find("device_energy")->find("turn_joules")->as_double();
  CHECK(joules >= 30);
  CHECK(joules < 34);
  const auto unknown = run_program(options + "pi9");
  CHECK(unknown.exit_code == 2);
  CHECK(unknown.err.find("'pi9': expected pi4, pi5 or a JSON file") != std::string::npos);
}

TEST_CASE("plan: runs whose trial on one device is another run") {
  const std::string small =
      "plan --dataset glyphs --width 2 --devices 2 --limit-train 80 --limit-test 20 --batch 8 --json ";
  const Json added = parsed(run_program(small + "--rounds 1 --added-epochs 3@0.001"));
  CHECK(added.find("epochs")->as_int() == 5);
  const Json thaws = parsed(
      run_program(small + "--method cache --rounds 2 --validation 0.2 --unfreeze-on-plateau 2"));
  CHECK(thaws.find("epochs")->as_int() == 4);
  const Json alone = parsed(run_program(
      small + "--method iotsl --generator moments --generator-only on --pretrain-iterations 5"));
  CHECK(alone.find("epochs")->as_int() == 0);
  CHECK(alone.find("steps")->as_int() == 0);
  CHECK(alone.find("step_seconds")->as_double() == 0);
  CHECK(alone.find("seconds")->as_double() > 0);
}

TEST_CASE("plan: what has no plan is said") {
  const auto central = run_program("plan --method central --dataset glyphs");
  CHECK(central.exit_code == 2);
  CHECK(central.err.find("for runs with a split") != std::string::npos);
}

}  // namespace plan_test
