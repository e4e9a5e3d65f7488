// How a device leaves a run, and how it comes back.

#include "split/protocol/device/device_fixture.hpp"

namespace device_resume_test {

using namespace device_fixture;

namespace {

/// Connects again, up to FRONT_INIT; what the device says after it.
std::vector<DeviceAction> come_back(DeviceMachine& m, const net::HelloOk& ok = offer()) {
  m.on_connected();
  drain(m);
  m.on_message(net::make_message(ok));
  drain(m);
  return take_in(m);
}

std::vector<DeviceAction> proceed(DeviceMachine& m, bool proceed = true) {
  auto actions = come_back(m);
  REQUIRE(actions.size() == 2);
  CHECK(message_of(actions[0]).type == MessageType::label_hist);
  CHECK(message_of(actions[1]).type == MessageType::resume);
  return give(m, net::ResumeOk{proceed});
}

}  // namespace

TEST_CASE("device: a lost connection keeps the turn, and says where it stands") {
  DeviceMachine m = reach(State::waiting_grad);
  m.on_lost();
  CHECK(drain(m).empty());
  CHECK(state_of(m) == State::connecting);
  m.on_message(net::make_message(grad(11)));  // of the old connection
  CHECK(drain(m).empty());
  m.on_connected();
  const net::Hello hello = sent<net::Hello>(drain(m));
  CHECK(hello.position.key == key);
  CHECK(hello.position.step == 10);
  // The model is still there: nothing is built.
  auto actions = give(m, offer());
  REQUIRE(actions.size() == 2);
  CHECK(is<Agree>(actions[0]));
  CHECK(message_of(actions[1]).type == MessageType::join);
  CHECK(give(m, net::JoinOk{77}).empty());
  actions = give(m, net::FrontInit{});
  REQUIRE(actions.size() == 2);
  const auto resume = net::decode<net::Resume>(message_of(actions[1]).payload);
  REQUIRE(resume.ok());
  CHECK(resume->position.step == 10);
  CHECK(resume->turn_steps == 2);
  actions = give(m, net::ResumeOk{true});
  REQUIRE(actions.size() == 1);
  CHECK(is<Repeat>(actions[0]));
  smash(m);
  CHECK(sent<net::Step>(drain(m)).step == 11);
  CHECK(is<Backward>(give(m, grad(11))[0]));
}

TEST_CASE("device: work that was begun is finished without a connection, and told later") {
  DeviceMachine forward = reach(State::forward);
  forward.on_lost();
  smash(forward);
  CHECK(drain(forward).empty());
  CHECK(is<Repeat>(proceed(forward)[0]));

  DeviceMachine backward = reach(State::backward);
  backward.on_lost();
  backward.on_updated({}, {});
  const auto actions = drain(backward);
  REQUIRE(actions.size() == 1);
  CHECK(is<Forward>(actions[0]));
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
  CHECK(is<ExportFront>(actions[0]));
  exporting.on_exported({});
  CHECK(sent<net::BarrierAck>(drain(exporting)).step == 12);

  DeviceMachine done = reach(State::waiting_barrier);
  done.on_message(net::make_message(net::Barrier{key, 1, 12}));
  done.on_exported({});
  const Sha256Digest hash = sha256(message_of(drain(done).back()).payload);
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
    CHECK(state_of(m) == State::idle);
    net::TurnGrant again = grant();
    again.key.fence = 2;
    again.done_steps = 1;
    auto actions = give(m, again);
    REQUIRE(actions.size() == 1);
    CHECK(is<Load>(actions[0]));
    m.on_loaded(std::uint64_t{2});
    actions = drain(m);
    CHECK(as<Forward>(actions[1]).step == 12);
    CHECK(as<Forward>(actions[1]).batch == 1);
  }
}

TEST_CASE("device: another run begins from nothing") {
  DeviceMachine m = reach(State::waiting_grad);
  m.on_lost();
  m.on_connected();
  drain(m);
  net::HelloOk other = offer();
  other.run = 78;
  CHECK(give(m, other).size() == 2);
  CHECK(give(m, net::JoinOk{78}).empty());
  const auto actions = give(m, net::FrontInit{});
  REQUIRE(actions.size() == 1);
  CHECK(is<Build>(actions[0]));
  m.on_built(Sha256Digest{});
  CHECK(drain(m).size() == 1);  // without RESUME
  CHECK(state_of(m) == State::idle);
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
  idle.request_pause();
  auto actions = drain(idle);
  REQUIRE(actions.size() == 2);
  CHECK(message_of(actions[0]).type == MessageType::bye);
  CHECK(is<Finish>(actions[1]));

  DeviceMachine stepping = reach(State::waiting_grad);
  stepping.request_pause();
  sent<net::Leave>(drain(stepping));
  give(stepping, net::Barrier{key, 1, 11});
  give(stepping, grad(11));
  stepping.on_updated({}, {});
  CHECK(is<ExportFront>(drain(stepping)[0]));
  stepping.on_exported({});
  const Sha256Digest hash = sha256(message_of(drain(stepping)[0]).payload);
  actions = give(stepping, net::BarrierCommitted{key, 1, hash});
  REQUIRE(actions.size() == 2);
  CHECK(message_of(actions[0]).type == MessageType::bye);
  CHECK(is<Finish>(actions[1]));

  // All steps of the turn are done: the turn is completed first.
  DeviceMachine ending = reach(State::waiting_turn_committed);
  ending.request_pause();
  sent<net::Leave>(drain(ending));
  actions = give(ending, net::TurnCommitted{key, 12});
  REQUIRE(actions.size() == 2);
  CHECK(message_of(actions[0]).type == MessageType::bye);

  // Nobody is there to put it anywhere.
  DeviceMachine alone = reach(State::waiting_grad);
  alone.request_pause();
  drain(alone);
  alone.on_lost();
  CHECK(is<Finish>(drain(alone)[0]));
}

TEST_CASE("device: alone it stops between two steps, without a barrier") {
  DeviceMachine m = reach(State::connecting);
  m.on_connected();
  m.on_message(net::make_message(offer(Method::random_gradient)));
  drain(m);
  take_in(m);
  m.on_message(net::make_message(grant()));
  m.on_loaded(std::uint64_t{2});
  smash(m);
  drain(m);
  m.request_pause();
  CHECK(drain(m).empty());
  m.on_updated({}, {});
  const auto actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(message_of(actions[0]).type == MessageType::bye);
  CHECK(is<Finish>(actions[1]));
  CHECK(m.last_step() == 11);
  CHECK(state_of(m) == State::closed);
}

TEST_CASE("device: after the end nothing that was under way has a result") {
  DeviceMachine m = reach(State::backward);
  give(m, net::ErrorMessage{net::WireError::run_failed, true, 0, "fire"});
  m.on_updated({}, {});
  m.on_imputed(failure(ErrorCode::data, "generator file: cut off"));
  m.on_connected();
  m.on_lost();
  m.request_pause();
  CHECK(drain(m).empty());
  CHECK(m.last_step() == 10);
}

TEST_CASE("device: what the server says about coming back") {
  DeviceMachine later = reach(State::waiting_grad);
  auto actions = give(later, net::Bye{"stopped", true});
  REQUIRE(actions.size() == 1);
  CHECK(is<Reconnect>(actions[0]));
  CHECK(state_of(later) == State::connecting);

  DeviceMachine busy = reach(State::greeting);
  actions = give(busy, net::ErrorMessage{net::WireError::full, false, 5000, "taken"});
  REQUIRE(actions.size() == 1);
  CHECK(as<Reconnect>(actions[0]).retry_after_ms == 5000);

  DeviceMachine over = reach(State::waiting_grad);
  actions = give(over, net::Bye{"complete"});
  CHECK(is<Fail>(actions[0]));
}

TEST_CASE("device: a damaged message and the server's fatal error are the end") {
  DeviceMachine m = reach(State::greeting);
  net::Message broken = net::make_message(offer());
  broken.payload.pop_back();
  m.on_message(broken);
  check_refused(drain(m), net::WireError::protocol);
  DeviceMachine told = reach(State::idle);
  const auto end = give(told, net::ErrorMessage{net::WireError::run_failed, true, 0, "fire"});
  REQUIRE(end.size() == 1);
  CHECK(as<Fail>(end[0]).problem.message == "the server says: fire");
  CHECK(as<Fail>(end[0]).problem.code == ErrorCode::network);
  // What systemd does not start again.
  for (const net::WireError code :
       {net::WireError::data_mismatch, net::WireError::identity, net::WireError::left}) {
    DeviceMachine gone = reach(State::idle);
    const auto last = give(gone, net::ErrorMessage{code, true, 0, "no"});
    REQUIRE(last.size() == 1);
    CHECK(as<Fail>(last[0]).problem.code == ErrorCode::usage);
  }
}

}  // namespace device_resume_test
