// The host tool's subcommands that train nothing.

#include "e2e/program.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

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

TEST_CASE("help: groups, ranges in words, lines of at most 100 columns, for every command") {
  const auto simulate = run_program("simulate --help");
  REQUIRE(simulate.exit_code == 0);
  for (const char* title : {"\nData:\n", "\nModel:\n", "\nTraining:\n", "\nIoTSL:\n", "\nRun:\n"})
    CHECK_MESSAGE(simulate.out.find(title) != std::string::npos, title);
  CHECK(simulate.out.find("above 0; default 0.001") != std::string::npos);
  CHECK(simulate.out.find("2 to 4096; default 64") != std::string::npos);
  CHECK(simulate.out.find("adam or sgd") != std::string::npos);
  const auto plan = run_program("plan --help");
  for (const char* useless : {"--resume", "--out ", "--overwrite", "--quiet", "--offline-limit"})
    CHECK_MESSAGE(plan.out.find(useless) == std::string::npos, std::string(useless));
  for (const char* command :
       {"", "simulate", "server", "plan", "predict", "experiment", "gan train", "gan sample",
        "gan inspect", "model export", "model summary", "data pack", "data partition", "data show",
        "privacy epsilon", "privacy plan", "privacy show", "privacy audit", "bench"}) {
    const auto help = run_program(std::string(command) + " --help");
    CHECK(help.exit_code == 0);
    for (std::size_t at = 0; at < help.out.size();) {
      const std::size_t end = std::min(help.out.find('\n', at), help.out.size());
      CHECK_MESSAGE(end - at <= 100, command, ": ", help.out.substr(at, end - at));
      at = end + 1;
    }
  }
}

TEST_CASE("what was probably meant is said, and a command without its part lists the parts") {
  const auto said = [](const char* arguments) {
    const auto result = run_program(arguments);
    CHECK(result.exit_code == 2);
    return result.err;
  };
  CHECK(said("simulat").find("did you mean simulate?") != std::string::npos);
  CHECK(said("gan trian").find("did you mean train?") != std::string::npos);
  CHECK(said("simulate --bacth 8").find("did you mean --batch?") != std::string::npos);
  CHECK(said("simulate --limit 8").find("did you mean --limit-t") != std::string::npos);
  CHECK(said("simulate --zzzzzz").find("did you mean") == std::string::npos);
  CHECK(said("simulate --lr 0,002").find("0,002 is not a number; write 0.002") !=
        std::string::npos);
  CHECK(said("simulate --batch 1").find("1, expected 2 to 4096") != std::string::npos);
  CHECK(said("simulate --batch").find("--batch needs a value") != std::string::npos);
  CHECK(said("simulate --batch 8 --batch 9").find("--batch is given twice") != std::string::npos);
  // What C would read as octal is a decimal, and nothing else is a number.
  CHECK(said("simulate --batch 01").find("1, expected 2 to 4096") != std::string::npos);
  CHECK(said("simulate --width 0x10").find("0x10 is not a number in decimals") !=
        std::string::npos);
  CHECK(said("audit smashed --dataset glyphs --wire fp32,,int8").find("an item is empty") !=
        std::string::npos);
  CHECK(said("audit smashed --dataset glyphs --wire=fp32,").find("an item is empty") !=
        std::string::npos);
  CHECK(said("audit smashed --dataset glyphs --wire int8,int8").find("is given twice") !=
        std::string::npos);
  CHECK(said("audit smashed --dataset glyphs --width 4 --cut 2,features.2").find("twice") !=
        std::string::npos);
  CHECK(run_program("").out.find("\n  simulate ") != std::string::npos);
  CHECK(run_program("gan").out.find("\n  train ") != std::string::npos);
}

TEST_CASE("a number with leading zeros is that number in the run, too") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  REQUIRE(run_program("simulate --dataset glyphs --devices 02 --width 010 --limit-train 040 "
                      "--limit-test 020 --seed 010 --rounds 1 --threads 1 --quiet --out " +
                      run)
              .exit_code == 0);
  const Json config = parse_json(*read_text_file(run + "/config.json")).value();
  CHECK(config.find("width")->as_int() == 10);
  CHECK(config.find("limit-train")->as_int() == 40);
  CHECK(config.find("seed")->as_int() == 10);
}

TEST_CASE("man pages and completion name every command, and bash reads the completion") {
  const TemporaryFolder folder;
  REQUIRE(run_program("manual --out " + folder.path).exit_code == 0);
  const auto text = [&](const char* name) {
    std::ifstream file(folder / name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  for (const char* command : {"simulate", "server", "gan train", "privacy audit"})
    CHECK_MESSAGE(
        text("iotsl.1").find(std::string(".SS iotsl ") + command + "\n") != std::string::npos,
        command);
  CHECK(text("iotsl-device.1").find("\n.B \\-\\-server HOST:PORT\n") != std::string::npos);
  CHECK(text("iotsl-bench.1").find("\n.B \\-\\-compare FILE\n") != std::string::npos);
  const std::string words =
      "bash -c '. " + (folder / "iotsl.bash") +
      "; COMP_WORDS=(iotsl gan tr); COMP_CWORD=2; _iotsl; echo \"${COMPREPLY[*]}\";"
      " COMP_WORDS=(iotsl bench --qu); COMP_CWORD=2; _iotsl; echo \"${COMPREPLY[*]}\";"
      " COMP_WORDS=(iotsl simulate --optimizer \"\"); COMP_CWORD=3; _iotsl; echo "
      "\"${COMPREPLY[*]}\"' >" +
      (folder / "completed");
  REQUIRE(std::system(words.c_str()) == 0);
  CHECK(text("completed") == "train\n--quick\nadam sgd\n");
}

TEST_CASE("too few file handles are said before anything is made, with limit and need") {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  const std::string command = "ulimit -n 20; " IOTSL_PROGRAMS_DIR
                              "/iotsl simulate --dataset glyphs --devices 20 --out " +
                              out + " 2>" + (folder / "said");
  const int status = std::system(command.c_str());
  CHECK(WEXITSTATUS(status) == 2);
  std::ifstream file(folder / "said");
  const std::string said(std::istreambuf_iterator<char>(file), {});
  CHECK_MESSAGE(said.find("20 devices need 52, the limit is 20 (ulimit -n)") != std::string::npos,
                said);
  CHECK_FALSE(std::ifstream(out + "/config.json").good());
}

TEST_CASE("a device's name is one line of text") {
  const auto named = [](const char* name) {
    return run_program(
        std::string("run --server 127.0.0.1:9 --dataset glyphs --wait 1 --name \"$(printf '") +
            name + "')\"",
        "iotsl-device");
  };
  for (const char* bad : {"\\033[2Jx", "x\\nepoch 9", "\\302\\2332J", "\\377"}) {
    const auto refused = named(bad);
    CHECK(refused.exit_code == 2);
    CHECK(refused.err.find("without control characters") != std::string::npos);
    CHECK(refused.err.find('\x1b') == std::string::npos);
  }
  CHECK(named("K\\303\\274che").exit_code == 3);  // nobody listens
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
  CHECK(said("--lr 0,002").find("--lr: 0,002 is not a number; write 0.002\n") != std::string::npos);
  CHECK(said("--lr abc").find("--lr: abc is not a number\n") != std::string::npos);
  CHECK(said("--rounds 1.5").find("--rounds: 1.5 is not a whole number") != std::string::npos);
  CHECK(said("--rounds 1,5").find("--rounds: 1,5 is not a number; write 1.5\n") !=
        std::string::npos);
  CHECK(said("--lr -1").find("--lr: -1, expected above 0\n") != std::string::npos);
  CHECK(said("--limit-train -1").find("--limit-train: -1, expected 0 or more\n") !=
        std::string::npos);
  CHECK(said("--batch 0").find("--batch: 0, expected 2 to ") != std::string::npos);
  CHECK(said("--validation 0,1").find("--validation: 0,1 is not a number; write 0.1\n") !=
        std::string::npos);
  CHECK(said("--lr 1000000").find("expected 0 or more and below 1e6") != std::string::npos);
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

TEST_CASE("audit smashed compares cuts and forms of the wire, and draws what it sees") {
  const TemporaryFolder folder;
  const std::string small =
      "audit smashed --dataset glyphs --known 128 --targets 40 --width 4 --decoder-width 4 "
      "--epochs 1 --threads 1 ";
  const std::string picture = folder / "seen/picture.png";
  const auto audited = run_program(
      small + "--cut 2,features.6 --wire fp32,int4 --json --pictures 3 --out " + picture);
  REQUIRE_MESSAGE(audited.exit_code == 0, audited.err);
  const auto json = parse_json(audited.out);
  REQUIRE(json.ok());
  const auto& rows = json->find("rows")->as_array();
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].find("cut")->as_string() == "features.2");
  CHECK(rows[0].find("bytes")->as_int() == 4 * rows[0].find("values")->as_int());
  CHECK(rows[3].find("cut")->as_string() == "features.6");
  CHECK(rows[3].find("wire")->as_string() == "int4");
  CHECK(rows[3].find("bytes")->as_int() < rows[2].find("bytes")->as_int() / 7);
  CHECK(json->find("known")->as_int() == 128);
  CHECK(json->find("targets")->as_int() == 40);
  CHECK(read_text_file(picture)->starts_with("\x89PNG"));
  const auto again = run_program(small + "--out " + picture);
  CHECK(again.exit_code == 2);
  CHECK(again.err.find("exists already") != std::string::npos);
  const auto no_layer = run_program(small + "--cut features.99");
  CHECK(no_layer.exit_code == 2);
  CHECK_MESSAGE(no_layer.err.find("cut 'features.99'") != std::string::npos, no_layer.err);
  const auto no_form = run_program(small + "--wire int5");
  CHECK(no_form.exit_code == 2);
  CHECK_MESSAGE(no_form.err.find("int5") != std::string::npos, no_form.err);
  CHECK(run_program("audit smashed " + (folder / "nothing")).exit_code == 4);

  // What the plan of a run says of its cut.
  const std::string file = folder / "audit.json";
  REQUIRE(write_file_atomic(file, audited.out).ok());
  const std::string plan =
      "plan --dataset glyphs --limit-train 64 --limit-test 16 --devices 2 --epochs 2 --batch 16 "
      "--threads 1 --json --audit " +
      file;
  const auto planned = run_program(plan + " --width 4 --wire int4");
  REQUIRE_MESSAGE(planned.exit_code == 0, planned.err);
  CHECK(parse_json(planned.out)->find("smashed_ssim")->as_double() ==
        rows[3].find("ssim")->as_double());
  const auto other_form = run_program(plan + " --width 4 --wire int8");
  CHECK(other_form.exit_code == 4);
  CHECK_MESSAGE(other_form.err.find("has no row for cut features.6 in int8") != std::string::npos,
                other_form.err);
  const auto other_width = run_program(plan + " --width 8");
  CHECK(other_width.exit_code == 4);
  CHECK_MESSAGE(other_width.err.find("of width 4 on glyphs, the run is") != std::string::npos,
                other_width.err);
}
