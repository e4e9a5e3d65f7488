#include "iotsl/data/idx_sets/other_sets.hpp"

#include <doctest/doctest.h>

#include "iotsl/data/packed.hpp"
#include "support/temporary_folder.hpp"

namespace other_sets_test {

using namespace iotsl;
using data::load_other_idx_set;
using data::Split;
using Bytes = std::vector<std::uint8_t>;

/// Two images of 2 rows and 3 columns.
const Bytes images = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
                      0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

void write(const std::string& path, const Bytes& bytes) {
  REQUIRE(create_folders(path.substr(0, path.rfind('/'))).ok());
  REQUIRE(write_file_atomic(path, ByteSpan(bytes)).ok());
}

std::string error(std::string_view name, const std::string& folder, Index classes = 0) {
  const auto set = load_other_idx_set(name, folder, Split::train, classes);
  return set ? "no error" : set.failure().message;
}

TEST_CASE("EMNIST: images stand upright, letters are numbered from 0") {
  for (const char* place : {"", "emnist/", "gzip/", "EMNIST/raw/", "emnist-letters/"}) {
    const TemporaryFolder folder;
    const std::string head = folder / (std::string(place) + "emnist-letters-train-");
    write(head + "images-idx3-ubyte", images);
    write(head + "labels-idx1-ubyte", {0, 0, 8, 1, 0, 0, 0, 2, 1, 26});
    const auto set = load_other_idx_set("emnist-letters", folder.path, Split::train, 0);
    REQUIRE(set.ok());
    CHECK(set->classes == 26);
    CHECK(set->labels == std::vector<data::Label>{0, 25});
    CHECK(set->class_names[25] == "z");
    CHECK(set->height == 3);
    CHECK(set->width == 2);
    CHECK(set->pixels == Bytes{1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12});
    CHECK(set->sha256 == data::idx_sha256(*set));
    // 0 is no letter.
    write(head + "labels-idx1-ubyte", {0, 0, 8, 1, 0, 0, 0, 2, 1, 0});
    CHECK(error("emnist-letters", folder.path) ==
          head + "labels-idx1-ubyte: label 0 of sample 1, expected 1 to 26");
    write(head + "labels-idx1-ubyte", {0, 0, 8, 1, 0, 0, 0, 2, 1, 27});
    CHECK(error("emnist-letters", folder.path).find("label 27, expected 0 to 26") !=
          std::string::npos);
  }
}

TEST_CASE("EMNIST: every division has its number of classes") {
  const std::pair<const char*, Index> published[] = {
      {"emnist-letters", 26},  {"emnist-digits", 10},  {"emnist-mnist", 10},
      {"emnist-balanced", 47}, {"emnist-bymerge", 47}, {"emnist-byclass", 62}};
  for (const auto& [name, classes] : published)
    for (const data::EmnistDivision& division : data::emnist_divisions)
      if (division.name == name) CHECK(static_cast<Index>(division.classes.size()) == classes);
}

TEST_CASE("QMNIST: the first of the eight numbers of a label is the class") {
  const TemporaryFolder folder;
  write(folder / "qmnist-train-images-idx3-ubyte", images);
  Bytes labels = {0, 0, 12, 2, 0, 0, 0, 2, 0, 0, 0, 8};
  for (const int label : {5, 9})
    for (int i = 0; i < 8; ++i)
      for (const int byte : {0, 0, i == 0 ? 0 : 3, i == 0 ? label : 7})
        labels.push_back(static_cast<std::uint8_t>(byte));
  write(folder / "qmnist-train-labels-idx2-int", labels);
  const auto set = load_other_idx_set("qmnist", folder.path, Split::train, 0);
  REQUIRE(set.ok());
  CHECK(set->labels == std::vector<data::Label>{5, 9});
  CHECK(set->height == 2);
  CHECK(set->pixels == Bytes(images.begin() + 16, images.end()));
  labels[12 + 32 + 3] = 10;
  write(folder / "qmnist-train-labels-idx2-int", labels);
  CHECK(error("qmnist", folder.path).find("offset 44: label 10, expected 0 to 9") !=
        std::string::npos);
  labels.resize(50);
  write(folder / "qmnist-train-labels-idx2-int", labels);
  CHECK(error("qmnist", folder.path).find("truncated") != std::string::npos);
}

TEST_CASE("idx: any number of classes under MNIST's file names") {
  const TemporaryFolder folder;
  write(folder / "train-images-idx3-ubyte", images);
  write(folder / "train-labels-idx1-ubyte", {0, 0, 8, 1, 0, 0, 0, 2, 46, 0});
  CHECK(error("idx", folder.path) == "--dataset idx: needs --classes, the number of its classes");
  CHECK(error("idx", folder.path, 46).find("label 46, expected 0 to 45") != std::string::npos);
  const auto set = load_other_idx_set("idx", folder.path, Split::train, 47);
  REQUIRE(set.ok());
  CHECK(set->classes == 47);
  CHECK(error("qmnist", folder.path).find("qmnist: no qmnist-train-images-idx3-ubyte[.gz]") == 0);
}

TEST_CASE("make_dataset: checks sizes and labels, and takes pixels one after another") {
  const auto error_of = [](Bytes pixels, std::vector<data::Label> labels,
                           data::ImageLayout layout) {
    try {
      data::make_dataset(std::move(pixels), std::move(labels), layout);
      return std::string("no error");
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  // 1 x 2 pixels of red, green, blue.
  const data::ImageLayout hwc{
      .channels = 3, .height = 1, .width = 2, .order = data::PixelOrder::hwc};
  const data::Dataset set =
      data::make_dataset({1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16}, {1, 0}, hwc);
  CHECK(set.pixels == Bytes{1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16});
  CHECK(set.classes == 2);
  CHECK(set.sha256 == data::idx_sha256(set));
  CHECK(error_of({1, 2, 3}, {0}, hwc) ==
        "make_dataset: 3 bytes of pixels; 1 images of 3x1x2 have 6");
  CHECK(error_of({1, 2, 3, 4, 5, 6}, {2}, {.channels = 3, .height = 1, .width = 2, .classes = 2})
            .find("label 2 of 2 classes") != std::string::npos);
  CHECK(error_of({}, {}, hwc) == "make_dataset: no labels");
  CHECK(error_of({1}, {0}, {}).find("images of 1x0x0") != std::string::npos);
  const Index huge = Index{1} << 40;
  CHECK(error_of({1}, {0}, {.channels = huge, .height = huge, .width = 1}) ==
        "shape [1099511627776,1099511627776,1]: too many elements");
  // A set that was put together by hand is checked where it is read.
  data::Dataset wrong = set;
  wrong.labels.push_back(1);
  CHECK_THROWS_AS(wrong.sample(2), Error);
  // It is packed like any other.
  const TemporaryFolder folder;
  data::Dataset named = set;
  named.class_names = {"off", "on"};
  REQUIRE(data::save_packed(folder.path, named, named).ok());
  CHECK(data::load_packed(folder.path, Split::train)->pixels == set.pixels);
}

}  // namespace other_sets_test
