#include "iotsl/data/image_folder.hpp"

#include <doctest/doctest.h>

#include "support/temporary_folder.hpp"

namespace image_folder_test {

using iotsl::Index;
using iotsl::data::ImageFile;
using iotsl::data::ImageList;
using iotsl::data::list_image_folder;

/// Nothing is decoded here, so any bytes will do.
void touch(const std::string& path) {
  REQUIRE(iotsl::create_folders(path.substr(0, path.rfind('/'))).ok());
  REQUIRE(iotsl::write_file_atomic(path, std::string_view("x")).ok());
}

void fill(const std::string& folder, int count) {
  for (int i = 0; i < count; ++i)
    touch(folder + "/" + std::to_string(1000 + i) + (i % 2 == 0 ? ".png" : ".JPG"));
}

std::string error(const std::string& folder, const iotsl::data::HeldOut& held_out = {}) {
  const auto list = list_image_folder(folder, held_out);
  return list ? "no error" : list.failure().message;
}

std::vector<std::string> paths(const std::vector<ImageFile>& files) {
  std::vector<std::string> out;
  for (const ImageFile& file : files) out.push_back(file.path);
  return out;
}

Index of_class(const std::vector<ImageFile>& files, int label) {
  return std::count_if(files.begin(), files.end(),
                       [=](const ImageFile& file) { return file.label == label; });
}

TEST_CASE("image folder: train and test as they are, classes by sorted names") {
  const TemporaryFolder folder;
  for (const char* part : {"train", "test"})
    for (const char* name : {"owl", "ant", "bee"})
      fill(folder / (std::string(part) + "/" + name), 2);
  touch(folder / "train/owl/.thumbnail");  // hidden files are nobody's samples
  touch(folder / "readme.txt");
  const auto list = list_image_folder(folder.path);
  REQUIRE(list.ok());
  CHECK(list->class_names == std::vector<std::string>{"ant", "bee", "owl"});
  CHECK(list->train.size() == 6);
  CHECK(list->test.size() == 6);
  CHECK(list->train[0].path == folder / "train/ant/1000.png");
  CHECK(list->train[1].path == folder / "train/ant/1001.JPG");
  CHECK(list->train[5].label == 2);
  CHECK(list->test[2].path == folder / "test/bee/1000.png");
}

TEST_CASE("image folder: a part of each class is held out, drawn by the seed") {
  const TemporaryFolder folder;
  fill(folder / "a", 10);
  fill(folder / "b", 2);
  fill(folder / "c", 49);
  const auto list = list_image_folder(folder.path);
  REQUIRE(list.ok());
  CHECK(of_class(list->test, 0) == 2);
  CHECK(of_class(list->test, 1) == 1);  // at least one, and never all
  CHECK(of_class(list->test, 2) == 9);
  CHECK(list->train.size() + list->test.size() == 61);
  auto all = paths(list->train);
  const auto test = paths(list->test);
  all.insert(all.end(), test.begin(), test.end());
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(paths(list_image_folder(folder.path)->test) == test);
  CHECK(paths(list_image_folder(folder.path, {.seed = 2})->test) != test);
  CHECK(list_image_folder(folder.path, {.test_fraction = 0.5})->test.size() == 5 + 1 + 24);
}

TEST_CASE("image folder: errors name the folder or file and what was expected") {
  const TemporaryFolder folder;
  const std::string set = folder / "set";
  CHECK(error(set) == set + ": cannot open folder: No such file or directory");
  REQUIRE(iotsl::create_folders(set).ok());
  CHECK(error(set) == set + ": no class folders; expected " + set +
                          "/<class>/ with images: " + iotsl::data::detail::image_names);
  REQUIRE(iotsl::create_folders(set + "/cat").ok());
  CHECK(error(set) ==
        set +
            "/cat: no images; expected .png, .jpg, .jpeg, .jfif, .bmp, .pgm or .ppm files in every "
            "class folder");
  touch(set + "/cat/1.png");
  CHECK(error(set) == set + "/cat: 1 image; expected at least 2, one to train and one to test");
  touch(set + "/cat/more/2.png");
  CHECK(error(set) == set + "/cat/more: is a folder; expected only images in a class folder");
  CHECK(error(set, {.test_fraction = 1}) ==
        "--test-fraction 1: expected more than 0 and less than 1");

  const std::string bell = folder / "bell";
  fill(bell + "/a\a", 2);
  CHECK(error(bell) == bell + ": class folder 'a\\x07' has a control character in its name");

  const std::string half = folder / "half";
  fill(half + "/train/a", 2);
  CHECK(error(half) == half +
                           ": has train/ but no test/; expected both, or class folders alone, of "
                           "which a part is held out");
  fill(half + "/test/b", 2);
  CHECK(error(half) == half + ": class 'a' is in train/ but not in test/");
  fill(half + "/test/a", 2);
  CHECK(error(half) == half + ": class 'b' is in test/ but not in train/");
}

TEST_CASE("image folder: what is no image is listed apart, files of desktops are nobody's") {
  const TemporaryFolder folder;
  fill(folder / "a", 3);
  fill(folder / "b", 3);
  touch(folder / "a/notes.txt");
  touch(folder / "b/film.mp4");
  for (const char* system : {"a/Thumbs.db", "a/desktop.ini", "b/._1000.png", "b/.DS_Store",
                             "__MACOSX/a/._1000.png", "a/@eaDir/1000.png"})
    touch(folder / system);
  const auto list = list_image_folder(folder.path);
  REQUIRE(list.ok());
  CHECK(list->class_names == std::vector<std::string>{"a", "b"});
  CHECK(list->train.size() + list->test.size() == 6);
  REQUIRE(list->bad.size() == 2);
  CHECK(list->bad[0].path == folder / "a/notes.txt");
  CHECK(list->bad[0].why.find("not an image by its name") == 0);
  CHECK(list->bad[1].path == folder / "b/film.mp4");
}

TEST_CASE("image folder: files of other formats are known by what is in them") {
  using namespace std::string_view_literals;
  const TemporaryFolder folder;
  fill(folder / "a", 3);
  const auto write = [&](const std::string& name, std::string_view content) {
    touch(folder / name);
    REQUIRE(iotsl::write_file_atomic(folder / name, content).ok());
  };
  REQUIRE(::mkfifo((folder / "a/pipe.png").c_str(), 0600) == 0);  // who opens it waits for ever
  // A class of bad files alone: they are listed with the others.
  write("b/1.webp", "RIFF\x24\0\0\0WEBPVP8 "sv);
  write("b/2.dat", "GIF89a");
  write("b/3",
        "\0\0\0\x20"
        "ftypavif"sv);
  write("b/4.heic",
        "\0\0\0\x20"
        "ftypmif1"sv);
  write("b/5.mov",
        "\0\0\0\x14"
        "ftypqt  "sv);
  write("b/6.tif", "MM\0*\0\0"sv);
  write("b/7.wav", "RIFF\x24\0\0\0WAVEfmt "sv);
  write("b/8.webp", "\xFF\xD8\xFF\xE0");  // a JPEG under another name
  const auto list = list_image_folder(folder.path);
  REQUIRE(list.ok());
  CHECK(list->class_names == std::vector<std::string>{"a", "b"});
  CHECK(list->train.size() + list->test.size() == 3);
  const char* expected[] = {
      "a WebP image", "a GIF image",  "an AVIF image",           "a HEIC image",
      "a film",       "a TIFF image", "a sound or a film (RIFF)"};
  REQUIRE(list->bad.size() == 9);
  CHECK(list->bad[0].path == folder / "a/pipe.png");
  CHECK(list->bad[0].why == "is a pipe, a socket or a device; expected a file");
  for (std::size_t i = 0; i < 7; ++i)
    CHECK(list->bad[i + 1].why ==
          iotsl::concat("is ", expected[i], "; expected PNG, JPEG, BMP, PGM or PPM"));
  CHECK(list->bad[8].why.find("is a JPEG image, not by its name; expected .png") == 0);
}

/// The accents of this test: e and a mark become one character.
std::string composed(const std::string& name) {
  const std::size_t at = name.find("e\xcc\x81");
  return at == std::string::npos ? name : std::string(name).replace(at, 3, "\xc3\xa9");
}

TEST_CASE("image folder: a name in two forms of Unicode is one class") {
  const TemporaryFolder folder;
  const std::string one = "caf\xc3\xa9", two = "cafe\xcc\x81";
  fill(folder / ("set/train/" + one), 2);
  fill(folder / ("set/test/" + two), 1);
  for (const char* part : {"set/train/cafz", "set/test/cafz"}) fill(folder / part, 2);
  const auto list = list_image_folder(folder / "set", {}, composed);
  REQUIRE(list.ok());
  CHECK(list->class_names == std::vector<std::string>{"cafz", one});
  CHECK(of_class(list->test, 1) == 1);
  CHECK(list->test.back().path == folder / ("set/test/" + two) + "/1000.png");
  // Without the tables they are two.
  CHECK(error(folder / "set").find("is in train/ but not in test/") != std::string::npos);

  fill(folder / ("set/test/" + one), 1);
  const auto both = list_image_folder(folder / "set", {}, composed);
  REQUIRE_FALSE(both.ok());
  CHECK(both.failure().message ==
        (folder / "set/test") +
            ": class folders 'cafe\\xcc\\x81' and 'caf\\xc3\\xa9' have the same "
            "name '" +
            one +
            "', written in two forms of Unicode; expected one "
            "folder for each class: move the images of one into the other");
}

TEST_CASE("image folder: names that are not UTF-8, or steer a terminal, are refused") {
  for (const char* name : {"caf\xe9", "caf\xc3", "\xff", "a\xc2\x9b", "a\xe2\x80\xae"}) {
    const TemporaryFolder folder;
    fill(folder / name, 2);
    fill(folder / "other", 2);
    CHECK(error(folder.path).find(folder.path + ": class folder '") == 0);
    // The message itself is harmless.
    CHECK(iotsl::is_utf8(error(folder.path)));
    CHECK(iotsl::is_printable(error(folder.path)));
  }
  const TemporaryFolder folder;
  fill(folder / "caf\xc3\xa9", 2);
  fill(folder / "\xe7\x8a\xac", 2);
  CHECK(error(folder.path) == "no error");
}

TEST_CASE("image folder: the parts by the names that others give them") {
  const std::vector<std::array<const char*, 2>> layouts = {
      {"train", "val"},
      {"Train", "Test"},
      {"training", "validation"},
      {"training_set", "test_set"},
      {"seg_train/seg_train", "seg_test/seg_test"},
      {"archive/train", "archive/valid"},
      {"data/set/TRAIN", "data/set/TEST"}};
  for (const auto& [train, test] : layouts) {
    INFO(train << " " << test);
    const TemporaryFolder folder;
    for (const char* name : {"ant", "bee"}) {
      fill(folder / (std::string(train) + "/" + name), 3);
      fill(folder / (std::string(test) + "/" + name), 1);
    }
    touch(folder / "__MACOSX/x");
    const auto list = list_image_folder(folder.path);
    REQUIRE(list.ok());
    CHECK(list->train.size() == 6);
    CHECK(list->test.size() == 2);
    CHECK(list->class_names == std::vector<std::string>{"ant", "bee"});
  }
}

TEST_CASE("image folder: of test and validation one is used, and that is said") {
  const TemporaryFolder folder;
  for (const char* part : {"train", "val", "test"})
    for (const char* name : {"ant", "bee"}) fill(folder / (std::string(part) + "/" + name), 2);
  const auto both = list_image_folder(folder.path);
  REQUIRE(both.ok());
  CHECK(both->test[0].path == folder / "test/ant/1000.png");
  REQUIRE(both->notes.size() == 1);
  CHECK(both->notes[0].find(folder / "val") == 0);
  // A competition's test images have no classes.
  std::filesystem::remove_all(folder / "test");
  fill(folder / "test", 3);
  const auto hidden = list_image_folder(folder.path);
  REQUIRE(hidden.ok());
  CHECK(hidden->test[0].path == folder / "val/ant/1000.png");
  std::filesystem::remove_all(folder / "val");
  CHECK(error(folder.path).find("test: no class folders but 3 images") != std::string::npos);
  fill(folder / "Test/ant", 1);
  CHECK(error(folder.path).find("may both be meant") != std::string::npos);
}

TEST_CASE("image folder: 4096 classes and no more") {
  const TemporaryFolder folder;
  for (int c = 0; c < 4097; ++c) REQUIRE(iotsl::create_folders(folder / std::to_string(c)).ok());
  CHECK(error(folder.path) == folder.path + ": 4097 class folders, limit is 4096");
}

}  // namespace image_folder_test
