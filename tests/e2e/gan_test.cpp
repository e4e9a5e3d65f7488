// iotsl gan: a generator is trained, stopped, gone on with, looked at.

#include <chrono>
#include <thread>

#include "e2e/background.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/data/manifest.hpp"
#include "iotsl/generators/generator_file.hpp"
#include "support/draw_image.hpp"
#include "support/read_image.hpp"

namespace gan_test {

using namespace iotsl;
using test::Child;
using test::ProgramResult;
using test::ReadPicture;
using test::run_program;
using test::TemporaryFolder;

const std::string small =
    "gan train --dataset glyphs --limit-train 120 --gan-preset tiny --gan-width 4 "
    "--gan-iterations 20 --gan-batch 8 --quiet ";

ProgramResult succeed(const std::string& arguments) {
  const ProgramResult result = run_program(arguments);
  INFO(arguments << "\n" << result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}

Json json_of(const std::string& arguments) {
  Result<Json> json = parse_json(succeed(arguments).out);
  REQUIRE(json.ok());
  return std::move(json).value();
}

void fails(const std::string& arguments, int exit_code, const std::string& text) {
  const ProgramResult result = run_program(arguments);
  INFO(arguments << "\n" << result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.err.find(text) != std::string::npos);
}

std::vector<std::uint8_t> bytes_of_file(const std::string& path) {
  const auto bytes = read_file(path);
  REQUIRE(bytes.ok());
  return *bytes;
}

TEST_CASE("gan train: the generator of one device, and what inspect says of it") {
  const TemporaryFolder folder;
  const std::string manifest = folder / "m.json", file = folder / "a.gen", other = folder / "b.gen";
  succeed(
      "data partition --dataset glyphs --devices 3 --partition classes:4 --limit-train 120 "
      "--out " +
      manifest);
  const std::string partition = "--devices 3 --partition classes:4 --device 1 ";
  const Json trained = json_of(small + partition + "--json --threads 1 --out " + file);
  const Json inspected = json_of("gan inspect --json " + file);
  // The same, but for the time that it took, which is none of the file's business.
  const std::string card = to_text(inspected);
  CHECK(to_text(trained).starts_with(card.substr(0, card.size() - 1) + ",\"seconds\":"));
  const std::string twin = folder / "twin.gen";
  succeed(small + partition + "--threads 2 --out " + twin);
  CHECK(bytes_of_file(twin) == bytes_of_file(file));
  CHECK(inspected.find("iterations")->as_int() == 20);
  CHECK(inspected.find("device")->as_int() == 1);
  CHECK(inspected.find("dataset")->as_string() == "glyphs");
  GeneratorSpec spec;
  spec.width = 4;
  CHECK(inspected.find("parameters")->as_int() == lay_out(spec).cost().parameters);
  CHECK(inspected.find("privacy")->find("mode")->as_string() == "off");
  const Json& quality = *inspected.find("quality");
  CHECK(quality.find("checked")->as_bool());
  CHECK(quality.find("classes")->size() == 4);

  const auto loaded = data::load_manifest(manifest);
  REQUIRE(loaded.ok());
  std::vector<Index> counts;
  for (const Json& count : inspected.find("label_counts")->as_array())
    counts.push_back(count.as_int());
  CHECK(counts == loaded->counts[1]);

  const std::string shown = succeed("gan inspect " + file).out;
  for (const char* part : {"full net, width 4, 10 values of bernoulli noise -> 1x28x28, 10 classes",
                           "glyphs, device 1, seed 1: 20 of 20 iterations", "held out  accuracy",
                           "no differential privacy"})
    CHECK(shown.find(part) != std::string::npos);

  // The same samples by a manifest, on another number of threads: the same generator.
  succeed(
      "gan train --dataset glyphs --gan-preset tiny --gan-width 4 --gan-batch 8 --gan-iterations "
      "20 --quiet "
      "--threads 2 --device 1 --manifest " +
      manifest + " --out " + other);
  succeed("gan sample " + file + " --rows 3 --threads 1 --out " + (folder / "a.png"));
  succeed("gan sample " + other + " --rows 3 --threads 2 --out " + (folder / "b.png"));
  succeed("gan sample " + other + " --rows 3 --seed 2 --out " + (folder / "c.png"));
  CHECK(bytes_of_file(folder / "a.png") == bytes_of_file(folder / "b.png"));
  CHECK(bytes_of_file(folder / "a.png") != bytes_of_file(folder / "c.png"));
}

TEST_CASE("gan sample: classes in columns, a group of rows for each generator") {
  const TemporaryFolder folder;
  const std::string a = folder / "a.gen", b = folder / "b.gen", png = folder / "grid.png";
  const std::string partition = "--devices 5 --partition classes:2 --device ";
  succeed(small + partition + "0 --out " + a);
  succeed(small + partition + "3 --out " + b);
  const ProgramResult result =
      succeed("gan sample " + a + " " + b + " --rows 2 --zoom 3 --seed 9 --out " + png);
  const auto first = generators::load_generator(a), second = generators::load_generator(b);
  REQUIRE((first.ok() && second.ok()));

  std::vector<Index> columns;
  for (Index label = 0; label < 10; ++label)
    if (first->card.label_counts[static_cast<std::size_t>(label)] +
            second->card.label_counts[static_cast<std::size_t>(label)] >
        0)
      columns.push_back(label);
  REQUIRE(columns.size() == 4);  // five devices, ten classes: no class is on two devices
  CHECK(result.out.find(concat("columns ", columns[0], ", ", columns[1])) != std::string::npos);

  const ReadPicture picture(png);
  const int cell = 28 * 3 + 2;
  REQUIRE(picture.channels == 1);
  REQUIRE(picture.width == 2 + 4 * cell);
  REQUIRE(picture.height == 2 + 4 * cell + 8);
  for (int group = 0; group < 2; ++group) {
    const generators::GeneratorFile& g = group == 0 ? *first : *second;
    for (int column = 0; column < 4; ++column) {
      const Index label = columns[static_cast<std::size_t>(column)];
      data::Dataset made = gan::empty_set("glyphs", g.card.images);
      g.append(made, label, 2, 9);
      const bool trained = g.card.label_counts[static_cast<std::size_t>(label)] > 0;
      for (int row = 0; row < 2; ++row) {
        const int top = 2 + (2 * group + row) * cell + 8 * group, left = 2 + column * cell;
        int wrong = 0;
        for (int y = 0; y < 28 * 3; ++y)
          for (int x = 0; x < 28 * 3; ++x) {
            const auto place = static_cast<std::size_t>(y / 3 * 28 + x / 3);
            wrong += picture.at(top + y, left + x) != (trained ? made.sample(row)[place] : 255);
          }
        CHECK(wrong == 0);
        CHECK(picture.at(top - 1, left) == 255);
      }
    }
  }
}

TEST_CASE("gan train: stopped by Ctrl-C and gone on with, it ends with the same generator") {
  const TemporaryFolder folder;
  const std::string whole = folder / "whole.gen", file = folder / "g.gen",
                    state = file + ".training", log = folder / "log";
  const std::string options =
      "gan train --dataset glyphs --limit-train 120 --gan-preset tiny --gan-width 4 --gan-batch 8 "
      "--gan-iterations 60 ";
  succeed(options + "--quiet --threads 2 --out " + whole);

  Child child(test::words(std::string(IOTSL_PROGRAMS_DIR) + "/iotsl " + options +
                          "--threads 1 --out " + file),
              log);
  const auto said = [&](const char* text) {
    const auto all = read_text_file(log);
    return all.ok() && all->find(text) != std::string::npos;
  };
  while (!said("iteration 6/60") && child.state() == Child::State::running)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  child.kill(SIGINT);
  while (child.state() == Child::State::running)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(child.state() == Child::State::failed);
  CHECK(child.exit_code() == 5);
  CHECK(said("stopped after iteration"));
  CHECK(said(("--resume " + state).c_str()));
  CHECK_FALSE(file_exists(file));
  REQUIRE(file_exists(state));

  fails(options + "--out " + file, 2, "a training that was stopped");
  fails(options + "--gan-lr 0.01 --resume " + state + " --out " + file, 4, "of another training");
  const ProgramResult again = succeed(options + "--resume " + state + " --out " + file);
  CHECK(again.err.find("goes on after iteration") != std::string::npos);
  CHECK_FALSE(file_exists(state));
  CHECK(bytes_of_file(whole) == bytes_of_file(file));
  fails(options + "--out " + file, 2, "exists already");
}

TEST_CASE("gan train: colour images, the light generator, Gaussian noise") {
  const TemporaryFolder folder;
  const std::string file = folder / "g.gen", png = folder / "g.png";
  for (int kind = 0; kind < 2; ++kind) {
    const std::string inside = concat(folder / "photos", "/kind-", kind);
    REQUIRE(create_folders(inside).ok());
    for (int i = 0; i < 12; ++i)
      REQUIRE(test::Picture(kind, i, 20, 20).save(concat(inside, "/", i, ".png")));
  }
  const Json card = json_of("gan train --dataset images --data " + (folder / "photos") +
                            " --gan-preset tiny --gan-width 8 --gan-iterations 4 --gan light "
                            "--noise gaussian --latent 4 --quiet --json --out " +
                            file);
  CHECK(card.find("settings")->find("net")->find("generator")->as_string() == "light");
  CHECK(card.find("class_names")->size() == 2);
  CHECK(succeed("gan inspect " + file).out.find("4 values of gaussian noise -> 3x20x20") !=
        std::string::npos);
  const std::string out = succeed("gan sample " + file + " --rows 5 --zoom 1 --out " + png).out;
  CHECK(out.find("columns kind-0, kind-1") != std::string::npos);
  const ReadPicture picture(png);
  CHECK(picture.channels == 3);
  CHECK(picture.width == 2 + 2 * 22);
  CHECK(picture.height == 2 + 5 * 22);
}

TEST_CASE("gan: wrong options and files end with their exit code and name what was given") {
  const TemporaryFolder folder;
  const std::string out = "--out " + (folder / "x.gen");
  fails("gan train --dataset glyphs", 2, "--out");
  fails("gan train --dataset glyphs --gan-preset huge " + out, 2, "'huge'");
  fails("gan train --dataset glyphs --gan big " + out, 2, "'big'");
  fails("gan train --dataset glyphs --gan-width 3 " + out, 2,
        "--gan-width: 3, expected 0 or an even");
  fails("gan train --dataset glyphs --gan light --gan-width 2 " + out, 2, "light generator");
  fails("gan train --dataset glyphs --partition iid " + out, 2, "--device");
  fails("gan train --dataset glyphs --device 5 " + out, 2, "has devices 0 to 4");
  fails("gan train --dataset glyphs --device 0 --manifest " + (folder / "none") + " " + out, 4,
        "none");
  fails("gan train --dataset mnist --data /nonexistent " + out, 4, "/nonexistent");
  // Where the result cannot go is said before hours of training, not after.
  fails(small + "--out " + (folder / ""), 2, "is a folder");
  fails(small + "--out ''", 2, "--out needs a value");
  fails(small + "--out /dev/null", 2, "not a regular file");
  // Refused before it has begun, a private training leaves nothing to go on with.
  const std::string refused = folder / "refused.gen";
  const std::string noised = "gan train --dataset glyphs --limit-train 120 --quiet --epsilon 5 ";
  for (int i = 0; i < 2; ++i)
    fails(noised + "--max-epsilon 1 --out " + refused, 2, "nothing is released");
  CHECK_FALSE(file_exists(refused + ".training"));
  CHECK_FALSE(file_exists(refused + ".training.lock"));
  // What has been trained before stays what it is.
  REQUIRE(write_file_atomic(refused + ".training", "of hours").ok());
  fails(noised + "--overwrite --max-epsilon 1 --out " + refused, 2, "nothing is released");
  CHECK(*read_text_file(refused + ".training") == "of hours");
  fails(small + "--delta 0.1 --out " + refused + "2", 2, "--delta 0.1: needs --privacy");
  fails(noised + "--ledger " + refused + " --out " + refused, 2, "--ledger");
  const std::string deep = folder / "new/folders/a.gen";
  succeed(small + "--out " + deep);
  const auto trained = bytes_of_file(deep);
  fails("gan sample " + deep + " --out " + deep, 2, "exists already");
  fails("gan sample " + deep + " --overwrite --out " + deep, 2, "no PNG file");
  CHECK(bytes_of_file(deep) == trained);
  const std::string weights = folder / "w.st";
  succeed("model export vanilla5 --width 4 --out " + weights);
  fails("predict " + weights + " " + folder.path + " --overwrite --out " + weights, 2,
        "is no text file");
  fails("audit smashed --dataset glyphs --overwrite --out " + deep, 2, "is no PNG file");
  CHECK(bytes_of_file(deep) == trained);
  fails("gan sample " + deep + " --seed -1 --out " + (folder / "x.png"), 2, "--seed");
  fails("gan sample " + (folder / "none") + " --out " + (folder / "x.png"), 4, "none");
  fails("gan inspect " + (folder / "none"), 4, "none");
  REQUIRE(write_file_atomic(folder / "text", "not a generator").ok());
  fails("gan inspect " + (folder / "text"), 4, "text: ");
  CHECK_FALSE(file_exists(folder / "x.gen"));
}

}  // namespace gan_test
