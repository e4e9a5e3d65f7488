#include "iotsl/net/tls/session.hpp"

#include <doctest/doctest.h>

#include "iotsl/core/random.hpp"

#if IOTSL_TLS

#include <malloc.h>

using namespace iotsl;
using namespace iotsl::net;

namespace tls_session_test {

namespace {

struct End {
  PrivateKey key = PrivateKey::generate().value();
  TlsContext context;
  explicit End(TlsRole role) : context(TlsContext::make(role, key).value()) {}
};

/// Both ends of a session, and all bytes that have passed.
struct Pair {
  const End& server_end;
  const End& device_end;
  TlsSession server = TlsSession::server(server_end.context);
  TlsSession device = TlsSession::client(device_end.context, {server_end.key.pin()}).value();
  Bytes up = {}, down = {};              ///< on the wire
  Bytes at_server = {}, at_device = {};  ///< plain
  std::string problem = {};

  void pass(TlsSession& from, TlsSession& to, Bytes& log, Bytes& plain, std::size_t piece) {
    Bytes sent;
    sent.swap(from.output());
    log.insert(log.end(), sent.begin(), sent.end());
    for (std::size_t at = 0; at < sent.size(); at += piece) {
      const auto taken =
          to.receive(ByteSpan(sent).subspan(at, std::min(piece, sent.size() - at)), plain);
      if (!taken && problem.empty()) problem = taken.failure().message;
      if (!taken) return;
    }
  }
  /// Until nothing more is to be sent, in pieces of so many bytes.
  void run(std::size_t piece = 100000) {
    while (!device.output().empty() || !server.output().empty()) {
      pass(device, server, up, at_server, piece);
      pass(server, device, down, at_device, piece);
    }
  }
  bool established() const { return device.established() && server.established(); }
};

Bytes pattern(std::size_t count) {
  Bytes out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::uint8_t>(i * 31 + i / 256);
  return out;
}

}  // namespace

TEST_CASE("tls: both ends learn the other's key, share a secret, and bytes pass both ways") {
  const End server(TlsRole::server), device(TlsRole::client);
  Pair pair{server, device};
  pair.run();
  REQUIRE(pair.established());
  CHECK(pair.device.peer_pin() == server.key.pin());
  CHECK(pair.server.peer_pin() == device.key.pin());
  const auto secret = pair.device.exporter("EXPORTER-test");
  REQUIRE(secret.ok());
  CHECK(*secret == *pair.server.exporter("EXPORTER-test"));
  CHECK(*secret != *pair.server.exporter("EXPORTER-other"));
  const Bytes large = pattern(300000), small = pattern(10);
  REQUIRE(pair.device.send(large).ok());
  REQUIRE(pair.server.send(small).ok());
  const std::size_t handshake = pair.up.size() + pair.down.size();
  pair.run();
  CHECK(pair.at_server == large);
  CHECK(pair.at_device == small);
  // A record carries up to 16384 bytes and costs a header of 5, a type of 1 and a tag of 16.
  const std::size_t records = (large.size() + 16383) / 16384 + 1;
  CHECK(pair.up.size() + pair.down.size() - handshake ==
        large.size() + small.size() + 22 * records);
  CHECK(handshake < 2000);
  // Nothing of what was sent can be read on the wire.
  CHECK(std::search(pair.up.begin(), pair.up.end(), large.begin(), large.begin() + 16) ==
        pair.up.end());
  pair.device.finish();
  pair.run();
  CHECK(pair.server.peer_finished());
}

TEST_CASE("tls: byte by byte is the same") {
  const End server(TlsRole::server), device(TlsRole::client);
  Pair pair{server, device};
  pair.run(1);
  REQUIRE(pair.established());
  REQUIRE(pair.device.send(pattern(20000)).ok());
  pair.run(1);
  CHECK(pair.at_server == pattern(20000));
}

TEST_CASE("tls: a device does not speak to a server with another key") {
  const End server(TlsRole::server), other(TlsRole::server), device(TlsRole::client);
  Pair pair{server, device};
  pair.device = TlsSession::client(device.context, {other.key.pin()}).value();
  pair.run();
  CHECK_FALSE(pair.device.established());
  CHECK_FALSE(pair.server.established());
  CHECK(pair.device.problem() == TlsProblem::wrong_pin);
  CHECK(pair.server.problem() == TlsProblem::pin_refused);
  CHECK(pair.problem.find(short_text(server.key.pin())) != std::string::npos);
  CHECK(pair.problem.find(short_text(other.key.pin())) != std::string::npos);
  // While a key is rotated both are good.
  Pair rotated{server, device};
  rotated.device = TlsSession::client(device.context, {other.key.pin(), server.key.pin()}).value();
  rotated.run();
  CHECK(rotated.established());
}

TEST_CASE("tls: a key is its seed") {
  const auto key = PrivateKey::generate();
  REQUIRE(key.ok());
  CHECK(PrivateKey::from_seed(*key->seed())->pin() == key->pin());
  CHECK(PrivateKey::generate()->pin() != key->pin());
  // RFC 8410, 10.1 and 10.3: a private key and its public one; the pin is the SHA-256 of
  // 302a300506032b6570032100 and the public key.
  const PrivateKey::Seed seed = {0xD4, 0xEE, 0x72, 0xDB, 0xF9, 0x13, 0x58, 0x4A, 0xD5, 0xB6, 0xD8,
                                 0xF1, 0xF7, 0x69, 0xF8, 0xAD, 0x3A, 0xFE, 0x7C, 0x28, 0xCB, 0xF1,
                                 0xD4, 0xFB, 0xE0, 0x97, 0xA8, 0x8F, 0x44, 0x75, 0x58, 0x42};
  const Bytes spki = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21,
                      0x00, 0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41,
                      0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8, 0x50, 0x86, 0xaa, 0x30,
                      0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1};
  CHECK(PrivateKey::from_seed(seed)->pin() == sha256(spki));
}

TEST_CASE("tls: a recorded session cannot be played again") {
  const End server(TlsRole::server), device(TlsRole::client);
  Pair pair{server, device};
  pair.run();
  REQUIRE(pair.device.send(pattern(100)).ok());
  pair.run();
  REQUIRE(pair.at_server.size() == 100);
  for (const std::size_t piece : {pair.up.size(), std::size_t{1}}) {
    TlsSession again = TlsSession::server(server.context);
    Bytes plain;
    bool refused = false;
    for (std::size_t at = 0; at < pair.up.size() && !refused; at += piece)
      refused = !again.receive(ByteSpan(pair.up).subspan(at, piece), plain);
    CHECK(refused);
    CHECK_FALSE(again.established());
    CHECK(plain.empty());
  }
}

TEST_CASE("tls: a changed byte ends the session, on either side and wherever it is") {
  const End server(TlsRole::server), device(TlsRole::client);
  Pair whole{server, device};
  whole.run();
  const std::size_t handshake = whole.up.size();
  const Random random(5, Stream::user);
  for (std::uint64_t round = 0; round < 60; ++round) {
    Pair pair{server, device};
    // Of the ClientHello, of what follows it, or of a record with data.
    const auto at = static_cast<std::size_t>(random.below(round, handshake + 100));
    std::size_t seen = 0;
    const auto damage = [&] {
      Bytes& out = pair.device.output();
      if (at >= seen && at < seen + out.size()) out[at - seen] ^= 0x10;
      seen += out.size();
    };
    damage();
    pair.run();
    if (pair.problem.empty() && pair.device.established()) {
      // What the device sends last of the handshake was not damaged above: run() passed it.
      REQUIRE(pair.device.send(pattern(64)).ok());
      pair.device.output()[static_cast<std::size_t>(random.below(round, 64))] ^= 1;
      pair.run();
    }
    INFO(at);
    // Some bits of the hello mean nothing until the signatures cover them: no data ever passes.
    CHECK(pair.at_server.empty());
    CHECK_FALSE(pair.problem.empty());
  }
}

TEST_CASE("tls: what is no ClientHello costs nothing and is named") {
  const End server(TlsRole::server), device(TlsRole::client);
  const auto problem_of = [&](const Bytes& bytes) {
    TlsSession session = TlsSession::server(server.context);
    Bytes plain;
    [[maybe_unused]] const auto taken = session.receive(bytes, plain);
    CHECK(session.output().empty());
    CHECK(plain.empty());
    return session.problem();
  };
  CHECK(problem_of({'G', 'E', 'T', ' ', '/'}) == TlsProblem::not_tls);
  CHECK(problem_of({'I', 'S', 'L', '1'}) == TlsProblem::isl_peer);
  CHECK(problem_of({'I', 'S', 'L'}) == TlsProblem::none);
  CHECK(problem_of({'I', 'S', 'M'}) == TlsProblem::not_tls);
  CHECK(problem_of({22, 2}) == TlsProblem::not_tls);
  CHECK(problem_of({22, 3, 1, 0, 0}) == TlsProblem::not_tls);
  CHECK(problem_of({22, 3, 1, 0x20, 0}) == TlsProblem::not_tls);           // record too long
  CHECK(problem_of({22, 3, 1, 0, 4, 2}) == TlsProblem::not_tls);           // no ClientHello
  CHECK(problem_of({22, 3, 1, 0, 4, 1, 1, 0, 0}) == TlsProblem::not_tls);  // says 65536 bytes
  CHECK(problem_of({22, 3, 1, 0, 4, 1, 0, 0, 200}) == TlsProblem::none);   // and waits
  // A ClientHello of 3000 bytes in records of one byte each is 18 KB of wire.
  Bytes slow;
  for (int i = 0; i < 700; ++i) {
    constexpr std::uint8_t content[] = {1, 0, 11, 184};
    slow.insert(slow.end(), {22, 3, 1, 0, 1, i < 4 ? content[i] : std::uint8_t{0}});
  }
  CHECK(problem_of(slow) == TlsProblem::not_tls);
  // Garbage behind a good begin.
  const Random random(9, Stream::user);
  for (std::uint64_t round = 0; round < 200; ++round) {
    Bytes noise = {22, 3, 1};
    for (std::uint64_t i = 0; i < 300; ++i)
      noise.push_back(static_cast<std::uint8_t>(random.below(round * 1000 + i, 256)));
    if (round % 2 == 0) {
      // A real hello with damage in its structure.
      TlsSession real = TlsSession::client(device.context, {server.key.pin()}).value();
      noise = real.output();
      for (std::uint64_t i = 0; i < 8; ++i)
        noise[5 + static_cast<std::size_t>(random.below(round * 10 + i, noise.size() - 5))] ^= 0x41;
    }
    TlsSession session = TlsSession::server(server.context);
    Bytes plain;
    for (std::size_t at = 0; at < noise.size(); at += 50)
      if (!session.receive(
              ByteSpan(noise).subspan(at, std::min<std::size_t>(50, noise.size() - at)), plain))
        break;
    CHECK_FALSE(session.established());
    CHECK(plain.empty());
  }
}

TEST_CASE("tls: a client of another server's protocol is refused") {
  const End server(TlsRole::server), device(TlsRole::client);
  const auto answer = [&](const Bytes& bytes) {
    TlsSession session = TlsSession::client(device.context, {server.key.pin()}).value();
    Bytes plain;
    CHECK_FALSE(session.receive(bytes, plain).ok());
    return session.problem();
  };
  CHECK(answer({'I', 'S', 'L', '1'}) == TlsProblem::isl_peer);
  CHECK(answer({'H', 'T', 'T', 'P'}) == TlsProblem::not_tls);
  CHECK(answer({21, 3, 3, 0, 2, 2, 40}) == TlsProblem::other);
}

TEST_CASE("tls: settings: version 1.3, no tickets, and a client without a key is refused") {
  const End server(TlsRole::server), device(TlsRole::client);
  Pair pair{server, device};
  pair.run();
  REQUIRE(pair.established());
  const std::size_t handshake = pair.down.size();
  REQUIRE(pair.device.send(pattern(1)).ok());
  pair.run();
  CHECK(pair.down.size() == handshake);  // a ticket would come now
  // OpenSSL's own client, without a certificate.
  const net::detail::OpensslHandle<SSL_CTX> plain_context(SSL_CTX_new(TLS_client_method()));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const net::detail::OpensslHandle<SSL> client(SSL_new(plain_context.get()));
    REQUIRE(SSL_set_max_proto_version(client.get(), version) == 1);
    BIO* const in = BIO_new(BIO_s_mem());
    BIO* const out = BIO_new(BIO_s_mem());
    SSL_set_bio(client.get(), in, out);
    SSL_set_connect_state(client.get());
    TlsSession session = TlsSession::server(server.context);
    Bytes plain;
    std::string said;
    for (int round = 0; round < 4 && said.empty(); ++round) {
      SSL_do_handshake(client.get());
      Bytes sent(8192);
      const int count = BIO_read(out, sent.data(), static_cast<int>(sent.size()));
      sent.resize(static_cast<std::size_t>(std::max(0, count)));
      const auto taken = session.receive(sent, plain);
      if (!taken) said = taken.failure().message;
      Bytes back;
      back.swap(session.output());
      if (!back.empty()) BIO_write(in, back.data(), static_cast<int>(back.size()));
    }
    CHECK_FALSE(session.established());
    CHECK(said.find(version == TLS1_2_VERSION ? "unsupported protocol" : "certificate") !=
          std::string::npos);
    ERR_clear_error();
  }
}

TEST_CASE("tls: memory of a session before, in and after its handshake") {
  const End server(TlsRole::server), device(TlsRole::client);
  {
    Pair warm{server, device};  // what OpenSSL makes once
    warm.run();
  }
  const auto used = [] { return ::mallinfo2().uordblks; };
  TlsSession client = TlsSession::client(device.context, {server.key.pin()}).value();
  const std::size_t begin = used();
  TlsSession session = TlsSession::server(server.context);
  Bytes hello, plain;
  hello.swap(client.output());
  const std::size_t count = hello.size();
  REQUIRE(session.receive(ByteSpan(hello).first(count - 1), plain).ok());
  const std::size_t waiting = used() - begin;
  REQUIRE(session.receive(ByteSpan(hello).subspan(count - 1), plain).ok());
  const std::size_t shaking = used() - begin;
  Bytes answer;
  answer.swap(session.output());
  REQUIRE(client.receive(answer, plain).ok());
  Bytes().swap(answer);
  Bytes finished;
  finished.swap(client.output());
  const std::size_t before = used();
  REQUIRE(session.receive(finished, plain).ok());
  REQUIRE(session.established());
  const std::size_t standing = shaking + used() - before;
  MESSAGE("session: ", waiting, " bytes before its hello is whole, ", shaking,
          " in the handshake, ", standing, " afterwards");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(waiting < 16 << 10);
  CHECK(shaking < 64 << 10);
  CHECK(standing < 64 << 10);
#endif
}

}  // namespace tls_session_test

#endif
