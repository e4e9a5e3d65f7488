#include "split/protocol/device/device_fixture.hpp"

namespace device_test {

using namespace device_fixture;

namespace {

/// A well-formed message of every type that a server could send.
std::vector<net::Message> all_messages() {
  return {net::make_message(net::Hello{}),
          net::make_message(offer()),
          net::make_message(net::Join{77}),
          net::make_message(net::JoinOk{77}),
          net::make_message(net::FrontInit{}),
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
          net::make_message(net::Resume{}),
          net::make_message(net::ResumeOk{})};
}

bool allowed(State state, MessageType type) {
  switch (type) {
    case MessageType::hello_ok:
      return state == State::greeting;
    case MessageType::join_ok:
      return state == State::joining;
    case MessageType::front_init:
      return state == State::awaiting_front;
    case MessageType::turn_grant:
      return state == State::idle;
    case MessageType::grad:
      return state == State::waiting_grad;
    case MessageType::barrier:
      return state == State::forward || state == State::waiting_grad || state == State::backward ||
             state == State::waiting_barrier || state == State::exporting ||
             state == State::waiting_committed;  // there: said again
    case MessageType::barrier_committed:
      return state == State::waiting_committed;
    case MessageType::turn_committed:
      return state == State::waiting_turn_committed;
    default:
      return false;
  }
}

const State all_states[] = {State::connecting,        State::greeting,
                            State::joining,           State::awaiting_front,
                            State::building,          State::idle,
                            State::loading,           State::forward,
                            State::waiting_grad,      State::backward,
                            State::waiting_barrier,   State::exporting,
                            State::waiting_committed, State::waiting_turn_committed};

}  // namespace

TEST_CASE("device: a whole turn") {
  DeviceMachine m(identity());
  m.on_connected();
  const net::Hello hello = sent<net::Hello>(drain(m));
  CHECK(hello.device == "pi");
  CHECK(hello.samples == 11);
  auto actions = give(m, offer());
  REQUIRE(actions.size() == 2);
  CHECK(is<Agree>(actions[0]));
  actions.erase(actions.begin());
  CHECK(sent<net::Join>(actions).run == 77);
  CHECK(give(m, net::JoinOk{77}).empty());
  net::FrontInit front_init;
  front_init.layers = bytes_of("[]");
  actions = give(m, front_init);
  REQUIRE(actions.size() == 1);
  CHECK(text_of(as<Build>(actions[0]).message.payload) == "[]");
  m.on_built(Sha256Digest{});
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(sent<net::LabelHist>(actions).counts == std::vector<std::uint64_t>{5, 6});
  actions = give(m, grant());
  REQUIRE(actions.size() == 1);
  CHECK(as<Load>(actions[0]).grant.first_step == 10);
  m.on_loaded(std::uint64_t{2});
  actions = drain(m);
  CHECK(sent<net::TurnAccept>(actions).steps == 2);
  REQUIRE(actions.size() == 2);
  CHECK(as<Forward>(actions[1]).step == 11);
  CHECK(as<Forward>(actions[1]).batch == 0);
  smash(m);
  const net::Step step = sent<net::Step>(drain(m));
  CHECK(step.key == key);
  CHECK(step.step == 11);
  CHECK(step.labels == std::vector<std::int32_t>{0, 1});
  actions = give(m, grad(11));
  REQUIRE(actions.size() == 1);
  CHECK(is<Backward>(actions[0]));
  m.on_updated({}, {100, 5000});
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(as<Forward>(actions[0]).batch == 1);
  CHECK(m.last_step() == 11);
  smash(m);
  drain(m);
  give(m, grad(12));
  m.on_updated({}, {50, 4000});
  CHECK(drain(m).empty());
  actions = give(m, net::Barrier{key, 3, 12});
  REQUIRE(actions.size() == 1);
  CHECK(is<ExportFront>(actions[0]));
  net::FrontState front;
  front.optimizer_steps = 12;
  m.on_exported(front);
  actions = drain(m);
  const net::BarrierAck ack = sent<net::BarrierAck>(actions);
  CHECK(ack.id == 3);
  CHECK(ack.step == 12);
  CHECK(ack.front.optimizer_steps == 12);
  REQUIRE(ack.costs.size() == 1);
  CHECK(ack.costs[0].compute_us == 150);
  CHECK(ack.costs[0].peak_memory_bytes == 5000);
  const Sha256Digest hash = sha256(message_of(actions[0]).payload);
  const net::TurnDone done = sent<net::TurnDone>(give(m, net::BarrierCommitted{key, 3, hash}));
  CHECK(done.last_step == 12);
  CHECK(done.hash == hash);
  CHECK(give(m, net::TurnCommitted{key, 12}).empty());
  CHECK(state_of(m) == State::idle);
  actions = give(m, net::Bye{"complete"});
  REQUIRE(actions.size() == 1);
  CHECK(is<Finish>(actions[0]));
}

TEST_CASE("device: a message that a state does not allow gives ERROR and the end") {
  for (const State state : all_states)
    for (const net::Message& message : all_messages()) {
      if (state == State::connecting || allowed(state, message.type)) continue;
      DeviceMachine m = reach(state);
      INFO("state " << static_cast<int>(state) << " message " << net::to_string(message.type));
      m.on_message(message);
      check_refused(drain(m), net::WireError::not_allowed);
      CHECK(state_of(m) == State::closed);
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
  CHECK(is<ExportFront>(actions[0]));
  m.on_exported({});
  actions = drain(m);
  const Sha256Digest hash = sha256(message_of(actions[0]).payload);
  actions = give(m, net::BarrierCommitted{key, 1, hash});
  REQUIRE(actions.size() == 1);
  CHECK(as<Forward>(actions[0]).step == 12);
}

TEST_CASE("device: another state than the committed one is refused") {
  DeviceMachine m = reach(State::waiting_committed);
  check_refused(give(m, net::BarrierCommitted{key, 1, {1, 2, 3}}), net::WireError::protocol);
}

TEST_CASE("device: method local uses no gradient and sends no batch") {
  DeviceMachine m(identity());
  m.on_connected();
  m.on_message(net::make_message(offer(Method::random_gradient)));
  drain(m);
  take_in(m);
  m.on_message(net::make_message(grant()));
  m.on_loaded(std::uint64_t{1});
  m.on_message(net::make_message(net::Barrier{key, 1, 11}));
  drain(m);
  smash(m);
  auto actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(as<BackwardRandom>(actions[0]).step == 11);
  m.on_updated({}, {});
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(is<ExportFront>(actions[0]));
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
  DeviceMachine unknown_layer = reach(State::building);
  unknown_layer.on_built(failure(ErrorCode::network, "front: layer 'a' is of type 'swish'"));
  const auto actions = drain(unknown_layer);
  check_refused(actions, net::WireError::model_mismatch);
  CHECK(sent<net::ErrorMessage>(actions).text == "front: layer 'a' is of type 'swish'");
  DeviceMachine older = reach(State::greeting);  // what a server of version 1 answers
  const auto told = give(older, net::ErrorMessage{net::WireError::version, true, 0,
                                                  "this server speaks ISL version 1 only"});
  REQUIRE(told.size() == 1);
  CHECK(as<Fail>(told[0]).problem.message ==
        "the server says: this server speaks ISL version 1 only; this device speaks version 2");
  DeviceMachine chooses = reach(State::greeting);
  net::HelloOk first = offer();
  first.version = 1;
  check_refused(give(chooses, first), net::WireError::version);
  DeviceMachine greeting = reach(State::greeting);
  net::HelloOk other = offer();
  other.description.dataset = "mnist";
  check_refused(give(greeting, other), net::WireError::data_mismatch);
}

}  // namespace device_test
