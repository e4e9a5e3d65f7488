#include "iotsl/data/manifest.hpp"

#include <doctest/doctest.h>

#include "iotsl/data/glyphs.hpp"
#include "support/temporary_folder.hpp"

using iotsl::concat;
using iotsl::Index;
using iotsl::Json;
using iotsl::data::Manifest;

namespace {

iotsl::data::Dataset sample_set() {
  iotsl::data::Dataset set = iotsl::data::make_glyphs(iotsl::data::Split::train, 200);
  set.sha256 = iotsl::data::idx_sha256(set);
  return set;
}

Manifest sample_manifest(const iotsl::data::Dataset& set) {
  const auto spec = iotsl::data::parse_partition("classes:3");
  auto partition = iotsl::data::make_partition(*spec, set.labels, set.classes, 4, 5);
  REQUIRE(partition.ok());
  return iotsl::data::make_manifest(set, *spec, std::move(*partition), 5);
}

const char* const small =
    R"({"format":"iotsl-manifest-2","dataset":"mnist","file_sha256":"ab","partition":"iid","seed":1,)"
    R"("redraws":4,"devices":[{"id":0,"indices":[0,3],"counts":[1,1]},{"id":1,"indices":[2],"counts":[0,1]}],)"
    R"("unused":2,"classes_of_nobody":[]})";

/// The error after one replacement in the small manifest.
std::string error_with(std::string_view what, std::string_view by) {
  std::string text = small;
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  text.replace(at, what.size(), by);
  const auto parsed = iotsl::data::parse_manifest(text);
  return parsed ? "no error" : parsed.failure().message;
}

}  // namespace

TEST_CASE("manifest: what is written is read") {
  const TemporaryFolder folder;
  const auto set = sample_set();
  const Manifest manifest = sample_manifest(set);
  const std::string path = folder / "manifest.json";
  REQUIRE(iotsl::data::save_manifest(path, manifest).ok());
  const auto read = iotsl::data::load_manifest(path);
  if (!read) FAIL(read.failure().message);
  CHECK(read->dataset == "glyphs");
  CHECK(read->file_sha256 == set.sha256);
  CHECK(read->partition == "classes:3");
  CHECK(read->seed == 5);
  CHECK(read->redraws == 0);
  CHECK(read->devices == manifest.devices);
  CHECK(read->counts == manifest.counts);
  CHECK(read->unused == manifest.unused);
  CHECK(read->total() == 200);
  CHECK(iotsl::to_text(iotsl::data::to_json(*iotsl::data::parse_manifest(small))) == small);
}

TEST_CASE("manifest: it says how often the table was drawn again, and which class nobody has") {
  const auto set = sample_set();
  const auto spec = iotsl::data::parse_partition("classes-random:4");
  const auto drawn = iotsl::data::make_partition(*spec, set.labels, set.classes, 3, 1);
  REQUIRE(drawn.ok());
  const Manifest manifest = iotsl::data::make_manifest(set, *spec, *drawn, 1);
  CHECK(drawn->redraws > 0);
  const iotsl::Json json = iotsl::data::to_json(manifest);
  CHECK(json.find("redraws")->as_int() == drawn->redraws);
  CHECK(json.find("classes_of_nobody")->size() == 0);

  const TemporaryFolder folder;
  REQUIRE(iotsl::write_file_atomic(folder / "table", "1 2 0 3 0 0 0 0 0 0\n").ok());
  const auto table = iotsl::data::parse_partition("table:" + (folder / "table"));
  const auto given = iotsl::data::make_partition(*table, set.labels, set.classes, 1, 1);
  REQUIRE(given.ok());
  const iotsl::Json partial =
      iotsl::data::to_json(iotsl::data::make_manifest(set, *table, *given, 1));
  CHECK(iotsl::to_text(*partial.find("classes_of_nobody")) == "[2,4,5,6,7,8,9]");
}

TEST_CASE("manifest: it must belong to the set and the device") {
  const auto set = sample_set();
  const Manifest manifest = sample_manifest(set);
  for (Index d = 0; d < 4; ++d) {
    CHECK(iotsl::data::check_manifest(manifest, set, d).ok());
    const auto own =
        iotsl::data::select_samples(set, manifest.devices[static_cast<std::size_t>(d)]);
    CHECK(iotsl::data::check_manifest(manifest, own, d).ok());
  }
  CHECK(iotsl::data::check_manifest(manifest, set, 4).failure().message ==
        "manifest: has no device 4, only 0 to 3");
  auto other = set;
  other.name = "mnist";
  CHECK(iotsl::data::check_manifest(manifest, other, 0).failure().message ==
        "manifest: is for dataset glyphs, given mnist");
  other = set;
  other.sha256 = "00";
  CHECK(iotsl::data::check_manifest(manifest, other, 0)
            .failure()
            .message.find("manifest: file_sha256 is ") == 0);
  other = set;
  std::swap(other.labels[static_cast<std::size_t>(manifest.devices[1][0])],
            other.labels[static_cast<std::size_t>(manifest.devices[0][0])]);
  auto wrong = manifest;
  wrong.counts[2][0] += 1;
  CHECK(iotsl::data::check_manifest(wrong, set, 2).failure().message ==
        "manifest: device 2: counts do not match the labels of its samples");
  const auto stranger = iotsl::data::select_samples(set, std::vector<Index>{1, 2});
  CHECK(iotsl::data::check_manifest(manifest, stranger, 0).failure().message ==
        "manifest: device 0 has 15 samples, given 2");
}

TEST_CASE("manifest: what is not right is refused") {
  CHECK(error_with("\"seed\":1", "\"seed\":1") == "no error");
  CHECK(error_with("manifest-2", "manifest-9") ==
        "manifest: format is 'iotsl-manifest-9', expected 'iotsl-manifest-2'");
  CHECK(error_with("\"seed\":1,", "") == "manifest: key 'seed' is missing");
  CHECK(error_with("\"seed\":1", "\"seed\":1.5") ==
        "manifest: key 'seed' must be an integer, found number");
  CHECK(error_with("\"unused\":2", "\"unused\":-1") ==
        "manifest: key 'unused' is -1, expected 0 to 4294967296");
  CHECK(error_with("\"unused\":2", "\"unused\":2,\"more\":1") ==
        "manifest: has 10 keys, expected 9");
  CHECK(error_with("\"redraws\":4", "\"redraws\":-4") ==
        "manifest: key 'redraws' is -4, expected 0 to 4294967296");
  for (const char* lie : {"[0]", "[2]"})
    CHECK(error_with("nobody\":[]", concat("nobody\":", lie)) ==
          "manifest: classes_of_nobody does not follow from the counts");
  CHECK(error_with("nobody\":[]", "nobody\":[-1]") ==
        "manifest: classes_of_nobody[0] must be an integer from 0 to 4095");
  CHECK(error_with("\"unused\":2", "\"unused\":0") ==
        "manifest: device 0: sample 3, but used and unused make 3");
  CHECK(error_with("[2]", "[3]") == "manifest: sample 3 is on device 0 and on device 1");
  CHECK(error_with("[0,3]", "[3,0]") ==
        "manifest: device 0: indices[1] is 0, expected more than the one before, 3");
  CHECK(error_with("[0,3]", "[3,3]") ==
        "manifest: device 0: indices[1] is 3, expected more than the one before, 3");
  CHECK(error_with("[0,3]", "[-1,3]") ==
        "manifest: device 0: indices[0] must be an integer from 0 to 4294967295");
  CHECK(error_with("[0,3]", "[0]") == "manifest: device 0: counts add up to 2, indices has 1");
  CHECK(error_with("[0,1]", "[0,0,1]") ==
        "manifest: device 1: counts has 3 classes, device 0 has 2");
  CHECK(error_with("\"id\":1", "\"id\":2") == "manifest: device 1: key 'id' is 2, expected 1 to 1");
  CHECK(error_with("\"id\":1,", "\"id\":1,\"x\":0,") ==
        "manifest: device 1: has keys beside id, indices and counts");
  CHECK(iotsl::data::parse_manifest("{").failure().message.find("manifest: json: byte ") == 0);
  CHECK(iotsl::data::load_manifest("/no/such").failure().message ==
        "/no/such: cannot open: No such file or directory");
}

TEST_CASE("manifest: the validation part is listed, and shares no sample with a device") {
  const auto set = sample_set();
  const auto spec = iotsl::data::parse_partition("iid");
  auto drawn = iotsl::data::partition_with_validation(*spec, set.labels, set.classes, 4, 5, 0, 0.2);
  REQUIRE(drawn.ok());
  const std::vector<Index> aside = drawn->validation;
  REQUIRE(aside.size() == 40);
  const Manifest manifest =
      iotsl::data::make_manifest(set, *spec, std::move(drawn->partition), 5, aside);
  CHECK(manifest.total() == 200);
  const auto read = iotsl::data::parse_manifest(iotsl::to_text(iotsl::data::to_json(manifest)));
  if (!read) FAIL(read.failure().message);
  CHECK(read->validation == aside);
  CHECK(read->total() == 200);
  for (Index d = 0; d < 4; ++d) CHECK(iotsl::data::check_manifest(*read, set, d).ok());

  const auto with = [](const char* validation) {
    return error_with("\"unused\":2", concat("\"validation\":", validation, ",\"unused\":1"));
  };
  CHECK(with("[1]") == "no error");
  CHECK(with("[3]") == "manifest: sample 3 is on device 0 and in validation");
  CHECK(with("[9]") == "manifest: validation: sample 9, but used and unused make 5");
  CHECK(with("[4,1]") == "manifest: validation[1] is 1, expected more than the one before, 4");
  CHECK(with("[]") == "manifest: validation is empty; without such a part it is left out");
  CHECK(with("7") == "manifest: key 'validation' must be an array, found integer");
}
