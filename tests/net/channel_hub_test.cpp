#include "iotsl/net/channel_hub.hpp"

#include <doctest/doctest.h>

#include "iotsl/net/bulk_messages.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace channel_hub_test {

namespace {

/// A hub on a free port that takes STEPs of up to 1 MiB.
std::unique_ptr<Hub> start_hub(std::size_t unjoined = 64) {
  HubOptions options;
  options.address = {"127.0.0.1", 0};
  options.max_unjoined = unjoined;
  options.close_limit = second_us;
  auto hub =
      Hub::start(options, [](Link& link) { link.set_transfer_limit(MessageType::step, 1 << 20); });
  REQUIRE(hub.ok());
  return std::move(hub).value();
}

HubEvent next(Hub& hub) { return hub.wait(10 * second_us); }

/// A client that speaks ISL when it is told to.
struct Client {
  asio::io_context context;
  Channel channel;
  Link link{LinkOptions{}};

  explicit Client(const Hub& hub)
      : channel(Channel::connect(context, {"127.0.0.1", hub.port()}, false, second_us).value()) {}
  void write_all(ByteSpan bytes) {
    while (!bytes.empty()) {
      const auto put = channel.write_some(bytes);
      REQUIRE(put.ok());
      bytes = bytes.subspan(*put);
      if (!bytes.empty()) channel.wait(true, second_us);
    }
  }
  void flush() {
    Bytes out;
    link.produce(out, std::size_t{1} << 30, steady_now());
    write_all(out);
  }
  /// Waits for a message; MessageType{} when the hub closes or stays silent.
  Message receive() {
    Message message;
    Bytes buffer(1 << 16);
    while (!link.pop(message)) {
      if (!channel.wait(false, 10 * second_us)) return {};
      const auto got = channel.read_some(buffer);
      if (!got || (*got == 0 && channel.closed())) return {};
      REQUIRE(link.receive(ByteSpan(buffer).first(*got), steady_now()).ok());
    }
    return message;
  }
  std::uint64_t join(Hub& hub) {
    const HubEvent opened = next(hub);
    REQUIRE(opened.kind == HubEvent::Kind::opened);
    link.send_fields(Hello{});
    flush();
    REQUIRE(next(hub).message.type == MessageType::hello);
    hub.send(opened.connection, make_message(JoinOk{}));
    REQUIRE(receive().type == MessageType::join_ok);
    return opened.connection;
  }
};

}  // namespace

TEST_CASE("hub: messages pass both ways, and counted bytes equal socket bytes") {
  auto hub = start_hub();
  Client client(*hub);
  const std::uint64_t id = client.join(*hub);
  std::vector<float> values(50000, 0.5f);
  Step step;
  step.labels = {1, 2};
  step.smashed = bytes_of(values.data(), values.size());
  const Message sent = make_message(step, {2, 25000});
  client.link.send(sent);
  client.flush();
  const HubEvent event = next(*hub);
  REQUIRE(event.kind == HubEvent::Kind::message);
  CHECK(event.connection == id);
  CHECK(event.message.payload == sent.payload);
  CHECK(event.in.of(MessageType::step).bytes == sent.payload.size());
  hub->send(id, make_message(Bye{"enough"}));
  hub->close(id);
  CHECK(client.receive().type == MessageType::bye);
  client.channel.close();
  hub->stop();
  CHECK(hub->total_in().total_bytes() == hub->socket_bytes_in());
  CHECK(hub->total_out().total_bytes() == hub->socket_bytes_out());
  CHECK(hub->socket_bytes_in() == client.channel.bytes_out());
  CHECK(hub->socket_bytes_out() == client.channel.bytes_in());
}

TEST_CASE("hub: garbage closes its own connection and no other") {
  auto hub = start_hub();
  Client good(*hub);
  const std::uint64_t id = good.join(*hub);
  const Random random(3, Stream::user);
  for (std::uint64_t round = 0; round < 20; ++round) {
    Client bad(*hub);
    REQUIRE(next(*hub).kind == HubEvent::Kind::opened);
    Bytes noise;
    // Every second time a real HELLO with one byte changed.
    if (round % 2 == 0) {
      FrameWriter writer;
      writer.write(noise, MessageType::hello, 0, encode(Hello{}));
      noise[static_cast<std::size_t>(random.below(round, noise.size()))] ^= 0x40;
    } else {
      for (std::uint64_t i = 0; i < 200; ++i)
        noise.push_back(static_cast<std::uint8_t>(random.below(round * 1000 + i, 256)));
    }
    bad.write_all(noise);
    bad.channel.finish_writing();
    const HubEvent lost = next(*hub);
    CHECK(lost.kind == HubEvent::Kind::lost);
    CHECK_FALSE(lost.why.message.empty());
  }
  good.link.send_fields(LabelHist{{1, 2}});
  good.flush();
  const HubEvent event = next(*hub);
  CHECK(event.connection == id);
  CHECK(event.message.type == MessageType::label_hist);
}

TEST_CASE("hub: strangers beyond the limit are turned away") {
  auto hub = start_hub(2);
  Client one(*hub), two(*hub);
  REQUIRE(next(*hub).kind == HubEvent::Kind::opened);
  REQUIRE(next(*hub).kind == HubEvent::Kind::opened);
  Client three(*hub);
  CHECK(three.receive().type == MessageType{});
  CHECK(hub->wait(0).kind == HubEvent::Kind::none);
}

TEST_CASE("hub: a peer that goes is reported, and sending to it does no harm") {
  auto hub = start_hub();
  std::uint64_t id = 0;
  {
    Client client(*hub);
    id = client.join(*hub);
  }
  const HubEvent lost = next(*hub);
  CHECK(lost.kind == HubEvent::Kind::lost);
  CHECK(lost.connection == id);
  hub->send(id, make_message(Bye{}));
  hub->close(id);
}

}  // namespace channel_hub_test
