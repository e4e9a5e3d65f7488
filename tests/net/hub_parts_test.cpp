#include <doctest/doctest.h>

#include "iotsl/net/hub/lobby.hpp"
#include "iotsl/net/hub/mailbox.hpp"
#include "iotsl/net/hub/poller.hpp"
#include "iotsl/net/hub/repeated_lines.hpp"
#include "iotsl/net/hub/time_share.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace hub_parts_test {

namespace {

StrangerLimits limits_of(std::size_t total, std::size_t per_address, std::size_t sessions) {
  StrangerLimits out;
  out.total = total;
  out.per_address = per_address;
  out.sessions = sessions;
  out.session_grace = 100;
  return out;
}

}  // namespace

TEST_CASE("lobby: the oldest of the address with most goes, never the newcomer") {
  Lobby lobby(limits_of(5, 3, 2));
  CHECK(lobby.enter(1, "a") == Lobby::nobody);
  CHECK(lobby.enter(2, "b") == Lobby::nobody);
  CHECK(lobby.enter(3, "b") == Lobby::nobody);
  CHECK(lobby.enter(4, "b") == Lobby::nobody);
  CHECK(lobby.enter(5, "b") == 2);  // the limit of an address
  lobby.leave(2);
  CHECK(lobby.enter(6, "c") == Lobby::nobody);
  CHECK(lobby.enter(7, "d") == 3);  // the limit of all: 1 is older, but alone
  lobby.leave(3);
  lobby.turn_away(5);
  CHECK(lobby.enter(8, "e") == 5);  // who is only to hear why it was refused goes first
  lobby.leave(5);
  CHECK(lobby.size() == 5);
  CHECK_FALSE(lobby.contains(5));
  CHECK(lobby.oldest() == 1);
  for (const Lobby::Id id : {1, 4, 6, 7, 8}) lobby.leave(id);
  CHECK(lobby.size() == 0);
  CHECK(lobby.oldest() == Lobby::nobody);
  lobby.leave(8);  // of who has gone nothing is known
}

TEST_CASE("lobby: sessions go to addresses with fewest, and are given up after a grace only") {
  Lobby lobby(limits_of(100, 100, 2));
  for (Lobby::Id id = 1; id <= 4; ++id) {
    lobby.enter(id, "crowd");
    lobby.ask_for_session(id);
  }
  CHECK(lobby.can_begin());
  CHECK(lobby.next_session(1000).begins == 1);
  CHECK(lobby.next_session(1010).begins == 2);
  CHECK(lobby.sessions() == 2);
  CHECK(lobby.is_crowded());
  CHECK(lobby.next_session(1050).begins == Lobby::nobody);
  lobby.enter(9, "home");
  lobby.ask_for_session(9);
  // 3 and 4 wait longer, but their address has two.
  const Lobby::Admission first = lobby.next_session(1100);
  CHECK(first.begins == 9);
  CHECK(first.goes == 1);
  CHECK_FALSE(lobby.contains(1));
  CHECK(lobby.next_session(1105).begins == Lobby::nobody);
  const Lobby::Admission second = lobby.next_session(1110);
  CHECK(second.begins == 3);
  CHECK(second.goes == 2);
  lobby.leave(9);  // it has said HELLO
  CHECK(lobby.next_session(1111).begins == 4);
  CHECK_FALSE(lobby.is_asked());
  CHECK(lobby.sessions() == 2);
}

TEST_CASE("lobby: a crowd whose sessions fail at once lets another address have its turn") {
  Lobby lobby(limits_of(100, 100, 2));
  for (Lobby::Id id = 1; id <= 20; ++id) {
    lobby.enter(id, id % 2 == 0 ? "even" : "odd");
    lobby.ask_for_session(id);
  }
  for (Lobby::Id id = 1; id <= 4; ++id) {
    CHECK(lobby.next_session(0).begins == id);
    lobby.leave(id);
  }
  lobby.enter(30, "home");
  lobby.ask_for_session(30);
  CHECK(lobby.next_session(0).begins == 30);
}

TEST_CASE("lobby: sessions go last for newcomers, and a crowd of one address hurts that address") {
  Lobby lobby(limits_of(100, 4, 4));
  for (Lobby::Id id = 1; id <= 3; ++id) {
    lobby.enter(id, "crowd");
    lobby.ask_for_session(id);
    lobby.next_session(0);
  }
  lobby.enter(4, "crowd");
  CHECK(lobby.enter(5, "crowd") == 4);
  lobby.leave(4);
  lobby.ask_for_session(5);
  lobby.next_session(0);
  CHECK(lobby.enter(6, "crowd") == 1);  // nobody else is there
}

TEST_CASE("repeated lines: the first of a kind at once, then one with the count") {
  RepeatedLines lines(5 * second_us);
  CHECK(lines.add("10.0.0.1:5000: no HELLO within 5 s", 0) == "10.0.0.1:5000: no HELLO within 5 s");
  CHECK(lines.add("10.0.0.2:6000: does not speak TLS", 0).has_value());
  for (int i = 0; i < 997; ++i)
    CHECK_FALSE(lines.add(concat("10.0.0.9:", i, ": no HELLO within 5 s"), second_us).has_value());
  CHECK(lines.take_due(4 * second_us).empty());
  const auto due = lines.take_due(5 * second_us);
  REQUIRE(due.size() == 1);
  CHECK(due[0] == "... 997 more like this in 5 s, the last: 10.0.0.9:996: no HELLO within 5 s");
  // The other kind has not come again: it is told at once another time.
  CHECK(lines.add("10.0.0.3:6000: does not speak TLS", 6 * second_us).has_value());
  // One more is told as it is.
  CHECK_FALSE(lines.add("10.0.0.4:1: no HELLO within 5 s", 6 * second_us).has_value());
  CHECK(lines.take_due(10 * second_us)[0] == "10.0.0.4:1: no HELLO within 5 s");
  CHECK(lines.take_rest(10 * second_us).empty());
}

TEST_CASE("repeated lines: peers cannot make kinds without end") {
  RepeatedLines lines;
  int told = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string word;
    for (int rest = i; rest > 0; rest /= 26) word += static_cast<char>('a' + rest % 26);
    told += lines.add("refused: " + word, 0).has_value();
  }
  CHECK(told == 65);
  CHECK(lines.take_rest(second_us).size() == 1);
}

TEST_CASE("time share: what is spent comes back with time, up to a limit") {
  TimeShare share(0.2, 1000);
  share.grow(1);
  CHECK(share.has_some());
  share.spend(1500);
  CHECK_FALSE(share.has_some());
  CHECK(share.wait() == 7500);
  share.grow(1 + 7500);
  CHECK(share.has_some());
  share.grow(1 + 1'000'000);
  share.spend(1001);
  CHECK_FALSE(share.has_some());
}

TEST_CASE("mailbox: the last message and the end of its connection are one order") {
  HubMailbox mailbox(1024, {1, second_us});
  REQUIRE(mailbox.open().ok());
  mailbox.open(7);
  mailbox.send(7, make_message(Bye{"not yet"}));
  mailbox.send_last(7, make_message(Bye{"done"}));
  mailbox.send_last(8, make_message(Bye{"it has gone"}));
  const auto orders = mailbox.take_orders().commands;
  using enum HubMailbox::Command::Kind;
  REQUIRE(orders.size() == 3);
  CHECK(orders[0].kind == send);
  CHECK(orders[1].kind == send);
  CHECK(orders[1].message.type == MessageType::bye);
  CHECK(orders[2].kind == close);
  for (const auto& order : orders) CHECK(order.connection == 7);
}

TEST_CASE("poller: tells which sockets are ready, and the rest another time") {
  auto poller = Poller::make();
  REQUIRE(poller.ok());
  int pipes[3][2];
  for (std::uint64_t i = 0; i < 3; ++i) {
    REQUIRE(::pipe(pipes[i]) == 0);
    REQUIRE(poller->add(pipes[i][0], 10 + i, POLLIN).ok());
  }
  CHECK(poller->take(8).empty());
  CHECK(::write(pipes[0][1], "x", 1) == 1);
  CHECK(::write(pipes[2][1], "x", 1) == 1);
  const std::uint64_t first = poller->take(1)[0].id;
  CHECK(first + poller->take(1)[0].id == 10 + 12);
  REQUIRE(poller->change(pipes[0][0], 10, 0).ok());
  auto ready = poller->take(8);
  REQUIRE(ready.size() == 1);
  CHECK(ready[0].id == 12);
  CHECK(ready[0].events == POLLIN);
  poller->remove(pipes[2][0]);
  CHECK(poller->take(8).empty());
  CHECK_FALSE(poller->add(-1, 0, POLLIN).ok());
  for (const auto& pair : pipes) {
    ::close(pair[0]);
    ::close(pair[1]);
  }
}

}  // namespace hub_parts_test
