#include "iotsl/net/channel_hub.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "iotsl/net/bulk_messages.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace channel_hub_test {

namespace {

/// A hub on a free port that takes STEPs of up to 1 MiB.
std::unique_ptr<Hub> start_hub(std::size_t unjoined = 64, const LinkOptions& limits = {}) {
  HubOptions options;
  options.address = {"127.0.0.1", 0};
  options.max_unjoined = unjoined;
  options.close_limit = second_us;
  options.link = limits;
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
  Link link;

  explicit Client(const Hub& hub, const LinkOptions& options = {})
      : channel(Channel::connect(context, {"127.0.0.1", hub.port()}, false, second_us).value()),
        link(options, steady_now()) {}
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
  /// Waits for a message like a device does, with its time limits; what went wrong, or "".
  std::string await(MessageType wanted) {
    Message message;
    Bytes buffer(1 << 16);
    while (!link.pop(message)) {
      flush();
      channel.wait(false, second_us / 50);
      const auto got = channel.read_some(buffer);
      if (!got) return got.failure().message;
      const auto taken = link.receive(ByteSpan(buffer).first(*got), steady_now());
      if (!taken) return taken.failure().message;
      if (channel.closed()) return "closed";
      const auto patient = link.tick(steady_now());
      if (!patient) return patient.failure().message;
    }
    return message.type == wanted ? "" : concat("got ", to_string(message.type));
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

/// Limits that a compute thread can be busy beyond in a moment.
LinkOptions short_limits() {
  LinkOptions out;
  out.hello_limit = out.handshake_limit = second_us;
  out.dead_limit = 13 * second_us / 10;
  out.ping_interval = 3 * second_us / 10;
  out.busy_notice = second_us / 10;
  return out;
}
/// Stands for an evaluation or a pre-training.
void compute() { std::this_thread::sleep_for(std::chrono::milliseconds(1600)); }

HelloOk hello_ok() {
  HelloOk out;
  out.heartbeat_ms = 300;
  out.dead_ms = 1300;
  return out;
}

}  // namespace

TEST_CASE("hub: a device joins while the compute thread is busy") {
  auto hub = start_hub(64, short_limits());
  Client client(*hub, short_limits());
  std::string hello, join;
  std::thread device([&] {
    client.link.send_fields(Hello{});
    hello = client.await(MessageType::hello_ok);
    if (!hello.empty()) return;
    client.link.send_fields(Join{});
    join = client.await(MessageType::join_ok);
  });
  compute();
  const std::uint64_t id = next(*hub).connection;
  CHECK(next(*hub).message.type == MessageType::hello);
  hub->send(id, make_message(hello_ok()));
  compute();
  CHECK(next(*hub).message.type == MessageType::join);
  hub->send(id, make_message(JoinOk{}));
  device.join();
  CHECK(hello == "");
  CHECK(join == "");
  CHECK(client.link.joined());
  CHECK(hub->wait(0).kind == HubEvent::Kind::none);
}

TEST_CASE("hub: a device comes back while the compute thread is busy") {
  auto hub = start_hub(64, short_limits());
  Client before(*hub, short_limits());
  const std::uint64_t old = before.join(*hub);
  Client client(*hub, short_limits());
  std::string problem;
  std::thread device([&] {
    client.link.send_fields(Hello{});
    problem = client.await(MessageType::hello_ok);
    client.link.send_fields(Join{});
    if (problem.empty()) problem = client.await(MessageType::join_ok);
    // Two at once: as many as the hub keeps before it reads no further.
    client.link.send_fields(LabelHist{{1, 2}});
    client.link.send_fields(Resume{});
    if (problem.empty()) problem = client.await(MessageType::resume_ok);
  });
  compute();  // the silent old connection is given up meanwhile
  const HubEvent lost = next(*hub);
  CHECK(lost.kind == HubEvent::Kind::lost);
  CHECK(lost.connection == old);
  CHECK(next(*hub).kind == HubEvent::Kind::opened);
  const HubEvent hello = next(*hub);
  CHECK(hello.message.type == MessageType::hello);
  const std::uint64_t id = hello.connection;
  hub->send(id, make_message(hello_ok()));
  CHECK(next(*hub).message.type == MessageType::join);
  hub->send(id, make_message(JoinOk{}));
  compute();
  CHECK(next(*hub).message.type == MessageType::label_hist);
  CHECK(next(*hub).message.type == MessageType::resume);
  hub->send(id, make_message(ResumeOk{}));
  device.join();
  CHECK(problem == "");
}

TEST_CASE("hub: messages pass both ways, and counted bytes equal socket bytes") {
  auto hub = start_hub();
  Client client(*hub);
  const std::uint64_t id = client.join(*hub);
  std::vector<float> values(50000, 0.5f);
  Step step;
  step.labels = {1, 2};
  step.smashed = bytes_of(values.data(), values.size());
  const Message sent = make_message(step, {{2, 25000}});
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

TEST_CASE("hub: without a handle for a connection it says so once, and goes on when there is one") {
  auto hub = start_hub();
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // The client's context takes three and its socket one; the hub's end finds none.
  int free_handles[4];
  for (int& handle : free_handles) handle = ::open("/dev/null", O_RDONLY);
  for (const int handle : free_handles) REQUIRE(::close(handle) == 0);
  const int limit = free_handles[3] + 1;
  rlimit scarce = before;
  scarce.rlim_cur = static_cast<rlim_t>(limit);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &scarce) == 0);
  Client client(*hub);
  const HubEvent refused = next(*hub);
  const HubEvent nothing = hub->wait(3 * second_us / 2);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(refused.kind == HubEvent::Kind::refused);
  CHECK_MESSAGE(
      refused.why.message.find(concat("(limit ", limit, ", ulimit -n)")) != std::string::npos,
      refused.why.message);
  CHECK(nothing.kind == HubEvent::Kind::none);
  CHECK(next(*hub).kind == HubEvent::Kind::opened);
}

TEST_CASE("hub: a limit on handles that may be raised is, another is named with the need") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit low = before;
  low.rlim_cur = 100;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  CHECK(ensure_handles(200).ok());
  CHECK(handle_limits().soft == 200 + spare_handles);
  const auto refused = ensure_handles(before.rlim_max);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find(concat("the limit is ", before.rlim_max)) !=
        std::string::npos);
}

}  // namespace channel_hub_test
