// Method cache in the server's machine: what it demands of a device's batches, and how it goes on
// without devices.

#include "split/protocol/server_fixture.hpp"

namespace server_cache_test {

using namespace server_fixture;
using server_action::BeginCached;
using server_action::TrainCached;

namespace {

/// Two rounds; each device has 4 samples in two batches.
ServerPlan cache_plan() {
  ServerPlan out = plan();
  out.offer.description.method = Method::cached;
  out.offer.description.generator = "{}";
  out.offer.description.training.batch = 2;
  out.offer.description.training.frozen_front = true;
  out.turns = 4;
  out.cached.resize(2);
  return out;
}

/// A turn with all its messages, up to TURN_DONE; what that makes of it.
std::vector<ServerAction> whole_turn(ServerMachine& m, ConnectionId from, const net::TurnKey& key,
                                     std::uint64_t steps_before) {
  m.on_message(from, net::make_message(net::TurnAccept{key, 2}));
  for (std::uint64_t step = steps_before + 1; step <= steps_before + 2; ++step) {
    m.on_message(from, step_message(key, step));
    m.on_trained(TrainedStep{});
  }
  std::uint64_t barrier = 0;
  for (const ServerAction& action : drain(m))
    if (is<Send>(action) && as<Send>(action).message.type == net::Barrier::type)
      barrier = sent<net::Barrier>(action).id;
  const net::Message ack = ack_message(key, barrier, steps_before + 2);
  m.on_message(from, ack);
  drain(m);
  REQUIRE(is_in(m, State::storing));
  m.on_stored({});
  drain(m);
  return give(m, from, net::TurnDone{key, steps_before + 2, ack.digest});
}

/// The steps and the barrier of a turn that needs no device, which begins at `actions[at]`; what
/// follows.
std::vector<ServerAction> cached_turn(ServerMachine& m, const std::vector<ServerAction>& actions,
                                      std::size_t at, std::uint32_t turn) {
  const std::uint32_t device = turn % 2;
  REQUIRE(actions.size() == at + 2);
  CHECK(as<BeginCached>(actions[at]).turn == turn);
  CHECK(as<BeginCached>(actions[at]).device == device);
  CHECK(as<TrainCached>(actions[at + 1]).batch == 0);
  CHECK(as<TrainCached>(actions[at + 1]).step == 2 * turn + 1);
  m.on_trained(TrainedStep{});
  const auto second = drain(m);
  REQUIRE(second.size() == 1);
  CHECK(as<TrainCached>(second[0]).device == device);
  CHECK(as<TrainCached>(second[0]).round == 1);
  CHECK(as<TrainCached>(second[0]).batch == 1);
  m.on_trained(TrainedStep{});
  const auto stores = drain(m);
  REQUIRE(stores.size() == 1);
  CHECK_FALSE(as<Store>(stores[0]).ack.has_value());
  CHECK(as<Store>(stores[0]).barrier.turn_complete());
  CHECK(as<Store>(stores[0]).barrier.report.cached);
  m.on_stored({});
  auto rest = drain(m);
  REQUIRE_FALSE(rest.empty());
  const TurnReport& report = as<Report>(rest[0]).report;
  CHECK(report.device_name == "pi");
  CHECK(report.samples == 4);
  CHECK(report.epochs[0].samples == 4);
  return rest;
}

}  // namespace

TEST_CASE("server, method cache: the second round goes on whoever is away") {
  ServerMachine m(cache_plan());
  m.start();
  CHECK(drain(m).empty());  // nobody's samples are here
  reach(m, State::waiting_accept);
  auto actions = whole_turn(m, 1, first, 0);
  REQUIRE(actions.size() == 3);
  CHECK_FALSE(as<Report>(actions[1]).report.cached);
  CHECK(as<Grant>(actions[2]).connection == 2);
  m.on_lost(1);
  CHECK(drain(m).empty());
  CHECK_FALSE(m.missing_holder());
  actions = whole_turn(m, 2, as<Grant>(actions[2]).grant.key, 2);
  m.on_lost(2);
  CHECK_FALSE(m.missing_holder());
  actions = cached_turn(m, actions, 2, 2);
  actions = cached_turn(m, actions, 1, 3);
  REQUIRE(actions.size() == 2);
  CHECK(is<Finish>(actions[1]));
}

TEST_CASE("server, method cache: it starts alone where every sample is there") {
  ServerPlan all = cache_plan();
  all.cached = {CachedDevice{"pi", 4}, CachedDevice{"pi", 4}};
  all.start = {.id = 2, .step = 4, .report = begin_report(all.order, 1, 1, 2)};
  all.start.report.steps = 2;
  ServerMachine m(all);
  CHECK(as<Report>(drain(m).at(0)).report.turn == 1);
  m.start();
  auto actions = drain(m);
  // A device that comes all the same is taken in, and asked for nothing.
  join(m, 7, 1);
  CHECK(m.ready_devices() == 1);
  CHECK(drain(m).size() == 3);  // HELLO_OK, JOIN_OK, FRONT_INIT
  actions = cached_turn(m, actions, 0, 2);
  actions = cached_turn(m, actions, 1, 3);
  CHECK(is<Finish>(actions.back()));
}

TEST_CASE("server, method cache: a device that was skipped is asked again in the next round") {
  ServerPlan goes_back = cache_plan();
  goes_back.keeps_barriers = true;
  ServerMachine m(goes_back);
  reach(m, State::waiting_accept);
  m.on_lost(1);
  m.skip_turn();
  auto actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(as<Report>(actions[0]).report.skipped);
  CHECK(as<Grant>(actions[1]).connection == 2);
  actions = whole_turn(m, 2, as<Grant>(actions[1]).grant.key, 0);
  CHECK(actions.size() == 2);  // TURN_COMMITTED and the books: the first device is away
  CHECK(m.missing_holder() == std::optional<std::uint32_t>{0});
  join(m, 3, 0);
  actions = drain(m);
  REQUIRE(is<Grant>(actions.back()));
  CHECK(as<Grant>(actions.back()).grant.round == 1);
}

TEST_CASE("server: a turn whose last barrier is committed is whole, whoever stays away behind it") {
  ServerPlan plan = cache_plan();
  plan.keeps_barriers = true;
  ServerMachine m(plan);
  reach(m, State::waiting_done);
  m.on_lost(1);
  m.skip_turn();
  const auto actions = drain(m);
  REQUIRE(actions.size() >= 1);
  CHECK_FALSE(as<Report>(actions[0]).report.skipped);
  CHECK(as<Report>(actions[0]).report.steps == 2);
}

TEST_CASE(
    "server, method cache: where it has begun alone a device is released for the next start") {
  ServerPlan plan = cache_plan();
  plan.cached = {CachedDevice{"pi", 4}, std::nullopt};
  QuarantinedDevice broken;
  broken.device = 1;
  broken.name = "pi-1";
  broken.samples = 4;
  broken.reason = "broken";
  plan.quarantined = {broken};
  ServerMachine m(plan);
  m.start();
  CHECK(m.phase() == ServerMachine::Phase::turns);
  CHECK_FALSE(m.release(1));
  CHECK(m.quarantine().has(1));
  plan.cached = {std::nullopt, std::nullopt};
  ServerMachine gathering(plan);
  gathering.start();
  CHECK(gathering.release(1));
  CHECK_FALSE(gathering.quarantine().has(1));
}

TEST_CASE("server, method cache: a pause lies behind the step in hand") {
  ServerPlan all = cache_plan();
  all.cached = {CachedDevice{"pi", 4}, CachedDevice{"pi", 4}};
  ServerMachine m(all);
  m.start();
  drain(m);
  m.request_pause();
  CHECK(drain(m).empty());
  m.on_trained(TrainedStep{});
  const auto stores = drain(m);
  REQUIRE(stores.size() == 1);
  CHECK(as<Store>(stores[0]).barrier.step == 1);
  m.on_stored({});
  const auto end = drain(m);
  REQUIRE(end.size() == 1);
  CHECK(is<Pause>(end[0]));
}

TEST_CASE("server, method cache: other batches than those of the order are refused") {
  ServerMachine steps(cache_plan());
  reach(steps, State::waiting_accept);
  const auto too_many = give(steps, 1, net::TurnAccept{first, 3});
  check_refused(too_many, WireError::protocol);
  CHECK(sent<net::ErrorMessage>(too_many[0]).text ==
        "TURN_ACCEPT of turn 0 with 3 steps, expected 2");

  ServerMachine batches(cache_plan());
  reach(batches, State::stepping);
  const float smashed[9] = {};
  net::Step three;
  three.key = first;
  three.step = 1;
  three.labels = {0, 1, 0};
  three.smashed = bytes_of(smashed, 9);
  const auto too_large = give(batches, 1, net::make_message(three, {{3, 3}}));
  check_refused(too_large, WireError::protocol);
  CHECK(sent<net::ErrorMessage>(too_large[0]).text == "STEP 1 with 3 samples, expected 2");
}

}  // namespace server_cache_test
