#include "iotsl/core/files/file.hpp"

#include <doctest/doctest.h>

#include "support/temporary_folder.hpp"

TEST_CASE("file: what is written is read, and replaced as a whole") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bin";
  std::vector<std::uint8_t> bytes(300000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
  REQUIRE(iotsl::write_file_atomic(path, iotsl::ByteSpan(bytes)).ok());
  CHECK(*iotsl::read_file(path) == bytes);
  CHECK(*iotsl::file_size(path) == 300000);
  REQUIRE(iotsl::write_file_atomic(path, "short").ok());
  CHECK(*iotsl::read_text_file(path) == "short");
  const iotsl::ByteSpan parts[] = {iotsl::bytes_of("one "), {}, iotsl::bytes_of("two")};
  REQUIRE(iotsl::write_file_atomic(path, std::span<const iotsl::ByteSpan>(parts)).ok());
  CHECK(*iotsl::read_text_file(path) == "one two");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: an empty file and a file at the limit are read, one byte more is refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.txt";
  REQUIRE(iotsl::write_file_atomic(path, "").ok());
  CHECK(iotsl::read_file(path)->empty());
  REQUIRE(iotsl::write_file_atomic(path, "12345").ok());
  CHECK(*iotsl::read_text_file(path, 5) == "12345");
  CHECK(iotsl::read_text_file(path, 4).failure().message ==
        path + ": has at least 5 bytes, limit is 4");
  // A file that announces no size is bounded too.
  CHECK(iotsl::read_file("/dev/zero", 10000).failure().message.find("limit is 10000") !=
        std::string::npos);
}

TEST_CASE("file: failures name the path and the reason") {
  const TemporaryFolder folder;
  const auto missing = iotsl::read_file(folder / "none");
  CHECK(missing.failure().message ==
        (folder / "none") + ": cannot open: No such file or directory");
  CHECK(missing.failure().code == iotsl::ErrorCode::data);
  CHECK(iotsl::read_file(folder.path).failure().message ==
        folder.path + ": is a folder, not a file");
  const auto unplaced = iotsl::write_file_atomic(folder / "no/such/a", "x");
  CHECK(unplaced.failure().message ==
        (folder / "no/such") + ": cannot stat folder: No such file or directory");
}

TEST_CASE("file: a failed write leaves the old content and no temporary file") {
  const TemporaryFolder folder;
  // Renaming a file over a folder fails after everything was written.
  REQUIRE(iotsl::create_folders(folder / "target/inner").ok());
  const auto failed = iotsl::write_file_atomic(folder / "target", "x");
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.failure().message.find("cannot rename") != std::string::npos);
  CHECK(folder.entries() == 1);
  CHECK(iotsl::folder_exists(folder / "target/inner"));
}

TEST_CASE("file: what does not fit the disk is refused before a byte is written") {
  const TemporaryFolder folder;
  // Only the sizes of the parts are looked at before the check fails; the memory is never read.
  const std::uint8_t byte = 0;
  constexpr bool wide = sizeof(std::size_t) >= 8;
  constexpr std::size_t count = wide ? 64 : std::size_t{1} << 21;
  constexpr std::size_t part_bytes = std::size_t{1} << (wide ? 53 : 30);
  const std::vector<iotsl::ByteSpan> parts(count, iotsl::ByteSpan(&byte, part_bytes));
  const auto failed =
      iotsl::write_file_atomic(folder / "huge", std::span<const iotsl::ByteSpan>(parts));
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.failure().message.find(iotsl::concat(": needs ", std::uint64_t{count} * part_bytes,
                                                    " bytes, the disk has ")) != std::string::npos);
  CHECK(folder.entries() == 0);
}

TEST_CASE("file: a temporary file left by a dead process is not in the way") {
  const TemporaryFolder folder;
  const std::string left = iotsl::concat(folder / "a", ".tmp.", static_cast<long>(getpid()), ".0");
  REQUIRE(iotsl::append_file(left, "rest").ok());
  REQUIRE(iotsl::write_file_atomic(folder / "a", "new").ok());
  CHECK(*iotsl::read_text_file(folder / "a") == "new");
}

TEST_CASE("file: append, folders, existence, paths") {
  const TemporaryFolder folder;
  REQUIRE(iotsl::create_folders(folder / "x/y/z").ok());
  REQUIRE(iotsl::create_folders(folder / "x/y/z").ok());
  CHECK(iotsl::folder_exists(folder / "x/y/z"));
  CHECK_FALSE(iotsl::file_exists(folder / "x/y/z"));
  const std::string log = folder / "x/log";
  REQUIRE(iotsl::append_file(log, "a\n").ok());
  REQUIRE(iotsl::append_file(log, "b\n").ok());
  CHECK(*iotsl::read_text_file(log) == "a\nb\n");
  CHECK(iotsl::file_exists(log));
  CHECK_FALSE(iotsl::create_folders(log + "/sub").ok());
  CHECK(iotsl::join_path("a/", "b") == "a/b");
  CHECK(iotsl::join_path("", "b") == "b");
}
