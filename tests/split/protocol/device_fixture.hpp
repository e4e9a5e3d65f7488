#pragma once
// A device's machine in any state of its first turn.

#include <doctest/doctest.h>

#include "iotsl/split/protocol/device_machine.hpp"

namespace device_fixture {

using namespace iotsl;
using namespace iotsl::split;
using net::MessageType;

using State = DeviceMachine::State;
using Kind = DeviceAction::Kind;

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

/// Takes all actions; the kinds in order.
inline std::vector<DeviceAction> drain(DeviceMachine& machine) {
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

inline void smash(DeviceMachine& machine) {
  const float values[2] = {1, 2};
  machine.on_smashed({}, {0, 1}, bytes_of(values, 2), {2, 1});
}

/// A machine in the given state, two batches in its turn, step 10 applied before it.
inline DeviceMachine reach(State wanted) {
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

/// The machine told the server why, with this code, and ended.
inline void check_refused(const std::vector<DeviceAction>& actions, net::WireError code) {
  REQUIRE(actions.size() == 2);
  CHECK(sent<net::ErrorMessage>(actions).code == code);
  CHECK(actions[1].kind == Kind::fail);
}

}  // namespace device_fixture
