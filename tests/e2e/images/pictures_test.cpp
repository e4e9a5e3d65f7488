// Single picture files through iotsl data pack: what is in them, and what is wrong with them.

#include "e2e/background.hpp"
#include "support/picture_bytes.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "iotsl/data/packed.hpp"

namespace pictures_test {

using namespace iotsl;
using test::Bytes;
using test::exif_data;
using test::jpeg_file;
using test::JpegParts;
using test::png_file;
using test::PngParts;
using test::run_program;
using test::TemporaryFolder;

void write(const std::string& path, const Bytes& bytes) {
  REQUIRE(create_folders(path.substr(0, path.rfind('/'))).ok());
  REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
}
Bytes text(std::string_view content) { return {content.begin(), content.end()}; }

/// What the program makes of a picture: a set of it alone is packed.
struct Packed {
  explicit Packed(const Bytes& file, const std::string& options = "", const char* name = "x.png") {
    for (const char* place : {"/train/a/", "/train/b/", "/test/a/", "/test/b/"})
      write(folder / ("set" + std::string(place) + name), file);
    const auto result = run_program("data pack --dataset images --data " + (folder / "set") +
                                    " --out " + (folder / "p") + " " + options);
    exit_code = result.exit_code;
    err = result.err;
    if (exit_code != 0) return;
    const auto loaded = data::load_packed(folder / "p", data::Split::train);
    REQUIRE(loaded.ok());
    set = *loaded;
  }
  /// Red, green, blue of a pixel.
  std::vector<int> at(Index y, Index x) const {
    std::vector<int> out;
    for (Index c = 0; c < set.channels; ++c)
      out.push_back(set.pixels[static_cast<std::size_t>((c * set.height + y) * set.width + x)]);
    return out;
  }
  bool says(const std::string& part) const { return err.find(part) != std::string::npos; }

  TemporaryFolder folder;
  int exit_code = -1;
  std::string err;
  data::Dataset set;
};

using Rgb = std::vector<int>;

TEST_CASE("pictures: a PNG of every kind of pixel") {
  const auto first = [](const PngParts& parts) {
    const Packed packed(png_file(parts));
    INFO(packed.err);
    REQUIRE(packed.exit_code == 0);
    return packed.at(0, 0);
  };
  CHECK(first({.rows = {0, 10, 20, 30}}) == Rgb{10, 20, 30});
  CHECK(first({.colour = 6, .rows = {0, 10, 20, 30, 0}}) == Rgb{10, 20, 30});
  CHECK(first({.colour = 4, .rows = {0, 10, 77}}) == Rgb{10, 10, 10});
  CHECK(first({.depth = 16, .colour = 0, .rows = {0, 10, 200}}) == Rgb{10, 10, 10});
  CHECK(first({.depth = 16, .colour = 2, .rows = {0, 1, 9, 2, 9, 3, 9}}) == Rgb{1, 2, 3});
  CHECK(first({.depth = 1, .colour = 0, .rows = {0, 0x80}}) == Rgb{255, 255, 255});
  CHECK(first({.depth = 1,
               .colour = 3,
               .rows = {0, 0x80},
               .extra = "PLTE",
               .extra_content = {1, 2, 3, 4, 5, 6}}) == Rgb{4, 5, 6});
  // A colour profile that is wrong is nothing to us, an orientation is.
  CHECK(first({.rows = {0, 1, 2, 3}, .extra = "iCCP", .extra_content = {'x', 0, 0, 9}}) ==
        Rgb{1, 2, 3});
  CHECK(first({.width = 2,
               .rows = {0, 1, 1, 1, 2, 2, 2},
               .extra = "eXIf",
               .extra_content = exif_data(3, true)}) == Rgb{2, 2, 2});
}

TEST_CASE("pictures: no flipped bit of a PNG passes, and the failure names file and chunk") {
  const Bytes good =
      png_file({.width = 2, .height = 2, .rows = {0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12}});
  const TemporaryFolder folder;
  REQUIRE(Packed(good).exit_code == 0);
  // Bytes of every chunk; all of them in one folder, which is refused with all their names.
  int count = 0;
  for (const char* name : {"a", "b"})
    for (std::size_t byte = 8; byte < good.size(); byte += 3, ++count) {
      Bytes bad = good;
      bad[byte] = static_cast<std::uint8_t>(bad[byte] ^ 1u << byte % 8);
      write(folder / (std::string("set/") + name + "/" + std::to_string(byte) + ".png"), bad);
    }
  const auto result = run_program("data pack --dataset images --image-size 2 --data " +
                                  (folder / "set") + " --out " + (folder / "p"));
  CHECK(result.exit_code == 4);
  CHECK(result.err.find(std::to_string(count) + " bad files; --skip-bad leaves them out") !=
        std::string::npos);
  Bytes bad = good;
  bad[bad.size() - 20] ^= 4;  // in the pixels
  const Packed packed(bad);
  CHECK(packed.exit_code == 4);
  CHECK(packed.says("set/train/a/x.png: checksum of chunk IDAT at byte 33 is wrong"));
  CHECK(packed.says("4 bad files"));
  CHECK(Packed(png_file({.rows = {0, 1, 2, 3}, .good_adler = false})).says("incorrect data check"));
  bad = good;
  bad.resize(bad.size() - 12);
  CHECK(Packed(bad).says("cut off at byte"));
  CHECK(Packed(png_file({.width = 4, .height = 4, .rows = {0, 1, 2, 3}}))
            .says("Not enough image data"));
  CHECK(Packed(png_file({.width = 30000, .height = 30000, .rows = {0}}))
            .says("30000 x 30000 pixels, expected"));
}

TEST_CASE("pictures: inks of a JPEG, with the marker that says how to read them and without") {
  const auto near = [](const Rgb& rgb, const Rgb& expected) {
    for (std::size_t c = 0; c < 3; ++c)
      if (std::abs(rgb[c] - expected[c]) > 3) return false;
    return true;
  };
  // As Adobe stores red: 255 is no ink.
  const Packed adobe(jpeg_file({.components = 4, .pixel = {255, 0, 0, 255}, .adobe = true}), "",
                     "x.jpg");
  INFO(adobe.err);
  REQUIRE(adobe.exit_code == 0);
  CHECK(near(adobe.at(4, 2), {255, 0, 0}));
  const Packed plain(jpeg_file({.components = 4, .pixel = {255, 0, 0, 255}}), "", "x.jpg");
  CHECK(plain.exit_code == 4);
  CHECK(plain.says("x.jpg: four components without an Adobe marker"));
  const Packed grey(jpeg_file({.components = 1, .pixel = {90}}), "", "x.jpg");
  REQUIRE(grey.exit_code == 0);
  CHECK(near(grey.at(4, 2), {90, 90, 90}));
}

TEST_CASE("pictures: Exif orientation is applied, in both byte orders") {
  // Left half red, right half cyan; 16 columns, 8 rows. Where the red half is shown:
  struct Shown {
    int orientation;
    Index height, width, y, x;
  };
  for (const Shown& shown :
       {Shown{1, 8, 16, 4, 2}, Shown{2, 8, 16, 4, 13}, Shown{3, 8, 16, 4, 13},
        Shown{4, 8, 16, 4, 2}, Shown{5, 16, 8, 2, 4}, Shown{6, 16, 8, 2, 4}, Shown{7, 16, 8, 13, 4},
        Shown{8, 16, 8, 13, 4}, Shown{9, 8, 16, 4, 2}}) {
    INFO(shown.orientation);
    const Packed packed(
        jpeg_file({.width = 16,
                   .height = 8,
                   .exif = exif_data(shown.orientation, shown.orientation % 2 == 0)}),
        "", "x.jpg");
    REQUIRE(packed.exit_code == 0);
    CHECK(packed.set.height == shown.height);
    CHECK(packed.set.width == shown.width);
    CHECK(packed.at(shown.y, shown.x)[0] > 240);
    CHECK(packed.at(shown.height - 1 - shown.y, shown.width - 1 - shown.x)[0] < 15);
  }
  // All eight on four different pixels, by a PNG.
  const std::vector<Rgb> corners[8] = {
      {{1}, {2}, {3}, {4}}, {{2}, {1}, {4}, {3}}, {{4}, {3}, {2}, {1}}, {{3}, {4}, {1}, {2}},
      {{1}, {3}, {2}, {4}}, {{3}, {1}, {4}, {2}}, {{4}, {2}, {3}, {1}}, {{2}, {4}, {1}, {3}}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Packed packed(png_file({.width = 2,
                                  .height = 2,
                                  .colour = 0,
                                  .rows = {0, 1, 2, 0, 3, 4},
                                  .extra = "eXIf",
                                  .extra_content = exif_data(orientation, true)}),
                        "--channels 1");
    REQUIRE(packed.exit_code == 0);
    const std::vector<Rgb> found = {packed.at(0, 0), packed.at(0, 1), packed.at(1, 0),
                                    packed.at(1, 1)};
    CHECK(found == corners[orientation - 1]);
  }
}

TEST_CASE("pictures: cut files, other files, and simple formats") {
  for (const bool progressive : {false, true}) {
    Bytes cut = jpeg_file({.width = 64, .height = 64, .progressive = progressive});
    cut.resize(cut.size() * 2 / 3);
    CHECK(Packed(cut, "", "x.jpg").says("x.jpg: cut off: the file ends before the image does"));
  }
  CHECK(Packed(text("<!DOCTYPE html><html>"), "", "x.jpg").says("x.jpg: is a web page"));
  CHECK(Packed(text("version https://git-lfs.github.com/spec/v1"))
            .says("x.png: is a Git LFS pointer"));
  CHECK(Packed({}).says("the file is empty"));
  CHECK(Packed(text("RIFF....WEBPVP8 ")).says("is a WebP image"));
  CHECK(Packed(text("\n\x1b[2J")).says("begins with '\\x0a\\x1b[2J'"));
  const Packed pgm(text("P5 # a comment\n2 1\n15\n\x0f\x03"), "", "x.pgm");
  REQUIRE(pgm.exit_code == 0);
  CHECK(pgm.at(0, 0) == Rgb{255, 255, 255});
  CHECK(pgm.at(0, 1) == Rgb{51, 51, 51});
  CHECK(Packed(text("P5\n2 2\n255\n\x0f\x03"), "", "x.pgm").says("cut off at byte 13"));
  const Packed as_text(text("P2 # a comment\n2 1\n15\n15 # here too\n3\n"), "", "x.pgm");
  REQUIRE(as_text.exit_code == 0);
  CHECK(as_text.at(0, 0) == Rgb{255, 255, 255});
  CHECK(as_text.at(0, 1) == Rgb{51, 51, 51});
  CHECK(Packed(text("P3 1 1 255 30 20 10"), "", "x.ppm").at(0, 0) == Rgb{30, 20, 10});
  CHECK(Packed(text("P2 2 1 15 15 16"), "", "x.pgm").says("pixel of 16, the highest value is 15"));
  CHECK(Packed(text("P2 2 1 15 15 x"), "", "x.pgm").says("no number at byte 13 of the pixels"));
  CHECK(Packed(text("P2 9 9 15 1 2 3"), "", "x.pgm").says("cut off at byte 15"));
  CHECK(Packed(text("P5\n10000000 2\n255\n\x0f\x03"), "", "x.pgm")
            .says("2 x 10000000 pixels, expected 1 to"));
  CHECK(Packed({'B', 'M', 58, 0, 0, 0}, "", "x.bmp").says("cut off: 6 bytes"));
  Bytes bmp(54, 0);
  bmp[0] = 'B', bmp[1] = 'M', bmp[10] = 54, bmp[14] = 40, bmp[18] = 1, bmp[22] = 1, bmp[26] = 1,
  bmp[28] = 24;
  CHECK(Packed(bmp, "", "x.bmp").says("cut off at byte 54"));
  Bytes no_depth = bmp;
  no_depth[28] = 0;
  CHECK(Packed(no_depth, "", "x.bmp").says("0 bits a pixel, expected 1, 4, 8, 16, 24 or 32"));
  const std::string known = std::string(IOTSL_TESTS_DIR) + "/fuzz/regressions/";
  CHECK(Packed(*read_file(known + "jpeg/arithmetic-of-nothing"), "", "x.jpg")
            .says("cut off: 119 bytes cannot hold 11520 x 11520 pixels"));
  bmp.insert(bmp.end(), {30, 20, 10, 0});
  CHECK(Packed(bmp, "", "x.bmp").at(0, 0) == Rgb{10, 20, 30});
  bmp[22] = bmp[23] = bmp[24] = bmp[25] = 0xFF;  // a height of -1: the first row is the top one
  CHECK(Packed(bmp, "", "x.bmp").at(0, 0) == Rgb{10, 20, 30});
  // The content counts, not the name.
  CHECK(Packed(png_file({.rows = {0, 1, 2, 3}}), "", "x.jpg").at(0, 0) == Rgb{1, 2, 3});
}

TEST_CASE("pictures: --skip-bad leaves bad files out and says which") {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b"})
    for (int i = 0; i < 4; ++i)
      write(folder / ("set/" + std::string(name) + "/" + std::to_string(i) + ".png"),
            png_file({.rows = {0, static_cast<std::uint8_t>(i), 2, 3}}));
  const std::string pack =
      "data pack --dataset images --data " + (folder / "set") + " --out " + (folder / "p");
  write(folder / "set/a/bad.png", text("<html>"));
  write(folder / "set/b/notes.txt", text("mine"));
  const auto refused = run_program(pack);
  CHECK(refused.exit_code == 4);
  CHECK(refused.err.find("set/a/bad.png: is a web page") != std::string::npos);
  CHECK(refused.err.find("set/b/notes.txt: not an image by its name") != std::string::npos);
  CHECK_FALSE(file_exists(folder / "p/set.json"));
  const auto packed = run_program(pack + " --skip-bad");
  CHECK(packed.exit_code == 0);
  CHECK(packed.err.find("2 files left out") != std::string::npos);
  CHECK(packed.out.find("6 training and 2 test images") != std::string::npos);
  CHECK(run_program("data pack --dataset glyphs --skip-bad --out " + (folder / "g")).exit_code ==
        2);
  // A class must keep something to train and something to test.
  for (int i = 0; i < 4; ++i) write(folder / ("set/b/" + std::to_string(i) + ".png"), {});
  const auto empty = run_program(pack + "2 --skip-bad");
  CHECK(empty.exit_code == 4);
  CHECK(empty.err.find("class 'b' keeps no training image") != std::string::npos);
}

TEST_CASE("predict: a folder gives a table") {
  const TemporaryFolder folder;
  const std::string weights = folder / "w.safetensors";
  REQUIRE(run_program("model export vanilla5 --width 4 --out " + weights).exit_code == 0);
  write(folder / "in/a, b.png", png_file({.rows = {0, 250, 250, 250}}));
  write(folder / "in/deep/c.png", png_file({.rows = {0, 1, 2, 3}}));
  write(folder / "in/Thumbs.db", text("x"));
  const std::string predict = "predict " + weights + " " + (folder / "in");
  const auto table = run_program(predict);
  INFO(table.err);
  REQUIRE(table.exit_code == 0);
  CHECK(table.out.find("file,class,name,probability\n\"a, b.png\",") == 0);
  CHECK(table.out.find("\ndeep/c.png,") != std::string::npos);
  CHECK(std::count(table.out.begin(), table.out.end(), '\n') == 3);
  CHECK(table.err.find("1 of 2 images are mostly light") != std::string::npos);
  // The same class as for the image alone.
  const auto one = parse_json(run_program(predict + "/deep/c.png --json").out);
  CHECK(table.out.find("deep/c.png," + std::to_string(one->find("class")->as_int()) + ",") !=
        std::string::npos);
  const std::string out = " --out " + (folder / "t.csv");
  REQUIRE(run_program(predict + out).exit_code == 0);
  CHECK(*read_text_file(folder / "t.csv") == table.out);
  CHECK(run_program(predict + out).exit_code == 2);
  CHECK(run_program(predict + out + " --overwrite").exit_code == 0);
  write(folder / "in/bad.png", {});
  CHECK(run_program(predict + out + " --overwrite").exit_code == 4);
  CHECK(*read_text_file(folder / "t.csv") == table.out);
  CHECK(run_program(predict + out + " --overwrite --skip-bad").exit_code == 0);
  CHECK(*read_text_file(folder / "t.csv") == table.out);
  // A link back to the folder is not followed again and again; another format is named.
  std::filesystem::remove(folder / "in/bad.png");
  std::filesystem::create_directory_symlink("..", folder / "in/deep/up");
  write(folder / "in/photo.webp", text("RIFF....WEBPVP8 "));
  const auto same = run_program(predict);
  CHECK(same.out == table.out);
  CHECK(same.err.find("note: other files are passed over: 1\n  photo.webp: is a WebP image") !=
        std::string::npos);
}

TEST_CASE("pictures: packing that is stopped leaves nothing") {
  const TemporaryFolder folder;
  // Many files of one picture: seconds of decoding.
  write(
      folder / "set/a/0.png",
      png_file({.width = 4000, .height = 120, .depth = 1, .colour = 0, .rows = Bytes(120 * 501)}));
  std::filesystem::create_directory(folder / "set/b");
  for (int i = 1; i < 2000; ++i)
    std::filesystem::create_hard_link(
        folder / "set/a/0.png", folder / concat("set/", i % 2 == 0 ? "a" : "b", "/", i, ".png"));
  test::Child pack({concat(IOTSL_PROGRAMS_DIR, "/iotsl"), "data", "pack", "--dataset", "images",
                    "--data", folder / "set", "--image-size", "8", "--out", folder / "packed"},
                   folder / "log");
  while (pack.state() == test::Child::State::running &&
         !folder_exists(folder / "packed.unfinished"))
    ::usleep(1000);
  pack.kill(SIGTERM);
  while (pack.state() == test::Child::State::running) ::usleep(1000);
  CHECK(pack.exit_code() == 5);
  CHECK(*read_text_file(folder / "log") ==
        "iotsl: stopped; nothing was written, the same command begins again\n");
  CHECK_FALSE(folder_exists(folder / "packed"));
  CHECK_FALSE(folder_exists(folder / "packed.unfinished"));
}

}  // namespace pictures_test
