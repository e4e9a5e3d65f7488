// iotsl experiment: tiny repetitions of the paper's figures.

#include <doctest/doctest.h>

#include <cmath>

#include "e2e/experiments/experiment.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace figures_test {

namespace {

const std::string tiny_fig9 =
    "experiment fig9 --dataset glyphs --width 4 --limit-train 100 --limit-test 60 --epochs 3 "
    "--batch 8 --gan-preset tiny --gan-width 8 --gan-iterations 2 --pretrain-iterations 4 "
    "--threshold 1 --quiet ";

}  // namespace

TEST_CASE("experiment: IoTSL against SL, with generators, pictures and both sums") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig9";
  run_well(tiny_fig9 + "--seeds 2 --out " + out);
  const Json results = read_results(out);
  CHECK(results.find("threshold_percent")->as_double() == 1);
  CHECK(results.find("schedule")->as_string() == "cosine over 3 device epochs");
  REQUIRE(results.find("curves")->size() == 7);
  const Json& iotsl = results.find("curves")->as_array()[0];
  const Json& sl = results.find("curves")->as_array()[1];
  CHECK(iotsl.find("runs")->size() == 2);
  // The point before the first epoch is the network that was only pre-trained.
  CHECK(iotsl.find("test_accuracy_percent")->size() == 4);
  CHECK(iotsl.find("test_accuracy_percent")->as_array()[0].find("epoch")->as_int() == 0);
  CHECK(sl.find("test_accuracy_percent")->size() == 3);
  const auto cost = [](const Json& curve, const char* key) {
    return curve.find("costs")->find(key)->find("mean")->as_double();
  };
  CHECK(cost(iotsl, "upload_bytes") > 4 * cost(iotsl, "generator_values"));
  CHECK(cost(iotsl, "full_bytes") == cost(iotsl, "training_bytes") + cost(iotsl, "upload_bytes") +
                                         cost(iotsl, "imputation_bytes"));
  CHECK(cost(iotsl, "gan_seconds") > cost(iotsl, "longest_gan_seconds"));
  CHECK(cost(sl, "full_bytes") == cost(sl, "training_bytes"));
  CHECK(cost(sl, "gan_seconds") == 0);

  const std::string page = read(out + "/report.html");
  check_page(page);
  // Two recipes, each over device epochs, steps, bytes and joules.
  CHECK(count(page, "<svg") == 8);
  CHECK(page.find("optimiser steps of the network") != page.npos);
  CHECK(page.find("bytes on the wire") != page.npos);
  CHECK(page.find("F = 784") != page.npos);
  CHECK(page.find("The paper's threshold is 99 %") != page.npos);
  CHECK(page.find("97 (at 99 %)") != page.npos);
  CHECK(page.find("Generators: net.") != page.npos);
  CHECK(page.find("<span>gan-iterations</span>") != page.npos);  // which runs of SL do not have
  // The same generators, and the same pre-training whatever the rate of the turns does.
  const auto taken_over = [&](std::size_t curve) {
    const Json& run = results.find("curves")->as_array()[curve].find("runs")->as_array()[0];
    return run.find("preparation")->find("pretraining")->find("taken_over")->as_bool();
  };
  CHECK_FALSE(taken_over(0));
  CHECK(taken_over(2));
  CHECK(taken_over(5));  // whose turns have another optimiser
  CHECK(page.find("IoTSL, calibrated SGD in its turns, pre-trained with adam 0.001 as the others "
                  "are") != page.npos);
}

TEST_CASE(
    "experiment: chosen on validation, the same rates on both sides, the same units of work") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig9";
  const ProgramResult run = run_well(tiny_fig9 + "--schedule-epochs 12 --gan light --out " + out);
  CHECK(run.err.find(
            "0.001, cosine over 12 device epochs in every run but those of a constant rate") !=
        std::string::npos);
  const Json results = read_results(out);
  CHECK(results.find("validation")->as_double() == 0.1);
  const auto curve = [&](const char* key) -> const Json& { return curve_of(results, key); };
  const auto run_of = [&](const char* key) -> const Json& {
    return curve(key).find("runs")->as_array()[0];
  };
  const auto summary_of = [&](const char* key) {
    return parse_json(read(out + "/runs/" + key + "-seed1/summary.json")).value();
  };
  const auto rates = [&](const char* key) {
    std::vector<double> all;
    const Json summary = summary_of(key);
    for (const Json& epoch : summary.find("epochs")->as_array())
      all.push_back(epoch.find("learning_rate")->as_double());
    return all;
  };
  CHECK(rates("iotsl") == rates("sl"));
  CHECK(rates("sl").back() > 0.9e-3);  // 3 of 12 epochs
  CHECK(rates("sl-constant") == std::vector<double>{1e-3, 1e-3, 1e-3});
  CHECK(rates("iotsl-constant") == rates("sl-constant"));
  // The other recipe: plain SGD, the same for both, whatever the schedule of the others.
  CHECK(rates("sl-sgd") == rates("iotsl-sgd"));
  CHECK(rates("sl-sgd").front() == rates("sl-sgd").back());
  for (const char* key : {"sl-sgd", "iotsl-sgd"}) {
    CHECK(run_of(key).find("config")->find("optimizer")->as_string() == "sgd");
    CHECK(run_of(key).find("config")->find("lr")->as_double() == rates("sl-sgd").front());
  }
  // Its pre-training is as that of the others.
  const Json& calibrated = *run_of("iotsl-sgd").find("config");
  CHECK(calibrated.find("pretrain-optimizer")->as_string() == "adam");
  CHECK(calibrated.find("pretrain-lr")->as_double() == 1e-3);
  CHECK(calibrated.find("pretrain-momentum") == nullptr);
  for (const char* key : {"iotsl", "iotsl-constant", "sl-sgd"})
    CHECK(run_of(key).find("config")->find("pretrain-optimizer") == nullptr);
  CHECK(run.err.find("calibrated: plain SGD") != std::string::npos);
  CHECK(run_of("iotsl").find("config")->find("gan")->as_string() == "light");

  // What is reported is the test accuracy where the validation accuracy is highest.
  const Json sl = summary_of("sl");
  double highest = -1, test = -1, best = -1;
  for (const Json& epoch : sl.find("epochs")->as_array()) {
    best = std::max(best, epoch.find("test_accuracy")->as_double());
    if (epoch.find("validation_accuracy")->as_double() <= highest) continue;
    highest = epoch.find("validation_accuracy")->as_double();
    test = epoch.find("test_accuracy")->as_double();
  }
  CHECK(sl.find("chosen_validation_accuracy")->as_double() == highest);
  CHECK(sl.find("chosen_test_accuracy")->as_double() == test);
  CHECK(sl.find("best_test_accuracy")->as_double() == best);
  for (const Json& row : results.find("table")->as_array()) {
    if (row.find("curve")->as_string() != "sl" || row.find("unit")->as_string() != "%") continue;
    CHECK(row.find("ours")->find("mean")->as_double() == 100 * test);
    CHECK(row.find("ours_chosen_on_test")->find("mean")->as_double() == 100 * best);
  }
  const auto manifest = parse_json(read(out + "/runs/sl-seed1/manifest.json")).value();
  CHECK(manifest.find("validation")->size() == 10);  // one of each class

  // Pre-training takes steps and generators bytes before the first device epoch.
  const auto point = [&](const char* key, std::size_t i) -> const Json& {
    return curve(key).find("test_accuracy_percent")->as_array()[i];
  };
  CHECK(point("iotsl", 0).find("steps")->as_double() == 4);
  CHECK(point("iotsl", 0).find("bytes")->as_double() >
        4 * curve("iotsl").find("costs")->find("generator_values")->find("mean")->as_double());
  CHECK(point("iotsl", 1).find("steps")->as_double() ==
        4 + point("sl", 0).find("steps")->as_double());
  // One net sees all images in an epoch, which counts as one of each device.
  CHECK(point("central", 0).find("device_epochs")->as_double() == 5);
  CHECK(point("central", 0).find("bytes")->as_double() == 0);
  const Json& equal = *results.find("equal_work");
  CHECK(equal.find("device_epochs")->as_double() == 3);
  CHECK(equal.find("steps")->as_double() > 0);

  // Generators that were taken over count as if they had been trained again.
  for (const char* key : {"generator_values", "upload_bytes", "gan_seconds"})
    CHECK(curve("iotsl-constant").find("costs")->find(key)->find("mean")->as_double() ==
          curve("iotsl").find("costs")->find(key)->find("mean")->as_double());
  CHECK(summary_of("iotsl-constant").find("bytes")->find("generators_up")->as_int() == 0);

  // Nothing is run again, and another schedule is another experiment.
  const ProgramResult again = run_well(tiny_fig9 + "--schedule-epochs 12 --gan light --out " + out);
  CHECK(count(again.err, "has ended before, its results are taken") == 7);
  const ProgramResult other =
      run_program(tiny_fig9 + "--schedule-epochs 13 --gan light --out " + out);
  CHECK(other.exit_code == 2);
  CHECK_MESSAGE(other.err.find("schedule-epochs is 12, not 13") != std::string::npos, other.err);
}

TEST_CASE("experiment: joules of SL against a device alone, by a model of the user's") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig3", model = folder / "board.json";
  REQUIRE(write_file_atomic(model, R"({"name": "board", "source": "the test", "idle_watts": 1,
                                       "computing_watts": 3})")
              .ok());
  run_well(
      "experiment fig3 --dataset glyphs --model vanilla5 --width 4 --limit-train 60 --limit-test 20 "
      "--epochs 2 --batch 20 --link 2mbit,1ms --device-slowdown 10 --quiet --power-model " +
      model + " --out " + out);
  const Json results = read_results(out);
  CHECK(results.find("energy_origin")->as_string() ==
        "model board: 1.0 W idle, 3.0 W computing, the network counted as idle (the test); "
        "computing by processor time of the run, times 10; network by the clock");
  const auto epoch_joules = [&](const char* key) {
    const Json summary = parse_json(read(out + "/runs/" + key + "-seed1/summary.json")).value();
    double joules = 0;
    for (const Json& epoch : summary.find("epochs")->as_array()) {
      const auto seconds = [&](const char* part) {
        return epoch.find(concat("seconds_", part))->as_double();
      };
      joules += 3 * 10 * seconds("device") + seconds("server") + seconds("network");
    }
    return joules / 2;
  };
  const JsonArray& table = results.find("table")->as_array();
  const auto ours = [&](std::size_t row) {
    return table[row].find("ours")->find("mean")->as_double();
  };
  CHECK(ours(0) == doctest::Approx(epoch_joules("sl")));
  CHECK(ours(1) == doctest::Approx(epoch_joules("local")));
  CHECK(ours(2) == doctest::Approx(100 * (ours(0) / ours(1) - 1)));
  CHECK(table[2].find("paper")->as_double() == 42.6);
  CHECK(table[2].find("unit")->as_string() == "%");
  CHECK(ours(4) == doctest::Approx(3).epsilon(0.5));  // alone it hardly waits
  const std::string page = read(out + "/report.html");
  check_page(page);
  CHECK(count(page, "<svg") == 1);
  CHECK(page.find("Calculated, not measured: model board") != page.npos);
  CHECK(page.find("+42.6 %") != page.npos);
}

TEST_CASE(
    "experiment: time, values and joules until the threshold, the paper's sum and the full one") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig11";
  std::string tiny = tiny_fig9;
  tiny.replace(tiny.find("fig9"), 4, "fig11");
  run_well(tiny + "--out " + out);
  const Json results = read_results(out);
  CHECK(results.find("curves")->size() == 2);
  CHECK(results.find("energy_origin")->as_string().find("network calculated as 100mbit,1ms") !=
        std::string::npos);
  const auto find = [&](const char* curve, const std::string& begin) -> double {
    for (const Json& row : results.find("table")->as_array()) {
      const std::string name = row.find("measure")->as_string();
      if (row.find("curve")->as_string() == curve && name.starts_with(begin) &&
          (name.find("against") != name.npos) == (begin.find("against") != begin.npos))
        return row.find("ours")->find("mean")->as_double();
    }
    FAIL("no row ", curve, " ", begin);
    return 0;
  };
  for (const char* measure : {"joules of all devices in their turns until 1 %",
                              "training time until 1 %", "values sent until 1 %, F = 784 a sample"})
    CHECK(find("iotsl", concat(measure, ", against SL")) ==
          doctest::Approx(100 * (find("iotsl", measure) / find("sl", measure) - 1)));
  CHECK(find("iotsl", "joules of all devices until 1 %, generators included") >
        find("iotsl", "joules of all devices in their turns"));
  CHECK(find("iotsl", "mean power of a device in its turns") > 2.7);
  CHECK(find("iotsl", "mean power of a device in its turns") < 6.4);
  CHECK(read(out + "/report.html").find("over joules") != std::string::npos);
}

TEST_CASE("experiment: random distributions, spread and final accuracy") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig14";
  run_well(
      "experiment fig14 --curves sl-a,sl-b,sl-c --dataset glyphs --width 4 --limit-train 100 --limit-test 30 --epochs 20 "
      "--batch 16 --quiet "
      "--out " +
      out);
  const Json results = read_results(out);
  CHECK(results.find("curves")->size() == 3);
  CHECK(results.find("table")->size() == 9);
  const Json summary = parse_json(read(out + "/runs/sl-b-seed1/summary.json")).value();
  double sum = 0, squares = 0, low = 100, high = 0;
  const JsonArray& epochs = summary.find("epochs")->as_array();
  REQUIRE(epochs.size() == 20);
  for (const Json& epoch : epochs) {
    const double accuracy = 100 * epoch.find("test_accuracy")->as_double();
    sum += accuracy;
    squares += accuracy * accuracy;
    low = std::min(low, accuracy);
    high = std::max(high, accuracy);
  }
  const auto ours = [&](const char* measure) {
    for (const Json& row : results.find("table")->as_array())
      if (row.find("curve")->as_string() == "sl-b" &&
          row.find("measure")->as_string().starts_with(measure))
        return row.find("ours")->find("mean")->as_double();
    return -1.0;
  };
  CHECK(ours("test accuracy of the last epoch") ==
        100 * epochs.back().find("test_accuracy")->as_double());
  CHECK(ours("standard deviation of the last 20") ==
        doctest::Approx(std::sqrt((squares - sum * sum / 20) / 19)));
  CHECK(ours("highest less lowest of the last 20") == doctest::Approx(high - low));
  const std::string page = read(out + "/report.html");
  check_page(page);
  CHECK(count(page, "<svg") == 3);
  for (const char* panel :
       {"Distribution A, over device epochs", "Distribution B", "Distribution C"})
    CHECK(page.find(panel) != page.npos);
  CHECK(page.find(">paper<") == page.npos);
  CHECK(page.find("The paper shows curves and gives no numbers.") != page.npos);
  const auto manifest = [&](const char* run) {
    return parse_json(read(out + "/runs/" + run + "-seed1/manifest.json")).value();
  };
  CHECK(manifest("sl-a").find("partition")->as_string() == "random:A");
  const ProgramResult unknown = run_program("experiment fig14 --curves sl-a,sl-d --out " + out);
  CHECK(unknown.exit_code == 2);
  CHECK(unknown.err.find("--curves sl-d: fig14 has iotsl-a, sl-a, ") != std::string::npos);
  const ProgramResult orphan = run_program("experiment fig9 --curves iotsl-constant --out " + out);
  CHECK(orphan.exit_code == 2);
  CHECK(orphan.err.find("takes the generators of iotsl") != std::string::npos);
  CHECK(to_text(*manifest("sl-a").find("devices")) != to_text(*manifest("sl-c").find("devices")));
}

TEST_CASE("experiment: faces in distributions that lack classes, with their sizes") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig15";
  run_well(
      "experiment fig15 --curves iotsl-a,sl-a --image-size 16 --per-class 40 --width 4 --epochs 3 --batch 8 "
      "--generator net --gan-width 8 --gan-iterations 2 --pretrain-iterations 4 --quiet --out " +
      out);
  const std::string page = read(out + "/report.html");
  check_page(page);
  CHECK(page.find("(drawn faces)") != page.npos);
  CHECK(page.find("Data: faces, 3x16x16, 40 images of each class, a tenth of them to test.") !=
        page.npos);
  CHECK(page.find("What the generators make") != page.npos);
  CHECK(page.find("smiling, black_hair, smiling+black_hair") != page.npos);  // the columns
  CHECK(page.find(", 32 test images, ") != page.npos);
  const Json manifest = parse_json(read(out + "/runs/sl-a-seed1/manifest.json")).value();
  const JsonArray& devices = manifest.find("devices")->as_array();
  REQUIRE(devices.size() == 5);
  // 36 of 9000 images of a class: the fourth device has the first and the last class only.
  CHECK(to_text(*devices[3].find("counts")) == "[9,0,0,0,0,0,0,10]");
  const Json config = parse_json(read(out + "/runs/iotsl-a-seed1/config.json")).value();
  CHECK(config.find("gan")->as_string() == "coarse");
  const ProgramResult digits = run_program("experiment fig15 --dataset mnist --out " + out);
  CHECK(digits.exit_code == 2);
  CHECK(digits.err.find("--dataset mnist: fig15 takes faces, celeba, packed") != std::string::npos);
  const ProgramResult faces = run_program("experiment fig9 --dataset faces --out " + out);
  CHECK(faces.exit_code == 2);
  CHECK(faces.err.find("--dataset faces: fig9 takes mnist, fashion-mnist, glyphs") !=
        std::string::npos);
  const ProgramResult sized = run_program("experiment fig9 --image-size 64 --out " + out);
  CHECK(sized.exit_code == 2);
  CHECK(sized.err.find("--image-size 64: not for fig9") != std::string::npos);
  const ProgramResult large =
      run_program("experiment fig15 --scale paper --yes --out " + out + "-2");
  CHECK(large.exit_code == 2);
  CHECK(large.err.find(
            "iotsl data pack --dataset faces --image-size 128 --per-class 10000 --out DIR") !=
        std::string::npos);
  const ProgramResult drawn = run_program("experiment fig15 --data /tmp --out " + out + "-2");
  CHECK(drawn.exit_code == 2);
  CHECK(drawn.err.find("--data /tmp: --dataset faces is drawn") != std::string::npos);
}

TEST_CASE("experiment: of a packed set the count is its own, and another set is another run") {
  const TemporaryFolder folder;
  const std::string out = folder / "fig15";
  for (const char* seed : {"1", "2"})
    run_well(concat("data pack --dataset faces --image-size 16 --per-class 40 --split-seed ", seed,
                    " --out ", folder / concat("pack-", seed)));
  const auto start = [&](const char* more) {
    return concat(
        "experiment fig15 --curves sl-a --validation 0.3 --width 4 --epochs 1 --batch 8 "
        "--quiet --dataset packed --data ",
        folder / "pack-", more, " --out ", out);
  };
  run_well(start("1"));
  const Json manifest = parse_json(read(out + "/runs/sl-a-seed1/manifest.json")).value();
  // 36 of 9000 images of a class, and of these seven ninths.
  CHECK(to_text(*manifest.find("devices")->as_array()[3].find("counts")) == "[6,0,0,0,0,0,0,7]");
  const std::pair<const char*, const char*> refused[] = {
      {"2", "holds another run: its training images have the sha256 "},
      {"1 --per-class 20", "faces-a.txt is of another --per-class"},
      {"1 --per-class 50", "--per-class 50: "},
      {"1 --image-size 16", "--image-size 16: a packed set has the size"}};
  for (const auto& [more, what] : refused) {
    const ProgramResult said = run_program(start(more));
    CHECK(said.exit_code == 2);
    CHECK_MESSAGE(said.err.find(what) != std::string::npos, said.err);
  }
  // Damaged results are the failure of that run.
  REQUIRE(iotsl::write_file_atomic(out + "/runs/sl-a-seed1/summary.json", "{").ok());
  const ProgramResult damaged = run_program(start("1"));
  CHECK(damaged.err.find("sl-a-seed1: has failed: ") != std::string::npos);
}

}  // namespace figures_test
