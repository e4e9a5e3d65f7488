// A device's part in the rounds of federated averaging.

#include "split/protocol/device/device_fixture.hpp"

namespace device_round_test {

using namespace device_fixture;
using Round = DeviceRound::State;

namespace {

net::GlobalModel global(std::uint32_t turn = 0, std::uint32_t fence = 1) {
  net::GlobalModel out;
  out.key = {77, turn, fence};
  out.first_step = 10;
  return out;
}

net::LocalModel trained(std::uint64_t steps = 2) {
  net::LocalModel out;
  out.key = key;
  out.samples = 11;
  out.steps = steps;
  return out;
}

/// Taken in by the server of a run with method fedavg.
void join(DeviceMachine& m) {
  m.on_connected();
  m.on_message(net::make_message(offer(Method::federated_averaging)));
  m.on_message(net::make_message(net::JoinOk{77}));
  m.on_message(net::make_message(net::FrontInit{}));
  m.on_built(Sha256Digest{});
  drain(m);
}

/// In the given state, two batches in the turn.
DeviceMachine reach_round(Round wanted) {
  DeviceMachine m(identity());
  join(m);
  for (const Round at : {Round::idle, Round::loading, Round::training, Round::exporting}) {
    if (at == wanted) break;
    if (at == Round::idle) m.on_message(net::make_message(global()));
    if (at == Round::loading) m.on_model_loaded(std::uint64_t{2});
    if (at == Round::training) {
      m.on_batch_trained({});
      m.on_batch_trained({});
    }
    if (at == Round::exporting) m.on_model_exported(trained());
  }
  drain(m);
  REQUIRE(m.round_state() == wanted);
  return m;
}

/// Connects again; what the device does after RESUME_OK.
std::vector<DeviceAction> come_back(DeviceMachine& m, bool proceed, std::uint64_t step) {
  m.on_connected();
  const net::Hello hello = sent<net::Hello>(drain(m));
  CHECK(hello.position.key == key);
  CHECK(hello.position.step == step);
  m.on_message(net::make_message(offer(Method::federated_averaging)));
  m.on_message(net::make_message(net::JoinOk{77}));
  drain(m);
  const auto actions = give(m, net::FrontInit{});
  REQUIRE(actions.size() == 2);
  CHECK(message_of(actions[1]).type == MessageType::resume);
  return give(m, net::ResumeOk{proceed});
}

}  // namespace

TEST_CASE("device, method fedavg: a turn from GLOBAL_MODEL to TURN_COMMITTED") {
  DeviceMachine m = reach_round(Round::idle);
  CHECK_FALSE(m.has_turn());
  auto actions = give(m, global());
  REQUIRE(actions.size() == 1);
  CHECK(as<LoadModel>(actions[0]).global.first_step == 10);
  CHECK(m.has_turn());
  m.on_model_loaded(std::uint64_t{2});
  for (std::uint64_t step = 10; step < 12; ++step) {
    CHECK(m.last_step() == step);
    actions = drain(m);
    REQUIRE(actions.size() == 1);
    CHECK(is<TrainBatch>(actions[0]));
    m.on_batch_trained({});
  }
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(is<ExportModel>(actions[0]));
  m.on_model_exported(trained());
  CHECK(sent<net::LocalModel>(drain(m)).steps == 2);
  CHECK(give(m, net::TurnCommitted{key, 12}).empty());
  CHECK_FALSE(m.has_turn());
  CHECK(is<LoadModel>(give(m, global(2, 2))[0]));

  // A server that has lost a barrier has the turn in hand again.
  DeviceMachine again = reach_round(Round::waiting_committed);
  give(again, net::TurnCommitted{key, 12});
  CHECK(is<LoadModel>(give(again, global())[0]));
}

TEST_CASE("device, method fedavg: it trains on without a connection, and sends its net later") {
  DeviceMachine m = reach_round(Round::training);
  m.on_lost();
  m.on_batch_trained({});
  CHECK(is<TrainBatch>(drain(m).at(0)));
  m.on_batch_trained({});
  m.on_model_exported(trained());
  for (const DeviceAction& action : drain(m)) CHECK(is<ExportModel>(action));  // nothing is sent
  const auto actions = come_back(m, true, 12);
  REQUIRE(actions.size() == 1);
  CHECK(is<ExportModel>(actions[0]));
  m.on_model_exported(trained());
  const net::Message first_time = message_of(drain(m).at(0));

  // Sent, but nobody said that it is committed: the same once more.
  m.on_lost();
  CHECK(is<ExportModel>(come_back(m, true, 12).at(0)));
  m.on_model_exported(trained());
  CHECK(message_of(drain(m).at(0)).payload == first_time.payload);
}

TEST_CASE(
    "device, method fedavg: a turn that is committed, or that the server is past, is dropped") {
  for (const Round state :
       {Round::loading, Round::training, Round::exporting, Round::waiting_committed}) {
    DeviceMachine m = reach_round(state);
    m.on_lost();
    const std::uint64_t step = state == Round::loading || state == Round::training ? 10 : 12;
    CHECK(come_back(m, false, step).empty());
    CHECK_FALSE(m.has_turn());
    m.on_model_loaded(std::uint64_t{2});  // what was under way is of no use
    m.on_batch_trained({});
    m.on_model_exported(trained());
    CHECK(drain(m).empty());
    CHECK(is<LoadModel>(give(m, global(2, 2))[0]));
  }
}

TEST_CASE("device, method fedavg: it leaves behind the batch in hand") {
  DeviceMachine m = reach_round(Round::training);
  m.request_pause();
  CHECK(drain(m).empty());
  m.on_batch_trained({});
  auto actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(sent<net::Bye>(actions).reason == "stopped");
  CHECK(is<Finish>(actions[1]));

  // A net that is trained is sent before.
  DeviceMachine last = reach_round(Round::exporting);
  last.request_pause();
  last.on_model_exported(trained());
  actions = drain(last);
  REQUIRE(actions.size() == 3);
  CHECK(message_of(actions[0]).type == MessageType::local_model);
  CHECK(message_of(actions[1]).type == MessageType::bye);

  DeviceMachine sent_already = reach_round(Round::waiting_committed);
  sent_already.request_pause();
  CHECK(is<Finish>(drain(sent_already).back()));
}

TEST_CASE("device, method fedavg: what does not belong there ends the run") {
  DeviceMachine old = reach_round(Round::waiting_committed);
  CHECK(give(old, net::TurnCommitted{key, 12}).empty());
  check_refused(give(old, global(2, 0)), net::WireError::stale);
  DeviceMachine twice = reach_round(Round::training);
  check_refused(give(twice, global(2, 2)), net::WireError::not_allowed);
  DeviceMachine of_split = reach_round(Round::idle);
  check_refused(give(of_split, grant()), net::WireError::not_allowed);
  DeviceMachine split_run = reach(State::idle);
  check_refused(give(split_run, global()), net::WireError::not_allowed);
  DeviceMachine other = reach_round(Round::waiting_committed);
  check_refused(give(other, net::TurnCommitted{key, 11}), net::WireError::protocol);
  DeviceMachine early = reach_round(Round::training);
  check_refused(give(early, net::TurnCommitted{key, 12}), net::WireError::not_allowed);

  DeviceMachine bad_net = reach_round(Round::loading);
  bad_net.on_model_loaded(failure(ErrorCode::network, "NaN"));
  check_refused(drain(bad_net), net::WireError::not_finite);
  DeviceMachine bad_step = reach_round(Round::training);
  bad_step.on_batch_trained(failure(ErrorCode::other, "the loss is NaN or Inf"));
  check_refused(drain(bad_step), net::WireError::not_finite);
}

}  // namespace device_round_test
