#pragma once
// A server's machine with two devices, in any state of its first turn.

#include <doctest/doctest.h>

#include "iotsl/split/protocol/server/server_machine.hpp"

namespace server_fixture {

using namespace iotsl;
using namespace iotsl::split;
using net::MessageType;
using net::WireError;

using Phase = ServerMachine::Phase;
using State = ServerTurns::State;
using server_action::Close;
using server_action::Fail;
using server_action::Finish;
using server_action::Grant;
using server_action::Impute;
using server_action::Pause;
using server_action::Prepare;
using server_action::PutAside;
using server_action::Report;
using server_action::RollBack;
using server_action::Send;
using server_action::SentAway;
using server_action::Store;
using server_action::StoreGenerator;
using server_action::Train;

/// Two devices with 4 samples each, F = 3, batches of at most 3, two turns of two steps.
inline ServerPlan plan() {
  ServerPlan out;
  out.offer.run = 77;
  out.offer.heartbeat_ms = 10000;
  out.offer.dead_ms = 25000;
  out.offer.description.dataset = "tiny";
  out.offer.description.classes = 2;
  out.front_init = net::make_message(net::FrontInit{bytes_of("[]")});
  out.order.devices = 2;
  out.turns = 2;
  out.smashed_values = 3;
  out.largest_batch = 3;
  return out;
}

inline std::vector<ServerAction> drain(ServerMachine& machine) {
  std::vector<ServerAction> out;
  ServerAction action;
  while (machine.pop(action)) out.push_back(std::move(action));
  return out;
}
inline std::vector<ServerAction> give(ServerMachine& machine, ConnectionId from,
                                      net::Message message) {
  machine.on_message(from, std::move(message));
  return drain(machine);
}
template <class M>
std::vector<ServerAction> give(ServerMachine& machine, ConnectionId from, const M& fields) {
  return give(machine, from, net::make_message(fields));
}
template <class A>
bool is(const ServerAction& action) {
  return std::holds_alternative<A>(action);
}
/// The action, which must be an A.
template <class A>
const A& as(const ServerAction& action) {
  REQUIRE(is<A>(action));
  return *std::get_if<A>(&action);
}
/// The message of a Send, which must be an M.
template <class M>
M sent(const ServerAction& action) {
  const net::Message& message = as<Send>(action).message;
  REQUIRE(message.type == M::type);
  return net::decode<M>(message.payload).value();
}

/// True in that state of a turn.
inline bool is_in(const ServerMachine& m, State state) {
  return m.phase() == Phase::turns && m.turns()->state() == state;
}
/// Steps of the turn in hand that were applied; each has two samples.
inline std::uint64_t steps_applied(const ServerMachine& m) {
  std::uint64_t samples = 0;
  for (const EpochTally& epoch : m.turns()->report().epochs) samples += epoch.samples;
  return samples / 2;
}

inline net::Hello hello(std::uint32_t index = net::any_index, std::uint64_t boot_nonce = 5) {
  net::Hello out;
  out.boot_nonce = boot_nonce;
  out.device = "pi";
  out.index = index;
  out.dataset = "tiny";
  out.samples = 4;
  return out;
}

inline net::Message step_message(const net::TurnKey& key, std::uint64_t step, float value = 1) {
  const float smashed[6] = {value, 2, 3, 4, 5, 6};
  net::Step fields;
  fields.key = key;
  fields.step = step;
  fields.labels = {0, 1};
  fields.smashed = bytes_of(smashed, 6);
  net::Message out = net::make_message(fields, {{2, 3}});
  out.hash = xxh64(out.payload);
  return out;
}

inline net::Message ack_message(const net::TurnKey& key, std::uint64_t id, std::uint64_t step) {
  net::BarrierAck ack;
  ack.costs.resize(1);
  ack.costs[0].compute_us = 7;
  ack.key = key;
  ack.id = id;
  ack.step = step;
  net::Message out = net::make_message(ack);
  out.digest = sha256(out.payload);
  return out;
}

inline void join(ServerMachine& m, ConnectionId connection, std::uint32_t index,
                 std::uint64_t boot_nonce = 5) {
  m.on_open(connection);
  m.on_message(connection, net::make_message(hello(index, boot_nonce)));
  m.on_message(connection, net::make_message(net::Join{77}));
  m.on_message(connection, net::make_message(net::LabelHist{{2, 2}}));
}

const net::TurnKey first{77, 0, 1};

/// Brings a new machine into the given state of the first turn, whose holder is connection 1; 2
/// waits. Without a state: the second device has not come yet.
inline void reach(ServerMachine& m, std::optional<State> wanted) {
  join(m, 1, 0);
  if (!wanted) {
    drain(m);
    return;
  }
  join(m, 2, 1);
  const State order[] = {State::waiting_accept, State::stepping, State::training,
                         State::waiting_ack,    State::storing,  State::waiting_done};
  for (State at : order) {
    if (at == *wanted) break;
    switch (at) {
      case State::waiting_accept:
        m.on_message(1, net::make_message(net::TurnAccept{first, 2}));
        break;
      case State::stepping:
        m.on_message(1, step_message(first, 1));
        break;
      case State::training:
        m.on_trained(TrainedStep{});
        m.on_message(1, step_message(first, 2));
        m.on_trained(TrainedStep{});
        break;
      case State::waiting_ack:
        m.on_message(1, ack_message(first, 1, 2));
        break;
      case State::storing:
        m.on_stored({});
        break;
      default:
        break;
    }
  }
  drain(m);
  REQUIRE(is_in(m, *wanted));
}

/// The peer was told why and is closed; in a run that has begun it is put aside, before it loses
/// its place.
inline void check_refused(const std::vector<ServerAction>& actions, WireError code) {
  REQUIRE(actions.size() >= 2);
  if (actions.size() > 2) CHECK((is<PutAside>(actions[2]) || is<SentAway>(actions[2])));
  CHECK(as<Send>(actions[0]).connection == 1);
  CHECK(as<Send>(actions[0]).is_last);
  const auto error = sent<net::ErrorMessage>(actions[0]);
  CHECK(error.code == code);
  CHECK(error.fatal);
  CHECK(as<Close>(actions[1]).connection == 1);
}

/// A STEP was answered, without ending anything.
inline void check_answered(const std::vector<ServerAction>& actions, WireError code) {
  REQUIRE(actions.size() == 1);
  const auto error = sent<net::ErrorMessage>(actions[0]);
  CHECK(error.code == code);
  CHECK_FALSE(error.fatal);
}

}  // namespace server_fixture
