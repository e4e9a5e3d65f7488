#pragma once
// What tests of quarantine look at: who is put aside, who goes on.

#include "split/protocol/server_fixture.hpp"

namespace quarantine_fixture {

using namespace server_fixture;

/// Two rounds of a run that can go back.
inline ServerPlan two_rounds() {
  ServerPlan out = plan();
  out.turns = 4;
  out.keeps_barriers = true;
  return out;
}

/// The first actions: the device at connection 1 was told (unless it has said so itself) and
/// closed, and is put aside for `reason`. What follows.
inline std::vector<ServerAction> put_aside(std::vector<ServerAction> actions,
                                           std::string_view reason, bool told = true) {
  std::size_t at = 0;
  if (told) {
    REQUIRE(actions.size() > 2);
    CHECK(as<Send>(actions[0]).connection == 1);
    CHECK(sent<net::ErrorMessage>(actions[0]).fatal);
    CHECK(sent<net::ErrorMessage>(actions[0]).text == reason);
    at = 1;
  }
  REQUIRE(actions.size() > at + 1);
  CHECK(as<Close>(actions[at]).connection == 1);
  const QuarantinedDevice& device = as<PutAside>(actions[at + 1]).device;
  CHECK(device.device == 0);
  CHECK(device.name == "pi");
  CHECK(device.samples == 4);
  CHECK(device.label_counts == std::vector<std::uint64_t>{2, 2});
  CHECK(device.reason == reason);
  CHECK_FALSE(device.released);
  actions.erase(actions.begin(), actions.begin() + static_cast<std::ptrdiff_t>(at + 2));
  return actions;
}

/// Turn 0 was skipped for `reason`, and turn 1 is granted to connection 2.
inline void check_goes_on(const std::vector<ServerAction>& actions, std::string_view reason) {
  REQUIRE(actions.size() == 2);
  const TurnReport& skipped = as<Report>(actions[0]).report;
  CHECK(skipped.turn == 0);
  CHECK(skipped.skipped);
  CHECK(skipped.skip_reason == reason);
  CHECK(as<Grant>(actions[1]).connection == 2);
  CHECK(as<Grant>(actions[1]).grant.key.turn == 1);
  CHECK(as<Grant>(actions[1]).grant.first_step == 0);
}

/// The whole turn of connection 2, which begins behind step `before`; what follows.
inline std::vector<ServerAction> turn_of_other(ServerMachine& m, const net::TurnKey& key,
                                               std::uint64_t before, ConnectionId from = 2) {
  give(m, from, net::TurnAccept{key, 2});
  std::uint64_t barrier = 0;
  for (std::uint64_t step = before + 1; step <= before + 2; ++step) {
    give(m, from, step_message(key, step));
    m.on_trained(TrainedStep{});
    for (const ServerAction& each : drain(m))
      if (is<Send>(each) && as<Send>(each).message.type == MessageType::barrier)
        barrier = sent<net::Barrier>(each).id;
  }
  const net::Message ack = ack_message(key, barrier, before + 2);
  give(m, from, ack);
  m.on_stored({});
  drain(m);
  return give(m, from, net::TurnDone{key, before + 2, ack.digest});
}

inline QuarantinedDevice entry(std::uint32_t device) {
  return {.device = device,
          .name = "pi",
          .samples = 4,
          .label_counts = {2, 2},
          .data_fingerprint = to_hex(Sha256Digest{}),
          .turn = 0,
          .step = 0,
          .reason = "NaN"};
}

}  // namespace quarantine_fixture
