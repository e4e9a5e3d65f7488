#include "iotsl/data/source.hpp"

#include <doctest/doctest.h>

#include "iotsl/data/idx_sets/known_files.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"

using iotsl::ByteSpan;
using iotsl::Index;
using iotsl::data::load_dataset;
using iotsl::data::Split;

namespace {

/// One image of 1 x 1 pixel with this value, label 3.
void write_set(const std::string& folder, std::uint8_t value) {
  REQUIRE(iotsl::create_folders(folder).ok());
  const std::vector<std::uint8_t> images = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, value};
  const std::vector<std::uint8_t> labels = {0, 0, 8, 1, 0, 0, 0, 1, 3};
  REQUIRE(iotsl::write_file_atomic(folder + "/train-images-idx3-ubyte", ByteSpan(images)).ok());
  REQUIRE(iotsl::write_file_atomic(folder + "/train-labels-idx1-ubyte", ByteSpan(labels)).ok());
}

/// Sets IOTSL_DATA for the length of a test.
struct DataVariable {
  explicit DataVariable(const std::string& value) {
    if (const char* old = std::getenv("IOTSL_DATA")) before = old;
    ::setenv("IOTSL_DATA", value.c_str(), 1);
  }
  ~DataVariable() {
    if (before.empty())
      ::unsetenv("IOTSL_DATA");
    else
      ::setenv("IOTSL_DATA", before.c_str(), 1);
  }
  std::string before;
};

Index pixel_sum(const iotsl::data::Dataset& set) {
  Index sum = 0;
  for (const std::uint8_t v : set.pixels) sum += v;
  return sum;
}

}  // namespace

TEST_CASE("source: --data is the folder or its parent, else IOTSL_DATA") {
  const TemporaryFolder folder;
  write_set(folder / "mnist", 1);
  write_set(folder / "fashion-mnist", 2);
  CHECK(load_dataset("mnist", folder.path, Split::train)->pixels[0] == 1);
  CHECK(load_dataset("mnist", folder / "mnist", Split::train)->pixels[0] == 1);
  CHECK(load_dataset("mnist", folder / "mnist/", Split::train)->pixels[0] == 1);
  CHECK(load_dataset("fashion-mnist", folder.path, Split::train)->pixels[0] == 2);
  CHECK(load_dataset("fashion-mnist", folder.path, Split::train)->name == "fashion-mnist");
  write_set(folder / "plain", 5);
  CHECK(load_dataset("mnist", folder / "plain", Split::train)->pixels[0] == 5);
  const DataVariable variable(folder.path);
  CHECK(load_dataset("mnist", "", Split::train)->pixels[0] == 1);
}

TEST_CASE("source: one set is not taken for another") {
  const TemporaryFolder folder;
  write_set(folder / "fashion-mnist", 2);
  const auto wrong = load_dataset("mnist", folder / "fashion-mnist", Split::train);
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.failure().message ==
        "mnist: no train-images-idx3-ubyte[.gz] with train-labels-idx1-ubyte[.gz] in " +
            (folder / "fashion-mnist/mnist") +
            "; give --data DIR or set IOTSL_DATA, or get the files with data/fetch.sh");
}

TEST_CASE("source: the failure lists the places looked at") {
  const TemporaryFolder folder;
  write_set(folder / "mnist", 1);
  const auto missing = load_dataset("mnist", folder.path, Split::test);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.failure().code == iotsl::ErrorCode::data);
  CHECK(missing.failure().message.find("mnist: no t10k-images-idx3-ubyte[.gz] with "
                                       "t10k-labels-idx1-ubyte[.gz] in " +
                                       (folder / "mnist") + ", " + folder.path) == 0);
  std::filesystem::remove(folder / "mnist/train-labels-idx1-ubyte");
  CHECK(load_dataset("mnist", folder.path, Split::train)
            .failure()
            .message.find((folder / "mnist") + " (has " +
                          (folder / "mnist/train-images-idx3-ubyte") + " only)") !=
        std::string::npos);
  const auto unknown = load_dataset("cifar", "", Split::train);
  CHECK(unknown.failure().code == iotsl::ErrorCode::usage);
  CHECK(unknown.failure().message ==
        "--dataset cifar: expected mnist, fashion-mnist, glyphs or packed (image files are decoded "
        "on the host: iotsl data pack)");
}

TEST_CASE("source: file names as torchvision, 7-Zip and Kaggle leave them") {
  for (const char* place :
       {"MNIST/raw/train-NAME", "raw/train-NAME", "train-DOT", "mnist/train-DOT",
        "train-NAME/train-NAME", "mnist/train-DOT/train-DOT"}) {
    INFO(place);
    const TemporaryFolder folder, made;
    write_set(made.path, 9);
    for (const std::string kind : {"images-idx3-ubyte", "labels-idx1-ubyte"}) {
      std::string path = place, dotted = kind;
      dotted[dotted.find("-idx")] = '.';
      for (const auto& [word, name] : {std::pair{"NAME", kind}, std::pair{"DOT", dotted}})
        for (std::size_t at = 0; (at = path.find(word, at)) != path.npos;)
          path.replace(at, std::string_view(word).size(), name);
      const std::string target = folder / path;
      REQUIRE(iotsl::create_folders(target.substr(0, target.rfind('/'))).ok());
      std::filesystem::copy(made / ("train-" + kind), target);
    }
    const auto set = load_dataset("mnist", folder.path, Split::train);
    REQUIRE(set.ok());
    CHECK(set->pixels[0] == 9);
  }
}

TEST_CASE("source: the built-in digits need no folder") {
  const std::vector<Index> keep = {0, 11999};
  const auto some = load_dataset("glyphs", "", Split::train, &keep);
  REQUIRE(some.ok());
  CHECK(some->size() == 2);
  CHECK(some->full_size == 12000);
  CHECK(some->sha256 == iotsl::data::glyph_sha256(Split::train));
  const auto labels = load_dataset("glyphs", "", Split::train, &keep, false);
  REQUIRE(labels.ok());
  CHECK(labels->pixels.empty());
  CHECK(labels->labels == some->labels);
  CHECK(labels->sha256 == some->sha256);
  const std::vector<Index> beyond = {12000};
  CHECK(load_dataset("glyphs", "", Split::train, &beyond).failure().message ==
        "glyphs: sample 12000 of 12000");
}

TEST_CASE("source: what a label means") {
  CHECK(iotsl::data::class_name("mnist", 7) == "7");
  CHECK(iotsl::data::class_name("fashion-mnist", 9) == "ankle boot");
}

TEST_CASE("source: the real files have the published class counts and pixel sums") {
  if (std::getenv("IOTSL_DATA") == nullptr) {
    SKIP_TEST("IOTSL_DATA is not set, so MNIST and Fashion-MNIST are not checked");
    return;
  }
  struct Published {
    const char* name;
    Split split;
    Index pixel_sum;
    std::vector<Index> counts;
  };
  const std::vector<Published> published = {
      {"mnist",
       Split::train,
       1567298545,
       {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}},
      {"mnist", Split::test, 264923200, {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}},
      {"fashion-mnist", Split::train, 3431114169, std::vector<Index>(10, 6000)},
      {"fashion-mnist", Split::test, 573469082, std::vector<Index>(10, 1000)}};
  for (const Published& expected : published) {
    const auto set = load_dataset(expected.name, "", expected.split);
    if (!set) {
      SKIP_TEST(set.failure().message.c_str());
      continue;
    }
    CHECK(set->height == 28);
    // The published files are known, under any name.
    CHECK(iotsl::data::check_known_files(*set, expected.split).ok());
    iotsl::data::Dataset renamed = *set;
    renamed.name = set->name == "mnist" ? "fashion-mnist" : "mnist";
    CHECK(iotsl::data::check_known_files(renamed, expected.split)
              .failure()
              .message.find("are those of " + set->name) != std::string::npos);
    CHECK(set->width == 28);
    CHECK(iotsl::data::class_counts(set->labels, 10) == expected.counts);
    CHECK(pixel_sum(*set) == expected.pixel_sum);
  }
}
