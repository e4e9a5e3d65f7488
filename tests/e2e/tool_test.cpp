// The host tool's subcommands that train nothing.

#include "e2e/program.hpp"

#include <doctest/doctest.h>

#include <fstream>

using namespace iotsl;
using test::run_program;
using test::TemporaryFolder;

namespace {

struct Golden {
  const char* model;
  std::int64_t parameters, operations, activation_bytes;
};

}  // namespace

TEST_CASE("model summary prints the numbers of the paper") {
  for (const Golden& golden : {Golden{"vgg16bn-paper", 134308810, 3028565504, 11789352},
                               Golden{"vgg16bn-compact", 14727114, 206032128, 2528808}}) {
    const auto result = run_program(std::string("model summary ") + golden.model + " --json");
    REQUIRE(result.exit_code == 0);
    const auto json = parse_json(result.out);
    REQUIRE(json.ok());
    CHECK(json->find("parameters")->as_int() == golden.parameters);
    CHECK(json->find("operations")->as_int() == golden.operations);
    CHECK(json->find("activation_bytes")->as_int() == golden.activation_bytes);
    const Json& front = *json->find("front");
    CHECK(front.find("parameters")->as_int() == 37824);
    CHECK(front.find("operations")->as_int() == 29804544);
    CHECK(front.find("activation_bytes")->as_int() == 1254400);
    const Json& back = *json->find("back");
    CHECK(back.find("parameters")->as_int() == golden.parameters - 37824);
    CHECK(json->find("smashed_values")->as_int() == 12544);
    std::int64_t sum = 0;
    for (const Json& layer : json->find("layers")->as_array())
      sum += layer.find("operations")->as_int();
    CHECK(sum == golden.operations);
  }
}

TEST_CASE("a cut by name and by index is the same cut, and moves only the border") {
  const auto by_name = run_program("model summary --cut features.3 --json");
  const auto by_index = run_program("model summary --cut 3 --json");
  CHECK(by_name.exit_code == 0);
  CHECK(by_name.out == by_index.out);
  const auto json = parse_json(by_name.out);
  REQUIRE(json.ok());
  CHECK(json->find("parameters")->as_int() == 14727114);
  // conv 1->64 (640), batch norm (128), conv 64->64 (36,928)
  CHECK(json->find("front")->find("parameters")->as_int() == 640 + 128 + 36928);
}

TEST_CASE("wrong options end with exit code 2 and name what was given") {
  const auto model = run_program("model summary resnet50");
  CHECK(model.exit_code == 2);
  CHECK(model.err.find("'resnet50'") != std::string::npos);
  CHECK(model.err.find("vgg16bn-compact") != std::string::npos);
  const auto cut = run_program("model summary --cut features.99");
  CHECK(cut.exit_code == 2);
  CHECK(cut.err.find("'features.99'") != std::string::npos);
  CHECK(run_program("model summary --width 0").exit_code == 2);
  CHECK(run_program("").exit_code == 2);
  CHECK(run_program("no-such-command").exit_code == 2);
  CHECK(run_program("--help").exit_code == 0);
  CHECK(run_program("--version").out == "0.1.0\n");
}

TEST_CASE("exported weights are a function of the seed") {
  const TemporaryFolder folder;
  const auto a = run_program("model export --width 8 --seed 3 --out " + (folder / "a"));
  const auto b = run_program("model export --width 8 --seed 3 --out " + (folder / "b"));
  const auto c = run_program("model export --width 8 --seed 4 --out " + (folder / "c"));
  REQUIRE(a.exit_code == 0);
  const auto hash = [](const std::string& out) { return out.substr(out.find("sha256")); };
  CHECK(hash(a.out) == hash(b.out));
  CHECK(hash(a.out) != hash(c.out));
}

TEST_CASE("data partition writes a manifest that data show reads") {
  const TemporaryFolder folder;
  const std::string manifest = folder / "m.json";
  const auto drawn = run_program(
      "data partition --dataset glyphs --devices 5 --partition classes:2 "
      "--limit-train 1000 --out " +
      manifest);
  REQUIRE(drawn.exit_code == 0);
  const auto shown = run_program("data show " + manifest);
  REQUIRE(shown.exit_code == 0);
  CHECK(drawn.out.find(shown.out) == 0);
  const auto bad = run_program(
      "data partition --dataset glyphs --partition classes:11 --overwrite --out " + manifest);
  CHECK(bad.exit_code == 2);
  CHECK(bad.err.find("classes:11") != std::string::npos);
  std::ofstream(manifest) << "{\"format\": 1}";
  const auto corrupt = run_program("data show " + manifest);
  CHECK(corrupt.exit_code == 4);
  CHECK(corrupt.err.find(manifest) != std::string::npos);
}

TEST_CASE("a data set that is not there is an error with the places looked at") {
  const auto result = run_program("data show --dataset mnist --data /nonexistent-folder");
  CHECK(result.exit_code == 4);
  CHECK(result.err.find("/nonexistent-folder/mnist") != std::string::npos);
  CHECK(result.err.find("--data") != std::string::npos);
}

TEST_CASE("numbers: what is said of a value that is none, or out of range") {
  const auto said = [](const std::string& options) {
    const auto result = run_program("simulate --dataset glyphs " + options);
    CHECK(result.exit_code == 2);
    return result.err;
  };
  CHECK(said("--lr 0,002").find("--lr: not a number: 0,002 (write 0.002)\n") == 0);
  CHECK(said("--lr abc").find("--lr: not a number: abc\n") == 0);
  CHECK(said("--rounds 1.5").find("--rounds: not a whole number: 1.5\n") == 0);
  CHECK(said("--rounds 1,5").find("--rounds: not a whole number: 1,5\n") == 0);
  CHECK(said("--lr -1").find("--lr: -1: expected a number above 0\n") == 0);
  CHECK(said("--limit-train -1").find("--limit-train: -1: expected a number of at least 0\n") == 0);
  CHECK(said("--batch 0").find("--batch: 0: expected 2 to ") == 0);
  CHECK(said("--validation 0,1").find("--validation: not a number: 0,1 (write 0.1)\n") == 0);
  CHECK(said("--lr 1000000").find("expected at least 0 and below 1000000") != std::string::npos);
  CHECK(said("--lr 1e400").size() < 200);
}

TEST_CASE("output that cannot be written is no success") {
  for (const char* command :
       {"data show --dataset glyphs", "--help", "--version", "model summary"}) {
    INFO(command);
    const auto full = run_program(std::string(command) + " >/dev/full");
    CHECK(full.exit_code == 1);
    CHECK(full.err.find("cannot write to standard output") != std::string::npos);
  }
  CHECK(run_program("--version >/dev/full", "iotsl-device").exit_code == 1);
}

TEST_CASE("an unknown data set: all that there are") {
  const auto unknown = run_program("data show --dataset cifar10");
  CHECK(unknown.exit_code == 2);
  for (const char* name : {"mnist", "images", "celeba", "packed", "emnist-letters", "qmnist"})
    CHECK(unknown.err.find(name) != std::string::npos);
}

TEST_CASE("a web page or a pointer in place of a file of a set or of weights is called that") {
  const TemporaryFolder folder;
  for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"})
    REQUIRE(
        write_file_atomic(folder / name, std::string_view("<!DOCTYPE html><html></html>")).ok());
  const auto page = run_program("data show --dataset mnist --data " + folder.path);
  CHECK(page.exit_code == 4);
  CHECK(page.err.find("train-images-idx3-ubyte: is a web page") != std::string::npos);
  const std::string weights = folder / "w.safetensors";
  REQUIRE(
      write_file_atomic(weights, std::string_view("version https://git-lfs.github.com/spec/v1\n"))
          .ok());
  const auto pointer = run_program("predict " + weights + " x.png");
  CHECK(pointer.exit_code == 4);
  CHECK(pointer.err.find("is a Git LFS pointer") != std::string::npos);
  // What there is instead is named.
  REQUIRE(create_folders(folder / "other").ok());
  REQUIRE(write_file_atomic(folder / "other/mnist_train.csv", std::string_view("1")).ok());
  const auto near = run_program("data show --dataset mnist --data " + (folder / "other"));
  CHECK(near.err.find("there is: " + (folder / "other/mnist_train.csv")) != std::string::npos);
}
