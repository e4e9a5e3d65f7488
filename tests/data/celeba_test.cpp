#include "iotsl/data/celeba.hpp"

#include <doctest/doctest.h>

#include "support/temporary_folder.hpp"

namespace celeba_test {

using iotsl::Index;
using iotsl::data::list_celeba;
using iotsl::data::parse_celeba_list;

/// The three attributes are not the first ones and not in our order.
const std::string names = "Bald Male Young Black_Hair Smiling \n";

std::string row(int number, bool smiling, bool black_hair, bool male) {
  char name[16];
  std::snprintf(name, sizeof name, "%06d.jpg", number);
  const auto sign = [](bool on) { return std::string(on ? "  1" : " -1"); };
  return name + sign(false) + sign(male) + sign(true) + sign(black_hair) + sign(smiling) + "\n";
}

std::string error(const std::string& text) {
  const auto rows = parse_celeba_list(text);
  return rows ? "no error" : rows.failure().message;
}

/// `each` images of every class, listed in turns.
struct Faces {
  explicit Faces(int each) {
    std::string text = std::to_string(8 * each) + "\n" + names;
    REQUIRE(iotsl::create_folders(folder / "img_align_celeba").ok());
    for (int i = 0; i < 8 * each; ++i) {
      const int c = i % 8;
      const std::string line = row(i + 1, (c & 1) != 0, (c & 2) != 0, (c & 4) != 0);
      text += line;
      REQUIRE(iotsl::write_file_atomic(folder / ("img_align_celeba/" + line.substr(0, 10)),
                                       std::string_view("x"))
                  .ok());
    }
    REQUIRE(iotsl::write_file_atomic(list, text).ok());
  }
  TemporaryFolder folder;
  std::string list = folder / "list_attr_celeba.txt";
};

TEST_CASE("celeba: three attributes make the class number, Smiling is bit 0") {
  const std::string text =
      "3\n" + names + row(1, true, false, false) + row(2, false, true, true) + row(3, 1, 1, 1);
  const auto rows = parse_celeba_list(text);
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 3);
  CHECK((*rows)[0].file == "000001.jpg");
  CHECK((*rows)[0].label == 1);
  CHECK((*rows)[1].label == 6);
  CHECK((*rows)[2].label == 7);
  CHECK(iotsl::data::celeba_class_names() ==
        std::vector<std::string>{"none", "smiling", "black_hair", "smiling+black_hair", "male",
                                 "smiling+male", "black_hair+male", "smiling+black_hair+male"});
  // Line ends of other systems and a missing last one.
  std::string other = text;
  for (std::size_t at = 0; (at = other.find('\n', at)) != other.npos; at += 2)
    other.insert(at, "\r");
  other.resize(other.size() - 2);
  CHECK(error(other) == "no error");
}

TEST_CASE("celeba: the list is parsed strictly, errors name the line") {
  const std::string good = row(1, true, true, true);
  CHECK(error("") == "line 0: the list is empty");
  CHECK(error("many\n" + names) ==
        "line 1: 'many', expected the number of images, 1 to 10000000, alone");
  CHECK(error("1 2\n" + names) ==
        "line 1: '1', expected the number of images, 1 to 10000000, alone");
  CHECK(error("0\n") == "line 1: '0', expected the number of images, 1 to 10000000, alone");
  CHECK(error("1\n") == "line 1: the list ends before the names of the attributes");
  CHECK(error("1\nBald Male Smiling\n" + good) == "line 2: 3 attributes, none of them Black_Hair");
  CHECK(error("1\nMale Male\n") == "line 2: attribute Male stands there twice");
  CHECK(error("2\n" + names + good) == "line 3: the list ends after 1 images, line 1 announces 2");
  CHECK(error("1\n" + names + good + row(2, 1, 1, 1)) ==
        "line 4: goes on after the 1 images that line 1 announces");
  CHECK(error("2\n" + names + good + good) == "000001.jpg stands in the list twice");
  CHECK(error("1\n" + names + "\n") == "line 2: the list ends after 0 images, line 1 announces 1");
  CHECK(error("2\n" + names + "\n" + good) ==
        "line 3: is empty, expected an image and its attributes");
  CHECK(error("1\n" + names + good + "\n \r\n") == "no error");
  CHECK(error("1\n" + names + "1.jpg 1 -1 1 1\n") == "line 3: 1.jpg has 4 attributes, expected 5");
  CHECK(error("1\n" + names + "1.jpg 1 -1 1 1 -1 1\n") ==
        "line 3: '1' after the 5 attributes of 1.jpg");
  CHECK(error("1\n" + names + "1.jpg 1 -1 0 1 -1\n") ==
        "line 3: attribute 3 of 1.jpg is '0', expected 1 or -1");
  CHECK(
      error("1\n" + names + "1.gif 1 -1 1 1 -1\n") ==
      std::string(
          "line 3: '1.gif' is not the name of an image: expected one without a folder, ending with ") +
          iotsl::data::detail::image_names);
  CHECK(
      error("1\n" + names + "../1.jpg 1 -1 1 1 -1\n") ==
      std::string(
          "line 3: '../1.jpg' is not the name of an image: expected one without a folder, ending with ") +
          iotsl::data::detail::image_names);
}

TEST_CASE("celeba: the table with commas says the same as the list") {
  const std::string table =
      "\xEF\xBB\xBFimage_id,Bald,Male,Young,Black_Hair,Smiling\r\n"
      "000001.jpg,-1,-1,1,-1,1\r\n000002.jpg,-1,1,1,1,-1\r\n\r\n";
  const auto rows = parse_celeba_list(table);
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0].label == 1);
  CHECK((*rows)[1].label == 6);
  CHECK(error("image_id,Male,Black_Hair,Smiling\n1.jpg,1,,1\n") ==
        "line 2: 1.jpg has 2 attributes, expected 3");
  CHECK(error("image_id,Male,Black_Hair,Smiling\n") == "line 1: the list ends after 0 images");
  // As Kaggle's archive is unpacked.
  const TemporaryFolder folder;
  const std::string inner = folder / "img_align_celeba/img_align_celeba";
  REQUIRE(iotsl::create_folders(inner).ok());
  std::string list = "image_id,Male,Black_Hair,Smiling\n";
  for (int i = 0; i < 16; ++i) {
    const std::string name = std::to_string(i) + ".jpg";
    const auto sign = [&](int bit) { return (i >> bit & 1) != 0 ? ",1" : ",-1"; };
    list += name + sign(2) + sign(1) + sign(0) + "\n";
    REQUIRE(iotsl::write_file_atomic(inner + "/" + name, std::string_view("x")).ok());
  }
  REQUIRE(iotsl::write_file_atomic(folder / "list_attr_celeba.csv", list).ok());
  const auto found = list_celeba(folder.path, 2, 1);
  REQUIRE(found.ok());
  CHECK(found->train.size() == 8);
}

TEST_CASE("celeba: so many of each class, a tenth to test, drawn by the seed") {
  const Faces faces(30);
  const auto list = list_celeba(faces.folder.path, 20, 1);
  REQUIRE(list.ok());
  CHECK(list->train.size() == 8 * 18);
  CHECK(list->test.size() == 8 * 2);
  std::vector<std::string> all;
  for (const auto* part : {&list->train, &list->test})
    for (const auto& file : *part) {
      all.push_back(file.path);
      // In this list the number of an image tells its class.
      const int number = std::stoi(file.path.substr(file.path.size() - 10, 6));
      CHECK(file.label == (number - 1) % 8);
    }
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(list_celeba(faces.folder.path, 20, 1)->test[0].path == list->test[0].path);
  bool same = true;
  const auto other = list_celeba(faces.folder.path, 20, 2);
  for (std::size_t i = 0; i < list->test.size(); ++i)
    same = same && other->test[i].path == list->test[i].path;
  CHECK_FALSE(same);
}

TEST_CASE("celeba: what is missing is named") {
  const Faces faces(3);
  const std::string& folder = faces.folder.path;
  CHECK(list_celeba(folder, 4, 1).failure().message ==
        faces.list + ": class none has 3 images, --per-class wants 4");
  CHECK(list_celeba(folder, 1, 1).failure().message == "--per-class 1: expected at least 2");
  std::filesystem::remove(faces.folder / "img_align_celeba/000008.jpg");
  CHECK(list_celeba(folder, 3, 1).failure().message ==
        (faces.folder / "img_align_celeba/000008.jpg") + ": no such file, but " + faces.list +
            " lists it");
  std::filesystem::remove(faces.list);
  CHECK(list_celeba(folder, 3, 1).failure().message ==
        faces.list + ": cannot open: No such file or directory");
}

TEST_CASE("celeba: images may lie beside the list") {
  const Faces faces(2);
  for (const auto& entry : std::filesystem::directory_iterator(faces.folder / "img_align_celeba"))
    std::filesystem::copy(entry.path(), faces.folder / entry.path().filename().string());
  std::filesystem::remove_all(faces.folder / "img_align_celeba");
  const auto list = list_celeba(faces.folder.path, 2, 1);
  REQUIRE(list.ok());
  CHECK(list->train.size() == 8);
  CHECK(list->train[0].path.find("img_align") == std::string::npos);
}

}  // namespace celeba_test
