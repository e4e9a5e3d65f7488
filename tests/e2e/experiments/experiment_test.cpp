// iotsl experiment: runs that end, go on and are refused, and what they leave.

#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "e2e/background.hpp"
#include "e2e/experiments/experiment.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace experiment_test {

namespace {

const std::string tiny_fig5 =
    "experiment fig5 --dataset glyphs --width 4 --limit-train 80 --epochs 4 --batch 8 --quiet ";

}  // namespace

TEST_CASE("experiment: results, lines and page of two runs of split learning") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig5";
  const ProgramResult run = run_well(tiny_fig5 + "--out " + out);
  CHECK(run.out.find("below 50.00 %") != std::string::npos);
  CHECK(run.out.find("about 99.00 %") != std::string::npos);

  const Json results = read_results(out);
  CHECK(results.find("experiment")->as_string() == "fig5");
  CHECK(results.find("scale")->as_string() == "quick");
  CHECK(results.find("chance_percent")->as_double() == 25);  // four of the ten classes are tested
  const std::string command = results.find("command")->as_string();
  CHECK(command.starts_with("iotsl experiment fig5 --out " + out));
  for (const char* given : {" --dataset glyphs", " --width 4", " --epochs 4", " --quiet"})
    CHECK(command.find(given) != command.npos);
  const JsonArray& table = results.find("table")->as_array();
  REQUIRE(table.size() == 2);
  CHECK(table[0].find("paper")->as_double() == 50);
  const double ours = table[0].find("ours")->find("mean")->as_double();
  CHECK(ours >= 0);
  CHECK(ours <= 100);
  CHECK(table[0].find("ours")->find("deviation")->is_null());  // of one seed
  const JsonArray& curves = results.find("curves")->as_array();
  REQUIRE(curves.size() == 2);
  for (const Json& curve : curves) {
    CHECK(curve.find("test_accuracy_percent")->size() == 4);
    const JsonArray& runs = curve.find("runs")->as_array();
    REQUIRE(runs.size() == 1);
    // Four epochs of 40 samples: each sends 2 F + 1 values a sample, and the front.
    const std::int64_t values = runs[0].find("values_formula")->as_int();
    const double counted = curve.find("costs")->find("values_formula")->find("mean")->as_double();
    CHECK(static_cast<double>(values) == counted);
    CHECK(curve.find("costs")->find("training_bytes")->find("mean")->as_double() >
          4.0 * static_cast<double>(values));
  }

  const std::string lines = read(out + "/epochs.csv");
  CHECK(count(lines, "\n") == 1 + 2 * 4);
  const std::string head = lines.substr(0, lines.find('\n'));
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1)
    CHECK(count(lines.substr(at, lines.find('\n', at) - at), ",") == count(head, ","));

  const std::string page = read(out + "/report.html");
  check_page(page);
  CHECK(count(page, "<svg") == 4);
  CHECK(page.find("vanilla5") != page.npos);
  CHECK(page.find("iotsl experiment fig5") != page.npos);
}

TEST_CASE("experiment: what has ended is taken, what differs is refused, what is new is run") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig5";
  run_well(tiny_fig5 + "--out " + out);
  const Json first = read_results(out);
  REQUIRE(std::remove((out + "/runs/four-classes-seed1/summary.json").c_str()) == 0);

  const ProgramResult again = run_well(tiny_fig5 + "--out " + out);
  CHECK(again.err.find("two-classes-seed1: has ended before") != std::string::npos);
  CHECK(again.err.find("four-classes-seed1: was interrupted, goes on") != std::string::npos);
  const Json second = read_results(out);
  for (std::size_t curve = 0; curve < 2; ++curve) {
    const auto weights = [&](const Json& results) {
      const Json& each = results.find("curves")->as_array()[curve];
      return each.find("runs")->as_array()[0].find("weights_sha256")->as_string();
    };
    CHECK(weights(first) == weights(second));
  }

  const ProgramResult other = run_program(tiny_fig5 + "--lr 0.01 --out " + out);
  CHECK(other.exit_code == 2);
  CHECK(other.err.find("lr is 0.001, not 0.01") != std::string::npos);

  const ProgramResult more = run_well(tiny_fig5 + "--seeds 2 --out " + out);
  CHECK(more.err.find("two-classes-seed1: has ended before") != std::string::npos);
  CHECK(more.err.find("two-classes-seed2: starts") != std::string::npos);
  CHECK(more.out.find("+-") != std::string::npos);
}

TEST_CASE("experiment: a run that was stopped goes on and ends with the same weights") {
  const TemporaryFolder folder;
  const std::string whole = folder / "whole", broken = folder / "broken";
  run_well(tiny_fig5 + "--out " + whole);
  {
    Child child(words(std::string(IOTSL_PROGRAMS_DIR) + "/iotsl " + tiny_fig5 + "--out " + broken),
                folder / "log");
    const std::string metrics = broken + "/runs/two-classes-seed1/metrics.jsonl";
    const auto begun = [&] {
      const Result<std::uint64_t> size = file_size(metrics);
      return size && *size > 0;
    };
    for (int i = 0; i < 3000 && !begun(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(begun());
    child.kill();
  }
  run_well(tiny_fig5 + "--out " + broken);
  for (const char* run : {"two-classes-seed1", "four-classes-seed1"}) {
    const auto model = [&](const std::string& out) {
      return read(out + "/runs/" + run + "/model.safetensors");
    };
    CHECK(model(whole) == model(broken));
  }
}

TEST_CASE("experiment: without a validation part the last evaluation counts, and it is said") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig5";
  run_well(tiny_fig5 + "--validation 0 --lr-schedule constant --out " + out);
  const Json results = read_results(out);
  CHECK(results.find("schedule")->as_string() == "constant");
  const Json summary = parse_json(read(out + "/runs/two-classes-seed1/summary.json")).value();
  CHECK(summary.find("chosen_epoch")->as_int() == 4);
  CHECK(summary.find("chosen_validation_accuracy")->is_null());
  CHECK(summary.find("chosen_test_accuracy")->as_double() ==
        summary.find("final_test_accuracy")->as_double());
  CHECK(read(out + "/report.html").find("There is no validation part") != std::string::npos);
  const ProgramResult refused = run_program(
      tiny_fig5 + "--lr-schedule constant --schedule-epochs 9 --out " + (folder / "none"));
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("--schedule-epochs 9") != std::string::npos);
  const ProgramResult constant = run_program(
      "experiment fig9 --scale paper --lr-schedule constant --dataset glyphs --model vanilla5 "
      "--width 4 --limit-train 100 --limit-test 60 --epochs 3 --batch 8 --gan-preset tiny "
      "--gan-width 8 --gan-iterations 2 --pretrain-iterations 4 --out " +
      (folder / "fig9") + " </dev/null");
  CHECK(constant.exit_code == 2);  // nobody has said yes
  CHECK(constant.err.find("vanilla5 of width 4") != std::string::npos);
  CHECK(constant.err.find("constant rate  ") == std::string::npos);  // no curve of that name
}

TEST_CASE("experiment: the paper's sizes want a yes, and what is unknown is named") {
  const TemporaryFolder folder;
  const ProgramResult unasked = run_program(
      "experiment fig5 --scale paper --dataset glyphs --width 4 --limit-train 80 --epochs 4 "
      "--batch 8 --out " +
      (folder / "paper") + " </dev/null");
  CHECK(unasked.exit_code == 2);
  CHECK(unasked.err.find("together about") != std::string::npos);
  CHECK(unasked.err.find("--yes") != std::string::npos);
  CHECK(!folder_exists(folder / "paper"));
  CHECK(run_program("experiment fig77").exit_code == 2);
  const ProgramResult no_data =
      run_program("experiment fig10 --data " + (folder / "empty") + " --out " + (folder / "fig10"));
  CHECK(no_data.exit_code == 4);
  CHECK_MESSAGE(no_data.err.find("fashion-mnist") != std::string::npos, no_data.err);
  CHECK(run_program("experiment fig5 --seeds 0").exit_code == 2);
  // What no run would take, before anything is made.
  const auto refused = [&](const std::string& arguments) {
    const ProgramResult result =
        run_program("experiment " + arguments + " --dataset glyphs --out " + (folder / "none"));
    CHECK_MESSAGE(result.exit_code == 2, result.err);
    CHECK(!folder_exists(folder / "none"));
    return result.err;
  };
  CHECK(refused("fig5 --epsilon 10").find("--epsilon 10: no curve of fig5 has generators") !=
        std::string::npos);
  CHECK(refused("fig5 --gan-preset tiny").find("no curve of fig5") != std::string::npos);
  CHECK(refused("fig5 --threshold 50").find("fig5 has no threshold") != std::string::npos);
  CHECK(refused("fig5 --limit-test 100").find("test images of each class") != std::string::npos);
  CHECK(refused("fig9 --delta 0.001").find("--privacy off") != std::string::npos);
  CHECK(refused("fig5 --transport none --link 1mbit").find("no network") != std::string::npos);
  const ProgramResult lines =
      run_program("experiment fig5 --dataset glyphs --out '" + (folder / "new\nline") + "'");
  CHECK(lines.exit_code == 2);
  CHECK(lines.err.find("control character") != std::string::npos);
}

}  // namespace experiment_test
