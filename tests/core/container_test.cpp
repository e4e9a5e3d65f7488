#include "iotsl/core/files/container.hpp"

#include <doctest/doctest.h>

#include "iotsl/core/random.hpp"
#include "support/temporary_folder.hpp"

using iotsl::bytes_of;
using iotsl::ByteSpan;
using iotsl::Section;

namespace {

std::vector<Section> sample() {
  static const std::string weights(1000, 'w');
  return {{"weights", bytes_of(weights)}, {"card.json", bytes_of("{}")}, {"empty", {}}};
}

std::vector<std::uint8_t> sample_bytes() {
  return *iotsl::serialize_container("checkpoint", sample());
}

std::string parse_error(const std::vector<std::uint8_t>& bytes,
                        iotsl::ContainerLimits limits = {}) {
  const auto parsed = iotsl::parse_container(ByteSpan(bytes), "checkpoint", limits);
  return parsed ? "no error" : parsed.failure().message;
}

/// Makes header and digest right again after a change, as a liar would.
void sign(std::vector<std::uint8_t>& bytes) {
  const auto table_bytes = iotsl::load_le<std::uint64_t>(bytes.data() + 16);
  if (table_bytes <= bytes.size() - 96)
    iotsl::store_le(bytes.data() + 56, iotsl::crc32c(ByteSpan(bytes).subspan(
                                           64, static_cast<std::size_t>(table_bytes))));
  iotsl::store_le(bytes.data() + 60, iotsl::crc32c(ByteSpan(bytes).first(60)));
  const auto digest = iotsl::sha256(ByteSpan(bytes).first(bytes.size() - 32));
  std::copy(digest.begin(), digest.end(), bytes.end() - 32);
}

}  // namespace

TEST_CASE("container: what is written is read, in memory and on disk") {
  const auto parsed = iotsl::parse_container(sample_bytes(), "checkpoint");
  REQUIRE(parsed.ok());
  CHECK(parsed->kind == "checkpoint");
  REQUIRE(parsed->sections.size() == 3);
  CHECK(iotsl::text_of(*parsed->section("weights")) == std::string(1000, 'w'));
  CHECK(iotsl::text_of(*parsed->section("card.json")) == "{}");
  CHECK(parsed->section("empty")->empty());
  CHECK(parsed->section("none").failure().message == "checkpoint: section 'none' is missing");
  for (const Section& section : parsed->sections)
    CHECK((section.bytes.data() - parsed->storage.data()) % 64 == 0);
  CHECK(iotsl::parse_container(*iotsl::serialize_container("x", {}), "x")->sections.empty());

  const TemporaryFolder folder;
  const std::string path = folder / "a.ckpt";
  REQUIRE(iotsl::save_container(path, "checkpoint", sample()).ok());
  CHECK(*iotsl::read_file(path) == sample_bytes());
  CHECK(iotsl::load_container(path, "checkpoint")->sections.size() == 3);
  CHECK(iotsl::load_container(path, "generator").failure().message ==
        path + ": container: kind is 'checkpoint', expected 'generator'");
}

TEST_CASE("container: every single flipped bit and every truncation is found") {
  const auto good = sample_bytes();
  REQUIRE(parse_error(good) == "no error");
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bytes = good;
    bytes[at] ^= static_cast<std::uint8_t>(1u << (at % 8));
    CHECK(parse_error(bytes) != "no error");
    bytes.assign(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(at));
    CHECK(parse_error(bytes).find("truncated: ") != std::string::npos);
  }
  auto longer = good;
  longer.push_back(0);
  CHECK(parse_error(longer).find("too long: ") != std::string::npos);
}

TEST_CASE("container: messages name the place") {
  auto bytes = sample_bytes();
  bytes[0] = 'x';
  CHECK(parse_error(bytes) == "container: offset 0: not an iotsl container");
  bytes = sample_bytes();
  bytes[8] = 2;
  sign(bytes);
  CHECK(parse_error(bytes) == "container: offset 8: version 2, expected 1");
  bytes = sample_bytes();
  bytes[192] ^= 1;  // the first section: header 64, table 3 * 16 + 21, rounded up to 64
  CHECK(parse_error(bytes) ==
        "container: section 'weights' at offset 192: checksum does not match");
  bytes = sample_bytes();
  bytes.back() ^= 1;
  CHECK(parse_error(bytes).find(": SHA-256 does not match") != std::string::npos);
  CHECK(parse_error(sample_bytes(), {.max_sections = 2}) ==
        "container: offset 12: 3 sections, limit is 2");
  CHECK(parse_error(sample_bytes(), {.max_file_bytes = 100}).find("limit is 100") !=
        std::string::npos);
}

TEST_CASE("container: sizes that lie are refused even when every checksum is right") {
  auto bytes = sample_bytes();
  iotsl::store_le(bytes.data() + 64 + 8, std::uint64_t{1} << 63);
  sign(bytes);
  CHECK(parse_error(bytes).find("section 'weights' of 9223372036854775808 bytes") !=
        std::string::npos);
  bytes = sample_bytes();
  iotsl::store_le(bytes.data() + 16, std::uint64_t{1} << 40);
  sign(bytes);
  CHECK(parse_error(bytes) == "container: offset 16: table of 1099511627776 bytes does not fit");
  bytes = sample_bytes();
  iotsl::store_le(bytes.data() + 12, std::uint32_t{4});
  sign(bytes);
  CHECK(parse_error(bytes) == "container: table ends in entry 3");
  bytes = sample_bytes();
  iotsl::store_le(bytes.data() + 12, std::uint32_t{2});
  sign(bytes);
  CHECK(parse_error(bytes) == "container: 21 bytes after the last table entry");
  bytes = sample_bytes();
  bytes[180] = 1;
  sign(bytes);
  CHECK(parse_error(bytes) == "container: offset 180: padding is not zero");
  // Random damage behind right checksums: no crash, whatever the answer.
  const iotsl::Random random(4, iotsl::Stream::user);
  int refused = 0;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    bytes = sample_bytes();
    bytes[8 + static_cast<std::size_t>(random.below(2 * i, 130))] =
        static_cast<std::uint8_t>(random.bits(8 * i + 1));
    sign(bytes);
    refused += parse_error(bytes) == "no error" ? 0 : 1;
  }
  CHECK(refused > 2500);
}

TEST_CASE("container: a writer's mistakes are refused") {
  CHECK(iotsl::serialize_container("x", {{"a", {}}, {"a", {}}}).failure().message ==
        "container: section 'a' appears twice");
  CHECK_FALSE(iotsl::serialize_container("x", {{"", {}}}).ok());
  CHECK_FALSE(iotsl::serialize_container("x", {{std::string(257, 'n'), {}}}).ok());
  CHECK_THROWS_AS((void)iotsl::serialize_container(std::string(25, 'k'), {}), iotsl::Error);
}
