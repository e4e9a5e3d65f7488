// Bytes of a socket before and during a TLS handshake, and the texts that enrolment reads.

#include "fuzz/fuzz.hpp"
#include "fuzz/json_check.hpp"
#include "iotsl/net/identity/allow_list.hpp"
#include "iotsl/net/link/link_speed.hpp"
#include "iotsl/net/tls/session.hpp"

namespace tls_fuzzer {
namespace {

using namespace iotsl;
using namespace iotsl::net;
using iotsl::fuzz::chosen;
using iotsl::fuzz::expect;
using iotsl::fuzz::require;

// The first bytes

/// What is decided stays decided, however many bytes follow.
void run_first_bytes(ByteSpan input) {
  FirstBytes before = FirstBytes::incomplete;
  for (std::size_t size = 0; size <= input.size(); ++size) {
    const FirstBytes now = inspect_first_bytes(input.first(size));
    require(before == FirstBytes::incomplete || now == before, "a decision is taken back");
    before = now;
  }
  require(before != FirstBytes::incomplete || input.size() < max_client_hello_bytes,
          "more is wanted than a ClientHello may take");
}

std::vector<Bytes> first_bytes_seeds();

#if IOTSL_TLS

/// One end with a key that is the same in every run.
struct End {
  PrivateKey key;
  TlsContext context;
  End(TlsRole role, std::uint8_t number)
      : key(expect(PrivateKey::from_seed({number}), "key")),
        context(expect(TlsContext::make(role, key), "context")) {}
};
const End& server_end() {
  static const End end(TlsRole::server, 1);
  return end;
}
const End& device_end() {
  static const End end(TlsRole::client, 2);
  return end;
}
TlsSession new_client() {
  return expect(TlsSession::client(device_end().context, {server_end().key.pin()}), "client");
}

// A stranger

/// Whoever has no key gets no session, costs little, and once given up stays so.
void refuse_stranger(TlsSession session, ByteSpan input, std::size_t piece) {
  Bytes plain;
  bool lost = false;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    const Result<void> taken =
        session.receive(input.subspan(at, std::min(piece, input.size() - at)), plain);
    require(!lost || !taken, "a session that was given up goes on");
    lost = lost || !taken;
    require(lost == (session.problem() != TlsProblem::none), "a failure has no kind");
    require(!session.established() && plain.empty(), "a stranger has a session");
    require(session.output().size() <= TlsSession::max_handshake_bytes, "an answer is too long");
  }
}
void run_server(ByteSpan input) {
  fuzz::Fields fields(input);
  const std::size_t piece = 1 + 16 * std::size_t{fields.byte()};
  refuse_stranger(TlsSession::server(server_end().context), fields.rest(), piece);
}
void run_client(ByteSpan input) {
  fuzz::Fields fields(input);
  const std::size_t piece = 1 + 16 * std::size_t{fields.byte()};
  refuse_stranger(new_client(), fields.rest(), piece);
}

Bytes client_hello() { return new_client().output(); }
std::vector<Bytes> server_seeds() {
  const Bytes hello = client_hello();
  // The same message in two records.
  Bytes cut(hello.begin(), hello.begin() + 5);
  const std::size_t first = 40, content = hello.size() - 5;
  cut[3] = 0;
  cut[4] = first;
  cut.insert(cut.end(), hello.begin() + 5, hello.begin() + 5 + first);
  const auto rest = static_cast<std::uint16_t>(content - first);
  cut.insert(cut.end(), {22, 3, 3, static_cast<std::uint8_t>(rest >> 8),
                         static_cast<std::uint8_t>(rest & 0xFF)});
  cut.insert(cut.end(), hello.begin() + 5 + first, hello.end());
  const std::string_view isl = "ISL1", http = "GET / HTTP/1.1\r\n\r\n";
  return {chosen(255, hello), chosen(1, hello), chosen(255, cut), chosen(0, bytes_of(isl)),
          chosen(0, bytes_of(http))};
}
std::vector<Bytes> client_seeds() {
  TlsSession client = new_client(), server = TlsSession::server(server_end().context);
  Bytes nothing;
  require(server.receive(client.output(), nothing).ok(), "our own hello is refused");
  const Bytes alert = {21, 3, 3, 0, 2, 2, 40};
  const std::string_view isl = "ISL1";
  return {chosen(255, server.output()), chosen(2, server.output()), chosen(255, alert),
          chosen(0, bytes_of(isl))};
}
std::vector<Bytes> first_bytes_seeds() {
  std::vector<Bytes> out = server_seeds();
  for (Bytes& seed : out) seed.erase(seed.begin());
  return out;
}

// A man in the middle

/// One change of the bytes on their way.
struct Edit {
  bool up;
  std::size_t at;
  std::uint8_t kind, value;
};

/// Passes what `from` has sent, changed where an edit lies in it. `passed`: bytes so far.
bool pass(TlsSession& from, TlsSession& to, bool up, std::size_t& passed,
          const std::vector<Edit>& edits, Bytes& plain, bool& changed) {
  Bytes sent;
  sent.swap(from.output());
  const std::size_t begin = passed;
  passed += sent.size();
  for (const Edit& edit : edits) {
    if (edit.up != up || edit.at < begin || edit.at >= passed) continue;
    const std::size_t at = std::min(edit.at - begin, sent.size() - 1);
    const auto place = sent.begin() + static_cast<std::ptrdiff_t>(at);
    const Bytes before = sent;
    if (edit.kind == 0)
      sent[at] ^= edit.value;
    else if (edit.kind == 1)
      sent.erase(place, place + std::min<std::ptrdiff_t>(1 + edit.value, sent.end() - place));
    else if (edit.kind == 2)
      sent.insert(place, 1 + edit.value % 8u, edit.value);
    else
      sent.insert(sent.end(), before.begin(), before.end());  // said twice
    changed = changed || sent != before;
    if (sent.empty()) return true;
  }
  return to.receive(sent, plain).ok();
}

/// What arrives of a session is what was sent, or nothing; a change is never overlooked.
void run_handshake(ByteSpan input) {
  fuzz::Fields fields(input);
  std::vector<Edit> edits;
  while (!fields.rest().empty() && edits.size() < 4) {
    const std::uint8_t head = fields.byte();
    edits.push_back({(head & 1) != 0, fields.word() % 2048u,
                     static_cast<std::uint8_t>(head >> 1 & 3), fields.byte()});
  }
  const Bytes up_text(300, std::uint8_t{5}), down_text(200, std::uint8_t{6});
  TlsSession client = new_client(), server = TlsSession::server(server_end().context);
  Bytes at_server, at_client;
  std::size_t up = 0, down = 0;
  bool changed = false, client_sent = false, server_sent = false;
  for (int turn = 0; turn < 12; ++turn) {
    if (client.established() && !client_sent) client_sent = client.send(up_text).ok();
    if (server.established() && !server_sent) server_sent = server.send(down_text).ok();
    if (client.output().empty() && server.output().empty()) break;
    if (!client.output().empty() && !pass(client, server, true, up, edits, at_server, changed))
      break;
    if (!server.output().empty() && !pass(server, client, false, down, edits, at_client, changed))
      break;
  }
  require(at_server.empty() || at_server == up_text, "the server has read what was not sent");
  require(at_client.empty() || at_client == down_text, "the device has read what was not sent");
  if (client.established())
    require(client.peer_pin() == server_end().key.pin(), "the device takes another server");
  if (server.established())
    require(server.peer_pin() == device_end().key.pin(), "the server takes another device");
  if (!changed)
    require(at_server == up_text && at_client == down_text, "an untouched session does not stand");
}
std::vector<Bytes> handshake_seeds() {
  std::vector<Bytes> out = {{}};
  for (std::uint8_t kind = 0; kind < 4; ++kind)
    for (std::uint8_t up = 0; up < 2; ++up)
      for (const int at : {3, 90, 200})
        out.push_back(
            {static_cast<std::uint8_t>(kind << 1 | up), static_cast<std::uint8_t>(at), 0, 1});
  return out;
}

#else

std::vector<Bytes> first_bytes_seeds() { return {{22, 3, 1, 0, 4, 1, 0, 0, 0}}; }

#endif

// Texts

void run_link_speed(ByteSpan input) {
  const Result<LinkSpeed> speed = parse_link_speed(text_of(input));
  if (!speed) return;
  require(speed->bits_per_second >= static_cast<std::uint64_t>(least_link_rate) &&
              speed->bits_per_second <= static_cast<std::uint64_t>(most_link_rate) &&
              speed->round_trip >= 0,
          "a link beyond its limits");
  const LinkSpeed again = expect(parse_link_speed(to_string(*speed)), "our own text");
  require(again == *speed, "a link changes when it is written as ", to_string(*speed));
}
std::vector<Bytes> link_speed_seeds() {
  return {fuzz::bytes_from("50mbit,20ms"), fuzz::bytes_from("1.5gbit"),
          fuzz::bytes_from("250kbit,100us")};
}

void run_addresses(ByteSpan input) {
  const Result<Address> address = parse_address(text_of(input));
  if (address) {
    const Address again = expect(parse_address(to_string(*address)), "our own address");
    require(again.host == address->host && again.port == address->port,
            "an address changes when it is written as ", to_string(*address));
  }
  const Result<EnrollToken> token = parse_token(text_of(input));
  if (!token) {
    // It is a secret: the failure is one of a few sentences.
    require(token.failure().message.size() < 120, "a refused token is quoted");
    return;
  }
  const EnrollToken again = expect(parse_token(to_text(*token)), "our own token");
  require(again.server.host == token->server.host && again.server.port == token->server.port &&
              again.server_pin == token->server_pin && again.secret == token->secret,
          "a token changes when it is written");
}
std::vector<Bytes> address_seeds() {
  const EnrollToken token{{"10.0.0.1", 4242},
                          sha256(bytes_of(std::string_view("a"))),
                          sha256(bytes_of(std::string_view("b")))};
  return {fuzz::bytes_from("localhost:4242"), fuzz::bytes_from("[fe80::1]:80"),
          fuzz::bytes_from(to_text(token))};
}

void run_allow_list(ByteSpan input) {
  const Result<AllowList> list = AllowList::parse(text_of(input));
  if (!list) return;
  const std::string text = list->text();
  const AllowList again = expect(AllowList::parse(text), "our own list");
  require(again.text() == text, "a list changes when it is written");
  for (const ListedDevice& device : list->devices())
    for (const Pin& pin : device.revoked)
      require(list->verdict(pin).kind != KeyVerdict::Kind::unknown, "a revoked key is forgotten");
}
std::vector<Bytes> allow_list_seeds() {
  AllowList list;
  const Pin pin = sha256(bytes_of(std::string_view("pin")));
  const EnrollSecret secret = sha256(bytes_of(std::string_view("secret")));
  require(list.add("pi-1", secret).ok() && list.add("pi-2", secret).ok(), "add");
  expect(list.enroll(enroll_id(secret), enroll_proof(secret, {}, pin), {}, pin), "enroll");
  return {fuzz::bytes_from(list.text()), fuzz::bytes_from(AllowList().text())};
}

const fuzz::Registration registration {
  {"first_bytes", 4200, &run_first_bytes, &first_bytes_seeds},
#if IOTSL_TLS
      {"tls_server", 5000, &run_server, &server_seeds},
      {"tls_client", 5000, &run_client, &client_seeds},
      {"tls_handshake", 16, &run_handshake, &handshake_seeds},
#endif
      {"link_speed", 40, &run_link_speed, &link_speed_seeds},
      {"addresses", 300, &run_addresses, &address_seeds},
      {"allow_list", 2000, &run_allow_list, &allow_list_seeds},
};

}  // namespace
}  // namespace tls_fuzzer
