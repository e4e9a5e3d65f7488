// Private generators from the command line to the report.

#include "e2e/background.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/generators/generator_file.hpp"

namespace privacy_e2e_test {

using namespace iotsl;
using test::ProgramResult;
using test::run_program;
using test::TemporaryFolder;

namespace {

const std::string run_options =
    "simulate --dataset glyphs --devices 2 --partition classes:5 --limit-train 400 --limit-test 100 "
    "--width 4 --epochs 2 --batch 20 --method iotsl --pretrain-iterations 40 --quiet ";

ProgramResult succeed(const std::string& arguments) {
  const ProgramResult result = run_program(arguments);
  INFO(arguments << "\n" << result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}
Json json_of(const std::string& arguments) { return parse_json(succeed(arguments).out).value(); }

void fails(const std::string& arguments, int exit_code, const std::string& text) {
  const ProgramResult result = run_program(arguments);
  INFO(arguments << "\n" << result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.err.find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("privacy: generator-only over TCP promises for the whole run, and says it everywhere") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const ProgramResult out =
      succeed(run_options + "--epsilon 10 --generator-only on --transport tcp --out " + run);
  CHECK_MESSAGE(out.out.find("privacy: whole run: epsilon 10 at delta 1e-05") != std::string::npos,
                out.out);
  CHECK(out.out.find("after pre-training alone") != std::string::npos);
  const std::string log = read_text_file(run + "/device-0.log").value();
  CHECK_MESSAGE(log.find("will share a generator with this promise") != std::string::npos, log);
  CHECK(log.find("several images of one person") != std::string::npos);
  CHECK(succeed("privacy show " + run).out.find("whole run: epsilon 10") != std::string::npos);
  CHECK(json_of("privacy show --json " + run).find("whole_run")->as_bool());
  const std::string file = run + "/generators/device-000.iotsl";
  CHECK(json_of("privacy show --json " + file).find("records")->as_int() == 200);
  const std::string ledger = run + "/generators/training/device-0/privacy-ledger.json";
  CHECK(json_of("privacy show --json " + ledger).find("releases")->size() == 1);
  CHECK(succeed("gan inspect " + file).out.find("moments of the lowest cosine") !=
        std::string::npos);
  // What is complete stays complete.
  CHECK(succeed("simulate --resume " + run).out.find("the run is complete") != std::string::npos);
  fails("privacy show " + run + "/model.safetensors", 4, "model.safetensors");
}

TEST_CASE(
    "privacy: a run with turns says that it has no differential privacy, one without says off") {
  const TemporaryFolder folder;
  const Json tuned =
      json_of(run_options + "--epsilon 3 --transport inproc --json --out " + (folder / "tuned"));
  const Json& claim = *tuned.find("privacy");
  CHECK(claim.find("statement")->as_string().find("THE RUN HAS NO DIFFERENTIAL PRIVACY") !=
        std::string::npos);
  CHECK(claim.find("private_generators")->as_bool());
  CHECK_FALSE(claim.find("whole_run")->as_bool());
  CHECK(claim.find("epsilon")->as_double() <= 3);
  const ProgramResult plain =
      succeed(run_options + "--generator moments --transport none --out " + (folder / "plain"));
  CHECK(plain.out.find("privacy: off; neither the generators nor the run") != std::string::npos);
}

TEST_CASE(
    "privacy: a generator that is trained by hand is counted and taken by a run that asks for it") {
  const TemporaryFolder folder;
  const std::string given = folder / "given";
  REQUIRE(create_folders(given).ok());
  const std::string train =
      "gan train --dataset glyphs --limit-train 400 --devices 2 --partition classes:5 --epsilon 10 "
      "--quiet ";
  for (int d = 0; d < 2; ++d)
    succeed(train + concat("--device ", d, " --ledger ", folder / "ledger.json", " --out ", given,
                           "/device-00", d, ".iotsl"));
  CHECK(json_of("privacy show --json " + (folder / "ledger.json")).find("releases")->size() == 2);
  fails(train + "--device 0 --ledger " + (folder / "ledger.json") + " --max-epsilon 15 --out " +
            (folder / "third"),
        2, "more than the limit 15");
  CHECK_FALSE(file_exists(folder / "third"));
  const std::string again = " --generators " + given + " --transport none --out ";
  succeed(run_options + "--epsilon 10" + again + (folder / "run"));
  // Each was released after the other from one ledger: together they promise less.
  fails(run_options + "--epsilon 10 --max-epsilon 11" + again + (folder / "limited"), 2,
        "--max-epsilon 11");
  fails(run_options + "--epsilon 3" + again + (folder / "stricter"), 2, "the run asks for 3");
}

TEST_CASE("privacy audit: passes with figures that a seed repeats, and refuses what it cannot do") {
  const std::string audit = "privacy audit --canaries 200 --seed 3 ";
  const Json first = json_of(audit + "--json");
  CHECK(first.find("passes")->as_bool());
  CHECK(first.find("members")->as_int() > 70);
  const Json& parts = *first.find("parts");
  REQUIRE(parts.size() == 3);
  const char* names[] = {"moments", "centre", "head"};
  for (std::size_t i = 0; i < 3; ++i) {
    const Json& part = parts.as_array()[i];
    CHECK(part.find("part")->as_string() == names[i]);
    const auto number = [&](const char* key) { return part.find(key)->as_double(); };
    CHECK(number("mu") == doctest::Approx(2));
    CHECK(number("mu_stated") == doctest::Approx(2));
    CHECK(number("mu_estimate") >= part.find("mu_range")->as_array()[0].as_double());
    CHECK(number("mu_estimate") <= part.find("mu_range")->as_array()[1].as_double());
    CHECK(number("spread") >= part.find("spread_range")->as_array()[0].as_double());
    CHECK(number("spread") <= part.find("spread_range")->as_array()[1].as_double());
    CHECK(number("largest_change") <= 1);
    CHECK(number("largest_change") > 0.9);
    CHECK(number("epsilon_one_run") < number("epsilon"));
  }
  const Json& membership = *first.find("membership");
  CHECK(membership.find("auc_not_private")->as_double() >
        membership.find("auc_private")->as_double());
  const std::string text = succeed(audit).out;
  CHECK_MESSAGE(text.find("200 canaries") != std::string::npos, text);
  CHECK(text.find("FAILS") == std::string::npos);
  CHECK(to_text(json_of(audit + "--json")) == to_text(first));
  fails("privacy audit --canaries 20", 2, "--canaries");
  fails("privacy audit --mu 9", 2, "--mu 9: expected a number from 0.5 to 5");
  fails("privacy audit --delta 0", 2, "--delta");
}

TEST_CASE("privacy: options that do not go together are refused") {
  const TemporaryFolder folder;
  const std::string out = "--out " + (folder / "x");
  fails(run_options + "--privacy off --epsilon 3 " + out, 2, "--epsilon 3: needs --privacy");
  fails(run_options + "--privacy moments " + out, 2, "either --epsilon or --noise-multiplier");
  fails(run_options + "--privacy moments --generator net --epsilon 1 " + out, 2,
        "that mode is one of --generator moments");
  fails(run_options + "--epsilon 3 --delta 1 " + out, 2, "--delta");
  for (const char* of_net : {"--gan-width 8", "--clip 2", "--critics 3"})
    fails(run_options + "--epsilon 3 " + of_net + " " + out, 2,
          "only for --generator net, not for moments");
  fails("gan train --dataset glyphs --epsilon 3 --latent 8 " + out, 2,
        "--latent 8: only for --generator net");
  fails("simulate --dataset glyphs --devices 2 --method iotsl --generator-only on --pretrain off " +
            out,
        2, "the server would have nothing to train on");
  fails("simulate --dataset glyphs --method sl --epsilon 3 " + out, 2,
        "--epsilon 3: only for --method iotsl");
  fails(
      "simulate --dataset glyphs --limit-train 60 --devices 3 --method iotsl --generator net "
      "--privacy gswgan --noise-multiplier 1 --critics 30 " +
          out,
      2, "device 0: --critics 30: the device has 14 images");
  CHECK_FALSE(folder_exists(folder / "x"));
  const auto device = [](const std::string& arguments) {
    return run_program("run --server 127.0.0.1:9 --name a --dataset glyphs --wait 1 " + arguments,
                       "iotsl-device");
  };
  CHECK(device("--private").err.find("--private needs --state DIR") != std::string::npos);
  CHECK(device("--max-epsilon 3").err.find("--max-epsilon needs --private") != std::string::npos);
  CHECK(device("--private --state x --max-epsilon no").err.find("--max-epsilon no") !=
        std::string::npos);
}

}  // namespace privacy_e2e_test
