#include "iotsl/split/device.hpp"

#include <doctest/doctest.h>

using namespace iotsl;
using namespace iotsl::split;
using net::MessageType;

namespace device_test {

namespace {

using State = DeviceMachine::State;
using Kind = DeviceAction::Kind;

const net::TurnKey key{77, 0, 1};

DeviceIdentity identity() {
  DeviceIdentity out;
  out.name = "pi";
  out.dataset = "tiny";
  out.label_counts = {5, 6};
  return out;
}

net::HelloOk offer(const std::string& method = "sl") {
  net::HelloOk ok;
  ok.run = 77;
  ok.heartbeat_ms = 10000;
  ok.dead_ms = 25000;
  ok.description.method = method;
  ok.description.dataset = "tiny";
  ok.description.classes = 2;
  return ok;
}

net::TurnGrant grant() {
  net::TurnGrant out;
  out.key = key;
  out.first_step = 10;
  return out;
}

net::Grad grad(std::uint64_t step) {
  net::Grad out;
  out.key = key;
  out.step = step;
  return out;
}

/// Takes all actions; the kinds in order.
std::vector<DeviceAction> drain(DeviceMachine& machine) {
  std::vector<DeviceAction> out;
  DeviceAction action;
  while (machine.pop(action)) out.push_back(std::move(action));
  return out;
}

template <class M>
std::vector<DeviceAction> give(DeviceMachine& machine, const M& fields) {
  machine.on_message(net::make_message(fields));
  return drain(machine);
}

/// Fields of the only message that was sent.
template <class M>
M sent(const std::vector<DeviceAction>& actions) {
  REQUIRE(!actions.empty());
  REQUIRE(actions[0].kind == Kind::send);
  REQUIRE(actions[0].message.type == M::type);
  return net::decode<M>(actions[0].message.payload).value();
}

void smash(DeviceMachine& machine) {
  const float values[2] = {1, 2};
  machine.on_smashed({}, {0, 1}, bytes_of(values, 2), {2, 1});
}

/// A machine in the given state, two batches in its turn, step 10 applied before it.
DeviceMachine reach(State wanted) {
  DeviceMachine m(identity());
  const std::vector<State> order{State::connecting, State::greeting,     State::building,
                                 State::joining,    State::idle,         State::loading,
                                 State::forward,    State::waiting_grad, State::backward};
  for (State at : order) {
    if (at == wanted) {
      drain(m);
      REQUIRE(m.state() == wanted);
      return m;
    }
    switch (at) {
      case State::connecting:
        m.on_connected();
        break;
      case State::greeting:
        m.on_message(net::make_message(offer()));
        break;
      case State::building:
        m.on_built(Sha256Digest{});
        break;
      case State::joining:
        m.on_message(net::make_message(net::JoinOk{77}));
        break;
      case State::idle:
        m.on_message(net::make_message(grant()));
        break;
      case State::loading:
        m.on_loaded(std::uint64_t{2});
        break;
      case State::forward:
        smash(m);
        break;
      case State::waiting_grad:
        m.on_message(net::make_message(grad(11)));
        break;
      default:
        break;
    }
  }
  m.on_updated({}, {});
  smash(m);
  m.on_message(net::make_message(grad(12)));
  m.on_updated({}, {});
  if (wanted != State::waiting_barrier) {
    m.on_message(net::make_message(net::Barrier{key, 1, 12}));
    if (wanted != State::exporting) {
      m.on_exported({});
      if (wanted != State::waiting_committed) {
        const auto actions = drain(m);
        net::BarrierCommitted committed{key, 1, {}};
        for (const DeviceAction& a : actions)
          if (a.kind == Kind::send && a.message.type == MessageType::barrier_ack)
            committed.hash = sha256(a.message.payload);
        m.on_message(net::make_message(committed));
      }
    }
  }
  drain(m);
  REQUIRE(m.state() == wanted);
  return m;
}

/// A well-formed message of every type that a server could send.
std::vector<net::Message> all_messages() {
  return {net::make_message(net::Hello{}),
          net::make_message(offer()),
          net::make_message(net::Join{77}),
          net::make_message(net::JoinOk{77}),
          net::make_message(net::LabelHist{}),
          net::make_message(grant()),
          net::make_message(net::TurnAccept{}),
          net::make_message(net::Step{}),
          net::make_message(grad(11)),
          net::make_message(net::Barrier{key, 1, 12}),
          net::make_message(net::BarrierAck{}),
          net::make_message(net::BarrierCommitted{}),
          net::make_message(net::TurnDone{}),
          net::make_message(net::TurnCommitted{}),
          net::make_message(net::EvalReq{}),
          net::make_message(net::EvalResp{}),
          net::make_message(net::Leave{}),
          net::Message{MessageType::resume, {}, {}, 0, {}},
          net::Message{MessageType::resume_ok, {}, {}, 0, {}}};
}

bool allowed(State state, MessageType type) {
  switch (type) {
    case MessageType::hello_ok:
      return state == State::greeting;
    case MessageType::join_ok:
      return state == State::joining;
    case MessageType::turn_grant:
      return state == State::idle;
    case MessageType::grad:
      return state == State::waiting_grad;
    case MessageType::barrier:
      return state == State::forward || state == State::waiting_grad || state == State::backward ||
             state == State::waiting_barrier;
    case MessageType::barrier_committed:
      return state == State::waiting_committed;
    case MessageType::turn_committed:
      return state == State::waiting_turn_committed;
    default:
      return false;
  }
}

const State all_states[] = {State::connecting,
                            State::greeting,
                            State::building,
                            State::joining,
                            State::idle,
                            State::loading,
                            State::forward,
                            State::waiting_grad,
                            State::backward,
                            State::waiting_barrier,
                            State::exporting,
                            State::waiting_committed,
                            State::waiting_turn_committed};

/// The machine told the server why, with this code, and ended.
void check_refused(const std::vector<DeviceAction>& actions, net::WireError code) {
  REQUIRE(actions.size() == 2);
  CHECK(sent<net::ErrorMessage>(actions).code == code);
  CHECK(actions[1].kind == Kind::fail);
}

}  // namespace

TEST_CASE("device: a whole turn") {
  DeviceMachine m(identity());
  m.on_connected();
  const net::Hello hello = sent<net::Hello>(drain(m));
  CHECK(hello.device == "pi");
  CHECK(hello.samples == 11);
  auto actions = give(m, offer());
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::build);
  m.on_built(Sha256Digest{});
  CHECK(sent<net::Join>(drain(m)).run == 77);
  CHECK(sent<net::LabelHist>(give(m, net::JoinOk{77})).counts == std::vector<std::uint64_t>{5, 6});
  actions = give(m, grant());
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::load);
  CHECK(actions[0].grant.first_step == 10);
  m.on_loaded(std::uint64_t{2});
  actions = drain(m);
  CHECK(sent<net::TurnAccept>(actions).steps == 2);
  REQUIRE(actions.size() == 2);
  CHECK(actions[1].kind == Kind::forward);
  CHECK(actions[1].step == 11);
  CHECK(actions[1].batch == 0);
  smash(m);
  const net::Step step = sent<net::Step>(drain(m));
  CHECK(step.key == key);
  CHECK(step.step == 11);
  CHECK(step.labels == std::vector<std::int32_t>{0, 1});
  actions = give(m, grad(11));
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::backward);
  m.on_updated({}, {100, 5000});
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::forward);
  CHECK(actions[0].batch == 1);
  CHECK(m.last_step() == 11);
  smash(m);
  drain(m);
  give(m, grad(12));
  m.on_updated({}, {50, 4000});
  CHECK(drain(m).empty());
  actions = give(m, net::Barrier{key, 3, 12});
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::export_front);
  net::FrontState front;
  front.optimizer_steps = 12;
  m.on_exported(front);
  actions = drain(m);
  const net::BarrierAck ack = sent<net::BarrierAck>(actions);
  CHECK(ack.id == 3);
  CHECK(ack.step == 12);
  CHECK(ack.front.optimizer_steps == 12);
  const Sha256Digest hash = sha256(actions[0].message.payload);
  const net::TurnDone done = sent<net::TurnDone>(give(m, net::BarrierCommitted{key, 3, hash}));
  CHECK(done.last_step == 12);
  CHECK(done.hash == hash);
  REQUIRE(done.epochs.size() == 1);
  CHECK(done.epochs[0].compute_us == 150);
  CHECK(done.epochs[0].peak_memory_bytes == 5000);
  CHECK(give(m, net::TurnCommitted{key, 12}).empty());
  CHECK(m.state() == State::idle);
  actions = give(m, net::Bye{"complete"});
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::finish);
}

TEST_CASE("device: a message that a state does not allow gives ERROR and the end") {
  for (const State state : all_states)
    for (const net::Message& message : all_messages()) {
      if (allowed(state, message.type)) continue;
      DeviceMachine m = reach(state);
      INFO("state " << static_cast<int>(state) << " message " << net::to_string(message.type));
      m.on_message(message);
      check_refused(drain(m), net::WireError::not_allowed);
      CHECK(m.state() == State::closed);
      m.on_message(message);
      CHECK(drain(m).empty());
    }
}

TEST_CASE("device: a GRAD is applied only if it is the next one") {
  for (const auto& [step, code] :
       {std::pair{10, net::WireError::stale}, std::pair{12, net::WireError::gap}}) {
    DeviceMachine m = reach(State::waiting_grad);
    check_refused(give(m, grad(static_cast<std::uint64_t>(step))), code);
  }
  DeviceMachine m = reach(State::waiting_grad);
  net::Grad old = grad(11);
  old.key.fence = 0;
  check_refused(give(m, old), net::WireError::stale);
}

TEST_CASE("device: an old grant and a barrier of the past are refused") {
  DeviceMachine m = reach(State::waiting_turn_committed);
  give(m, net::TurnCommitted{key, 12});
  check_refused(give(m, grant()), net::WireError::stale);
  DeviceMachine late = reach(State::waiting_grad);
  check_refused(give(late, net::Barrier{key, 1, 9}), net::WireError::stale);
}

TEST_CASE("device: a barrier inside a turn is answered at its step, and the turn goes on") {
  DeviceMachine m = reach(State::waiting_grad);
  CHECK(give(m, net::Barrier{key, 1, 11}).empty());
  give(m, grad(11));
  m.on_updated({}, {});
  auto actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::export_front);
  m.on_exported({});
  actions = drain(m);
  const Sha256Digest hash = sha256(actions[0].message.payload);
  actions = give(m, net::BarrierCommitted{key, 1, hash});
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::forward);
  CHECK(actions[0].step == 12);
}

TEST_CASE("device: another state than the committed one is refused") {
  DeviceMachine m = reach(State::waiting_committed);
  check_refused(give(m, net::BarrierCommitted{key, 1, {1, 2, 3}}), net::WireError::protocol);
}

TEST_CASE("device: method local uses no gradient and sends no batch") {
  DeviceMachine m(identity());
  m.on_connected();
  m.on_message(net::make_message(offer("local")));
  m.on_built(Sha256Digest{});
  m.on_message(net::make_message(net::JoinOk{77}));
  m.on_message(net::make_message(grant()));
  m.on_loaded(std::uint64_t{1});
  m.on_message(net::make_message(net::Barrier{key, 1, 11}));
  drain(m);
  smash(m);
  auto actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::backward);
  CHECK(actions[0].local);
  m.on_updated({}, {});
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::export_front);
}

TEST_CASE("device: what it computes must be finite, and what it builds the server's") {
  DeviceMachine forward = reach(State::forward);
  forward.on_smashed(failure(ErrorCode::other, "NaN"));
  check_refused(drain(forward), net::WireError::not_finite);
  DeviceMachine backward = reach(State::backward);
  backward.on_updated(failure(ErrorCode::other, "NaN"), {});
  check_refused(drain(backward), net::WireError::not_finite);
  DeviceMachine building = reach(State::building);
  building.on_built(Sha256Digest{1});
  check_refused(drain(building), net::WireError::model_mismatch);
  DeviceMachine greeting = reach(State::greeting);
  net::HelloOk other = offer();
  other.description.dataset = "mnist";
  check_refused(give(greeting, other), net::WireError::data_mismatch);
}

TEST_CASE("device: stopping finishes the step, then says BYE") {
  DeviceMachine idle = reach(State::idle);
  idle.request_stop();
  auto actions = drain(idle);
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].message.type == MessageType::bye);
  CHECK(actions[1].kind == Kind::finish);

  DeviceMachine stepping = reach(State::waiting_grad);
  stepping.request_stop();
  CHECK(drain(stepping).empty());
  give(stepping, grad(11));
  stepping.on_updated({}, {});
  actions = drain(stepping);
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].message.type == MessageType::bye);

  // All steps of the turn are done: the turn is completed first.
  DeviceMachine ending = reach(State::waiting_turn_committed);
  ending.request_stop();
  CHECK(drain(ending).empty());
  actions = give(ending, net::TurnCommitted{key, 12});
  REQUIRE(actions.size() == 2);
  CHECK(actions[0].message.type == MessageType::bye);
}

TEST_CASE("device: damaged messages and a lost connection end the session") {
  DeviceMachine m = reach(State::greeting);
  net::Message broken = net::make_message(offer());
  broken.payload.pop_back();
  m.on_message(broken);
  check_refused(drain(m), net::WireError::protocol);
  DeviceMachine lost = reach(State::idle);
  lost.on_lost(failure(ErrorCode::network, "cable"));
  const auto actions = drain(lost);
  REQUIRE(actions.size() == 1);
  CHECK(actions[0].kind == Kind::fail);
  CHECK(actions[0].problem.message == "cable");
  DeviceMachine told = reach(State::idle);
  const auto end = give(told, net::ErrorMessage{net::WireError::run_failed, true, 0, "fire"});
  REQUIRE(end.size() == 1);
  CHECK(end[0].problem.message == "the server says: fire");
}

}  // namespace device_test
