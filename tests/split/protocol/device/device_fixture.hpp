#pragma once
// A device's machine in any state of its first turn.

#include <doctest/doctest.h>

#include "iotsl/split/protocol/device/device_machine.hpp"

namespace device_fixture {

using namespace iotsl;
using namespace iotsl::split;
using net::MessageType;

using namespace iotsl::split::device_action;

/// Where a machine stands: the state of the part that is at work.
enum class State {
  connecting,
  greeting,
  joining,
  awaiting_front,
  building,
  resuming,
  training_generator,
  waiting_gen_ack,
  receiving_generators,
  idle,
  loading,
  forward,
  waiting_grad,
  backward,
  waiting_barrier,
  exporting,
  waiting_committed,
  waiting_turn_committed,
  paused,
  closed,
};

inline State state_of(const DeviceMachine& machine) {
  switch (machine.handshake_state()) {
    case DeviceHandshake::State::connecting:
      return State::connecting;
    case DeviceHandshake::State::greeting:
      return State::greeting;
    case DeviceHandshake::State::joining:
      return State::joining;
    case DeviceHandshake::State::awaiting_front:
      return State::awaiting_front;
    case DeviceHandshake::State::building:
      return State::building;
    case DeviceHandshake::State::resuming:
      return State::resuming;
    case DeviceHandshake::State::closed:
      return State::closed;
    case DeviceHandshake::State::ready:
      break;
  }
  const bool idle = machine.turn_state() == DeviceTurn::State::idle;
  switch (machine.generator_state()) {
    case DeviceGeneratorExchange::State::idle:
      break;
    case DeviceGeneratorExchange::State::training:
      REQUIRE(idle);
      return State::training_generator;
    case DeviceGeneratorExchange::State::waiting_ack:
      REQUIRE(idle);
      return State::waiting_gen_ack;
    case DeviceGeneratorExchange::State::receiving:
      REQUIRE(idle);
      return State::receiving_generators;
  }
  static_assert(static_cast<int>(State::paused) - static_cast<int>(State::idle) ==
                static_cast<int>(DeviceTurn::State::paused));  // in the same order
  return static_cast<State>(static_cast<int>(State::idle) + static_cast<int>(machine.turn_state()));
}

/// Whether an action is of this kind, and as one.
template <class Action>
bool is(const DeviceAction& action) {
  return std::holds_alternative<Action>(action);
}
template <class Action>
const Action& as(const DeviceAction& action) {
  REQUIRE(is<Action>(action));
  return std::get<Action>(action);
}
inline const net::Message& message_of(const DeviceAction& action) {
  return as<Send>(action).message;
}

const net::TurnKey key{77, 0, 1};

inline DeviceIdentity identity() {
  DeviceIdentity out;
  out.name = "pi";
  out.dataset = "tiny";
  out.label_counts = {5, 6};
  return out;
}

inline net::HelloOk offer(Method method = Method::split_learning) {
  net::HelloOk ok;
  ok.run = 77;
  ok.heartbeat_ms = 10000;
  ok.dead_ms = 25000;
  ok.description.method = method;
  ok.description.dataset = "tiny";
  ok.description.classes = 2;
  return ok;
}

inline net::TurnGrant grant() {
  net::TurnGrant out;
  out.key = key;
  out.first_step = 10;
  return out;
}

inline net::Grad grad(std::uint64_t step) {
  net::Grad out;
  out.key = key;
  out.step = step;
  return out;
}

/// Takes all actions.
inline std::vector<DeviceAction> drain(DeviceMachine& machine) {
  std::vector<DeviceAction> out;
  while (auto action = machine.pop()) out.push_back(std::move(*action));
  return out;
}

template <class M>
std::vector<DeviceAction> give(DeviceMachine& machine, const M& fields) {
  machine.on_message(net::make_message(fields));
  return drain(machine);
}

/// JOIN_OK and the front, which is built where it is not there: what the device says after it.
inline std::vector<DeviceAction> take_in(DeviceMachine& machine, const net::JoinOk& ok = {77}) {
  CHECK(give(machine, ok).empty());
  auto actions = give(machine, net::FrontInit{});
  REQUIRE(!actions.empty());
  if (is<Build>(actions[0])) {
    machine.on_built(Sha256Digest{});
    actions = drain(machine);
  }
  return actions;
}

/// Fields of the only message that was sent.
template <class M>
M sent(const std::vector<DeviceAction>& actions) {
  REQUIRE(!actions.empty());
  REQUIRE(message_of(actions[0]).type == M::type);
  return net::decode<M>(message_of(actions[0]).payload).value();
}

inline void smash(DeviceMachine& machine) {
  const float values[2] = {1, 2};
  machine.on_smashed({}, {0, 1}, bytes_of(values, 2), {{2, 1}});
}

/// A machine in the given state, two batches in its turn, step 10 applied before it.
inline DeviceMachine reach(State wanted) {
  DeviceMachine m(identity());
  const std::vector<State> order{
      State::connecting, State::greeting, State::joining, State::awaiting_front, State::building,
      State::idle,       State::loading,  State::forward, State::waiting_grad,   State::backward};
  for (State at : order) {
    if (at == wanted) {
      drain(m);
      REQUIRE(state_of(m) == wanted);
      return m;
    }
    switch (at) {
      case State::connecting:
        m.on_connected();
        break;
      case State::greeting:
        m.on_message(net::make_message(offer()));
        break;
      case State::joining:
        m.on_message(net::make_message(net::JoinOk{77}));
        break;
      case State::awaiting_front:
        m.on_message(net::make_message(net::FrontInit{}));
        break;
      case State::building:
        m.on_built(Sha256Digest{});
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
          if (is<Send>(a) && message_of(a).type == MessageType::barrier_ack)
            committed.hash = sha256(message_of(a).payload);
        m.on_message(net::make_message(committed));
      }
    }
  }
  drain(m);
  REQUIRE(state_of(m) == wanted);
  return m;
}

/// The machine told the server why, with this code, and ended.
inline void check_refused(const std::vector<DeviceAction>& actions, net::WireError code) {
  REQUIRE(actions.size() == 2);
  CHECK(sent<net::ErrorMessage>(actions).code == code);
  CHECK(is<Fail>(actions[1]));
}

}  // namespace device_fixture
