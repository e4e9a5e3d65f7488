#include "iotsl/net/hub/hub.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <set>

#include "iotsl/net/messages/bulk_messages.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace hub_test {

namespace {

/// A hub on a free port that takes STEPs of up to 1 MiB.
std::unique_ptr<Hub> start_hub(const LinkOptions& limits = {}, HubOptions options = {}) {
  options.address = {"127.0.0.1", 0};
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
    link.send_fields(Hello{});
    flush();
    const HubEvent opened = next(hub);
    REQUIRE(opened.kind == HubEvent::Kind::opened);
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
  auto hub = start_hub(short_limits());
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
  auto hub = start_hub(short_limits());
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

TEST_CASE("hub: garbage closes its own connection and no other, and is told of once") {
  auto hub = start_hub();
  Client good(*hub);
  const std::uint64_t id = good.join(*hub);
  const Random random(3, Stream::user);
  for (std::uint64_t round = 0; round < 20; ++round) {
    Client bad(*hub);
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
    CHECK(bad.receive().type == MessageType{});
  }
  good.link.send_fields(LabelHist{{1, 2}});
  good.flush();
  // Of each kind the first.
  std::set<std::string> kinds;
  HubEvent event = next(*hub);
  for (; event.kind == HubEvent::Kind::note; event = next(*hub))
    CHECK(kinds.insert(RepeatedLines::kind_of(event.why.message)).second);
  CHECK(kinds.size() >= 2);
  CHECK(event.connection == id);
  CHECK(event.message.type == MessageType::label_hist);
}

TEST_CASE("hub: a first message that is no HELLO is told so") {
  auto hub = start_hub();
  Client client(*hub);
  client.link.send_fields(LabelHist{{1, 2}});
  client.flush();
  const auto error = decode<ErrorMessage>(client.receive().payload);
  REQUIRE(error.ok());
  CHECK(error->code == WireError::not_allowed);
  client.channel.close();
  const HubEvent told = next(*hub);
  CHECK(told.kind == HubEvent::Kind::note);
  CHECK(told.why.message.find("got LABEL_HIST, expected HELLO") != std::string::npos);
}

TEST_CASE("hub: of too many strangers the oldest goes, and a device joins all the same") {
  HubOptions options;
  options.strangers.per_address = 3;
  auto hub = start_hub({}, options);
  Client one(*hub), two(*hub), three(*hub), four(*hub);
  CHECK(one.receive().type == MessageType{});
  CHECK(one.channel.closed());
  CHECK(next(*hub).why.message.find("no HELLO, and others wait") != std::string::npos);
  Client device(*hub);
  device.join(*hub);
  CHECK(two.receive().type == MessageType{});
  CHECK_FALSE(three.channel.wait(false, second_us / 20));
  CHECK_FALSE(four.channel.wait(false, 0));
}

TEST_CASE("hub: in plain text, of too many that have not joined the oldest goes") {
  HubOptions options;
  options.max_unjoined = 2;
  auto hub = start_hub({}, options);
  Client one(*hub), two(*hub), three(*hub);
  for (Client* each : {&one, &two, &three}) {
    each->link.send_fields(Hello{});
    each->flush();
    CHECK(next(*hub).kind == HubEvent::Kind::opened);
    CHECK(next(*hub).message.type == MessageType::hello);
  }
  const auto error = decode<ErrorMessage>(one.receive().payload);
  REQUIRE(error.ok());
  CHECK(error->code == WireError::full);
}

TEST_CASE("hub: a stranger has so long, however it spends it") {
  HubOptions options;
  options.strangers.lifetime = second_us / 2;
  auto hub = start_hub({}, options);
  Client silent(*hub), slow(*hub);
  Bytes hello;
  FrameWriter().write(hello, MessageType::hello, 0, encode(Hello{}));
  const Microseconds begin = steady_now();
  for (const std::uint8_t byte : hello) {
    if (!slow.channel.write_some(ByteSpan(&byte, 1))) break;
    if (slow.channel.wait(false, second_us / 50)) break;
  }
  CHECK(steady_now() - begin < second_us);
  CHECK(silent.receive().type == MessageType{});
  CHECK(steady_now() - begin < second_us);
  CHECK(next(*hub).kind == HubEvent::Kind::note);
}

namespace {

Message megabyte(MessageType type) {
  Message out;
  out.type = type;
  out.payload.resize(1 << 20);
  out.form.shape = {1, 1 << 18};
  return out;
}

}  // namespace

TEST_CASE("hub: who does not take what it is sent holds nobody up for long") {
  HubOptions options;
  options.max_queued = 1 << 20;
  LinkOptions limits;
  limits.dead_limit = second_us / 2;
  auto hub = start_hub(limits, options);
  Client deaf(*hub);
  const std::uint64_t id = deaf.join(*hub);
  // It is alive, it only does not read.
  std::atomic<bool> done{false};
  std::thread pings([&] {
    while (!done) {
      Bytes out;
      deaf.link.ping(steady_now());
      deaf.link.produce(out, 1 << 10, steady_now());
      if (!deaf.channel.write_some(out)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  // More than the buffers of both sockets hold.
  const Microseconds begin = steady_now();
  for (int i = 0; i < 24; ++i) hub->send(id, megabyte(MessageType::grad));
  CHECK(steady_now() - begin < 3 * second_us);
  const HubEvent lost = next(*hub);
  CHECK(lost.kind == HubEvent::Kind::lost);
  CHECK(lost.connection == id);
  CHECK_MESSAGE(lost.why.message.find("does not take what it is sent") != std::string::npos,
                lost.why.message);
  done = true;
  pings.join();
  Client other(*hub);
  other.join(*hub);
}

TEST_CASE("hub: who sends faster than is computed is not read, and nothing of it is lost") {
  auto hub = start_hub();
  Client client(*hub);
  const std::uint64_t id = client.join(*hub);
  constexpr int count = 40;
  for (int i = 0; i < count; ++i) {
    Message step = megabyte(MessageType::step);
    step.payload[0] = static_cast<std::uint8_t>(i);
    client.link.send(std::move(step));
  }
  Bytes out;
  client.link.produce(out, std::size_t{1} << 30, steady_now());
  ByteSpan left = out;
  const auto push = [&](Microseconds patience) {
    while (!left.empty() && net::detail::wait_socket(client.channel.handle(), POLLOUT, patience))
      left = left.subspan(*client.channel.write_some(left));
  };
  push(second_us / 5);
  // Two messages wait at the hub, the others in the buffers of the sockets and here.
  CHECK(left.size() > out.size() / 2);
  for (int i = 0; i < count; ++i) {
    push(0);
    const HubEvent event = next(*hub);
    REQUIRE(event.kind == HubEvent::Kind::message);
    CHECK(event.connection == id);
    REQUIRE(event.message.payload[0] == i);
    push(second_us / 20);
  }
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

/// Lets the process open so many more files.
struct ScarceHandles {
  rlimit before{};
  explicit ScarceHandles(std::uint64_t more) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = ::open("/dev/null", O_RDONLY);
    ::close(next);
    rlimit scarce = before;
    scarce.rlim_cur = static_cast<rlim_t>(static_cast<std::uint64_t>(next) + more);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &scarce) == 0);
  }
  ~ScarceHandles() { ::setrlimit(RLIMIT_NOFILE, &before); }
};

TEST_CASE("hub: without a handle it says so once, and goes on when there is one") {
  auto hub = start_hub();
  Client device(*hub);
  device.join(*hub);
  HubEvent refused, nothing;
  std::unique_ptr<Client> client;
  {
    // The client's context takes three and its socket one.
    const ScarceHandles scarce(4 + file_handles);
    client = std::make_unique<Client>(*hub);
    CHECK(client->receive().type == MessageType{});
    refused = next(*hub);
    nothing = hub->wait(3 * second_us / 2);
  }
  CHECK(refused.kind == HubEvent::Kind::refused);
  CHECK_MESSAGE(refused.why.message.find("all connections are of devices") != std::string::npos,
                refused.why.message);
  CHECK(nothing.kind == HubEvent::Kind::none);
  Client again(*hub);
  again.join(*hub);
}

TEST_CASE("hub: strangers leave handles for files, and for a device") {
  auto hub = start_hub();
  const ScarceHandles scarce(20 * 5 + file_handles);
  std::vector<std::unique_ptr<Client>> strangers;
  // Five handles for each: they are in this process.
  for (int i = 0; i < 21; ++i) {
    strangers.push_back(std::make_unique<Client>(*hub));
    strangers.back()->channel.wait(false, second_us / 100);
    if (i >= 1 && i % 4 == 0) strangers.erase(strangers.begin(), strangers.begin() + 3);
  }
  const int file = ::open("/dev/null", O_RDONLY);
  CHECK(file >= 0);
  ::close(file);
  Client device(*hub);
  device.link.send_fields(Hello{});
  device.flush();
  HubEvent event;
  do event = next(*hub);
  while (event.kind == HubEvent::Kind::note);
  CHECK(event.kind == HubEvent::Kind::opened);
}

TEST_CASE("hub: a limit on handles that may be raised is, another is named with the need") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit low = before;
  low.rlim_cur = 100;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  CHECK(ensure_handles(200).ok());
  CHECK(handle_limits().soft ==
        std::min<std::uint64_t>(before.rlim_max, 200 + spare_handles + stranger_handles));
  const auto refused = ensure_handles(before.rlim_max);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find(concat("the limit is ", before.rlim_max)) !=
        std::string::npos);
}

}  // namespace hub_test
