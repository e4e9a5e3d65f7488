#include "iotsl/net/messages/frame.hpp"

#include <doctest/doctest.h>

using namespace iotsl;
using namespace iotsl::net;

namespace frame_test {

namespace {

Bytes two_frames() {
  Bytes wire;
  FrameWriter writer;
  const Bytes first{1, 2, 3, 4, 5};
  const Bytes head{9}, body{8, 7};
  writer.write(wire, MessageType::hello, 0, first);
  writer.write(wire, MessageType::chunk, 42, head, body, flag_optional);
  return wire;
}

/// Reads all frames; the failure's text or "" when none.
std::string read_all(FrameReader& reader, ByteSpan input, std::vector<Bytes>* payloads = nullptr) {
  Frame frame;
  for (;;) {
    const Result<bool> got = reader.next(input, frame);
    if (!got) return got.failure().message;
    if (!*got) return "";
    if (payloads != nullptr) payloads->emplace_back(frame.payload.begin(), frame.payload.end());
  }
}

}  // namespace

TEST_CASE("frame: the header has the documented layout") {
  const Bytes wire = two_frames();
  REQUIRE(wire.size() == 2 * header_bytes + 5 + 3);
  CHECK(text_of(ByteSpan(wire).first(4)) == "ISL1");
  CHECK(wire[4] == 1);
  CHECK(wire[5] == 0x01);
  CHECK(load_le<std::uint32_t>(&wire[8]) == 5);
  CHECK(load_le<std::uint32_t>(&wire[12]) == 0);
  const std::uint8_t* second = wire.data() + header_bytes + 5;
  CHECK(second[5] == 0x06);
  CHECK(load_le<std::uint16_t>(second + 6) == 1);
  CHECK(load_le<std::uint32_t>(second + 12) == 1);
  CHECK(load_le<std::uint64_t>(second + 16) == 42);
  CHECK(load_le<std::uint32_t>(second + 24) == crc32c(Bytes{9, 8, 7}));
  CHECK(load_le<std::uint32_t>(second + 28) == crc32c(ByteSpan(second, 28)));
}

TEST_CASE("frame: any cut of the stream gives the same frames") {
  const Bytes wire = two_frames();
  for (std::size_t piece = 1; piece <= wire.size(); ++piece) {
    FrameReader reader;
    std::vector<Bytes> payloads;
    for (std::size_t at = 0; at < wire.size(); at += piece)
      REQUIRE(read_all(reader, ByteSpan(wire).subspan(at, std::min(piece, wire.size() - at)),
                       &payloads) == "");
    REQUIRE(payloads.size() == 2);
    CHECK(payloads[0] == Bytes{1, 2, 3, 4, 5});
    CHECK(payloads[1] == Bytes{9, 8, 7});
  }
}

TEST_CASE("frame: every flipped bit is noticed") {
  const Bytes good = two_frames();
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes wire = good;
    wire[bit / 8] = static_cast<std::uint8_t>(wire[bit / 8] ^ (1u << (bit % 8)));
    FrameReader reader;
    INFO("bit " << bit);
    CHECK(read_all(reader, wire) != "");
  }
}

TEST_CASE("frame: a truncated stream waits and holds only what arrived") {
  const Bytes wire = two_frames();
  for (std::size_t length = 0; length < wire.size(); ++length) {
    FrameReader reader;
    std::vector<Bytes> payloads;
    CHECK(read_all(reader, ByteSpan(wire).first(length), &payloads) == "");
    CHECK(payloads.size() == (length >= header_bytes + 5 ? 1 : 0));
    CHECK(reader.buffered() <= length);
  }
}

TEST_CASE("frame: limits hold before anything is allocated") {
  FrameWriter writer;
  Bytes wire;
  writer.write(wire, MessageType::hello, 0, Bytes(max_payload_before_join + 1));
  FrameReader reader;
  // The header alone is enough to refuse.
  CHECK(read_all(reader, ByteSpan(wire).first(header_bytes)) ==
        "frame 0 HELLO: payload of 4097 bytes, limit 4096");
  CHECK(reader.buffered() == 0);
  CHECK(read_all(reader, two_frames()) == "frame: the direction was given up earlier");

  FrameReader joined;
  joined.set_max_payload(max_payload_bytes);
  CHECK(read_all(joined, wire) == "");
  CHECK_THROWS_AS(writer.write(wire, MessageType::chunk, 1, Bytes(max_payload_bytes + 1)), Error);
}

TEST_CASE("frame: sequence numbers must rise by one") {
  const Bytes wire = two_frames();
  FrameReader repeated;
  CHECK(read_all(repeated, ByteSpan(wire).first(header_bytes + 5)) == "");
  CHECK(read_all(repeated, wire) == "frame: frame_seq is 0, expected 1");
  FrameReader skipped;
  CHECK(read_all(skipped, ByteSpan(wire).subspan(header_bytes + 5)) ==
        "frame: frame_seq is 1, expected 0");
}

TEST_CASE("frame: another protocol and another version are named") {
  Bytes wire = two_frames();
  const std::string http = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
  FrameReader reader;
  CHECK(read_all(reader, bytes_of(http)).find("does not speak ISL") != std::string::npos);
  wire[4] = 2;
  store_le(&wire[28], crc32c(ByteSpan(wire).first(28)));
  FrameReader version;
  CHECK(read_all(version, wire) == "frame 0: layout version 2, expected 1");
}

}  // namespace frame_test
