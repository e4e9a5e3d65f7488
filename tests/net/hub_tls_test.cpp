#include <doctest/doctest.h>

#include "iotsl/net/channel_enroll.hpp"
#include "iotsl/net/hub/hub.hpp"
#include "iotsl/net/messages/bulk_messages.hpp"
#include "support/temporary_folder.hpp"

#if IOTSL_TLS

using namespace iotsl;
using namespace iotsl::net;

namespace hub_tls_test {

namespace {

/// A server's folder, its hub, and the commands that a user gives meanwhile.
struct Server {
  TemporaryFolder folder;
  ServerCredentials credentials = ServerCredentials::open(folder / "server").value();
  ServerCredentials command = ServerCredentials::open(folder / "server").value();
  LinkOptions limits;
  std::unique_ptr<Hub> hub;

  explicit Server(const LinkOptions& link = {}, void (*adapt)(StrangerLimits&) = nullptr)
      : limits(link) {
    HubOptions options;
    if (adapt != nullptr) adapt(options.strangers);
    options.address = {"127.0.0.1", 0};
    options.credentials = &credentials;
    options.close_limit = second_us / 5;
    options.link = limits;
    hub = Hub::start(options, [](Link& each) {
            each.set_transfer_limit(MessageType::step, 1 << 20);
          }).value();
  }
  Address address() const { return {"127.0.0.1", hub->port()}; }
  HubEvent next() { return hub->wait(10 * second_us); }
  EnrollToken token_for(const std::string& name, bool rotates = false) {
    const EnrollSecret secret = new_enroll_secret().value();
    const auto changed = command.change([&](AllowList& list) {
      return rotates ? list.rotate(name, secret) : list.add(name, secret);
    });
    REQUIRE(changed.ok());
    return {address(), credentials.pin(), secret};
  }
  /// The hub's event of an enrolment.
  std::string enroll(const std::string& path, const EnrollToken& token) {
    const auto name = enroll_device(path, token, {});
    if (!name) return name.failure().message;
    const HubEvent note = next();
    CHECK(note.kind == HubEvent::Kind::note);
    return note.why.message;
  }
};

ConnectOptions once() {
  ConnectOptions out;
  out.total_limit = second_us;
  return out;
}

Hello hello_of(const std::string& name) {
  Hello out;
  out.device = name;
  return out;
}

/// A device that speaks ISL when it is told to.
struct Device {
  asio::io_context context;
  ChannelStream stream;
  Link link;
  StreamBuffers buffers{1 << 16};
  std::string problem = {};

  Device(const Address& server, std::optional<TlsSession> tls)
      : stream(Channel::connect(context, server, false, second_us).value(), std::move(tls)),
        link({}, steady_now()) {}
  /// With the credentials in a folder.
  static std::unique_ptr<Device> from(const Address& server, const std::string& path) {
    const auto own = DeviceCredentials::open(path);
    REQUIRE_MESSAGE(own.ok(), own.failure().message);
    return std::make_unique<Device>(server,
                                    TlsSession::client(own->context(), own->server_pins()).value());
  }
  /// Moves bytes until a message is there; MessageType{} when the server closes or stays silent.
  Message receive(Microseconds limit = 10 * second_us) {
    Message message;
    const Microseconds end = steady_now() + limit;
    while (!link.pop(message) && problem.empty() && steady_now() < end) {
      const auto written =
          stream.write(buffers, [&](Bytes& out) { link.produce(out, 1 << 16, steady_now()); });
      if (!written) problem = written.failure().message;
      stream.channel().wait(stream.is_unsent(), second_us / 20);
      const auto arrived = stream.read(buffers);
      if (!arrived) problem = arrived.failure().message;
      if (arrived && !link.receive(arrived->plain, steady_now())) problem = "no frames";
      if (arrived && stream.channel().closed()) problem = "closed";
    }
    return message;
  }
  std::string receive_error() {
    const Message message = receive();
    const auto error = decode<ErrorMessage>(message.payload);
    if (message.type != MessageType::error || !error) return "no ERROR: " + problem;
    CHECK(error->code == WireError::identity);
    return error->text;
  }
  std::uint64_t join(Server& server, const std::string& name) {
    link.send_fields(hello_of(name));
    std::thread serve([&] {
      const HubEvent opened = server.next();
      CHECK(opened.kind == HubEvent::Kind::opened);
      CHECK(opened.device == name);
      const HubEvent hello = server.next();
      CHECK(hello.message.type == MessageType::hello);
      server.hub->send(hello.connection, make_message(JoinOk{}));
      id = hello.connection;
    });
    const Message answer = receive();
    serve.join();
    REQUIRE(answer.type == MessageType::join_ok);
    return id;
  }
  std::uint64_t id = 0;
};

bool contains(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("'", text, "' does not contain '", part, "'");
  return found;
}

}  // namespace

TEST_CASE("hub over TLS: enrolled once, joined, and both ends count the same bytes") {
  Server server;
  const std::string own = server.folder / "device";
  const EnrollToken token = server.token_for("pi-01");
  CHECK(contains(server.enroll(own, token), "device 'pi-01' has enrolled the key"));
  CHECK(DeviceCredentials::open(own)->name() == "pi-01");

  auto device = Device::from(server.address(), own);
  const std::uint64_t id = device->join(server, "pi-01");
  std::vector<float> values(50000, 0.5f);
  Step step;
  step.labels = {1, 2};
  step.smashed = bytes_of(values.data(), values.size());
  const Message sent = make_message(step, {{2, 25000}});
  device->link.send(sent);
  device->receive(second_us / 5);
  const HubEvent event = server.next();
  REQUIRE(event.kind == HubEvent::Kind::message);
  CHECK(event.message.payload == sent.payload);
  server.hub->send(id, make_message(Bye{"enough"}));
  server.hub->close(id);
  CHECK(device->receive().type == MessageType::bye);
  const Traffic up = device->link.traffic_out(), down = device->link.traffic_in();
  device->stream.channel().close();
  server.hub->stop();
  // The enrolment's connection is in the sums of the hub, too.
  const Traffic all_in = server.hub->total_in();
  CHECK(all_in.of(MessageType::step) == up.of(MessageType::step));
  CHECK(all_in.of(MessageType::enroll).messages == 1);
  CHECK(server.hub->total_out().of(MessageType::bye) == down.of(MessageType::bye));
  const std::uint64_t sealed_up = device->stream.channel().bytes_out();
  CHECK(server.hub->socket_bytes_in() > sealed_up);
  // Beside the frames: the handshake, and 22 bytes for each record of up to 16 KiB.
  CHECK(sealed_up - up.total_bytes() > 22 * 13);
  CHECK(sealed_up - up.total_bytes() < 2000);

  // Used up: another key gets nothing for it.
  Server again;
  const auto elsewhere = enroll_device(server.folder / "other",
                                       {again.address(), token.server_pin, token.secret}, once());
  REQUIRE_FALSE(elsewhere.ok());
  CHECK(contains(elsewhere.failure().message, "expected " + short_text(token.server_pin)));
}

TEST_CASE("hub over TLS: a token is good once; a wrong secret and an unknown key are refused") {
  Server server;
  const EnrollToken token = server.token_for("pi-01");
  EnrollToken wrong = token;
  wrong.secret[3] ^= 1;
  CHECK(contains(server.enroll(server.folder / "liar", wrong), "no such token"));
  HubEvent refused = server.next();
  CHECK(refused.kind == HubEvent::Kind::note);
  CHECK(contains(refused.why.message, "no such token"));
  server.enroll(server.folder / "first", token);
  CHECK(contains(server.enroll(server.folder / "second", token),
                 "the token of device 'pi-01' has been used already"));
  CHECK(server.next().kind == HubEvent::Kind::note);

  // A key that was never enrolled says HELLO.
  const auto folder = IdentityFolder::make(server.folder / "stranger");
  REQUIRE(DeviceCredentials::make_next_key(*folder).ok());
  REQUIRE(DeviceCredentials::complete(*folder, "pi-01", token).ok());
  auto stranger = Device::from(server.address(), server.folder / "stranger");
  stranger->link.send_fields(hello_of("pi-01"));
  CHECK(contains(stranger->receive_error(), "is not enrolled"));
  refused = server.next();
  CHECK(refused.kind == HubEvent::Kind::note);  // it never was `opened`
  CHECK(contains(refused.why.message, "is not enrolled"));
}

TEST_CASE("hub over TLS: a revoked device's session is closed at once, and it does not come back") {
  Server server;
  const std::string one = server.folder / "one", two = server.folder / "two";
  server.enroll(one, server.token_for("pi-01"));
  server.enroll(two, server.token_for("pi-02"));
  auto first = Device::from(server.address(), one), second = Device::from(server.address(), two);
  const std::uint64_t id = first->join(server, "pi-01");
  second->join(server, "pi-02");
  REQUIRE(server.command.change([](AllowList& list) { return list.revoke("pi-01"); }).ok());
  const Microseconds begin = steady_now();
  CHECK(contains(first->receive_error(), "the key of device 'pi-01' was revoked"));
  CHECK(steady_now() - begin < second_us);
  first->stream.channel().close();
  const HubEvent lost = server.next();
  CHECK(lost.connection == id);
  CHECK(contains(lost.why.message, "was revoked"));
  auto back = Device::from(server.address(), one);
  back->link.send_fields(hello_of("pi-01"));
  CHECK(contains(back->receive_error(), "was revoked"));
  // The other one has noticed nothing.
  second->link.send_fields(LabelHist{{1, 2}});
  second->receive(second_us / 10);
  CHECK(second->problem == "");
}

TEST_CASE("hub over TLS: a key is rotated while its device is at work") {
  Server server;
  const std::string own = server.folder / "own", copy = server.folder / "copy";
  server.enroll(own, server.token_for("pi-01"));
  std::filesystem::copy(own, copy, std::filesystem::copy_options::recursive);
  auto before = Device::from(server.address(), own);
  before->join(server, "pi-01");
  server.enroll(own, server.token_for("pi-01", true));
  // Both keys are good, and the session of the old one goes on.
  before->link.send_fields(LabelHist{{1, 2}});
  before->receive(second_us / 10);
  CHECK(before->problem == "");
  CHECK(server.next().message.type == MessageType::label_hist);
  auto still = Device::from(server.address(), copy);
  still->join(server, "pi-01");
  still->stream.channel().close();
  CHECK(server.next().kind == HubEvent::Kind::lost);
  // Once the new key is used the old one is not good any more, nor is its session.
  auto after = Device::from(server.address(), own);
  after->join(server, "pi-01");
  CHECK(contains(before->receive_error(), "was revoked"));
  auto late = Device::from(server.address(), copy);
  late->link.send_fields(hello_of("pi-01"));
  CHECK(contains(late->receive_error(), "was revoked"));
}

TEST_CASE("hub over TLS: the server's key is rotated, and its devices come back by themselves") {
  Server server;
  const std::string one = server.folder / "one", two = server.folder / "two";
  server.enroll(one, server.token_for("pi-01"));
  server.enroll(two, server.token_for("pi-02"));
  const Pin old = server.credentials.pin();
  auto first = Device::from(server.address(), one);
  first->join(server, "pi-01");
  REQUIRE(server.command.prepare_next_key().ok());
  const Pin next = server.command.next_pin().value();
  const auto keep = [&](Device& device, const std::string& path) {
    const Message told = device.receive();
    REQUIRE(told.type == MessageType::server_key);
    const auto key = decode<ServerKey>(told.payload);
    REQUIRE(key.ok());
    CHECK(key->pin == next);
    CHECK(DeviceCredentials::open(path)->accept_server_key(old, key->pin).ok());
    device.link.send_fields(ServerKeyKept{key->pin});
    CHECK(device.receive(second_us / 5).type == MessageType{});  // it is said once
  };
  keep(*first, one);
  // Nothing changes before the other one knows.
  auto second = Device::from(server.address(), two);
  CHECK(DeviceCredentials::open(two)->server_pins() == std::vector<Pin>{old});
  second->join(server, "pi-02");
  keep(*second, two);
  const HubEvent told = server.next();
  CHECK(told.kind == HubEvent::Kind::note);
  CHECK(contains(told.why.message, concat("this server's key is ", short_text(next))));
  CHECK(ServerCredentials::open(server.folder / "server")->pin() == next);
  // Sessions go on; who comes back meets the new key, which only those accept who were told.
  first->link.send_fields(LabelHist{{1, 2}});
  first->receive(second_us / 10);
  CHECK(first->problem == "");
  CHECK(server.next().message.type == MessageType::label_hist);
  auto again = Device::from(server.address(), one);
  again->join(server, "pi-01");
  CHECK(again->stream.tls()->peer_pin() == next);
  REQUIRE(DeviceCredentials::open(one)->settle_server_key(next).ok());
  CHECK(DeviceCredentials::open(one)->server_pins() == std::vector<Pin>{next});
}

TEST_CASE("hub over TLS: who speaks plain text is told so, and the other way round") {
  Server server;
  Device plain(server.address(), {});
  plain.link.send_fields(hello_of("pi-01"));
  CHECK(contains(plain.receive_error(), "this server speaks TLS: give --identity"));
  const HubEvent refused = server.next();
  CHECK(refused.kind == HubEvent::Kind::note);
  CHECK(contains(refused.why.message, "the peer speaks ISL in plain text"));

  HubOptions options;
  options.address = {"127.0.0.1", 0};
  options.close_limit = second_us / 5;
  const auto hub = Hub::start(options, [](Link&) {}).value();
  server.enroll(server.folder / "own", server.token_for("pi-01"));
  auto sealed = Device::from({"127.0.0.1", hub->port()}, server.folder / "own");
  sealed->link.send_fields(hello_of("pi-01"));
  sealed->receive();
  CHECK(sealed->stream.problem() == TlsProblem::isl_peer);
  CHECK(
      contains(hub->wait(5 * second_us).why.message, "the peer speaks TLS, this side plain text"));
  const EnrollToken token{{"127.0.0.1", hub->port()}, server.credentials.pin(), {}};
  const auto answer = enroll_device(server.folder / "new", token, once());
  REQUIRE_FALSE(answer.ok());
  CHECK(contains(answer.failure().message, "speaks plain TCP"));
}

TEST_CASE("hub over TLS: garbage, replays and slow handshakes are closed and open nothing") {
  LinkOptions limits;
  limits.handshake_limit = second_us;
  Server server(limits);
  const std::string own = server.folder / "own";
  server.enroll(own, server.token_for("pi-01"));
  // What a device sends in a session, as somebody on the way sees it.
  Bytes recorded;
  {
    const auto credentials = DeviceCredentials::open(own);
    TlsSession end = TlsSession::server(server.credentials.context());
    TlsSession device =
        TlsSession::client(credentials->context(), credentials->server_pins()).value();
    Bytes plain;
    while (!device.output().empty() || !end.output().empty()) {
      Bytes up, down;
      up.swap(device.output());
      recorded.insert(recorded.end(), up.begin(), up.end());
      REQUIRE(end.receive(up, plain).ok());
      down.swap(end.output());
      REQUIRE(device.receive(down, plain).ok());
    }
    REQUIRE(end.established());
  }
  asio::io_context context;
  const auto send = [&](ByteSpan bytes) {
    auto channel = Channel::connect(context, server.address(), false, second_us).value();
    REQUIRE(*channel.write_some(bytes) == bytes.size());
    const HubEvent refused = server.next();
    CHECK(refused.kind == HubEvent::Kind::note);
    return refused.why.message;
  };
  CHECK(contains(send(recorded), "TLS: handshake"));
  CHECK(contains(send(bytes_of("GET / HTTP/1.1\r\n")), "does not speak TLS"));
  const Microseconds begin = steady_now();
  CHECK(contains(send(ByteSpan(recorded).first(20)), "no TLS session within 1 s"));
  CHECK(steady_now() - begin < 2 * second_us);
  auto device = Device::from(server.address(), own);
  device->join(server, "pi-01");
}

TEST_CASE("hub over TLS: who takes every session and does nothing with it keeps no device out") {
  LinkOptions limits;
  Server server(limits, [](StrangerLimits& strangers) { strangers.sessions = 4; });
  const std::string own = server.folder / "own";
  server.enroll(own, server.token_for("pi-01"));
  const auto credentials = DeviceCredentials::open(own);
  asio::io_context context;
  std::vector<Channel> idle;
  for (int i = 0; i < 40; ++i) {
    TlsSession hello =
        TlsSession::client(credentials->context(), credentials->server_pins()).value();
    idle.push_back(Channel::connect(context, server.address(), false, second_us).value());
    REQUIRE(*idle.back().write_some(hello.output()) == hello.output().size());
  }
  const Microseconds begin = steady_now();
  auto device = Device::from(server.address(), own);
  device->link.send_fields(hello_of("pi-01"));
  HubEvent event;
  std::thread moves([&] { device->receive(3 * second_us); });
  do event = server.next();
  while (event.kind == HubEvent::Kind::note);
  CHECK(event.kind == HubEvent::Kind::opened);
  CHECK(event.device == "pi-01");
  CHECK(steady_now() - begin < 3 * second_us);
  server.hub->close(event.connection);
  moves.join();
}

TEST_CASE("hub over TLS: a device that says HELLO again and again keeps no other out") {
  Server server;
  const std::string one = server.folder / "one", two = server.folder / "two";
  server.enroll(one, server.token_for("pi-01"));
  server.enroll(two, server.token_for("pi-02"));
  std::vector<std::unique_ptr<Device>> many;
  for (std::size_t i = 0; i <= HubOptions{}.max_unjoined_of_device; ++i) {
    many.push_back(Device::from(server.address(), one));
    many.back()->link.send_fields(hello_of("pi-01"));
    std::thread moves([&] { many.back()->receive(second_us / 5); });
    CHECK(server.next().device == "pi-01");
    CHECK(server.next().message.type == MessageType::hello);
    moves.join();
    if (i == 0) Device::from(server.address(), two)->join(server, "pi-02");
    if (i == 0) CHECK(server.next().kind == HubEvent::Kind::lost);
  }
  const auto error = decode<ErrorMessage>(many[0]->receive().payload);
  REQUIRE(error.ok());
  CHECK(error->code == WireError::full);
}

TEST_CASE("hub over TLS: a session that comes byte by byte") {
  Server server;
  server.enroll(server.folder / "own", server.token_for("pi-01"));
  const auto own = DeviceCredentials::open(server.folder / "own");
  asio::io_context context;
  auto channel = Channel::connect(context, server.address(), false, second_us).value();
  TlsSession session = TlsSession::client(own->context(), own->server_pins()).value();
  const auto trickle = [&] {
    Bytes out;
    out.swap(session.output());
    for (const std::uint8_t byte : out) REQUIRE(*channel.write_some(ByteSpan(&byte, 1)) == 1);
  };
  Bytes plain, buffer(4096);
  while (!session.established()) {
    trickle();
    channel.wait(false, second_us);
    const auto got = channel.read_some(buffer);
    REQUIRE(got.ok());
    REQUIRE(session.receive(ByteSpan(buffer).first(*got), plain).ok());
  }
  Bytes frame;
  FrameWriter().write(frame, MessageType::hello, 0, encode(hello_of("pi-01")));
  REQUIRE(session.send(frame).ok());
  trickle();
  CHECK(server.next().device == "pi-01");
  CHECK(server.next().message.type == MessageType::hello);
}

}  // namespace hub_tls_test

#endif
