#include "iotsl/split/records/turn_costs.hpp"

#include <doctest/doctest.h>

namespace turn_costs_test {

using namespace iotsl;
using namespace iotsl::split;

namespace {

LinkTraffic passed(std::uint64_t up, std::uint64_t down) {
  LinkTraffic out;
  out.up.add_frame(net::MessageType::step, net::MessageType::step, up);
  out.down.add_frame(net::MessageType::grad, net::MessageType::grad, down);
  return out;
}
TurnReport of_turn(std::uint32_t turn, std::uint32_t device) {
  TurnReport out;
  out.turn = turn;
  out.device = device;
  return out;
}

}  // namespace

TEST_CASE("turn books: time without barriers, bytes over several connections, each booked once") {
  TurnBooks books(2);
  books.on_connected(5, 0);
  books.on_connected(6, 1);
  books.on_grant(0, 1000);
  books.on_barrier(30);
  books.on_lost(5, passed(100, 70));
  books.on_connected(7, 0);
  books.on_grant(0, 5000);  // again: the clock goes on
  const TurnCosts half = books.so_far(0, passed(10, 5), 6000);
  CHECK(half.wall_us == 4970);
  CHECK(half.barrier_us == 30);
  const TurnCosts first = books.close(of_turn(0, 0), passed(20, 9), 7000);
  CHECK(first.wall_us == 5970);
  CHECK(first.bytes_up > half.bytes_up);
  books.on_grant(1, 8000);
  const TurnCosts second = books.close(of_turn(1, 1), passed(40, 40), 8500);
  CHECK(second.wall_us == 500);
  CHECK(second.barrier_us == 0);
  books.on_grant(2, 9000);
  const TurnCosts third = books.close(of_turn(2, 0), passed(20, 9), 9100);
  CHECK(third.bytes_up == 0);  // nothing since the first turn
  CHECK(third.bytes_down == 0);
}

TEST_CASE("turn books: what an earlier server has sent is of the device's next turn") {
  TurnBooks books(2);
  books.on_connected(5, 1);
  books.on_grant(1, 1000);
  books.add_earlier(1, passed(0, 700).down);
  const TurnCosts first = books.close(of_turn(1, 1), passed(10, 5), 2000);
  CHECK(first.bytes_down == passed(0, 700).down.total_bytes() + passed(0, 5).down.total_bytes());
  books.on_grant(3, 3000);
  CHECK(books.close(of_turn(3, 1), passed(10, 5), 4000).bytes_down == 0);
}

TEST_CASE("turn books: waiting for a device that is away is not the network's time") {
  TurnBooks books(1);
  books.set_waiting(true, 100);  // before its turn: nothing is counted yet
  books.set_waiting(false, 900);
  books.on_grant(0, 1000);
  books.set_waiting(true, 1200);
  CHECK(books.so_far(0, {}, 5200).wall_us == 200);
  books.set_waiting(true, 6000);
  books.set_waiting(false, 9200);
  CHECK(books.so_far(0, {}, 9300).wall_us == 300);
  books.set_waiting(true, 9400);
  CHECK(books.close(of_turn(0, 0), {}, 20000).wall_us == 400);  // skipped
  books.on_grant(1, 20100);
  books.set_waiting(false, 20150);
  CHECK(books.close(of_turn(1, 0), {}, 20200).wall_us == 50);
}

TEST_CASE("turn books: a turn that another server has begun keeps what it has cost") {
  TurnBooks before(1), after(1);
  before.on_connected(1, 0);
  before.on_grant(4, 100);
  const TurnCosts at_barrier = before.so_far(0, passed(1000, 900), 150);
  after.take_up(4, at_barrier);
  after.on_connected(1, 0);
  after.on_grant(4, 700);
  const TurnCosts all = after.close(of_turn(4, 0), passed(30, 20), 710);
  CHECK(all.wall_us == 60);
  const TurnCosts rest = TurnBooks(1).close(of_turn(4, 0), passed(30, 20), 710);
  CHECK(all.bytes_up == at_barrier.bytes_up + rest.bytes_up);
  CHECK(all.bytes_down == at_barrier.bytes_down + rest.bytes_down);
  // Another turn has nothing of it.
  TurnBooks other(1);
  other.take_up(4, at_barrier);
  CHECK(other.close(of_turn(5, 0), passed(30, 20), 710).bytes_up == rest.bytes_up);
}

}  // namespace turn_costs_test
