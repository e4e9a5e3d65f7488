#include "iotsl/data/packed.hpp"

#include <doctest/doctest.h>

#include "iotsl/data/source.hpp"
#include "support/temporary_folder.hpp"

namespace packed_test {

using iotsl::ByteSpan;
using iotsl::Index;
using iotsl::data::Dataset;
using iotsl::data::Label;
using iotsl::data::load_packed;
using iotsl::data::Split;

/// Sample i has label i modulo the number of classes; no two samples are equal.
Dataset colours(Index count, Index channels, Index classes) {
  Dataset set;
  set.name = "colours";
  set.channels = channels;
  set.height = 2;
  set.width = 3;
  set.classes = classes;
  for (Index c = 0; c < classes; ++c) set.class_names.push_back("class " + std::to_string(c));
  for (Index i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<Label>(i % classes));
    for (Index p = 0; p < set.sample_elems(); ++p)
      set.pixels.push_back(static_cast<std::uint8_t>(i * 7 + p));
  }
  set.full_size = count;
  set.sha256 = idx_sha256(set);
  return set;
}

std::string error(const std::string& folder) {
  const auto set = load_packed(folder, Split::train);
  return set ? "no error" : set.failure().message;
}

TEST_CASE("packed: what was packed is read back, grey and colour") {
  for (const Index channels : {1, 3}) {
    const TemporaryFolder folder;
    const Dataset train = colours(20, channels, 4), test = colours(8, channels, 4);
    REQUIRE(save_packed(folder / "set", train, test).ok());
    const auto back = iotsl::data::load_dataset("packed", folder / "set", Split::train);
    REQUIRE(back.ok());
    CHECK(back->name == "colours");
    CHECK(back->channels == channels);
    CHECK(back->pixels == train.pixels);
    CHECK(back->labels == train.labels);
    CHECK(back->class_names == train.class_names);
    CHECK(back->sha256 == train.sha256);
    CHECK(iotsl::data::class_name(*back, 3) == "class 3");
    CHECK(load_packed(folder / "set", Split::test)->size() == 8);
    const auto bytes = iotsl::read_file(folder / "set/train-images.idx");
    CHECK((*bytes)[3] == (channels == 1 ? 3 : 4));  // dimensions
  }
}

TEST_CASE("packed: nothing is written that could not be read") {
  const TemporaryFolder folder;
  const Dataset train = colours(20, 1, 4), test = colours(8, 1, 4);
  const auto refused = [&](auto change) {
    Dataset changed = train;
    change(changed);
    Dataset other = test;
    other.class_names = changed.class_names;
    const auto done = save_packed(folder / "set", changed, other);
    return done.ok() ? std::string() : done.failure().message;
  };
  CHECK(refused([](Dataset& set) { set.name.clear(); }).find("name has 0 bytes") !=
        std::string::npos);
  CHECK(refused([](Dataset& set) {
          set.class_names = {"a", "b", "a"};
        }).find("class 'a' stands there twice") != std::string::npos);
  CHECK(refused([](Dataset& set) { set.labels[3] = 4; }).find("label 4, expected 0 to 3") !=
        std::string::npos);
  CHECK(refused([](Dataset& set) { set.pixels.pop_back(); }).find("pixels of 20 images") !=
        std::string::npos);
  Dataset none = test;
  none.pixels.clear();
  none.labels.clear();
  CHECK_FALSE(save_packed(folder / "set", train, none).ok());
  CHECK_FALSE(iotsl::folder_exists(folder / "set"));
}

TEST_CASE("packed: a device keeps its own samples, a server the labels") {
  const TemporaryFolder folder;
  const Dataset train = colours(20, 3, 4);
  REQUIRE(save_packed(folder.path, train, train).ok());
  const std::vector<Index> keep = {2, 19};
  const auto own = load_packed(folder.path, Split::train, &keep);
  REQUIRE(own.ok());
  CHECK(own->labels == std::vector<Label>{2, 3});
  CHECK(own->pixels.size() == 2 * 18);
  CHECK(own->sha256 == train.sha256);
  const auto labels = load_packed(folder.path, Split::train, nullptr, false);
  REQUIRE(labels.ok());
  CHECK(labels->labels == train.labels);
  CHECK(labels->pixels.empty());
  CHECK(labels->sha256 == train.sha256);
  CHECK_THROWS_WITH_AS(labels->sample(0), "dataset: colours was loaded without its pixels",
                       iotsl::Error);
}

TEST_CASE("packed: more than 256 classes") {
  const TemporaryFolder folder;
  const Dataset train = colours(5000, 1, 4096);
  REQUIRE(save_packed(folder.path, train, train).ok());
  const auto back = load_packed(folder.path, Split::train);
  REQUIRE(back.ok());
  CHECK(back->labels == train.labels);
  CHECK(back->labels[4095] == 4095);
  CHECK(back->sha256 == train.sha256);
}

TEST_CASE("packed: damage is named") {
  const TemporaryFolder folder;
  const std::string card = folder / "set.json", images = folder / "train-images.idx";
  CHECK(error(folder.path) == card + ": cannot open: No such file or directory");
  const auto nowhere = iotsl::data::load_dataset("packed", folder.path, Split::train);
  CHECK(nowhere.failure().message ==
        "packed: no set.json in " + (folder / "packed") + ", " + folder.path +
            "; give --data DIR, a folder that iotsl data pack has written");
  const Dataset train = colours(20, 3, 4);
  REQUIRE(save_packed(folder.path, train, train).ok());
  auto bytes = *iotsl::read_file(images);
  bytes.back() ^= 1;
  REQUIRE(iotsl::write_file_atomic(images, ByteSpan(bytes)).ok());
  CHECK(error(folder.path).find(images + ": sha256 of images and labels is ") == 0);
  bytes[4 + 4 + 3] = 2;  // channels
  REQUIRE(iotsl::write_file_atomic(images, ByteSpan(bytes)).ok());
  CHECK(error(folder.path) == images + ": offset 8: 2 channels, expected 1 or 3");
  REQUIRE(save_packed(folder.path, colours(19, 3, 4), train).ok());
  const auto other = *iotsl::read_text_file(card);
  REQUIRE(save_packed(folder.path, train, train).ok());
  REQUIRE(iotsl::write_file_atomic(card, other).ok());
  CHECK(error(folder.path) == images + ": 20 images of 3x2x3, set.json says 19 of 3x2x3");
  for (const auto& [from, to, what] :
       {std::array{"iotsl-packed-1", "iotsl-packed-9",
                   "format is 'iotsl-packed-9', expected 'iotsl-packed-1'"},
        std::array{"\"class 1\"", "\"\"", "classes[1] must be a name"},
        std::array{"\"class 1\"", "\"class 3\"", "class 'class 3' stands there twice"},
        std::array{"\"samples\": 19", "\"samples\": 0", "train: key 'samples' is 0"}}) {
    std::string text = other;
    const std::size_t at = text.find(from);
    REQUIRE(at != text.npos);
    text.replace(at, std::strlen(from), to);
    REQUIRE(iotsl::write_file_atomic(card, text).ok());
    INFO(error(folder.path));
    CHECK(error(folder.path).find(card + ": " + what) == 0);
  }
}

TEST_CASE("packed: a file that is not finished leaves nothing behind") {
  const TemporaryFolder folder;
  {
    iotsl::data::IdxWriter writer(folder / "part.idx");
    const std::vector<std::uint8_t> header(16, 0);
    REQUIRE(writer.open(header, 100).ok());
    CHECK_THROWS_AS((void)writer.finish(), iotsl::Error);
  }
  CHECK(folder.entries() == 0);
  const auto large = iotsl::data::IdxWriter(folder / "large.idx").open({}, Index{1} << 60);
  CHECK(large.failure().message.find(": needs 1152921504606846976 bytes, the disk has ") !=
        std::string::npos);
  CHECK(iotsl::data::IdxWriter("/no/such/folder/a")
            .open({}, 0)
            .failure()
            .message.find("/no/such/folder/a.tmp.") == 0);
}

}  // namespace packed_test
