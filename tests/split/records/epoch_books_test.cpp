// The records of a run's epochs: on the disk, and of devices rather than of epochs in memory.

#include "iotsl/split/records/epoch_books.hpp"

#include <doctest/doctest.h>

#include "support/temporary_folder.hpp"

namespace epoch_books_test {

using namespace iotsl;
using namespace iotsl::split;

namespace {

measure::EpochRecord record(std::uint64_t epoch, const std::string& device, double loss) {
  measure::EpochRecord out;
  out.epoch = epoch;
  out.device = static_cast<std::uint32_t>(epoch % 2);
  out.device_name = device;
  out.samples = 10 * epoch;
  out.loss = loss;
  return out;
}

std::vector<double> losses(const EpochBooks& books) {
  const auto all = books.all();
  REQUIRE_MESSAGE(all.ok(), all.failure().message);
  std::vector<double> out;
  for (const measure::EpochRecord& each : *all) out.push_back(each.loss);
  return out;
}

}  // namespace

TEST_CASE("epoch books: every record is given back, with a folder and without") {
  const TemporaryFolder folder;
  for (const std::string& out : {std::string(), folder.path}) {
    EpochBooks books(out);
    if (!out.empty()) REQUIRE(books.begin().ok());
    CHECK(losses(books).empty());
    REQUIRE(books.add(record(1, "a", 0.1)).ok());
    REQUIRE(books.add(record(2, "b", 1.0 / 3)).ok());
    REQUIRE(books.add(record(3, "a", 0.7)).ok());
    CHECK(books.count() == 3);
    CHECK(losses(books) == std::vector<double>{0.1, 1.0 / 3, 0.7});
    REQUIRE(books.newest_turn_of("a") != nullptr);
    CHECK(books.newest_turn_of("a")->device == 1);
    CHECK(books.newest_turn_of("a")->samples == 30);
    CHECK(books.newest_turn_of("c") == nullptr);
  }
}

TEST_CASE("epoch books: what is taken back is forgotten") {
  const TemporaryFolder folder;
  EpochBooks books(folder.path);
  REQUIRE(books.begin().ok());
  REQUIRE(books.add(record(1, "a", 0.5)).ok());
  const auto size = books.sync();
  REQUIRE(size.ok());
  REQUIRE(books.add(record(2, "b", 0.25)).ok());

  EpochBooks again(folder.path);
  std::vector<std::uint64_t> seen;
  const auto look = [&](const measure::EpochRecord& each) { seen.push_back(each.epoch); };
  REQUIRE(again.take_back(*size, look).ok());
  CHECK(seen == std::vector<std::uint64_t>{1});
  CHECK(again.count() == 1);
  CHECK(again.newest_turn_of("b") == nullptr);
  CHECK(losses(again) == std::vector<double>{0.5});
}

TEST_CASE("epoch books: lines that are missing or garbled are said") {
  const TemporaryFolder folder;
  const std::string file = folder / "metrics.jsonl";
  EpochBooks books(folder.path);
  REQUIRE(books.begin().ok());
  REQUIRE(books.add(record(1, "a", 0.5)).ok());
  REQUIRE(write_file_atomic(file, std::string_view()).ok());
  const auto missing = books.all();
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.failure().message ==
        file + ": expected the 1 lines that this run has written, found 0");
  REQUIRE(write_file_atomic(file, std::string_view("{\"epoch\": 1\n")).ok());
  const auto garbled = books.all();
  REQUIRE_FALSE(garbled.ok());
  CHECK(garbled.failure().message.rfind(file + ": offset 0: ", 0) == 0);
}

}  // namespace epoch_books_test
