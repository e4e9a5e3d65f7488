#include <doctest/doctest.h>
#include <sys/stat.h>

#include "iotsl/net/identity/device_credentials.hpp"
#include "iotsl/net/identity/server_credentials.hpp"
#include "support/temporary_folder.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace identity_test {

namespace {

Pin pin(std::uint8_t number) {
  Pin out{};
  out[0] = number;
  return out;
}
EnrollSecret secret(std::uint8_t number) {
  EnrollSecret out{};
  out[31] = number;
  return out;
}
const Sha256Digest session = sha256(bytes_of("a session"));

Result<std::string> enroll(AllowList& list, const EnrollSecret& token, const Pin& key) {
  return list.enroll(enroll_id(token), enroll_proof(token, session, key), session, key);
}
bool knows(const AllowList& list, const Pin& key, const std::string& name) {
  return list.verdict(key) == KeyVerdict{KeyVerdict::Kind::known, name};
}
bool revoked(const AllowList& list, const Pin& key) {
  return list.verdict(key).kind == KeyVerdict::Kind::revoked;
}
unsigned mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("identity: a token is one line, and nothing of it is in the message where it is wrong") {
  const EnrollToken token{{"192.168.1.10", 7400}, pin(7), secret(9)};
  const std::string text = to_text(token);
  CHECK(text == concat("iotsl1/192.168.1.10:7400/07", std::string(62, '0'), "/",
                       std::string(62, '0'), "09"));
  const auto read = parse_token(text + "\n");
  REQUIRE(read.ok());
  CHECK(read->server.host == "192.168.1.10");
  CHECK(read->server.port == 7400);
  CHECK(read->server_pin == token.server_pin);
  CHECK(read->secret == token.secret);
  CHECK(parse_token(to_text({{"::1", 7}, pin(1), secret(1)}))->server.host == "::1");
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    const auto damaged = parse_token(text.substr(0, cut));
    REQUIRE_FALSE(damaged.ok());
    CHECK(damaged.failure().message.find("0000") == std::string::npos);
  }
  CHECK_FALSE(parse_token(text + "0").ok());
  CHECK_FALSE(parse_token("iotsl2" + text.substr(6)).ok());
}

TEST_CASE("identity: a proof is of one secret, one session and one key") {
  const Sha256Digest proof = enroll_proof(secret(1), session, pin(1));
  CHECK(proof != enroll_proof(secret(2), session, pin(1)));
  CHECK(proof != enroll_proof(secret(1), sha256(bytes_of("another session")), pin(1)));
  CHECK(proof != enroll_proof(secret(1), session, pin(2)));
  CHECK(enroll_id(secret(1)) != enroll_id(secret(2)));
  CHECK(*new_enroll_secret() != *new_enroll_secret());
}

TEST_CASE("identity: a device is added, enrolled once, and revoked") {
  AllowList list;
  REQUIRE(list.add("pi-01", secret(1)).ok());
  CHECK(list.devices()[0].state() == std::string("waiting"));
  CHECK(list.verdict(pin(1)) == KeyVerdict{});
  CHECK_FALSE(enroll(list, secret(2), pin(1)).ok());
  // The right token with a proof for another key, or another session.
  CHECK_FALSE(
      list.enroll(enroll_id(secret(1)), enroll_proof(secret(1), session, pin(2)), session, pin(1))
          .ok());
  CHECK_FALSE(
      list.enroll(enroll_id(secret(1)), enroll_proof(secret(1), pin(3), pin(1)), session, pin(1))
          .ok());
  CHECK(*enroll(list, secret(1), pin(1)) == "pi-01");
  CHECK(knows(list, pin(1), "pi-01"));
  CHECK(list.devices()[0].state() == std::string("enrolled"));
  // The answer was lost: the same key may ask again, no other one.
  CHECK(*enroll(list, secret(1), pin(1)) == "pi-01");
  const auto twice = enroll(list, secret(1), pin(2));
  REQUIRE_FALSE(twice.ok());
  CHECK(twice.failure().message.find("used already") != std::string::npos);
  CHECK_FALSE(list.add("pi-01", secret(3)).ok());
  // One key, one name.
  REQUIRE(list.add("pi-02", secret(4)).ok());
  CHECK_FALSE(enroll(list, secret(4), pin(1)).ok());

  REQUIRE(list.revoke("pi-01").ok());
  CHECK(revoked(list, pin(1)));
  CHECK(list.devices()[0].state() == std::string("revoked"));
  CHECK_FALSE(enroll(list, secret(1), pin(1)).ok());
  CHECK_FALSE(list.revoke("pi-09").ok());
  // A token that waits is void, too.
  REQUIRE(list.revoke("pi-02").ok());
  CHECK_FALSE(enroll(list, secret(4), pin(5)).ok());
  // The name may come back, with another key.
  REQUIRE(list.add("pi-01", secret(6)).ok());
  CHECK_FALSE(enroll(list, secret(6), pin(1)).ok());
  CHECK(enroll(list, secret(6), pin(6)).ok());
  CHECK(knows(list, pin(6), "pi-01"));
  CHECK(revoked(list, pin(1)));
  for (const char* bad : {"", "a\nb", "\x1b[31m"}) CHECK_FALSE(list.add(bad, secret(8)).ok());
  CHECK_FALSE(list.add(std::string(65, 'n'), secret(8)).ok());
}

TEST_CASE("identity: while a key is rotated both are accepted") {
  AllowList list;
  CHECK_FALSE(list.rotate("pi-01", secret(1)).ok());
  REQUIRE(list.add("pi-01", secret(1)).ok());
  REQUIRE(enroll(list, secret(1), pin(1)).ok());
  CHECK_FALSE(list.settle(pin(1)));
  REQUIRE(list.rotate("pi-01", secret(2)).ok());
  CHECK(list.devices()[0].state() == std::string("rotating"));
  REQUIRE(enroll(list, secret(2), pin(2)).ok());
  CHECK(knows(list, pin(1), "pi-01"));
  CHECK(knows(list, pin(2), "pi-01"));
  // Begun again before the new key was used: there are never three.
  REQUIRE(list.rotate("pi-01", secret(3)).ok());
  REQUIRE(enroll(list, secret(3), pin(3)).ok());
  CHECK(knows(list, pin(1), "pi-01"));
  CHECK(revoked(list, pin(2)));
  CHECK_FALSE(list.settle(pin(1)));  // still the old one
  CHECK(list.settle(pin(3)));
  CHECK(revoked(list, pin(1)));
  CHECK(knows(list, pin(3), "pi-01"));
  CHECK_FALSE(list.settle(pin(3)));
}

TEST_CASE("identity: the list is its file, and a damaged one is refused") {
  AllowList list;
  REQUIRE(list.add("pi-01", secret(1)).ok());
  REQUIRE(list.add("pi-02", secret(2)).ok());
  REQUIRE(enroll(list, secret(1), pin(1)).ok());
  REQUIRE(list.rotate("pi-01", secret(3)).ok());
  REQUIRE(list.revoke("pi-02").ok());
  const std::string text = list.text();
  const auto read = AllowList::parse(text);
  REQUIRE(read.ok());
  CHECK(read->text() == text);
  CHECK(AllowList::parse(AllowList().text())->devices().empty());
  for (std::size_t cut = 0; cut + 1 < text.size(); cut += 7)
    CHECK_FALSE(AllowList::parse(text.substr(0, cut)).ok());
  std::string twice = text;
  twice.replace(twice.find("pi-02"), 5, "pi-01");
  CHECK_FALSE(AllowList::parse(twice).ok());
  std::string short_pin = text;
  short_pin.erase(short_pin.find("01000"), 1);
  CHECK_FALSE(AllowList::parse(short_pin).ok());
  std::string newer = text;
  newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 2");
  const auto refused = AllowList::parse(newer);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.failure().message.find("version 2, expected 1") != std::string::npos);
}

TEST_CASE("identity: folders and files that others may read are refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "deep/identity";
  const auto made = IdentityFolder::make(path);
  REQUIRE(made.ok());
  CHECK(mode_of(path) == 0700);
  REQUIRE(made->write("secret", "text").ok());
  CHECK(mode_of(path + "/secret") == 0600);
  CHECK(*made->read("secret") == "text");
  REQUIRE(::chmod((path + "/secret").c_str(), 0640) == 0);
  const auto readable = made->read("secret");
  REQUIRE_FALSE(readable.ok());
  CHECK(readable.failure().message.find("chmod 600") != std::string::npos);
  REQUIRE(::chmod(path.c_str(), 0750) == 0);
  const auto open = IdentityFolder::make(path);
  REQUIRE_FALSE(open.ok());
  CHECK(open.failure().message.find("chmod 700") != std::string::npos);
  CHECK_FALSE(IdentityFolder::open(folder / "none").ok());
  CHECK_FALSE(IdentityFolder::open(path + "/secret").ok());
}

#if IOTSL_TLS

TEST_CASE("identity: a server's key is made once; its list is taken up when it changes") {
  const TemporaryFolder folder;
  const std::string path = folder / "identity";
  auto server = ServerCredentials::open(path);
  REQUIRE(server.ok());
  CHECK(mode_of(path) == 0700);
  CHECK(mode_of(path + "/server.key") == 0600);
  CHECK_FALSE(*server->refresh());
  // A command in another process.
  auto command = ServerCredentials::open(path);
  REQUIRE(command.ok());
  CHECK(command->pin() == server->pin());
  const auto add = [&](const std::string& name, std::uint8_t number) {
    return command->change([&](AllowList& list) { return list.add(name, secret(number)); });
  };
  REQUIRE(add("pi-01", 1).ok());
  CHECK(mode_of(path + "/devices.json") == 0600);
  CHECK(server->list().devices().empty());
  CHECK(*server->refresh());
  CHECK(server->list().devices().size() == 1);
  CHECK_FALSE(*server->refresh());
  // What is refused changes nothing; what the other process wrote is never lost.
  CHECK_FALSE(add("", 2).ok());
  CHECK_FALSE(*server->refresh());
  REQUIRE(add("pi-02", 2).ok());
  REQUIRE(
      server
          ->enroll(enroll_id(secret(1)), enroll_proof(secret(1), session, pin(1)), session, pin(1))
          .ok());
  CHECK(server->list().devices().size() == 2);
  CHECK(*command->refresh());
  CHECK(knows(command->list(), pin(1), "pi-01"));
  // A damaged file is told once and changes nothing.
  REQUIRE(write_file_atomic(path + "/devices.json", std::string_view("{")).ok());
  REQUIRE(::chmod((path + "/devices.json").c_str(), 0600) == 0);
  CHECK_FALSE(server->refresh().ok());
  CHECK(server->refresh().ok());
  CHECK(knows(server->list(), pin(1), "pi-01"));
  CHECK_FALSE(server->change([](AllowList&) { return Result<void>{}; }).ok());
  // A damaged key is not replaced: devices trust it.
  REQUIRE(::truncate((path + "/server.key").c_str(), 20) == 0);
  const auto damaged = ServerCredentials::open(path);
  REQUIRE_FALSE(damaged.ok());
  CHECK(damaged.failure().message.find("server.key: is no key file") != std::string::npos);
}

TEST_CASE("identity: the server's next key waits until no device is a stranger to it") {
  const TemporaryFolder folder;
  const std::string path = folder / "identity";
  auto server = ServerCredentials::open(path), command = ServerCredentials::open(path);
  REQUIRE(server.ok());
  const Pin before = server->pin();
  CHECK_FALSE(*server->take_next_key(true));  // there is none
  const auto change = [&](const auto& apply) { REQUIRE(command->change(apply).ok()); };
  change([&](AllowList& list) { return list.add("pi-01", secret(1)); });
  change([&](AllowList& list) { return list.add("pi-02", secret(2)); });
  change([&](AllowList& list) { return list.add("pi-03", secret(3)); });
  change([&](AllowList& list) { return list.revoke("pi-03"); });
  REQUIRE(command->prepare_next_key().ok());
  const Pin next = command->next_pin().value();
  CHECK(next != before);
  CHECK(mode_of(path + "/server.key.next") == 0600);
  REQUIRE(command->prepare_next_key().ok());  // the same one
  CHECK(command->next_pin() == next);
  CHECK_FALSE(*server->refresh_keys());  // it has none other yet
  CHECK(server->next_pin() == next);
  CHECK(*server->refresh());
  // Tokens that wait name the old key.
  CHECK(server->list().strangers_to(next) == std::vector<std::string>{"pi-01", "pi-02"});
  const auto enroll_both = [&](AllowList& list) -> Result<void> {
    for (const std::uint8_t i : {std::uint8_t{1}, std::uint8_t{2}})
      if (const auto name = enroll(list, secret(i), pin(i)); !name) return name.failure();
    return {};
  };
  change(enroll_both);
  REQUIRE(server->refresh().ok());
  REQUIRE(server->keep_next_key(pin(1)).ok());
  CHECK(server->list().strangers_to(next) == std::vector<std::string>{"pi-02"});
  CHECK_FALSE(*server->take_next_key());
  // What a device has said holds for a server that starts again, and not once it enrols anew.
  CHECK(ServerCredentials::open(path)->list().strangers_to(next).size() == 1);
  change([&](AllowList& list) { return list.rotate("pi-01", secret(4)); });
  change([&](AllowList& list) -> Result<void> {
    const auto name = enroll(list, secret(4), pin(4));
    return name ? Result<void>{} : name.failure();
  });
  CHECK(command->list().strangers_to(next).size() == 2);
  REQUIRE(server->keep_next_key(pin(4)).ok());
  REQUIRE(server->keep_next_key(pin(9)).ok());  // nobody's
  CHECK_FALSE(*server->take_next_key());
  REQUIRE(server->keep_next_key(pin(2)).ok());
  CHECK(*server->take_next_key());
  CHECK(server->pin() == next);
  CHECK_FALSE(server->next_pin().has_value());
  CHECK_FALSE(file_exists(path + "/server.key.next"));
  // Another server with this folder takes it up.
  CHECK(*command->refresh_keys());
  CHECK(command->pin() == next);
  CHECK(ServerCredentials::open(path)->pin() == next);
  // At once, whoever does not know it.
  REQUIRE(command->prepare_next_key().ok());
  CHECK(command->list().strangers_to(command->next_pin().value()).size() == 2);
  CHECK(*command->take_next_key(true));
  CHECK(*server->refresh_keys());
  CHECK(server->pin() == command->pin());
  // A damaged one is told once, and the server keeps what it has.
  REQUIRE(write_file_atomic(path + "/server.key.next", std::string_view("ed25519 12\n")).ok());
  REQUIRE(::chmod((path + "/server.key.next").c_str(), 0600) == 0);
  CHECK_FALSE(server->refresh_keys().ok());
  CHECK(server->refresh_keys().ok());
  CHECK(server->pin() == command->pin());
}

TEST_CASE("identity: a device accepts two keys of its server until it has seen the second") {
  const TemporaryFolder folder;
  const std::string path = folder / "identity";
  const auto made = IdentityFolder::make(path);
  REQUIRE(DeviceCredentials::make_next_key(*made).ok());
  REQUIRE(
      DeviceCredentials::complete(*made, "pi-01", {{"10.0.0.1", 7400}, pin(5), secret(1)}).ok());
  auto device = DeviceCredentials::open(path);
  REQUIRE(device.ok());
  const auto kept = [&](const std::vector<Pin>& pins) {
    CHECK(device->server_pins() == pins);
    const auto read = DeviceCredentials::open(path);
    REQUIRE(read.ok());
    CHECK(read->server_pins() == pins);
    CHECK(read->name() == "pi-01");
    CHECK(to_string(read->server()) == "10.0.0.1:7400");
  };
  CHECK_FALSE(*device->settle_server_key(pin(5)));
  REQUIRE(device->accept_server_key(pin(5), pin(5)).ok());
  kept({pin(5)});
  REQUIRE(device->accept_server_key(pin(5), pin(6)).ok());
  kept({pin(5), pin(6)});
  CHECK_FALSE(*device->settle_server_key(pin(5)));  // it has not changed yet
  // Another one instead: never three.
  REQUIRE(device->accept_server_key(pin(5), pin(7)).ok());
  kept({pin(5), pin(7)});
  CHECK(*device->settle_server_key(pin(7)));
  kept({pin(7)});
  // Enrolled anew by another process: with the same key of the server it is told again, and what it
  // knows of another server stays.
  const auto anew = [&](std::uint8_t server) {
    REQUIRE(DeviceCredentials::make_next_key(*made).ok());
    REQUIRE(
        DeviceCredentials::complete(*made, "pi-01", {{"10.0.0.1", 7400}, pin(server), secret(2)})
            .ok());
  };
  REQUIRE(device->accept_server_key(pin(7), pin(8)).ok());
  anew(7);
  REQUIRE(device->accept_server_key(pin(7), pin(8)).ok());
  kept({pin(7), pin(8)});
  anew(20);
  CHECK(device->accept_server_key(pin(7), pin(8)).failure().message.find("another enrolment") !=
        std::string::npos);
  CHECK(DeviceCredentials::open(path)->server_pins() == std::vector<Pin>{pin(20)});
  CHECK(mode_of(path + "/device.json") == 0600);
}

TEST_CASE("identity: a device's key waits in its own file until it is enrolled") {
  const TemporaryFolder folder;
  const std::string path = folder / "identity";
  const auto made = IdentityFolder::make(path);
  const auto key = DeviceCredentials::make_next_key(*made);
  REQUIRE(key.ok());
  CHECK(mode_of(path + "/device.key.next") == 0600);
  CHECK(DeviceCredentials::make_next_key(*made)->pin() == key->pin());
  const auto early = DeviceCredentials::open(path);
  REQUIRE_FALSE(early.ok());
  CHECK(early.failure().message.find("iotsl-device enroll") != std::string::npos);
  const EnrollToken token{{"10.0.0.1", 7400}, pin(5), secret(1)};
  REQUIRE(DeviceCredentials::complete(*made, "pi-01", token).ok());
  const auto device = DeviceCredentials::open(path);
  REQUIRE(device.ok());
  CHECK(device->name() == "pi-01");
  CHECK(to_string(device->server()) == "10.0.0.1:7400");
  CHECK(device->server_pins() == std::vector<Pin>{pin(5)});
  CHECK(read_key(*made, "device.key")->pin() == key->pin());
  CHECK(mode_of(path + "/device.json") == 0600);
  // The next enrolment makes another key and leaves this one until it is complete.
  CHECK(DeviceCredentials::make_next_key(*made)->pin() != key->pin());
  CHECK(read_key(*made, "device.key")->pin() == key->pin());
  // Two pins are accepted.
  REQUIRE(made->write("device.json", concat("{\"name\":\"pi-01\",\"server\":\"10.0.0.1:7400\","
                                            "\"server_pins\":[\"",
                                            to_hex(pin(5)), "\",\"", to_hex(pin(6)), "\"]}"))
              .ok());
  CHECK(DeviceCredentials::open(path)->server_pins().size() == 2);
  REQUIRE(made->write("device.json",
                      "{\"name\":\"pi-01\",\"server\":\"10.0.0.1:7400\","
                      "\"server_pins\":[\"12\"]}")
              .ok());
  CHECK_FALSE(DeviceCredentials::open(path).ok());
}

#else

TEST_CASE("identity: a build without TLS says so") {
  const TemporaryFolder folder;
  const auto server = ServerCredentials::open(folder / "identity");
  REQUIRE_FALSE(server.ok());
  CHECK(server.failure().message.find("libssl-dev") != std::string::npos);
}

#endif

}  // namespace identity_test
