#include "iotsl/net/link/link.hpp"

#include <doctest/doctest.h>

#include "iotsl/net/messages/bulk_messages.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace link_test {

namespace {

constexpr std::size_t all = std::size_t{1} << 30;

struct Pair {
  Link device{LinkOptions{}};
  Link server{LinkOptions{.server = true}};

  /// Moves everything from one link to the other; the failure's text or "".
  static std::string move(Link& from, Link& to, Microseconds now = 0) {
    Bytes wire;
    from.produce(wire, all, now);
    const Result<void> taken = to.receive(wire, now);
    return taken ? "" : taken.failure().message;
  }
  void join() {
    device.send_fields(Hello{});
    REQUIRE(move(device, server) == "");
    server.send_fields(JoinOk{});
    REQUIRE(move(server, device) == "");
    Message skipped;
    while (device.pop(skipped) || server.pop(skipped)) {
    }
  }
};

Message step_message(std::size_t samples, std::size_t values) {
  std::vector<float> smashed(samples * values);
  for (std::size_t i = 0; i < smashed.size(); ++i) smashed[i] = static_cast<float>(i) * 0.5f;
  Step step;
  step.labels.assign(samples, 3);
  step.smashed = bytes_of(smashed.data(), smashed.size());
  return make_message(step,
                      {{static_cast<std::uint32_t>(samples), static_cast<std::uint32_t>(values)}});
}

/// Frames of `message` in one buffer, as if sent by a joined device.
Bytes frames_of(const Message& message) {
  Bytes wire;
  FrameWriter writer;
  MessageSender sender(message, 1);
  while (!sender.write_next(writer, wire)) {
  }
  return wire;
}

}  // namespace

TEST_CASE("link: a transfer arrives whole, and both sides count the same bytes") {
  Pair pair;
  pair.join();
  const Message sent = step_message(20, 5000);  // 400 KB: seven chunks
  pair.server.set_transfer_limit(MessageType::step, sent.payload.size());
  pair.device.send(sent);
  Bytes wire;
  const Traffic before = pair.device.traffic_out();
  pair.device.produce(wire, all, 0);
  REQUIRE(pair.server.receive(wire, 0).ok());
  Message got;
  REQUIRE(pair.server.pop(got));
  CHECK(got.type == MessageType::step);
  CHECK(got.payload == sent.payload);
  CHECK(got.form.shape == std::vector<std::uint32_t>{20, 5000});
  CHECK(got.hash == xxh64(sent.payload));
  CHECK(pair.device.traffic_out() == pair.server.traffic_in());
  const Traffic after = pair.device.traffic_out();
  CHECK(after.total_bytes() == before.total_bytes() + wire.size());
  CHECK(after.of(MessageType::step).bytes == sent.payload.size());
  CHECK(after.of(MessageType::step).messages == 1);
  CHECK(after.frames == before.frames + 2 + 7);
  CHECK(pair.device.queued_bytes() == 0);
}

TEST_CASE("link: heartbeats pass between the chunks of a transfer") {
  Pair pair;
  pair.join();
  const Message sent = step_message(20, 5000);
  pair.server.set_transfer_limit(MessageType::step, sent.payload.size());
  pair.device.send(sent);
  Bytes wire;
  pair.device.produce(wire, 70000, 0);  // BEGIN and two chunks, not all
  REQUIRE(pair.device.wants_to_send());
  pair.device.ping(5, 2 * second_us);
  const std::size_t at = wire.size();
  pair.device.produce(wire, wire.size() + 1, 5);
  CHECK(wire[at + 5] == static_cast<std::uint8_t>(MessageType::ping));
  pair.device.produce(wire, all, 5);
  REQUIRE(pair.server.receive(wire, 5).ok());
  Message got;
  REQUIRE(pair.server.pop(got));
  CHECK(got.payload == sent.payload);
  CHECK(Pair::move(pair.server, pair.device, 5) == "");  // the PONG
  CHECK(pair.device.traffic_in().of(MessageType::pong).messages == 1);
}

TEST_CASE("link: a front carries its SHA-256") {
  Pair pair;
  pair.join();
  BarrierAck ack;
  const float values[3] = {1, 2, 3};
  ack.front.tensors = {{"w", TensorRole::parameter, {3}, bytes_of(values, 3)}};
  pair.server.set_transfer_limit(MessageType::barrier_ack, 1000);
  pair.device.send_fields(ack);
  REQUIRE(Pair::move(pair.device, pair.server) == "");
  Message got;
  REQUIRE(pair.server.pop(got));
  CHECK(got.digest == sha256(encode(ack)));
}

TEST_CASE("link: sizes follow from the agreed model, not from the peer") {
  Pair pair;
  pair.join();
  pair.server.set_transfer_limit(MessageType::step, 1000);
  pair.device.send(step_message(1, 1000));
  CHECK(Pair::move(pair.device, pair.server) ==
        "transfer of STEP: 4032 bytes announced, limit 1000");
  Pair other;
  other.join();
  other.device.send(step_message(1, 1));  // no limit was set: the kind is not expected
  CHECK(Pair::move(other.device, other.server).find("limit 0") != std::string::npos);
}

TEST_CASE("link: nothing large passes before JOIN_OK") {
  Pair pair;
  pair.server.set_transfer_limit(MessageType::step, 1 << 20);
  pair.device.send(step_message(1, 1));
  CHECK(Pair::move(pair.device, pair.server) == "BEGIN before JOIN_OK");
  Pair ping;
  ping.device.ping(0);
  CHECK(Pair::move(ping.device, ping.server) == "PING before JOIN_OK");
}

TEST_CASE("link: damaged, reordered and cut transfers are refused") {
  const Message sent = step_message(10, 5000);  // 200 KB: four chunks
  const Bytes good = frames_of(sent);
  // Frame by frame, so that frames can be left out and changed behind the CRC's back.
  const auto run = [&](std::size_t skip, std::size_t swap_kind, bool damage) -> std::string {
    TransferAssembler in;
    in.set_limit(MessageType::step, sent.payload.size());
    FrameReader reader;
    reader.set_max_payload(max_payload_bytes);
    ByteSpan left = good;
    Frame frame;
    for (std::size_t n = 0;; ++n) {
      const Result<bool> more = reader.next(left, frame);
      if (!more || !*more) return "incomplete";
      if (n == skip) continue;
      Bytes payload(frame.payload.begin(), frame.payload.end());
      if (damage && frame.header.type == MessageType::chunk) payload.back() ^= 1;
      const std::uint64_t id = frame.header.object_id + (n == swap_kind ? 1 : 0);
      Result<void> done;
      if (frame.header.type == MessageType::begin) done = in.on_begin(id, payload);
      if (frame.header.type == MessageType::chunk) done = in.on_chunk(id, payload);
      if (frame.header.type == MessageType::end) {
        const Result<Message> message = in.on_end(id, payload);
        return message ? "" : message.failure().message;
      }
      if (!done) return done.failure().message;
    }
  };
  const std::size_t none = 99;
  CHECK(run(none, none, false) == "");
  CHECK(run(0, none, false).find("CHUNK outside its transfer") != std::string::npos);
  CHECK(run(2, none, false).find("another offset") != std::string::npos);
  CHECK(run(4, none, false).find("END before the announced size") != std::string::npos);
  CHECK(run(none, 2, false).find("CHUNK outside its transfer") != std::string::npos);
  CHECK(run(none, 5, false).find("END outside its transfer") != std::string::npos);
  CHECK(run(none, none, true).find("hash of END") != std::string::npos);
}

TEST_CASE("link: memory grows with what arrived") {
  TransferAssembler in;
  in.set_limit(MessageType::step, std::size_t{1} << 40);
  Begin begin;
  begin.kind = MessageType::step;
  begin.total_bytes = std::uint64_t{1} << 39;
  REQUIRE(in.on_begin(1, encode(begin)).ok());  // would fail if half a terabyte were reserved
  CHECK(in.on_chunk(1, encode(Chunk{0, ByteSpan(encode(begin))})).ok());
  CHECK_FALSE(in.on_begin(2, encode(begin)).ok());
}

TEST_CASE("link: the dead are noticed, the busy are not") {
  Pair pair;
  pair.join();
  CHECK(pair.server.tick(24 * second_us).ok());
  CHECK_FALSE(pair.server.tick(26 * second_us).ok());

  Pair busy;
  busy.join();
  busy.device.ping(0, 60 * second_us);
  REQUIRE(Pair::move(busy.device, busy.server) == "");
  CHECK(busy.server.tick(84 * second_us).ok());
  CHECK_FALSE(busy.server.tick(86 * second_us).ok());

  Pair boaster;  // the announced time is capped
  boaster.join();
  boaster.device.ping(0, 100000 * second_us);
  REQUIRE(Pair::move(boaster.device, boaster.server) == "");
  CHECK_FALSE(boaster.server.tick((120 + 26) * second_us).ok());
}

TEST_CASE("link: a silent side pings every ten seconds") {
  Pair pair;
  pair.join();
  REQUIRE(pair.device.tick(9 * second_us).ok());
  CHECK_FALSE(pair.device.wants_to_send());
  REQUIRE(pair.device.tick(10 * second_us).ok());
  CHECK(pair.device.wants_to_send());
  CHECK(Pair::move(pair.device, pair.server, 10 * second_us) == "");
  CHECK(pair.server.tick(34 * second_us).ok());
}

TEST_CASE("link: handshake and slow transfers have time limits") {
  Link quiet(LinkOptions{.server = true});
  CHECK(quiet.tick(3 * second_us).ok());
  CHECK(quiet.tick(3 * second_us + 1).failure().message == "no HELLO within 3 s");

  Pair half;
  half.device.send_fields(Hello{});
  REQUIRE(Pair::move(half.device, half.server) == "");
  CHECK(half.server.tick(5 * second_us).ok());
  CHECK(half.server.tick(5 * second_us + 1).failure().message ==
        "handshake not complete within 5 s");

  Pair slow;
  slow.join();
  slow.server.set_transfer_limit(MessageType::step, 1 << 20);
  slow.device.send(step_message(10, 5000));
  Bytes out;
  slow.device.produce(out, all, 0);
  REQUIRE(slow.server.receive(ByteSpan(out).first(1000), 0).ok());
  REQUIRE(slow.server.receive(ByteSpan(out).subspan(1000, 10), 9 * second_us).ok());
  CHECK(slow.server.tick(9 * second_us).ok());
  CHECK(slow.server.tick(10 * second_us).failure().message.find("slower than 16384 bytes/s") !=
        std::string::npos);
}

TEST_CASE("link: a handshake stands still while its messages wait for a busy server") {
  Pair pair;
  pair.device.send_fields(Hello{});
  REQUIRE(Pair::move(pair.device, pair.server) == "");
  // Half an hour of pre-training, in ticks; what the server says arrives at once.
  Microseconds now = 0;
  for (; now < 1800 * second_us; now += tick_interval) {
    pair.server.set_waiting(true, now);
    REQUIRE(pair.server.tick(now).ok());
    REQUIRE(Pair::move(pair.server, pair.device, now) == "");
    const Result<void> patient = pair.device.tick(now);
    REQUIRE_MESSAGE(patient.ok(), patient.failure().message);
    REQUIRE(Pair::move(pair.device, pair.server, now) == "");
  }
  // One PING after a second, then one every ten.
  CHECK(pair.server.traffic_out().of(MessageType::ping).messages == 180);
  CHECK(pair.device.traffic_out().of(MessageType::pong).messages == 180);
  // Its time begins when the server is free again.
  pair.server.set_waiting(false, now);
  CHECK(pair.server.tick(now + 5 * second_us).ok());
  CHECK(pair.server.tick(now + 5 * second_us + 1).failure().message ==
        "handshake not complete within 5 s");
  CHECK(pair.device.tick(now + 13 * second_us).ok());
  CHECK_FALSE(pair.device.tick(now + 23 * second_us).ok());

  Pair alone;  // nobody says anything to it
  alone.device.send_fields(Hello{});
  CHECK_FALSE(alone.device.tick(3 * second_us + 1).ok());
}

TEST_CASE("link: a peer that is not read is neither dead nor slow") {
  Pair pair;
  pair.join();
  pair.server.set_transfer_limit(MessageType::step, 1 << 20);
  pair.device.send(step_message(10, 5000));
  Bytes out;
  pair.device.produce(out, all, 0);
  REQUIRE(pair.server.receive(ByteSpan(out).first(1000), 0).ok());
  for (Microseconds now = 0; now <= 60 * second_us; now += tick_interval) {
    pair.server.pause_reading(now);
    REQUIRE(pair.server.tick(now).ok());
  }
  CHECK(pair.server.tick(69 * second_us).ok());
  CHECK_FALSE(pair.server.tick(70 * second_us).ok());
}

TEST_CASE("link: unknown types end the connection unless they are optional") {
  for (const bool optional : {true, false}) {
    Pair pair;
    pair.join();
    Link server(LinkOptions{.server = true});
    FrameWriter writer;
    Bytes wire;
    writer.write(wire, static_cast<MessageType>(0x7E), 0, Bytes{1}, {},
                 optional ? flag_optional : std::uint16_t{0});
    CHECK(server.receive(wire, 0).ok() == optional);
  }
}

}  // namespace link_test
