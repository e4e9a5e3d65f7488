// Federated averaging in the server's machine: nets are taken in the order of turns, each once.

#include "split/protocol/server_fixture.hpp"

namespace server_rounds_test {

using namespace server_fixture;
using server_action::AverageModel;
using server_action::KeepModel;
using server_action::SendModel;

namespace {

/// Two rounds of two devices; each has 4 samples in two batches.
ServerPlan rounds_plan() {
  ServerPlan out = plan();
  out.offer.description.method = Method::federated_averaging;
  out.offer.description.training.batch = 2;
  out.turns = 4;
  return out;
}

net::TurnKey key_of(std::uint32_t turn, std::uint32_t fence = 1) { return {77, turn, fence}; }

net::LocalModel answer(const net::TurnKey& key) {
  net::LocalModel out;
  out.key = key;
  out.samples = 4;
  out.steps = 2;
  out.results.resize(1);
  out.results[0] = {2.5, 4, 3};
  out.costs.resize(1);
  out.costs[0].compute_us = 7;
  return out;
}
net::Message message_of(const net::LocalModel& fields) {
  net::Message out = net::make_message(fields);
  out.digest = sha256(out.payload);
  return out;
}

/// Comes back as `connection` with a turn in hand; what the server says after RESUME.
std::vector<ServerAction> come_back(ServerMachine& m, ConnectionId connection, std::uint32_t index,
                                    const net::TurnKey& key) {
  m.on_open(connection);
  net::Hello fields = hello(index);
  fields.position.key = key;
  give(m, connection, fields);
  give(m, connection, net::Join{77});
  CHECK(give(m, connection, net::LabelHist{{2, 2}}).empty());
  return give(m, connection, net::Resume{fields.position, 2});
}

/// The device's net arrives and is found to be good; what the server does then.
std::vector<ServerAction> hand_in(ServerMachine& m, ConnectionId from, const net::TurnKey& key) {
  const auto keeps = give(m, from, message_of(answer(key)));
  REQUIRE(keeps.size() == 1);
  CHECK(as<KeepModel>(keeps[0]).connection == from);
  m.on_model_kept(from, {});
  return drain(m);
}
/// The turn in hand is on the disk; what follows.
std::vector<ServerAction> store(ServerMachine& m, const std::vector<ServerAction>& actions,
                                std::uint32_t turn) {
  REQUIRE(actions.size() == 1);
  const BarrierRecord& barrier = as<AverageModel>(actions[0]).barrier;
  CHECK(barrier.id == turn + 1);
  CHECK(barrier.report.turn == turn);
  CHECK(barrier.turn_complete());
  CHECK(as<AverageModel>(actions[0]).ends_round == (turn % 2 == 1));
  CHECK(m.committed().id == turn);  // not yet
  m.on_stored({});
  CHECK(m.committed().id == turn + 1);
  return drain(m);
}

/// Both devices are here and train: connections 1 and 2.
void reach_round(ServerMachine& m) {
  join(m, 1, 0);
  CHECK(drain(m).size() == 3);  // HELLO_OK, JOIN_OK, FRONT_INIT
  join(m, 2, 1);
  const auto actions = drain(m);
  REQUIRE(actions.size() == 5);
  for (const std::uint32_t d : {0u, 1u}) {
    const SendModel& model = as<SendModel>(actions[3 + d]);
    CHECK(model.connection == d + 1);
    CHECK(model.global.key == key_of(d));
    CHECK(model.global.first_step == 2 * d);
  }
}

std::string refusal_of(const std::vector<ServerAction>& actions, WireError code) {
  REQUIRE(actions.size() >= 2);
  const auto error = sent<net::ErrorMessage>(actions[0]);
  CHECK(error.code == code);
  CHECK(error.fatal);
  CHECK(is<Close>(actions[1]));
  if (actions.size() == 2) return error.text;
  // In a run that has begun it is put aside for it; else the user is told.
  if (const auto* aside = std::get_if<PutAside>(&actions[2])) {
    CHECK(aside->device.reason == error.text);
  } else {
    CHECK(as<SentAway>(actions[2]).reason == error.text);
  }
  return error.text;
}

}  // namespace

TEST_CASE("server, method fedavg: devices train at the same time, their turns are in order") {
  ServerMachine m(rounds_plan());
  reach_round(m);
  // The second is first: its net waits.
  CHECK(hand_in(m, 2, key_of(1)).empty());
  CHECK_FALSE(m.missing_holder());
  auto actions = store(m, hand_in(m, 1, key_of(0)), 0);
  REQUIRE(actions.size() == 3);
  CHECK(as<Send>(actions[0]).connection == 1);
  CHECK(sent<net::TurnCommitted>(actions[0]).last_step == 2);
  const TurnReport& report = as<Report>(actions[1]).report;
  CHECK(report.epochs[0].loss_sum == 2.5);
  CHECK(report.epochs[0].correct == 3);
  CHECK(report.costs[0].compute_us == 7);
  CHECK(report.device_name == "pi");
  actions = store(m, {actions[2]}, 1);
  // The next round's net is ahead of the books.
  REQUIRE(actions.size() == 4);
  CHECK(sent<net::TurnCommitted>(actions[0]).key == key_of(1));
  CHECK(as<SendModel>(actions[1]).global.key == key_of(2, 2));
  CHECK(as<SendModel>(actions[2]).global.first_step == 6);
  CHECK(as<SendModel>(actions[2]).global.round == 1);
  CHECK(as<Report>(actions[3]).report.turn == 1);
  store(m, hand_in(m, 1, key_of(2, 2)), 2);
  actions = store(m, hand_in(m, 2, key_of(3, 2)), 3);
  REQUIRE(actions.size() == 7);  // TURN_COMMITTED, the books, BYE and Close twice
  CHECK_FALSE(as<Send>(actions[0]).is_last);
  CHECK(as<Report>(actions[1]).report.turn == 3);
  CHECK(as<Send>(actions[2]).is_last);
  CHECK(as<Send>(actions[4]).is_last);
  CHECK(is<Finish>(actions.back()));
}

TEST_CASE("server, method fedavg: a net that is said again is answered from what is committed") {
  ServerMachine m(rounds_plan());
  reach_round(m);
  hand_in(m, 2, key_of(1));
  CHECK(give(m, 2, message_of(answer(key_of(1)))).empty());  // kept: the answer follows
  store(m, hand_in(m, 1, key_of(0)), 0);
  auto actions = give(m, 1, message_of(answer(key_of(0))));
  REQUIRE(actions.size() == 1);
  CHECK(sent<net::TurnCommitted>(actions[0]).last_step == 2);
  net::LocalModel other = answer(key_of(0));
  other.results[0].correct = 2;
  CHECK(refusal_of(give(m, 1, message_of(other)), WireError::nondeterminism) ==
        "device 'pi' repeated LOCAL_MODEL of turn 0 with other content");
}

TEST_CASE("server, method fedavg: nets of another turn, of other sizes or unasked are refused") {
  const auto refused = [](auto change, WireError code) {
    ServerMachine m(rounds_plan());
    reach_round(m);
    net::LocalModel model = answer(key_of(0));
    change(model);
    const std::string text = refusal_of(give(m, 1, message_of(model)), code);
    CHECK(m.quarantine().has(0));
    CHECK_FALSE(m.missing_holder());  // nobody waits for it
    return text;
  };
  CHECK(refused([](net::LocalModel& model) { model.key.turn = 1; }, WireError::protocol) ==
        "LOCAL_MODEL of turn 1: 4 samples, 2 steps, 1 epochs; expected turn 0: 4 samples, 2 steps, "
        "1 epochs");
  refused([](net::LocalModel& model) { model.key.fence = 2; }, WireError::protocol);
  refused([](net::LocalModel& model) { model.key.run = 78; }, WireError::protocol);
  refused([](net::LocalModel& model) { model.samples = 1000; }, WireError::protocol);
  refused([](net::LocalModel& model) { model.steps = 3; }, WireError::protocol);
  refused([](net::LocalModel& model) { model.costs.clear(); }, WireError::protocol);
  CHECK(
      refused([](net::LocalModel& model) { model.results[0].correct = 5; }, WireError::protocol) ==
      "LOCAL_MODEL of turn 0: 5 of 4 samples correct; expected of 4");

  // What the driver finds in the net itself.
  ServerMachine bad(rounds_plan());
  reach_round(bad);
  give(bad, 1, message_of(answer(key_of(0))));
  bad.on_model_kept(1, failure(ErrorCode::network, "'w' has NaN or Inf"));
  CHECK(refusal_of(drain(bad), WireError::model_mismatch) ==
        "LOCAL_MODEL of device 'pi': 'w' has NaN or Inf");

  // Of an older round.
  ServerMachine late(rounds_plan());
  reach_round(late);
  store(late, hand_in(late, 1, key_of(0)), 0);
  store(late, hand_in(late, 2, key_of(1)), 1);
  store(late, hand_in(late, 1, key_of(2, 2)), 2);
  check_answered(give(late, 1, message_of(answer(key_of(0)))), WireError::stale);
  // Of nobody who has joined; and in a run of another method.
  late.on_open(9);
  CHECK(refusal_of(give(late, 9, message_of(answer(key_of(3, 2)))), WireError::not_allowed) ==
        "device '' sent LOCAL_MODEL where the protocol does not allow it");
  ServerMachine split(plan());
  reach(split, State::stepping);
  check_refused(give(split, 1, message_of(answer(first))), WireError::not_allowed);
  ServerMachine rounds(rounds_plan());
  reach_round(rounds);
  check_refused(give(rounds, 1, step_message(first, 1)), WireError::not_allowed);
}

TEST_CASE("server, method fedavg: a device that comes back goes on, or begins its turn again") {
  ServerMachine m(rounds_plan());
  reach_round(m);
  m.on_lost(1);
  CHECK(m.missing_holder() == std::optional<std::uint32_t>{0});
  auto actions = come_back(m, 3, 0, key_of(0));
  REQUIRE(actions.size() == 1);
  CHECK(sent<net::ResumeOk>(actions[0]).proceed);
  m.on_lost(3);
  join(m, 4, 0);  // it has lost its turn
  actions = drain(m);
  REQUIRE(actions.size() == 4);
  CHECK(as<SendModel>(actions[3]).global.key == key_of(0));
  // What it sent before it was lost is kept: nothing is left to do.
  hand_in(m, 2, key_of(1));
  m.on_lost(2);
  actions = come_back(m, 5, 1, key_of(1));
  REQUIRE(actions.size() == 1);
  CHECK_FALSE(sent<net::ResumeOk>(actions[0]).proceed);
  m.on_lost(5);
  join(m, 6, 1);
  CHECK(drain(m).size() == 3);
  actions = store(m, hand_in(m, 4, key_of(0)), 0);
  REQUIRE(actions.size() == 3);
  CHECK(as<Send>(actions[0]).connection == 4);
  // Committed in the meantime: the same.
  m.on_lost(4);
  const auto back = come_back(m, 7, 0, key_of(0));
  REQUIRE(back.size() == 1);
  CHECK_FALSE(sent<net::ResumeOk>(back[0]).proceed);
  // The second has no turn in hand that could be committed; it gets the next round's.
  actions = store(m, {actions[2]}, 1);
  REQUIRE(actions.size() == 3);
  CHECK(as<SendModel>(actions[0]).connection == 7);
  CHECK(as<SendModel>(actions[1]).connection == 6);
  CHECK(is<Report>(actions[2]));
}

TEST_CASE("server, method fedavg: it takes nets that were trained for the one before it") {
  ServerPlan again = rounds_plan();
  again.offer.incarnation = 2;
  again.start = {.id = 1, .step = 2, .report = begin_report(again.order, 0, 1, 0)};
  again.start.report.steps = 2;
  again.last_fence = 4;
  again.last_round = 0;
  ServerMachine m(again);
  CHECK(as<Report>(drain(m).at(0)).report.turn == 0);
  CHECK(come_back(m, 2, 1, key_of(1, 4)).empty());  // answered when all are here
  join(m, 1, 0);
  auto actions = drain(m);
  REQUIRE(actions.size() == 5);
  CHECK(as<Send>(actions[3]).connection == 2);
  CHECK(sent<net::ResumeOk>(actions[3]).proceed);
  CHECK(as<SendModel>(actions[4]).sent == server_action::SentBefore::counted);  // by barrier 1
  actions = store(m, hand_in(m, 2, key_of(1, 4)), 1);
  CHECK(as<SendModel>(actions.at(1)).global.key == key_of(2, 5));

  // Where the round has no barrier yet, no books know of its nets: they are entered, once.
  ServerPlan first = rounds_plan();
  first.offer.incarnation = 2;
  first.last_fence = 1;
  ServerMachine begun(first);
  CHECK(come_back(begun, 2, 1, key_of(1)).empty());
  const auto entered = [](const std::vector<ServerAction>& all, std::uint32_t device) {
    return std::count_if(all.begin(), all.end(), [&](const ServerAction& action) {
      const auto* model = std::get_if<SendModel>(&action);
      return model != nullptr && model->device == device &&
             model->sent == server_action::SentBefore::uncounted;
    });
  };
  actions = come_back(begun, 1, 0, key_of(0));
  CHECK(entered(actions, 0) == 1);
  CHECK(entered(actions, 1) == 1);
  begun.on_lost(1);
  drain(begun);
  actions = come_back(begun, 3, 0, key_of(0));
  REQUIRE(actions.size() == 1);
  CHECK(sent<net::ResumeOk>(actions[0]).proceed);

  // The last fence was of another round: of a barrier that is lost.
  again.last_round = 1;
  ServerMachine back(again);
  drain(back);
  come_back(back, 2, 1, key_of(3, 4));
  join(back, 1, 0);
  actions = drain(back);
  REQUIRE(actions.size() == 5);
  CHECK_FALSE(sent<net::ResumeOk>(actions[3]).proceed);
  CHECK(as<SendModel>(actions[4]).global.key == key_of(1, 5));
}

TEST_CASE("server, method fedavg: the mean of a round is without a device that stays away") {
  ServerMachine m(rounds_plan());
  reach_round(m);
  hand_in(m, 2, key_of(1));
  m.skip_turn();
  CHECK(drain(m).empty());  // it is here
  m.on_lost(1);
  m.skip_turn();
  auto actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(as<AverageModel>(actions[0]).barrier.report.skipped);
  actions = store(m, actions, 0);
  REQUIRE(actions.size() == 2);  // nobody to tell
  CHECK(as<Report>(actions[0]).report.skipped);
  // It comes too late for this round.
  CHECK_FALSE(sent<net::ResumeOk>(come_back(m, 3, 0, key_of(0)).at(0)).proceed);
  actions = store(m, {actions[1]}, 1);
  CHECK(as<SendModel>(actions.at(1)).connection == 3);
  CHECK(as<SendModel>(actions.at(1)).global.first_step == 4);
}

TEST_CASE("server, method fedavg: a pause waits for nobody, a disk that fails ends the run") {
  ServerMachine m(rounds_plan());
  reach_round(m);
  m.request_pause();
  const auto actions = drain(m);
  CHECK(sent<net::Bye>(actions.at(0)).will_return);
  CHECK(is<Pause>(actions.back()));

  ServerMachine full(rounds_plan());
  reach_round(full);
  hand_in(full, 1, key_of(0));
  full.on_stored(failure(ErrorCode::other, "the disk is full"));
  CHECK(as<Fail>(drain(full).back()).problem.message == "the disk is full");
}

TEST_CASE("server, method fedavg: behind books that cannot be written nothing is averaged") {
  ServerPlan kept = rounds_plan();
  kept.keeps_barriers = true;
  ServerMachine m(kept);
  reach_round(m);
  hand_in(m, 2, key_of(1));  // waits for the turn before it
  hand_in(m, 1, key_of(0));
  m.on_stored({});
  ServerAction action;
  while (m.pop(action) && !is<Report>(action)) {
  }
  m.abort(failure(ErrorCode::other, "the disk is full"));
  for (const ServerAction& each : drain(m)) {
    CHECK_FALSE(is<AverageModel>(each));
    CHECK_FALSE(is<Report>(each));
  }
  CHECK(m.committed().id == 1);
}

TEST_CASE("server, method fedavg: a program that cannot train a whole net is told so") {
  ServerMachine m(rounds_plan());
  m.on_open(1);
  net::Hello old = hello(0);
  old.capabilities = net::wire_codings_capability;
  CHECK(refusal_of(give(m, 1, old), WireError::version) ==
        "the run's devices train the whole net (--method fedavg), which the program of device "
        "'pi' cannot");
}

}  // namespace server_rounds_test
