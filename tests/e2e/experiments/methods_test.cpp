// iotsl experiment table: rows of methods, and what becomes of the others where one fails.

#include <doctest/doctest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "e2e/background.hpp"
#include "e2e/experiments/experiment.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace methods_test {

namespace {

const std::string tiny_table =
    "experiment table --dataset glyphs --width 4 --limit-train 100 --limit-test 40 --batch 8 "
    "--pretrain-iterations 4 --threshold 11 --link 10mbit,2ms --quiet ";

/// The sum of a member over the epochs of a summary.
double sum_over_epochs(const Json& summary, const char* key) {
  double sum = 0;
  for (const Json& epoch : summary.find("epochs")->as_array()) sum += epoch.find(key)->as_double();
  return sum;
}

}  // namespace

TEST_CASE("methods: each row has the options of its method, and figures of its run's books") {
  const TemporaryFolder folder;
  const std::string out = folder / "table";
  const ProgramResult run = run_well(
      tiny_table +
      "--epochs 10 --curves central-2,sl-2,replay-2,moments-2,private-2,private-only-2,int4-2,"
      "cache-int8-2,fedavg-2 --out " +
      out);
  const Json results = read_results(out);
  REQUIRE(results.find("curves")->size() == 9);
  const auto config = [&](const char* key) -> const Json& {
    return *curve_of(results, key).find("runs")->as_array()[0].find("config");
  };
  const auto summary = [&](const char* key) {
    return read_json(out + "/runs/" + key + "-seed1/summary.json");
  };
  const auto prepared = [&](const char* key) {
    return read_json(out + "/runs/" + key + "-seed1/preparation.json");
  };
  CHECK(config("replay-2").find("replay")->as_int() == 1000);
  CHECK(config("sl-2").find("replay")->as_int() == 0);
  CHECK(config("moments-2").find("generator")->as_string() == "moments");
  CHECK(config("moments-2").find("epsilon") == nullptr);
  CHECK(config("private-2").find("epsilon")->as_double() == 10);
  CHECK(config("int4-2").find("wire")->as_string() == "int4");
  CHECK(config("cache-int8-2").find("wire")->as_string() == "int8");
  CHECK(config("private-only-2").find("generator-only")->as_string() == "on");

  const auto figure = [&](const char* key, const char* name) -> const Json& {
    return *curve_of(results, key).find("figures")->find(name);
  };
  const auto mean = [&](const char* key, const char* name) {
    return figure(key, name).find("mean")->as_double();
  };
  for (const char* key : {"central-2", "sl-2", "replay-2", "int4-2", "cache-int8-2", "fedavg-2"}) {
    const Json books = summary(key);
    CHECK(mean(key, "chosen_test_accuracy_percent") ==
          100 * books.find("chosen_test_accuracy")->as_double());
    CHECK(mean(key, "final_test_accuracy_percent") ==
          100 * books.find("final_test_accuracy")->as_double());
  }
  // Turns, and generators where there are some.
  CHECK(mean("sl-2", "bytes_up") == sum_over_epochs(summary("sl-2"), "bytes_up"));
  CHECK(mean("int4-2", "bytes_up") == sum_over_epochs(summary("int4-2"), "bytes_up") +
                                          prepared("int4-2").find("bytes_up")->as_double());
  CHECK(mean("int4-2", "bytes_down") == sum_over_epochs(summary("int4-2"), "bytes_down") +
                                            prepared("int4-2").find("bytes_down")->as_double());
  CHECK(mean("int4-2", "bytes_up") < mean("moments-2", "bytes_up"));
  CHECK(mean("cache-int8-2", "bytes_down") < mean("int4-2", "bytes_down"));
  CHECK(mean("central-2", "bytes_up") == 0);

  // The threshold is judged on the validation part; 11 % is one of ten images and more.
  const Json books = summary("sl-2");
  double crossed = 0, epochs = 0;
  for (const Json& epoch : books.find("epochs")->as_array()) {
    ++epochs;
    if (crossed == 0 && epoch.find("validation_accuracy")->as_double() > 0.11) crossed = epochs;
  }
  if (crossed > 0)
    CHECK(mean("sl-2", "device_epochs_until") == crossed);
  else
    CHECK(figure("sl-2", "device_epochs_until").find("mean")->is_null());

  // A device of SL: two turns of it, computing at 6.4 W, 2.7 W while it waits for server and
  // network.
  double joules = 0, awake = 0;
  for (const Json& epoch : books.find("epochs")->as_array()) {
    const auto of = [&](const char* key) { return epoch.find(key)->as_double(); };
    const double computing = of("seconds_device");
    const double network = 8 * (of("bytes_up") + of("bytes_down")) / 10e6 + 0.002 * of("steps");
    awake += computing + network + of("seconds_server");
    joules += 2.7 * (computing + network + of("seconds_server")) + (6.4 - 2.7) * computing;
  }
  CHECK(mean("sl-2", "awake_seconds") == doctest::Approx(awake / 5));
  CHECK(mean("sl-2", "device_joules") == doctest::Approx(joules / 5));

  // Nothing but generators with noise leaves these devices, which do not say how long they took.
  CHECK(summary("private-only-2").find("epochs")->size() == 0);
  CHECK(mean("private-only-2", "chosen_test_accuracy_percent") ==
        100 * prepared("private-only-2").find("pretraining")->find("test_accuracy")->as_double());
  CHECK(figure("private-only-2", "epsilon").as_double() == doctest::Approx(10).epsilon(0.01));
  CHECK(figure("private-2", "epsilon").is_null());
  CHECK(figure("private-2", "generator_epsilon").as_double() == doctest::Approx(10).epsilon(0.01));
  CHECK(figure("moments-2", "generator_epsilon").is_null());

  const std::string page = read(out + "/report.html");
  check_page(page);
  CHECK(count(page, "<svg") == 3);  // over steps, bytes and joules
  for (const char* text :
       {"all images and labels", "label counts, sums over images with noise", "not told", "&ge; ",
        "labels and smashed data, some kept", "none (generators: 10", "chance", ": sends nothing",
        "100 training images over 5 devices, 10 for validation, 40 test images"})
    CHECK_MESSAGE(page.find(text) != page.npos, text);
  CHECK(run.out.find("private moments, no turns") != std::string::npos);

  const ProgramResult kinds = run_program(tiny_table + "--generator net --out " + (folder / "no"));
  CHECK(kinds.exit_code == 2);
  CHECK(kinds.err.find("compares kinds of generators") != std::string::npos);
}

TEST_CASE(
    "methods: a row that fails says why, the others go on, and the same command tries again") {
  const TemporaryFolder folder;
  const std::string out = folder / "table", command = tiny_table + "--epochs 5 --seeds 2 ";
  const std::string rows = "--curves sl-2,fedavg-2,central-2 --out " + out;
  // Files where run folders should be: one row without any run, one with a seed less.
  REQUIRE(create_folders(out + "/runs").ok());
  for (const char* name : {"fedavg-2-seed1", "fedavg-2-seed2", "sl-2-seed2"})
    REQUIRE(write_file_atomic(out + "/runs/" + name, "in the way").ok());
  const ProgramResult run = run_program(command + rows);
  CHECK(run.exit_code == 1);
  CHECK(run.err.find("3 of 6 runs have failed") != std::string::npos);
  CHECK(run.err.find("sl-2-seed2: has failed: ") != std::string::npos);
  CHECK(run.out.find("failed: ") != std::string::npos);
  const Json results = read_results(out);
  CHECK(curve_of(results, "central-2").find("runs")->size() == 2);
  CHECK(curve_of(results, "sl-2").find("runs")->size() == 1);
  CHECK(curve_of(results, "fedavg-2").find("runs")->size() == 0);
  REQUIRE(curve_of(results, "fedavg-2").find("missing")->size() == 2);
  const Json& missing = curve_of(results, "fedavg-2").find("missing")->as_array()[0];
  CHECK(missing.find("failed")->as_bool());
  CHECK(missing.find("reason")->as_string().find("fedavg-2-seed1") != std::string::npos);
  const std::string page = read(out + "/report.html");
  check_page(page);
  CHECK(page.find("Runs without results") != page.npos);
  CHECK(page.find("failed with seed 2: ") != page.npos);

  for (const char* name : {"fedavg-2-seed1", "fedavg-2-seed2", "sl-2-seed2"})
    REQUIRE(std::remove((out + "/runs/" + name).c_str()) == 0);
  const ProgramResult again = run_well(command + rows);
  CHECK(count(again.err, "has ended before, its results are taken") == 3);
  CHECK(read(out + "/report.html").find("Runs without results") == std::string::npos);

  // Where every run fails there is nothing to report: the command ends as one run would.
  const std::string none = folder / "none";
  REQUIRE(create_folders(none + "/runs").ok());
  REQUIRE(write_file_atomic(none + "/runs/sl-2-seed1", "in the way").ok());
  const ProgramResult nothing = run_program(tiny_table + "--epochs 5 --curves sl-2 --out " + none);
  CHECK(nothing.exit_code != 0);
  CHECK(!file_exists(none + "/report.html"));
}

TEST_CASE("methods: the estimate knows generators that another row will have trained") {
  const TemporaryFolder folder;
  const ProgramResult table = run_program(
      tiny_table +
      "--epochs 5 --scale paper --model vanilla5 --curves moments-2,int8-2,cache-2 --out " +
      (folder / "table") + " </dev/null");
  CHECK(table.exit_code == 2);  // nobody has said yes
  CHECK_MESSAGE(table.err.find("together about") != std::string::npos, table.err);
  CHECK(count(table.err, "  about ") == 3);
  CHECK(!folder_exists(folder / "table"));
}

TEST_CASE("methods: Ctrl-C leaves a page of what is finished, and the rest goes on later") {
  const TemporaryFolder folder;
  const std::string out = folder / "table";
  const std::string command = tiny_table + "--epochs 150 --curves central-2,sl-2 --out " + out;
  Child child(words(std::string(IOTSL_PROGRAMS_DIR) + "/iotsl " + command), folder / "log");
  const auto wait_for = [&](const auto& happened) {
    for (int i = 0; i < 12000 && !happened(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE_MESSAGE(happened(), read(folder / "log"));
  };
  wait_for([&] {
    const Result<std::uint64_t> size = file_size(out + "/runs/sl-2-seed1/metrics.jsonl");
    return size && *size > 0;
  });
  child.kill(SIGINT);
  wait_for([&] { return child.state() != Child::State::running; });
  CHECK(child.exit_code() == 5);
  const std::string log = read(folder / "log");
  CHECK_MESSAGE(log.find("1 of 2 runs are in the report") != log.npos, log);
  const Json results = read_results(out);
  CHECK(curve_of(results, "central-2").find("runs")->size() == 1);
  REQUIRE(curve_of(results, "sl-2").find("missing")->size() == 1);
  CHECK(!curve_of(results, "sl-2").find("missing")->as_array()[0].find("failed")->as_bool());
  const std::string page = read(out + "/report.html");
  check_page(page);
  CHECK(page.find("not run yet") != page.npos);
}

}  // namespace methods_test
