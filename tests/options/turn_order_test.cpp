#include "iotsl/options/turn_order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace iotsl;

namespace turn_order_test {

namespace {

using Devices = std::vector<std::uint32_t>;

Devices sorted(Devices devices) {
  std::sort(devices.begin(), devices.end());
  return devices;
}

}  // namespace

TEST_CASE("turn order: participation is rounded up, and a whole number stays one") {
  const auto turns = [](std::uint32_t devices, double participation) {
    return TurnOrder{.devices = devices, .participation = participation}.round_turns();
  };
  CHECK(turns(1, 1) == 1);
  CHECK(turns(5, 1) == 5);
  CHECK(turns(5, 0.5) == 3);
  CHECK(turns(4, 0.5) == 2);
  CHECK(turns(5, 0.01) == 1);
  CHECK(turns(1024, 1e-12) == 1);
  // k / n of n devices are k, whatever the last bit of the product is.
  for (std::uint32_t devices = 1; devices <= 1024; ++devices)
    for (std::uint32_t k = 1; k <= devices; k += 1 + devices / 100)
      CHECK(turns(devices, static_cast<double>(k) / devices) == k);
  CHECK(turns(100, 0.07) == 7);  // 0.07 * 100 is a little more than 7
}

TEST_CASE("turn order: fixed, with everybody, is the order of the places") {
  const TurnOrder order{.devices = 3, .seed = 9};
  for (std::uint64_t turn = 0; turn < 12; ++turn) {
    CHECK(order.device_of(turn) == turn % 3);
    CHECK(order.round_of(turn) == turn / 3);
    CHECK(order.ends_round(turn) == (turn % 3 == 2));
  }
  CHECK(order.of_round(7) == Devices{0, 1, 2});
}

TEST_CASE("turn order: of any policy, a function of seed and round") {
  for (const OrderPolicy policy : {OrderPolicy::fixed, OrderPolicy::shuffled})
    for (const double participation : {0.3, 0.5, 1.0}) {
      const TurnOrder order{7, 5, policy, participation};
      const std::uint64_t k = order.round_turns();
      for (std::uint64_t round = 0; round < 20; ++round) {
        const Devices devices = order.of_round(round);
        REQUIRE(devices.size() == k);
        CHECK(std::set<std::uint32_t>(devices.begin(), devices.end()).size() == k);
        CHECK(*std::max_element(devices.begin(), devices.end()) < 7);
        if (policy == OrderPolicy::fixed) CHECK(devices == sorted(devices));
        for (std::uint64_t i = 0; i < k; ++i) {
          CHECK(order.device_of(round * k + i) == devices[static_cast<std::size_t>(i)]);
          CHECK(order.round_of(round * k + i) == round);
          CHECK(order.ends_round(round * k + i) == (i + 1 == k));
        }
        // Both policies choose the same devices.
        TurnOrder other = order;
        other.policy = OrderPolicy::shuffled;
        CHECK(sorted(other.of_round(round)) == sorted(devices));
      }
    }
}

TEST_CASE("turn order: the bits of drawn orders, which runs are resumed by") {
  // By another implementation of Philox and of the drawing.
  TurnOrder order{5, 1, OrderPolicy::shuffled, 1};
  CHECK(order.of_round(0) == Devices{0, 3, 2, 4, 1});
  CHECK(order.of_round(1) == Devices{1, 0, 2, 4, 3});
  order.seed = 2;
  CHECK(order.of_round(2) == Devices{2, 1, 4, 3, 0});
  order.participation = 0.5;
  CHECK(order.of_round(2) == Devices{2, 1, 4});
  order.policy = OrderPolicy::fixed;
  CHECK(order.of_round(2) == Devices{1, 2, 4});
}

TEST_CASE("turn order: every device and every order comes equally often") {
  const TurnOrder order{4, 3, OrderPolicy::shuffled, 0.5};
  std::map<Devices, int> seen;
  for (std::uint64_t round = 0; round < 12000; ++round) ++seen[order.of_round(round)];
  CHECK(seen.size() == 12);  // ordered pairs
  for (const auto& [devices, count] : seen) {
    INFO(devices[0], " ", devices[1]);
    CHECK(std::abs(count - 1000) < 130);  // over four standard deviations
  }
}

}  // namespace turn_order_test
