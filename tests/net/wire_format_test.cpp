#include "iotsl/net/messages/wire_format.hpp"

#include <doctest/doctest.h>

#include "iotsl/net/messages/transfer.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace wire_format_test {

namespace {

Tensor<float> batch() {
  Tensor<float> out = Tensor<float>::uninitialized(Shape{3, 2, 2});
  for (Index i = 0; i < out.size(); ++i)
    out.mutable_data()[i] = 0.1f * static_cast<float>(i) - 0.5f;
  return out;
}
bool same(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), sizeof(float) * static_cast<std::size_t>(a.size())) == 0;
}

}  // namespace

TEST_CASE("wire format: what is counted before is what is written") {
  const Tensor<float> values = batch();
  for (const auto& [smashed, name] : names_of(WireCoding{}))
    for (const auto& [gradients, other] : names_of(WireCoding{})) {
      const WireFormat format{smashed, gradients};
      CAPTURE(format.text());
      CHECK(format.encode_smashed(values, {}).bytes().size() == format.smashed_bytes(3, 4));
      CHECK(format.encode_gradient(values, {}).bytes().size() == format.gradient_bytes(3, 4));
      CHECK(format.smashed_bytes(3, 4) == 3 * format.smashed_bytes(1, 4));
    }
  for (const auto& [coding, name] : names_of(WireCoding{})) {
    const WireFormat none{coding, coding};
    CAPTURE(name);
    CHECK(none.encode_smashed(Tensor<float>::zeros({0, 4}), {}).bytes().empty());
  }
  const WireFormat format;
  CHECK(format.smashed_bytes(1, 4) == 16);
  CHECK(format.gradient_bytes(1, 4) == 16);
  CHECK(format.smashed_bytes(0, 4) == 0);
  CHECK(label_bytes(3) == 3 * sizeof(std::int32_t));
  CHECK(state_bytes(3) == 3 * sizeof(float));
}

TEST_CASE("wire format: values come back bit by bit, from any address") {
  const WireFormat format;
  const Tensor<float> values = batch();
  const EncodedBatch sent = format.encode_smashed(values, {});
  CHECK(sent.bytes().data() == reinterpret_cast<const std::uint8_t*>(values.data()));  // no copy
  Bytes payload(1);
  payload.insert(payload.end(), sent.bytes().begin(), sent.bytes().end());
  const ByteSpan odd = ByteSpan(payload).subspan(1);
  CHECK(same(format.decode_smashed(odd, values.shape()), values));
  CHECK(same(format.decode_gradient(odd, values.shape()), values));
}

TEST_CASE("wire format: the bytes live as long as the encoded batch") {
  const EncodedBatch sent = WireFormat().encode_gradient(batch(), {});  // whose tensor is gone
  CHECK(same(WireFormat().decode_gradient(sent.bytes(), Shape{3, 2, 2}), batch()));
}

TEST_CASE("wire format: bytes of another batch are refused") {
  const Bytes bytes(47);
  CHECK_THROWS_WITH_AS(WireFormat().decode_smashed(bytes, Shape{3, 4}),
                       "wire: 47 bytes of values for [3,4] in fp32, expected 48", Error);
  CHECK_THROWS_WITH_AS(WireFormat().decode_gradient(bytes, Shape{2, 4}),
                       "wire: 47 bytes of values for [2,4] in fp32, expected 32", Error);
}

TEST_CASE("wire format: BEGIN names the type of the values, and no other is taken") {
  for (const MessageType kind : {MessageType::step, MessageType::grad, MessageType::turn_grant}) {
    Message message;
    message.type = kind;
    MessageSender sender(message, 1);
    FrameWriter frames;
    Bytes wire;
    sender.write_next(frames, wire);
    Begin begin;
    begin.kind = kind;
    const Bytes expected = encode(begin);
    CHECK(
        std::equal(expected.begin(), expected.end(), wire.end() - std::ptrdiff_t(expected.size())));
    CHECK(decode<Begin>(expected)->form.dtype == 1);
    Bytes other = expected;
    std::uint8_t& dtype = other[sizeof(MessageType) + sizeof(std::uint64_t) + 1];
    dtype = 2;
    const bool may_be_coded = kind != MessageType::turn_grant;
    CHECK(decode<Begin>(other).ok() == may_be_coded);
    dtype = 5;
    CHECK(decode<Begin>(other).failure().message.ends_with(
        may_be_coded ? ": dtype is not in 1 to 4 (float32, fp16, int8, int4)"
                     : ": dtype is not 1 (float32)"));
  }
}

TEST_CASE("wire format: what the options mean") {
  TrainingOptions training;
  CHECK(WireFormat::of(training) == WireFormat{});
  CHECK(WireFormat::of(training).is_exact());
  training.wire = WireCoding::int4;
  CHECK(WireFormat::of(training) == WireFormat{WireCoding::int4, WireCoding::int8});
  CHECK(WireFormat::of(training).text() == "int4, gradients in int8");
  training.wire_gradients = WireCoding::fp32;
  CHECK(WireFormat::of(training) == WireFormat{WireCoding::int4, WireCoding::fp32});
  training.wire = WireCoding::fp32;
  CHECK(WireFormat::of(training).is_exact());
  training.wire_gradients = WireCoding::fp16;
  CHECK_FALSE(WireFormat::of(training).is_exact());
  training.frozen_front = true;
  CHECK(WireFormat::of(training) == WireFormat{WireCoding::fp32, std::nullopt});
  CHECK(WireFormat::of(training).gradient_bytes(3, 4) == 0);
}

TEST_CASE("wire format: a step sent again has the same bytes, its gradient other chances") {
  const WireFormat format{WireCoding::int8, WireCoding::int8};
  const auto bytes = [](const EncodedBatch& sent) {
    return Bytes(sent.bytes().begin(), sent.bytes().end());
  };
  const Bytes first = bytes(format.encode_smashed(batch(), {7, 3}));
  CHECK(first == bytes(format.encode_smashed(batch(), {7, 3})));
  CHECK(first != bytes(format.encode_smashed(batch(), {7, 4})));
  CHECK(first != bytes(format.encode_smashed(batch(), {8, 3})));
  CHECK(first != bytes(format.encode_gradient(batch(), {7, 3})));
  CHECK(
      same(format.arrived_smashed(batch(), {7, 3}), format.decode_smashed(first, batch().shape())));
}

TEST_CASE("HELLO_OK: a coding is said where there is one, and is no part of an older message") {
  HelloOk ok;
  ok.heartbeat_ms = 1000;
  ok.dead_ms = 2500;
  const Bytes plain = encode(ok);
  ok.description.training.wire = WireCoding::int4;
  const Bytes coded = encode(ok);
  CHECK(std::equal(plain.begin(), plain.end(), coded.begin()));
  CHECK(coded.size() == plain.size() + 2 * (2 + 4));
  CHECK(WireFormat::of(decode<HelloOk>(plain)->description.training).is_exact());
  const auto got = decode<HelloOk>(coded);
  REQUIRE(got.ok());
  CHECK(got->description.training.wire == WireCoding::int4);
  CHECK(got->description.training.wire_gradients == WireCoding::int8);
  Bytes unknown = coded;
  unknown.back() = '9';
  CHECK(decode<HelloOk>(unknown).failure().message.ends_with(
      "wire coding is none of fp32, fp16, int8, int4"));
}

}  // namespace wire_format_test
