// Whole runs through the programs: device processes and a server over loopback.

#include "e2e/program.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "iotsl/core/files/file.hpp"

using namespace iotsl;
using test::ProgramResult;
using test::run_program;
using test::TemporaryFolder;

namespace {

// Small enough for seconds: the compact net at width 4, three devices with 100 samples each.
const std::string small =
    "simulate --dataset glyphs --width 4 --devices 3 --limit-train 300 --limit-test 200 "
    "--batch 32 --quiet --json ";

Json run_small(const std::string& options) {
  const ProgramResult result = run_program(small + options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  Result<Json> json = parse_json(result.out);
  REQUIRE(json.ok());
  return std::move(json).value();
}

std::string weights(const Json& summary) { return summary.find("weights_sha256")->as_string(); }

}  // namespace

TEST_CASE("split over sockets, in one process and without a split give the same weights") {
  const TemporaryFolder folder;
  const Json tcp = run_small("--rounds 2 --transport tcp --out " + (folder / "tcp"));
  const Json inproc = run_small("--rounds 2 --transport inproc --out " + (folder / "inproc"));
  const Json none = run_small("--rounds 2 --transport none --out " + (folder / "none"));
  CHECK(weights(tcp) == weights(none));
  CHECK(weights(inproc) == weights(none));
  CHECK(tcp.find("epochs")->size() == 6);
  CHECK(tcp.find("final_test_accuracy")->as_double() ==
        none.find("final_test_accuracy")->as_double());
  CHECK(none.find("bytes_up")->as_int() == 0);
}

TEST_CASE("the bytes are four times the formula of Table I and itemised extras") {
  const TemporaryFolder folder;
  const Json run = run_small("--rounds 1 --out " + (folder / "run"));
  // Width 4: F = 4*14*14 values; w of conv 1->4, conv 4->4 and two batch norms.
  const std::int64_t smashed = 4 * 14 * 14, front = (9 + 1) * 4 + (36 + 1) * 4 + 2 * 8;
  std::int64_t samples = 0;
  for (const Json& epoch : run.find("epochs")->as_array())
    samples += epoch.find("samples")->as_int();
  CHECK(samples > 270);
  const std::int64_t values = samples * (2 * smashed + 1) + 3 * front;
  CHECK(run.find("values_formula")->as_int() == values);
  const Json& bill = *run.find("bytes");
  const auto item = [&](const char* name) { return bill.find(name)->as_int(); };
  CHECK(item("smashed") + item("labels") + item("gradient") + item("front") == 4 * values);
  CHECK(item("smashed") == 4 * samples * smashed);
  CHECK(item("labels") == 4 * samples);
  const std::int64_t total = run.find("bytes_up")->as_int() + run.find("bytes_down")->as_int();
  CHECK(item("total") == total);
  std::int64_t sum = 0;
  for (const JsonMember& member : bill.as_object())
    if (member.key != "total") sum += member.value.as_int();
  CHECK(sum == total);
}

TEST_CASE("a run folder holds everything, and its config.json repeats the run") {
  const TemporaryFolder folder;
  const Json first = run_small("--epochs 2 --seed 7 --out " + (folder / "first"));
  for (const char* name : {"config.json", "manifest.json", "metrics.jsonl", "session.json",
                           "checkpoints/best.iotsl", "model.safetensors", "device-0.log"})
    CHECK(file_exists((folder / "first") + "/" + name));
  std::ifstream metrics((folder / "first") + "/metrics.jsonl");
  std::string line;
  std::size_t lines = 0;
  while (std::getline(metrics, line)) {
    const auto record = parse_json(line);
    REQUIRE(record.ok());
    CHECK(*record == first.find("epochs")->as_array()[lines]);
    ++lines;
  }
  CHECK(lines == 2);
  const ProgramResult again = run_program("simulate --quiet --json --config " + (folder / "first") +
                                          "/config.json --out " + (folder / "second"));
  REQUIRE(again.exit_code == 0);
  CHECK(weights(*parse_json(again.out)) == weights(first));

  const ProgramResult kept = run_program(small + "--out " + (folder / "first"));
  CHECK(kept.exit_code == 2);
  CHECK(kept.err.find("--overwrite") != std::string::npos);
}

TEST_CASE("the trained network predicts, joined and split, from a set and from an image") {
  const TemporaryFolder folder;
  const Json run = run_small("--rounds 2 --out " + (folder / "run"));
  const std::string dataset =
      "predict " + (folder / "run") + " --dataset glyphs --limit-test 200 --json ";
  const ProgramResult joined = run_program(dataset), split = run_program(dataset + "--split");
  REQUIRE(joined.exit_code == 0);
  CHECK(joined.out == split.out);
  CHECK(parse_json(joined.out)->find("test_accuracy")->as_double() ==
        run.find("final_test_accuracy")->as_double());
  const std::string image = folder / "digit.png";
  REQUIRE(run_program("data image --dataset glyphs --test --index 5 --out " + image).exit_code ==
          0);
  const ProgramResult one = run_program("predict " + (folder / "run") + " " + image + " --json");
  REQUIRE(one.exit_code == 0);
  double sum = 0;
  const auto json = parse_json(one.out);
  for (const Json& p : json->find("probabilities")->as_array()) sum += p.as_double();
  CHECK(sum == doctest::Approx(1.0));
  const ProgramResult missing = run_program("predict " + (folder / "run") + " /no/such/image.png");
  CHECK(missing.exit_code == 4);
  CHECK(run_program("predict " + (folder / "run")).exit_code == 2);
}

TEST_CASE("--chosen takes the weights that a run is reported by, not its last ones") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", file = folder / "chosen.safetensors";
  run_small("--method central --epochs 6 --lr 2e-2 --validation 0.2 --out " + run);
  // A rate that ruins the net: what was chosen stays what it is.
  const ProgramResult ruined =
      run_program("simulate --quiet --json --resume " + run + " --epochs 8 --lr 1");
  INFO(ruined.err);
  REQUIRE(ruined.exit_code == 0);
  const Json summary = *parse_json(ruined.out);
  REQUIRE(summary.find("chosen_epoch")->as_int() <= 6);
  const auto accuracy = [&](const std::string& of) {
    const ProgramResult said =
        run_program("predict " + of + " --dataset glyphs --limit-test 200 --json");
    REQUIRE_MESSAGE(said.exit_code == 0, said.err);
    return parse_json(said.out)->find("test_accuracy")->as_double();
  };
  const double chosen = summary.find("chosen_test_accuracy")->as_double();
  REQUIRE(chosen != summary.find("final_test_accuracy")->as_double());
  CHECK(accuracy(run) == summary.find("final_test_accuracy")->as_double());
  CHECK(accuracy(run + " --chosen") == chosen);
  const ProgramResult exported =
      run_program("model export --run " + run + " --chosen --out " + file);
  REQUIRE_MESSAGE(exported.exit_code == 0, exported.err);
  CHECK(exported.out.find("chosen weights of " + run) != std::string::npos);
  CHECK(accuracy(file) == chosen);

  const auto refused = [&](const std::string& command, int code, const std::string& why) {
    const ProgramResult said = run_program(command);
    CHECK(said.exit_code == code);
    CHECK_MESSAGE(said.err.find(why) != std::string::npos, said.err);
  };
  const std::string set = " --dataset glyphs --limit-test 20";
  refused("predict " + file + " --chosen" + set, 2, "--chosen: only for a run folder");
  refused("model export --chosen --out " + (folder / "x"), 2, "--chosen requires --run");
  REQUIRE(std::remove((run + "/model.safetensors").c_str()) == 0);
  refused("predict " + run + set, 4, "model.safetensors: is missing, though the run is complete");
  CHECK(accuracy(run + " --chosen") == chosen);
  run_small("--method central --epochs 1 --out " + (folder / "plain"));
  refused("predict " + (folder / "plain") + " --chosen" + set, 2, "has chosen nothing");
}

TEST_CASE("central and local") {
  const TemporaryFolder folder;
  const Json central = run_small("--method central --epochs 1 --out " + (folder / "central"));
  CHECK(central.find("epochs")->size() == 1);
  CHECK(central.find("epochs")->as_array()[0].find("samples")->as_int() > 270);
  CHECK(central.find("values_formula")->as_int() == 0);
  const Json local = run_small("--method local --epochs 3 --out " + (folder / "local"));
  CHECK(local.find("epochs")->as_array()[0].find("loss")->is_null());
}

TEST_CASE("federated averaging reports what split learning reports, and is repeated") {
  const TemporaryFolder folder;
  const auto cut = run_program(small + "--method fedavg --cut pool2");
  CHECK(cut.exit_code == 2);
  CHECK(cut.err.find("--cut pool2: --method fedavg cuts no net") != std::string::npos);
  const Json fedavg = run_small("--method fedavg --rounds 2 --out " + (folder / "fedavg"));
  const Json split = run_small("--rounds 2 --transport none --out " + (folder / "split"));
  const auto keys = [](const Json& summary) {
    std::vector<std::string> out;
    for (const JsonMember& member : summary.find("epochs")->as_array().back().as_object())
      out.push_back(member.key);
    return out;
  };
  CHECK(keys(fedavg) == keys(split));
  const JsonArray& epochs = fedavg.find("epochs")->as_array();
  REQUIRE(epochs.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(epochs[i].find("round")->as_int() == static_cast<std::int64_t>(i / 3));
    CHECK(epochs[i].find("test_accuracy")->is_null() == (i % 3 != 2));
    CHECK(epochs[i].find("samples")->as_int() ==
          split.find("epochs")->as_array()[i].find("samples")->as_int());
  }
  const std::int64_t sent = fedavg.find("bytes_up")->as_int() + fedavg.find("bytes_down")->as_int();
  CHECK(fedavg.find("bytes")->find("total")->as_int() == sent);
  CHECK(fedavg.find("bytes")->find("front")->as_int() ==
        4 * fedavg.find("values_formula")->as_int());
  for (const std::string transport : {"none", "inproc"}) {
    const ProgramResult again =
        run_program(concat("simulate --quiet --json --config ", folder / "fedavg",
                           "/config.json --transport ", transport, " --out ", folder / transport));
    INFO(again.err);
    REQUIRE(again.exit_code == 0);
    CHECK(weights(*parse_json(again.out)) == weights(fedavg));
  }

  const ProgramResult part =
      run_program(small + "--method fedavg --epochs 4 --out " + (folder / "part"));
  CHECK(part.exit_code == 2);
  CHECK(part.err.find("--epochs 4: expected a multiple of 3") != std::string::npos);
}

TEST_CASE("the rivals against forgetting are options of a run like all others") {
  const TemporaryFolder folder;
  const std::string rivals = "--rounds 2 --partition classes:4 --replay 60 --ewc 0.5 ";
  const Json none = run_small(rivals + "--transport none --out " + (folder / "none"));
  const Json tcp = run_small(rivals + "--transport tcp --out " + (folder / "tcp"));
  CHECK(weights(tcp) == weights(none));
  const Json plain =
      run_small("--rounds 2 --partition classes:4 --transport none --out " + (folder / "plain"));
  CHECK(weights(plain) != weights(none));
  const auto config = parse_json(read_text_file((folder / "tcp") + "/config.json").value());
  REQUIRE(config.ok());
  CHECK(config->find("replay")->as_int() == 60);
  CHECK(config->find("ewc")->as_double() == 0.5);
  const ProgramResult again =
      run_program("simulate --quiet --json --config " + (folder / "tcp") +
                  "/config.json --transport inproc --out " + (folder / "again"));
  INFO(again.err);
  REQUIRE(again.exit_code == 0);
  CHECK(weights(*parse_json(again.out)) == weights(none));
  const ProgramResult large = run_program(small + "--replay 99999999 --out " + (folder / "large"));
  CHECK(large.exit_code == 2);
  CHECK(large.err.find("--replay 99999999: a smashed sample takes 3140 bytes") !=
        std::string::npos);
  CHECK_FALSE(file_exists(folder / "large"));
  const ProgramResult alone =
      run_program(small + "--method central --replay 10 --out " + (folder / "alone"));
  CHECK(alone.exit_code == 2);
}

TEST_CASE("the test part is the same whatever the seed, and the validation part is kept") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Json first = run_small(
      "--epochs 3 --seed 7 --validation 0.2 --lr-schedule cosine "
      "--schedule-epochs 9 --transport tcp --out " +
      run);
  // predict draws the part of --limit-test without knowing the seed.
  const ProgramResult predicted =
      run_program("predict " + run + " --dataset glyphs --limit-test 200 --json");
  REQUIRE(predicted.exit_code == 0);
  CHECK(parse_json(predicted.out)->find("test_accuracy")->as_double() ==
        first.find("final_test_accuracy")->as_double());
  const Json none = run_small(
      "--epochs 3 --seed 7 --validation 0.2 --schedule-epochs 9 "
      "--transport none --out " +
      (folder / "none"));
  CHECK(weights(none) == weights(first));
  for (const char* key : {"chosen_epoch", "chosen_validation_accuracy", "chosen_test_accuracy"})
    CHECK(*none.find(key) == *first.find(key));
  CHECK(first.find("epochs")->as_array()[2].find("learning_rate")->as_double() > 0.7e-3);
  const auto config = parse_json(read_text_file(run + "/config.json").value()).value();
  CHECK(config.find("validation")->as_double() == 0.2);
  CHECK(config.find("schedule-epochs")->as_int() == 9);
  const auto manifest = parse_json(read_text_file(run + "/manifest.json").value()).value();
  CHECK(manifest.find("validation")->size() > 60);

  // A run that has not ended is taken up with its own part and schedule.
  for (const char* name : {"/summary.json", "/model.safetensors"})
    REQUIRE(std::remove((run + name).c_str()) == 0);
  const ProgramResult resumed = run_program("simulate --quiet --json --resume " + run);
  REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  const Json again = parse_json(resumed.out).value();
  CHECK(weights(again) == weights(first));
  CHECK(*again.find("chosen_epoch") == *first.find("chosen_epoch"));
  const ProgramResult changed = run_program("simulate --validation 0.1 --resume " + run);
  CHECK(changed.exit_code == 2);
  CHECK(run_program(small + "--validation 0.95 --out " + (folder / "x")).exit_code == 2);
  const ProgramResult flat =
      run_program(small + "--epochs 3 --schedule-epochs 2 --out " + (folder / "x"));
  CHECK(flat.exit_code == 2);
  CHECK(flat.err.find("--schedule-epochs 2: expected --epochs 3 to") != std::string::npos);
  CHECK_FALSE(file_exists(folder / "x"));
}

TEST_CASE("a server with a validation part takes no device that may hold some of it") {
  const TemporaryFolder folder;
  const std::string bin = IOTSL_PROGRAMS_DIR, part = " --devices 1 --limit-train 200 ";
  for (const bool same : {true, false}) {
    const std::string manifest = folder / (same ? "same.json" : "other.json");
    REQUIRE(run_program("data partition --dataset glyphs --out " + manifest + part +
                        (same ? "--validation 0.1" : ""))
                .exit_code == 0);
    const std::string port = same ? "17433" : "17434";
    const ProgramResult result = run_program(
        "server --listen 127.0.0.1:" + port + " --dataset glyphs --width 4 --batch 32 --wait 20 " +
        "--limit-test 100 --validation 0.1 --quiet --json --out " +
        (folder / (same ? "same" : "other")) + part + " & server=$!; " + bin +
        "/iotsl-device run --server 127.0.0.1:" + port + " --dataset glyphs --name a --index 0 " +
        "--manifest " + manifest + " >" + (folder / "log") + " 2>&1; code=$?; " +
        (same ? "" : "kill $server; ") + "wait $server; exit $code");
    const std::string log = read_text_file(folder / "log").value();
    INFO(log);
    if (same) {
      REQUIRE(result.exit_code == 0);
      CHECK(parse_json(result.out)->find("chosen_validation_accuracy")->is_number());
    } else {
      CHECK(result.exit_code == 2);
      CHECK(log.find("device 'a'") != std::string::npos);
    }
  }
}

TEST_CASE("a server and devices that are started by hand") {
  const TemporaryFolder folder;
  // Shell job control in place of two terminals: the server, then two devices.
  const std::string bin = IOTSL_PROGRAMS_DIR;
  const std::string manifest = folder / "m.json";
  REQUIRE(
      run_program("data partition --dataset glyphs --devices 2 --limit-train 200 --out " + manifest)
          .exit_code == 0);
  const std::string device = bin +
                             "/iotsl-device run --server 127.0.0.1:17431 --dataset glyphs "
                             "--manifest " +
                             manifest;
  const std::string options =
      "server --listen 127.0.0.1:17431 --dataset glyphs --width 4 "
      "--devices 2 --batch 32 --limit-test 100 --quiet --json --out " +
      (folder / "run");
  const ProgramResult result = run_program(options + " & (" + device + " --name a --index 0 & " +
                                           device + " --name b --index 1; wait) >/dev/null; wait");
  INFO(result.err);
  const auto json = parse_json(result.out);
  REQUIRE(json.ok());
  CHECK(json->find("epochs")->size() == 2);
  CHECK(json->find("epochs")->as_array()[1].find("device_name")->as_string() == "b");
}

TEST_CASE("wrong options of a run") {
  const TemporaryFolder folder;
  const auto code = [&](const std::string& options) {
    return run_program(small + options + " --out " + (folder / "none")).exit_code;
  };
  CHECK(code("--batch 1") == 2);
  CHECK(code("--optimizer lbfgs") == 2);
  CHECK(code("--momentum 0.9") == 2);
  CHECK(code("--pretrain-optimizer sgd") == 2);  // of method sl
  CHECK(code("--rounds 1 --epochs 3") == 2);
  CHECK(code("--partition classes:99") == 2);
  CHECK(code("--cut classifier") == 2);
  CHECK(code("--config /no/such/config.json") == 4);
  // What config.json could not hold, or an Index.
  CHECK(code("--barrier-seconds inf") == 2);
  CHECK(code("--offline-limit 1e400") == 2);
  CHECK(code("--method cache --cache-limit inf") == 2);
  CHECK(code("--rounds 4611686018427387905") == 2);
  CHECK(code("--rounds 1 --added-epochs 9223372036854775807@0.1,9223372036854775807@0.1") == 2);
  CHECK(code("--method iotsl --epsilon 10 --max-epsilon 5") == 2);
  CHECK(code("--init=") == 2);
  CHECK_FALSE(file_exists(folder / "none"));
  const ProgramResult device =
      run_program("run --server 127.0.0.1:1 --name x --dataset glyphs --wait 1", "iotsl-device");
  CHECK(device.exit_code == 3);
  const ProgramResult far =
      run_program("run --server 192.0.2.1:7400 --name x --dataset glyphs", "iotsl-device");
  CHECK(far.exit_code == 2);
  CHECK(far.err.find("--insecure") != std::string::npos);
}
