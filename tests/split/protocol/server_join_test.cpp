// Who may join a run, and how a device or a server comes back to it.

#include "split/protocol/server_fixture.hpp"

namespace server_join_test {

using namespace server_fixture;

namespace {

/// Comes back as connection 3 with `position`; what the server says after LABEL_HIST.
std::vector<ServerAction> come_back(ServerMachine& m, const net::Position& position,
                                    std::uint64_t turn_steps, std::uint32_t index = 0) {
  m.on_open(3);
  net::Hello fields = hello(index);
  fields.position = position;
  give(m, 3, fields);
  give(m, 3, net::Join{77});
  auto actions = give(m, 3, net::LabelHist{{2, 2}});
  if (position.key.run == 0) return actions;
  CHECK(actions.empty());
  return give(m, 3, net::Resume{position, turn_steps});
}

bool proceeds(const ServerAction& action) {
  CHECK(as<Send>(action).connection == 3);
  return sent<net::ResumeOk>(action).proceed;
}

}  // namespace

TEST_CASE("server: a device that comes back with its turn goes on") {
  // Its STEP was applied, but GRAD is lost: it is repeated, and answered from memory.
  ServerMachine m(plan());
  reach(m, State::training);
  const float gradient[6] = {9, 8, 7, 6, 5, 4};
  m.on_trained(TrainedStep{0.5, 1, bytes_of(gradient, 6), {{2, 3}}});
  const auto answer = drain(m);
  m.on_lost(1);
  CHECK(drain(m).empty());
  CHECK(is_in(m, State::stepping));
  REQUIRE(m.missing_holder().has_value());
  auto actions = come_back(m, {first, 1, 0}, 2);
  REQUIRE(actions.size() == 1);
  CHECK(proceeds(actions[0]));
  CHECK_FALSE(m.missing_holder().has_value());
  actions = give(m, 3, step_message(first, 1));
  REQUIRE(actions.size() == 1);
  CHECK(as<Send>(actions[0]).message.payload == as<Send>(answer[0]).message.payload);
  CHECK(is<Train>(give(m, 3, step_message(first, 2))[0]));
}

TEST_CASE(
    "server: who asks for any place gets the one that it had before the server started again") {
  ServerPlan restarted = plan();
  restarted.order.devices = 3;
  restarted.places = {"pi-a", "", "pi-c"};
  const std::vector<DeviceRecord> nobody(3);
  const auto place_of = [&](const char* name, const std::vector<DeviceRecord>& here) {
    net::Hello hello;
    hello.device = name;
    hello.dataset = restarted.offer.description.dataset;
    hello.samples = 8;
    const HelloVerdict verdict =
        check_hello(restarted, hello, here, false, Quarantine(restarted.order.devices, 1));
    if (const auto* place = std::get_if<std::uint32_t>(&verdict)) return static_cast<int>(*place);
    CHECK(std::get<PeerFault>(verdict).retry_after_ms == queue_interval_ms);
    return -1;
  };
  CHECK(place_of("pi-c", nobody) == 2);
  CHECK(place_of("pi-a", nobody) == 0);
  CHECK(place_of("pi-new", nobody) == 1);  // that nobody had
  std::vector<DeviceRecord> two = nobody;
  two[1].name = two[2].name = "here";
  two[1].connection = two[2].connection = 1;
  CHECK(place_of("pi-new", two) == -1);  // it waits: the place is kept for who had it
  CHECK(place_of("pi-a", two) == 0);
  restarted.places.clear();
  restarted.expected.fingerprints = {sha256(bytes_of(std::string_view("of another"))), {}, {}};
  CHECK(place_of("pi-new", nobody) == 1);  // the first that was not prepared with other samples
}

TEST_CASE("server: what was lost with a connection is said again") {
  ServerMachine accepting(plan());
  reach(accepting, State::waiting_accept);
  accepting.on_lost(1);
  auto actions = come_back(accepting, {first, 1, 0}, 2);
  REQUIRE(actions.size() == 1);
  CHECK(proceeds(actions[0]));
  CHECK(is_in(accepting, State::stepping));

  ServerMachine barrier(plan());
  reach(barrier, State::waiting_ack);
  barrier.on_lost(1);
  actions = come_back(barrier, {first, 1, 1}, 2);
  REQUIRE(actions.size() == 2);
  CHECK(proceeds(actions[0]));
  CHECK(sent<net::Barrier>(actions[1]).step == 2);

  ServerMachine done(plan());
  reach(done, State::waiting_done);
  done.on_lost(1);
  actions = come_back(done, {first, 1, 2}, 2);
  REQUIRE(actions.size() == 2);
  CHECK(proceeds(actions[0]));
  CHECK(sent<net::BarrierCommitted>(actions[1]).id == 1);
}

TEST_CASE("server: without its state the run goes back to the last barrier") {
  ServerPlan keeping = plan();
  keeping.keeps_barriers = true;
  ServerMachine m(keeping);
  reach(m, State::waiting_ack);
  CHECK(steps_applied(m) == 2);
  m.on_lost(1);
  auto actions = come_back(m, {}, 0);
  REQUIRE(actions.size() == 1);
  CHECK(is<RollBack>(actions[0]));
  m.on_rolled_back({});
  CHECK(steps_applied(m) == 0);
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(as<Grant>(actions[0]).connection == 3);
  CHECK(as<Grant>(actions[0]).incarnation == 1);
  CHECK(as<Grant>(actions[0]).grant.key.fence == 2);
  // A late step of the old grant changes nothing.
  check_answered(give(m, 3, step_message(first, 1)), WireError::stale);

  // Nothing was applied since the barrier: nothing has to be loaded.
  ServerMachine fresh(keeping);
  reach(fresh, State::stepping);
  fresh.on_lost(1);
  CHECK(is<Grant>(come_back(fresh, {}, 0)[0]));

  // The turn's last barrier is committed: its books are closed without the device.
  ServerMachine done(keeping);
  reach(done, State::waiting_done);
  done.on_lost(1);
  actions = come_back(done, {}, 0);
  REQUIRE(actions.size() == 2);
  CHECK(is<Report>(actions[0]));
  CHECK(as<Grant>(actions[1]).connection == 2);

  // No folder, no barrier.
  ServerMachine nowhere(plan());
  reach(nowhere, State::waiting_ack);
  nowhere.on_lost(1);
  actions = come_back(nowhere, {}, 0);
  CHECK(as<Fail>(actions.back()).problem.message.find("--out") != std::string::npos);
}

TEST_CASE("server: a turn of an old fence is not taken up") {
  ServerMachine m(plan());
  reach(m, State::stepping);
  m.on_lost(1);
  auto actions = come_back(m, {{77, 0, 9}, 1, 0}, 2);
  REQUIRE(actions.size() == 2);
  CHECK_FALSE(proceeds(actions[0]));
  CHECK(is<Grant>(actions[1]));
  // Another run's position is none.
  ServerMachine other(plan());
  reach(other, State::stepping);
  other.on_lost(1);
  other.on_open(3);
  net::Hello fields = hello(0);
  fields.position.key = {78, 0, 1};
  give(other, 3, fields);
  give(other, 3, net::Join{77});
  CHECK(is<Grant>(give(other, 3, net::LabelHist{{2, 2}})[0]));
}

TEST_CASE("server: the same program takes over its place, another one waits for it") {
  ServerMachine m(plan());
  reach(m, State::stepping);
  m.on_open(3);
  auto actions = give(m, 3, hello(0, 6));
  const auto busy = sent<net::ErrorMessage>(actions[0]);
  CHECK(busy.code == WireError::full);
  CHECK_FALSE(busy.fatal);
  CHECK(busy.retry_after_ms > 0);
  m.on_open(4);
  actions = give(m, 4, hello(0, 5));
  REQUIRE(actions.size() == 2);
  CHECK(as<Close>(actions[0]).connection == 1);
  CHECK(as<Send>(actions[1]).message.type == MessageType::hello_ok);
}

TEST_CASE("server: a pause puts the turn into a barrier and asks the devices to come back") {
  ServerMachine m(plan());
  reach(m, State::training);
  m.request_pause();
  CHECK(drain(m).empty());
  m.on_trained(TrainedStep{});
  auto actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(sent<net::Barrier>(actions[0]).step == 1);
  CHECK(is<Store>(give(m, 1, ack_message(first, 1, 1))[0]));
  m.on_stored({});
  actions = drain(m);
  REQUIRE(actions.size() == 6);
  CHECK(as<Send>(actions[0]).message.type == MessageType::barrier_committed);
  CHECK(sent<net::Bye>(actions[1]).will_return);
  CHECK(is<Pause>(actions[5]));
  CHECK(m.committed().step == 1);

  ServerMachine waiting(plan());
  reach(waiting, std::nullopt);
  waiting.request_pause();
  CHECK(is<Pause>(drain(waiting).back()));
}

TEST_CASE("server: LEAVE puts the turn into a barrier, the rest of it waits for the device") {
  ServerMachine m(plan());
  reach(m, State::training);
  CHECK(give(m, 1, net::Leave{"stopped"}).empty());
  m.on_trained(TrainedStep{});
  CHECK(sent<net::Barrier>(drain(m)[0]).step == 1);
  give(m, 1, ack_message(first, 1, 1));
  m.on_stored({});
  drain(m);
  CHECK(is<Close>(give(m, 1, net::Bye{"stopped"})[0]));
  CHECK(m.missing_holder().has_value());
  const auto actions = come_back(m, {}, 0);
  REQUIRE(actions.size() == 1);
  CHECK(as<Grant>(actions[0]).grant.done_steps == 1);
  CHECK(as<Grant>(actions[0]).grant.key.turn == 0);
}

TEST_CASE("server: the turn of a device that stays away is skipped") {
  ServerPlan four = plan();
  four.turns = 4;
  ServerMachine m(four);
  reach(m, State::stepping);
  m.skip_turn();  // it is here
  CHECK(drain(m).empty());
  m.on_lost(1);
  m.skip_turn();
  const auto actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(as<Report>(actions[0]).report.skipped);
  CHECK(as<Grant>(actions[1]).connection == 2);
  CHECK(as<Grant>(actions[1]).grant.key.turn == 1);
  m.on_lost(2);
  m.skip_turn();
  drain(m);
  m.skip_turn();  // turn 2, which nobody could be granted
  const auto again = drain(m);
  REQUIRE(!again.empty());
  CHECK(as<Report>(again[0]).report.turn == 2);
  CHECK(as<Report>(again[0]).report.device_name == "pi");
}

TEST_CASE("server: a regular barrier waits for the clock and for the steps") {
  ServerPlan often = plan();
  often.barrier_steps = 2;
  ServerMachine m(often);
  join(m, 1, 0);
  join(m, 2, 1);
  give(m, 1, net::TurnAccept{first, 4});
  m.on_barrier_due();
  give(m, 1, step_message(first, 1));
  m.on_trained(TrainedStep{});
  CHECK(drain(m).size() == 1);
  give(m, 1, step_message(first, 2));
  m.on_trained(TrainedStep{});
  CHECK(drain(m).size() == 2);
  CHECK(is_in(m, State::waiting_ack));
  give(m, 1, ack_message(first, 1, 2));
  m.on_stored({});
  CHECK(is_in(m, State::stepping));
  CHECK(m.committed().step == 2);
}

TEST_CASE("server: a restarted one closes the books of a complete turn by itself") {
  ServerPlan again = plan();
  again.start.id = 1;
  again.start.step = 2;
  again.start.report.steps = 2;
  again.start.report.epochs.resize(1);
  again.start.report.costs.resize(1);
  again.last_fence = 1;
  ServerMachine m(again);
  auto actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(is<Report>(actions[0]));
  CHECK(m.phase() == Phase::gathering);
  join(m, 1, 0);
  drain(m);
  join(m, 2, 1);
  actions = drain(m);
  CHECK(as<Grant>(actions.back()).connection == 2);
  CHECK(as<Grant>(actions.back()).grant.key.fence == 2);
  CHECK(as<Grant>(actions.back()).grant.first_step == 2);
}

TEST_CASE("server: who may join") {
  const auto rejected = [](ServerMachine& m, const net::Hello& with) {
    m.on_open(1);
    const auto actions = give(m, 1, with);
    const auto error = sent<net::ErrorMessage>(actions.at(0));
    CHECK(is<Close>(actions.at(1)));
    CHECK(actions.size() == (error.retry_after_ms == 0 ? 3 : 2));  // the user is told
    return error.code;
  };
  ServerMachine m(plan());
  join(m, 9, 0);
  drain(m);
  CHECK(rejected(m, hello(0, 6)) == WireError::full);
  CHECK(rejected(m, hello(2)) == WireError::full);
  net::Hello other = hello();
  other.dataset = "mnist";
  CHECK(rejected(m, other) == WireError::data_mismatch);
  other = hello();
  other.samples = 1;
  CHECK(rejected(m, other) == WireError::data_mismatch);
  other = hello();
  other.version_min = other.version_max = 1;
  m.on_open(1);
  const auto old = give(m, 1, other);
  CHECK(sent<net::ErrorMessage>(old[0]).code == WireError::version);
  CHECK(sent<net::ErrorMessage>(old[0]).text == "device 'pi' speaks ISL version 1, this server 2");
  // A program from before the codings takes part where none is used, and only there.
  ServerPlan in_few_bits = plan();
  in_few_bits.format.smashed = WireCoding::int8;
  ServerMachine coded(in_few_bits);
  coded.on_open(1);
  other = hello();
  other.capabilities = 0;
  const auto without = give(coded, 1, other);
  CHECK(sent<net::ErrorMessage>(without[0]).code == WireError::version);
  CHECK(
      sent<net::ErrorMessage>(without[0]).text ==
      "the run sends batches in int8, gradients in fp32, which the program of device 'pi' cannot");
  ServerMachine plain(plan());
  plain.on_open(1);
  CHECK(sent<net::HelloOk>(give(plain, 1, other)[0]).run == 77);
  // A place is free again when its device has gone before the run began.
  m.on_lost(9);
  CHECK(m.ready_devices() == 0);
  join(m, 3, 0);
  CHECK(m.ready_devices() == 1);

  ServerMachine begun(plan());
  reach(begun, State::stepping);
  begun.on_open(5);
  net::Hello stranger = hello();
  stranger.device = "stranger";
  const auto late = give(begun, 5, stranger);
  CHECK(sent<net::ErrorMessage>(late[0]).code == WireError::full);
  // It may wait until a place is left for good.
  CHECK_FALSE(sent<net::ErrorMessage>(late[0]).fatal);
  CHECK(sent<net::ErrorMessage>(late[0]).retry_after_ms == 20000);
  CHECK(is_in(begun, State::stepping));

  ServerPlan strict = plan();
  strict.expected.fingerprints = {Sha256Digest{1}, Sha256Digest{2}};
  ServerMachine checked(strict);
  CHECK(rejected(checked, hello(0)) == WireError::data_mismatch);
  checked.on_open(2);
  net::Hello right = hello(0);
  right.data_fingerprint = Sha256Digest{1};
  CHECK(as<Send>(give(checked, 2, right)[0]).message.type == MessageType::hello_ok);
}

TEST_CASE("server: the name in HELLO is the one that goes with the key") {
  ServerMachine m(plan());
  m.on_open(1, "pi-01");
  auto actions = give(m, 1, hello());  // says that it is "pi"
  REQUIRE(actions.size() == 3);
  const net::ErrorMessage error = sent<net::ErrorMessage>(actions[0]);
  CHECK(error.code == WireError::identity);
  CHECK(error.text == "the key is that of device 'pi-01', the name in HELLO is 'pi'");
  CHECK(is<Close>(actions[1]));
  m.on_open(2, "pi");
  actions = give(m, 2, hello());
  REQUIRE(actions.size() == 1);
  CHECK(sent<net::HelloOk>(actions[0]).index == 0);
}

TEST_CASE("server: samples per class are those of the run's manifest, where it has one") {
  ServerPlan strict = plan();
  strict.expected.label_counts = {{4, 4}, {8, 0}};
  const auto answer = [&](const std::vector<std::uint64_t>& counts) {
    ServerMachine m(strict);
    m.on_open(1);
    net::Hello fields = hello(0);
    fields.samples = counts[0] + counts[1];
    give(m, 1, fields);
    give(m, 1, net::Join{77});
    const auto actions = give(m, 1, net::LabelHist{counts});
    return actions.empty() ? std::string() : sent<net::ErrorMessage>(actions[0]).text;
  };
  CHECK(answer({4, 4}) == "");
  CHECK(answer({4, 3}) ==
        "the device in place 0 holds 3 samples of class 1, the run's manifest gives it 4");
}

TEST_CASE("server: samples per class are bounded, and their sum cannot wrap") {
  const auto answer = [](const std::vector<std::uint64_t>& counts, std::uint64_t samples) {
    ServerMachine m(plan());
    m.on_open(1);
    net::Hello fields = hello(0);
    fields.samples = samples;
    give(m, 1, fields);
    give(m, 1, net::Join{77});
    const auto actions = give(m, 1, net::LabelHist{counts});
    if (actions.empty()) return std::string();
    check_refused(actions, WireError::data_mismatch);
    return sent<net::ErrorMessage>(actions[0]).text;
  };
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  CHECK(answer({half + 8, half + 8}, 16) ==
        "LABEL_HIST has 9223372036854775816 samples of class 0, expected 0 to 1000000000");
  CHECK(answer({1, 1000000001}, 1000000002) ==
        "LABEL_HIST has 1000000001 samples of class 1, expected 0 to 1000000000");
  CHECK(answer({1000000000, 1000000000}, 2000000000) == "");
  CHECK(answer({3, 2}, 4) == "LABEL_HIST has 2 classes and 5 samples, expected 2 and 4");
}

}  // namespace server_join_test
