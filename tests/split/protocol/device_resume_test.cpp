// How a device leaves a run, and how it comes back.

#include "split/protocol/device_fixture.hpp"

namespace device_resume_test {

using namespace device_fixture;

namespace {

/// Connects again, up to JOIN_OK; what the device says after it.
std::vector<DeviceAction> come_back(DeviceMachine& m, const net::HelloOk& ok = offer()) {
  m.on_connected();
  drain(m);
  m.on_message(net::make_message(ok));
  drain(m);
  return give(m, net::JoinOk{77});
}

std::vector<DeviceAction> proceed(DeviceMachine& m, bool proceed = true) {
  auto actions = come_back(m);
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].message.type == MessageType::label_hist);
  CHECK(actions[1].message.type == MessageType::resume);
  return give(m, net::ResumeOk{proceed});
}

}  // namespace

TEST_CASE("device: a lost connection keeps the turn, and says where it stands") {
  DeviceMachine m = reach(State::waiting_grad);
  m.on_lost();
  CHECK(drain(m).empty());
  CHECK(m.state() == State::connecting);
  m.on_message(net::make_message(grad(11)));  // of the old connection
  CHECK(drain(m).empty());
  m.on_connected();
  const net::Hello hello = sent<net::Hello>(drain(m));
  CHECK(hello.position.key == key);
  CHECK(hello.position.step == 10);
  // The model is still there: nothing is built.
  auto actions = give(m, offer());
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].kind == Kind::agree);
  CHECK(actions[1].message.type == MessageType::join);
  actions = give(m, net::JoinOk{77});
  REQUIRE(actions.size() == 2);
  const auto resume = net::decode<net::Resume>(actions[1].message.payload);
  REQUIRE(resume.ok());
  CHECK(resume->position.step == 10);
  CHECK(resume->turn_steps == 2);
  actions = give(m, net::ResumeOk{true});
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::repeat);
  smash(m);
  CHECK(sent<net::Step>(drain(m)).step == 11);
  CHECK(give(m, grad(11))[0].kind == Kind::backward);
}

TEST_CASE("device: work that was begun is finished without a connection, and told later") {
  DeviceMachine forward = reach(State::forward);
  forward.on_lost();
  smash(forward);
  CHECK(drain(forward).empty());
  CHECK(proceed(forward)[0].kind == Kind::repeat);

  DeviceMachine backward = reach(State::backward);
  backward.on_lost();
  backward.on_updated({}, {});
  const auto actions = drain(backward);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::forward);
  CHECK(backward.last_step() == 11);

  DeviceMachine loading = reach(State::loading);
  loading.on_lost();
  proceed(loading);
  loading.on_loaded(std::uint64_t{2});
  CHECK(sent<net::TurnAccept>(drain(loading)).steps == 2);
}

TEST_CASE("device: a barrier's messages may come twice") {
  DeviceMachine exporting = reach(State::waiting_committed);
  exporting.on_lost();
  CHECK(proceed(exporting).empty());
  auto actions = give(exporting, net::Barrier{key, 1, 12});
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::export_front);
  exporting.on_exported({});
  CHECK(sent<net::BarrierAck>(drain(exporting)).step == 12);

  DeviceMachine done = reach(State::waiting_barrier);
  done.on_message(net::make_message(net::Barrier{key, 1, 12}));
  done.on_exported({});
  const Sha256Digest hash = sha256(drain(done).back().message.payload);
  give(done, net::BarrierCommitted{key, 1, hash});
  done.on_lost();
  CHECK(proceed(done).empty());
  CHECK(sent<net::TurnDone>(give(done, net::BarrierCommitted{key, 1, hash})).hash == hash);
}

TEST_CASE("device: a turn that the server does not take up is dropped") {
  for (const State state : {State::forward, State::waiting_grad, State::backward,
                            State::waiting_barrier, State::waiting_committed}) {
    DeviceMachine m = reach(state);
    m.on_lost();
    CHECK(proceed(m, false).empty());
    CHECK(m.state() == State::idle);
    net::TurnGrant again = grant();
    again.key.fence = 2;
    again.done_steps = 1;
    auto actions = give(m, again);
    REQUIRE(actions.size() == 1);
    CHECK(actions[0].kind == Kind::load);
    m.on_loaded(std::uint64_t{2});
    actions = drain(m);
    CHECK(actions[1].step == 12);
    CHECK(actions[1].batch == 1);
  }
}

TEST_CASE("device: another run begins from nothing") {
  DeviceMachine m = reach(State::waiting_grad);
  m.on_lost();
  m.on_connected();
  drain(m);
  net::HelloOk other = offer();
  other.run = 78;
  const auto actions = give(m, other);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::build);
  m.on_built(Sha256Digest{});
  drain(m);
  CHECK(give(m, net::JoinOk{78}).size() == 1);
  CHECK(m.state() == State::idle);
}

TEST_CASE("device: a grant that goes beyond its turn is refused") {
  DeviceMachine m = reach(State::idle);
  net::TurnGrant late = grant();
  late.done_steps = 2;
  give(m, late);
  m.on_loaded(std::uint64_t{2});
  check_refused(drain(m), net::WireError::gap);
}

TEST_CASE("device: stopping puts the turn into a barrier, then says BYE") {
  DeviceMachine idle = reach(State::idle);
  idle.request_stop();
  auto actions = drain(idle);
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].message.type == MessageType::bye);
  CHECK(actions[1].kind == Kind::finish);

  DeviceMachine stepping = reach(State::waiting_grad);
  stepping.request_stop();
  sent<net::Leave>(drain(stepping));
  give(stepping, net::Barrier{key, 1, 11});
  give(stepping, grad(11));
  stepping.on_updated({}, {});
  CHECK(drain(stepping)[0].kind == Kind::export_front);
  stepping.on_exported({});
  const Sha256Digest hash = sha256(drain(stepping)[0].message.payload);
  actions = give(stepping, net::BarrierCommitted{key, 1, hash});
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].message.type == MessageType::bye);
  CHECK(actions[1].kind == Kind::finish);

  // All steps of the turn are done: the turn is completed first.
  DeviceMachine ending = reach(State::waiting_turn_committed);
  ending.request_stop();
  sent<net::Leave>(drain(ending));
  actions = give(ending, net::TurnCommitted{key, 12});
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].message.type == MessageType::bye);

  // Nobody is there to put it anywhere.
  DeviceMachine alone = reach(State::waiting_grad);
  alone.request_stop();
  drain(alone);
  alone.on_lost();
  CHECK(drain(alone)[0].kind == Kind::finish);
}

TEST_CASE("device: what the server says about coming back") {
  DeviceMachine later = reach(State::waiting_grad);
  auto actions = give(later, net::Bye{"stopped", true});
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::reconnect);
  CHECK(later.state() == State::connecting);

  DeviceMachine busy = reach(State::greeting);
  actions = give(busy, net::ErrorMessage{net::WireError::full, false, 5000, "taken"});
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].retry_after_ms == 5000);

  DeviceMachine over = reach(State::waiting_grad);
  actions = give(over, net::Bye{"complete"});
  CHECK(actions[0].kind == Kind::fail);
}

TEST_CASE("device: damaged messages and the run's end end the session") {
  DeviceMachine m = reach(State::greeting);
  net::Message broken = net::make_message(offer());
  broken.payload.pop_back();
  m.on_message(broken);
  check_refused(drain(m), net::WireError::protocol);
  DeviceMachine told = reach(State::idle);
  const auto end = give(told, net::ErrorMessage{net::WireError::run_failed, true, 0, "fire"});
  REQUIRE(end.size() == 1);
  CHECK(end[0].problem.message == "the server says: fire");
}

}  // namespace device_resume_test
