#pragma once
// Three devices and their server, for tests of who has a place in a run.

#include "split/protocol/server_fixture.hpp"

namespace places_fixture {

using namespace server_fixture;
using server_action::PlaceTaken;
using server_action::PutAside;
using server_action::SendModel;
using server_action::SentAway;

/// Three rounds of three devices, "pi-0" to "pi-2", with barriers.
inline ServerPlan three_devices() {
  ServerPlan out = plan();
  out.order.devices = 3;
  out.turns = 9;
  out.keeps_barriers = true;
  return out;
}

inline net::Hello hello_of(const std::string& name, std::uint32_t index = net::any_index,
                           std::uint8_t data = 0) {
  net::Hello out = hello(index);
  out.device = name;
  out.data_fingerprint[0] = data;
  return out;
}
/// "pi-1" as the books of a run have it.
inline QuarantinedDevice put_aside(const std::string& reason) {
  return {.device = 1,
          .name = "pi-1",
          .samples = 4,
          .label_counts = {2, 2},
          .data_fingerprint = to_hex(Sha256Digest{}),
          .reason = reason};
}
inline net::Message answer(ServerMachine& m, ConnectionId connection, const net::Hello& fields) {
  m.on_open(connection);
  const auto actions = give(m, connection, fields);
  REQUIRE(!actions.empty());
  return as<Send>(actions[0]).message;
}
inline std::string refusal(const net::Message& message, bool fatal = true) {
  REQUIRE(message.type == MessageType::error);
  const auto error = net::decode<net::ErrorMessage>(message.payload).value();
  CHECK(error.fatal == fatal);
  CHECK((error.retry_after_ms > 0) == !fatal);
  return error.text;
}
/// Joins; what the server does when the device is ready.
inline std::vector<ServerAction> enter(ServerMachine& m, ConnectionId connection,
                                       const net::Hello& fields) {
  CHECK(answer(m, connection, fields).type == MessageType::hello_ok);
  give(m, connection, net::Join{77});
  return give(m, connection, net::LabelHist{{2, 2}});
}
/// All three are here: connections 1 to 3.
inline std::vector<ServerAction> enter_all(ServerMachine& m) {
  std::vector<ServerAction> last;
  for (std::uint32_t d = 0; d < 3; ++d) last = enter(m, d + 1, hello_of(concat("pi-", d), d));
  return last;
}
/// The turn of `key` in two steps, as far as its end.
inline std::vector<ServerAction> whole_turn(ServerMachine& m, ConnectionId from,
                                            const net::TurnKey& key, std::uint64_t first_step) {
  give(m, from, net::TurnAccept{key, 2});
  for (std::uint64_t i = 1; i <= 2; ++i) {
    give(m, from, step_message(key, first_step + i));
    m.on_trained(TrainedStep{});
    drain(m);
  }
  const net::Message ack = ack_message(key, m.committed().id + 1, first_step + 2);
  give(m, from, ack);
  m.on_stored({});
  drain(m);
  return give(m, from, net::TurnDone{key, first_step + 2, ack.digest});
}

inline ServerPlan fedavg() {
  ServerPlan out = three_devices();
  out.offer.description.method = Method::federated_averaging;
  out.offer.description.training.batch = 2;
  return out;
}
/// The device's net of its turn in the first round arrives and is kept.
inline std::vector<ServerAction> hand_in(ServerMachine& m, ConnectionId from, std::uint32_t turn) {
  net::LocalModel model;
  model.key = {77, turn, 1};
  model.samples = 4;
  model.steps = 2;
  model.results.resize(1);
  model.results[0] = {2.5, 4, 3};
  model.costs.resize(1);
  net::Message message = net::make_message(model);
  message.digest = sha256(message.payload);
  give(m, from, std::move(message));
  m.on_model_kept(from, {});
  return drain(m);
}

}  // namespace places_fixture
