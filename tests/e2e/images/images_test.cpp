// Image folders and CelebA through the programs, on pictures that the test draws.

#include "e2e/program.hpp"
#include "support/draw_image.hpp"

#include <doctest/doctest.h>

#include "iotsl/core/files/file.hpp"
#include "iotsl/data/source.hpp"

namespace images_test {

using namespace iotsl;
using test::Picture;
using test::ProgramResult;
using test::run_program;
using test::TemporaryFolder;

/// `each` pictures of every kind in DIR/kind-0/ ..., every second one a JPEG.
void draw_folder(const std::string& folder, int kinds, int each, int height, int width) {
  for (int kind = 0; kind < kinds; ++kind) {
    const std::string inside = folder + "/kind-" + std::to_string(kind);
    REQUIRE(create_folders(inside).ok());
    for (int i = 0; i < each; ++i)
      REQUIRE(Picture(kind, i, height, width)
                  .save(inside + "/" + std::to_string(i) + (i % 2 == 0 ? ".png" : ".jpg")));
  }
}

/// `each` faces of all eight kinds with their list, in JPEG as the real ones.
void draw_celeba(const std::string& folder, int each, int height, int width) {
  REQUIRE(create_folders(folder + "/img_align_celeba").ok());
  std::string list = std::to_string(8 * each) + "\nMale Smiling Young Black_Hair\n";
  for (int i = 0; i < 8 * each; ++i) {
    const int kind = i % 8;
    char name[16];
    std::snprintf(name, sizeof name, "%06d.jpg", i + 1);
    const auto sign = [&](int bit) { return (kind >> bit & 1) != 0 ? " 1" : " -1"; };
    list += std::string(name) + sign(2) + sign(0) + " 1" + sign(1) + "\n";
    REQUIRE(Picture(kind, i / 8, height, width).save(folder + "/img_align_celeba/" + name));
  }
  REQUIRE(write_file_atomic(folder + "/list_attr_celeba.txt", list).ok());
}

std::string pack_error(const std::string& options, int exit_code, const TemporaryFolder& folder) {
  const ProgramResult result =
      run_program("data pack --out " + (folder / "packed") + " --dataset " + options);
  CHECK(result.exit_code == exit_code);
  CHECK_FALSE(file_exists(folder / "packed/set.json"));
  return result.err;
}

Json json_of(const std::string& arguments) {
  const ProgramResult result = run_program(arguments);
  INFO(arguments << "\n" << result.err);
  REQUIRE(result.exit_code == 0);
  Result<Json> json = parse_json(result.out);
  REQUIRE(json.ok());
  return std::move(json).value();
}

TEST_CASE("images: a folder is packed pixel by pixel") {
  const TemporaryFolder folder;
  draw_folder(folder / "set", 2, 5, 20, 24);
  const ProgramResult packed = run_program("data pack --dataset images --data " + (folder / "set") +
                                           " --out " + (folder / "packed"));
  INFO(packed.err);
  REQUIRE(packed.exit_code == 0);
  CHECK(packed.out.find("8 training and 2 test images of 3x20x24, 2 classes") != std::string::npos);
  const auto train = data::load_packed(folder / "packed", data::Split::train);
  REQUIRE(train.ok());
  CHECK(train->name == "images");
  CHECK(train->class_names == std::vector<std::string>{"kind-0", "kind-1"});
  // A PNG keeps its bytes: one of the pictures must be there exactly, plane by plane.
  bool found = false;
  for (int variant = 0; variant < 5; variant += 2) {
    const Picture picture(1, variant, 20, 24);
    for (Index i = 0; i < train->size(); ++i) {
      bool same = train->labels[static_cast<std::size_t>(i)] == 1;
      for (std::size_t p = 0; p < 20 * 24 && same; ++p)
        for (std::size_t c = 0; c < 3; ++c)
          same = same && train->sample(i)[c * 20 * 24 + p] == picture.pixels[p * 3 + c];
      found = found || same;
    }
  }
  CHECK(found);
  const ProgramResult shown =
      run_program("data show --dataset packed --data " + (folder / "packed"));
  CHECK(shown.out.find("kind-1") != std::string::npos);
  // The same files give the same set, in memory and packed.
  const std::string partition =
      "data partition --devices 2 --overwrite --out " + (folder / "m") + " --dataset ";
  REQUIRE(run_program(partition + "images --data " + (folder / "set")).exit_code == 0);
  const auto first = *read_text_file(folder / "m");
  REQUIRE(run_program(partition + "packed --data " + (folder / "packed")).exit_code == 0);
  CHECK(*read_text_file(folder / "m") == first);
}

TEST_CASE("images: any set can be packed and stays the same set") {
  const TemporaryFolder folder;
  REQUIRE(run_program("data pack --dataset glyphs --out " + (folder / "packed")).exit_code == 0);
  const std::string draw = "data partition --partition classes:2 --dataset ";
  REQUIRE(run_program(draw + "glyphs --out " + (folder / "a")).exit_code == 0);
  REQUIRE(run_program(draw + "packed --data " + (folder / "packed") + " --out " + (folder / "b"))
              .exit_code == 0);
  CHECK(*read_text_file(folder / "a") == *read_text_file(folder / "b"));
}

TEST_CASE("images: scaled to one size, with and without a centre crop, in grey") {
  const TemporaryFolder folder;
  draw_folder(folder / "set", 2, 3, 40, 40);
  draw_folder(folder / "set", 2, 2, 40, 60);  // takes the place of two of each
  const std::string pack = "data pack --dataset images --data " + (folder / "set") + " --out ";
  REQUIRE(run_program(pack + (folder / "plain") + " --image-size 16x24").exit_code == 0);
  REQUIRE(run_program(pack + (folder / "crop") + " --image-size 16 --center-crop --channels 1")
              .exit_code == 0);
  const auto plain = data::load_packed(folder / "plain", data::Split::train);
  REQUIRE(plain.ok());
  CHECK(plain->height == 16);
  CHECK(plain->width == 24);
  const auto crop = data::load_packed(folder / "crop", data::Split::train);
  REQUIRE(crop.ok());
  CHECK(crop->channels == 1);
  CHECK(crop->height == 16);
  CHECK(crop->width == 16);
  CHECK(crop->center_crop);
  // A uniform picture stays uniform at any scale.
  Picture flat(0, 0, 33, 77);
  std::fill(flat.pixels.begin(), flat.pixels.end(), std::uint8_t{137});
  for (const char* name : {"flat/a/1.png", "flat/a/2.png"}) {
    REQUIRE(create_folders(folder / "flat/a").ok());
    REQUIRE(flat.save(folder / name));
  }
  for (const char* size : {"16", "200", "33x77 --center-crop", "20x9 --channels 1"}) {
    REQUIRE(run_program("data pack --overwrite --dataset images --data " + (folder / "flat") +
                        " --out " + (folder / "f") + " --image-size " + size)
                .exit_code == 0);
    const auto set = data::load_packed(folder / "f", data::Split::train);
    CHECK(std::count(set->pixels.begin(), set->pixels.end(), 137) ==
          static_cast<std::ptrdiff_t>(set->pixels.size()));
  }
}

#if IOTSL_WITH_UTF8PROC
TEST_CASE("images: class folders of one name, as Linux and macOS write it") {
  const TemporaryFolder folder;
  const std::string set = folder / "set", images = "images --data " + set;
  // Composed and not: e with acute, a Korean syllable.
  for (const auto& [one, two] : {std::pair{"caf\xc3\xa9", "cafe\xcc\x81"},
                                 std::pair{"\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1"}}) {
    draw_folder(set, 2, 2, 8, 8);
    std::filesystem::rename(set + "/kind-0", set + "/" + one);
    std::filesystem::rename(set + "/kind-1", set + "/" + two);
    CHECK(pack_error(images, 4, folder).find("have the same name '" + std::string(one)) !=
          std::string::npos);
    std::filesystem::remove_all(set);
  }
}
#endif

TEST_CASE("images: errors name the file or option and what was expected") {
  const TemporaryFolder folder;
  const std::string set = folder / "set", images = "images --data " + set;
  draw_folder(set, 2, 3, 20, 20);
  REQUIRE(write_file_atomic(set + "/kind-1/0.png", std::string_view("no picture")).ok());
  CHECK(pack_error(images, 4, folder).find(set + "/kind-1/0.png: not an image: ") !=
        std::string::npos);
  REQUIRE(Picture(1, 0, 20, 21).save(set + "/kind-1/0.png"));
  const std::string mixed = pack_error(images, 4, folder);
  CHECK(mixed.find("pixels, but " + set + "/kind-0/") != std::string::npos);
  CHECK(mixed.find("give --image-size") != std::string::npos);
  CHECK(pack_error("images", 2, folder).find("--data DIR") != std::string::npos);
  CHECK(pack_error(images + " --center-crop", 2, folder).find("--image-size") != std::string::npos);
  CHECK(pack_error(images + " --image-size 0", 2, folder).find("--image-size 0: expected") !=
        std::string::npos);
  CHECK(pack_error(images + " --image-size 8y8", 2, folder).find("8y8") != std::string::npos);
  CHECK(pack_error(images + " --channels 2", 2, folder).find("--channels") != std::string::npos);
  CHECK(pack_error(images + " --per-class 5", 2, folder)
            .find("--per-class 5: only for --dataset celeba") != std::string::npos);
  CHECK(pack_error("glyphs --image-size 8", 2, folder)
            .find("--image-size 8: only for --dataset images, celeba and faces, not for glyphs") !=
        std::string::npos);
  std::filesystem::remove(set + "/kind-1/0.png");
  std::filesystem::create_symlink("nowhere.png", set + "/kind-1/0.png");
  CHECK(pack_error(images, 4, folder).find(set + "/kind-1/0.png: cannot open: No such file") !=
        std::string::npos);
  std::filesystem::remove_all(set + "/kind-1");
  REQUIRE(create_folders(set + "/kind-1").ok());
  CHECK(pack_error(images, 4, folder).find(set + "/kind-1: no images") != std::string::npos);
  std::filesystem::remove_all(set);
  CHECK(pack_error(images, 4, folder).find(set + ": cannot open folder") != std::string::npos);
  CHECK(pack_error("celeba --data " + set, 4, folder)
            .find("no list_attr_celeba.txt or .csv in " + set) != std::string::npos);
  REQUIRE(create_folders(set).ok());
  CHECK(pack_error(images, 4, folder).find("no class folders") != std::string::npos);
}

TEST_CASE("images: a summary for 3x128x128") {
  const Json vgg = json_of("model summary --channels 3 --image-size 128 --classes 8 --json");
  CHECK(vgg.find("smashed_values")->as_int() == 64 * 64 * 64);
  // conv 3->64, conv 64->64, two batch norms
  CHECK(vgg.find("front")->find("parameters")->as_int() == 28 * 64 + 577 * 64 + 256);
  const Json vanilla =
      json_of("model summary vanilla5 --channels 3 --image-size 128 --classes 8 --json");
  CHECK(vanilla.find("smashed_values")->as_int() == 64 * 32 * 32);
}

TEST_CASE("images: CelebA's classes train over device processes, both models") {
  const TemporaryFolder folder;
  draw_celeba(folder / "celeba", 4, 44, 36);
  for (const std::string model : {"vgg16bn-compact", "vanilla5"}) {
    const std::string run = folder / model;
    const std::string options = "simulate --dataset celeba --data " + (folder / "celeba") +
                                " --per-class 3 --model " + model +
                                " --width 4 --devices 2 --batch 8 --rounds 1 --quiet --json ";
    const Json tcp = json_of(options + "--out " + run);
    const Json none = json_of(options + "--transport none --out " + run + "-none");
    CHECK(tcp.find("weights_sha256")->as_string() == none.find("weights_sha256")->as_string());
    CHECK(file_exists(run + "/data/set.json"));
    const auto card = parse_json(*read_text_file(run + "/model.json"));
    CHECK(to_text(*card->find("input")) == "[3,128,128]");
    CHECK(card->find("classes")->as_array()[3].as_string() == "smiling+black_hair");
  }
  // The run folder knows how to look at a new picture.
  REQUIRE(Picture(5, 1, 50, 50).save(folder / "new.jpg"));
  const std::string run = folder / "vanilla5";
  const Json one = json_of("predict " + run + " " + (folder / "new.jpg") + " --json");
  CHECK(one.find("logits")->size() == 8);
  const Json tested = json_of("predict " + run + " --dataset celeba --per-class 3 --json --data " +
                              (folder / "celeba"));
  CHECK(tested.find("samples")->as_int() == 8);
  const Json packed =
      json_of("predict " + run + " --dataset packed --json --data " + run + "/data");
  CHECK(packed.find("loss")->as_double() == tested.find("loss")->as_double());
}

TEST_CASE("images: pictures are learned, and the run exported as one file predicts the same") {
  const TemporaryFolder folder;
  draw_folder(folder / "set/train", 3, 24, 20, 20);
  draw_folder(folder / "set/test", 3, 8, 20, 20);
  const std::string run = folder / "run";
  const Json summary = json_of("simulate --dataset images --data " + (folder / "set") +
                               " --image-size 16 --model vanilla5 --width 16 --devices 2 --batch 8 "
                               "--rounds 8 --lr 0.005 --eval-every 16 --quiet --json --out " +
                               run);
  CHECK(summary.find("final_test_accuracy")->as_double() > 0.9);
  const std::string weights = folder / "weights.safetensors";
  REQUIRE(run_program("model export --run " + run + " --out " + weights).exit_code == 0);
  REQUIRE(Picture(2, 3, 40, 30).save(folder / "new.png"));
  const std::string image = " " + (folder / "new.png") + " --json";
  const ProgramResult from_run = run_program("predict " + run + image);
  const ProgramResult from_file = run_program("predict " + weights + image);
  CHECK(from_run.out == from_file.out);
  CHECK(from_file.out == run_program("predict " + weights + image + " --split").out);
  CHECK(parse_json(from_file.out)->find("name")->as_string() == "kind-2");
  // The packed set of the run folder is a set like any other.
  const Json again = json_of("simulate --dataset packed --data " + run +
                             "/data --model vanilla5 --width 16 --devices 2 --batch 8 --rounds 8 "
                             "--lr 0.005 --eval-every 16 --quiet --json --out " +
                             (folder / "again"));
  CHECK(again.find("weights_sha256")->as_string() == summary.find("weights_sha256")->as_string());
  // Another set has other classes.
  std::filesystem::rename(folder / "set/test/kind-0", folder / "set/test/other");
  std::filesystem::rename(folder / "set/train/kind-0", folder / "set/train/other");
  const ProgramResult other =
      run_program("predict " + run + " --dataset images --data " + (folder / "set"));
  CHECK(other.exit_code == 4);
  CHECK(other.err.find("class 0 is 'kind-1', of the model 'kind-0'") != std::string::npos);
}

TEST_CASE("weights files: wrong and missing descriptions are refused") {
  const TemporaryFolder folder;
  const std::string weights = folder / "w.safetensors";
  REQUIRE(run_program("model export vanilla5 --width 4 --out " + weights).exit_code == 0);
  REQUIRE(Picture(2, 3, 28, 28).save(folder / "a.png"));
  const std::string image = " " + (folder / "a.png");
  CHECK(run_program("predict " + weights + image).exit_code == 0);
  const ProgramResult wide = run_program("predict " + weights + image + " --width 8");
  CHECK(wide.exit_code == 4);
  CHECK(wide.err.find("'features.0.weight' is F32 [2,1,3,3]") != std::string::npos);
  CHECK(run_program("model export vanilla5 --run " + (folder / "x")).exit_code == 2);
  REQUIRE(write_file_atomic(weights, std::string_view("\2\0\0\0\0\0\0\0{}", 10)).ok());
  const ProgramResult unknown = run_program("predict " + weights + image);
  CHECK(unknown.exit_code == 2);
  CHECK(unknown.err.find("does not say which network") != std::string::npos);
}

}  // namespace images_test
