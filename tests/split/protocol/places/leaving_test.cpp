// Devices that leave a run for good: a user says so at the server, or they say it themselves.

#include "split/protocol/places/places_fixture.hpp"

namespace leaving_test {

using namespace places_fixture;

TEST_CASE("places: a device leaves for good in its turn, and the run goes on at once") {
  ServerMachine m(three_devices());
  enter_all(m);
  give(m, 1, net::TurnAccept{first, 2});
  give(m, 1, step_message(first, 1));
  m.on_trained(TrainedStep{});
  drain(m);
  CHECK(m.leave(0, {}));
  auto actions = drain(m);
  REQUIRE(actions.size() == 4);
  CHECK(sent<net::ErrorMessage>(actions[0]).text ==
        "device 'pi-0' has left the run for good: somebody at the server said so");
  CHECK(sent<net::ErrorMessage>(actions[0]).code == net::WireError::left);
  CHECK(is<Close>(actions[1]));
  const QuarantinedDevice& left = as<PutAside>(actions[2]).device;
  CHECK(left.gone);
  CHECK(left.name == "pi-0");
  CHECK(left.samples == 4);
  CHECK(left.reason == left_for_good);
  CHECK(is<RollBack>(actions[3]));  // its turn ends where its last barrier stands
  m.on_rolled_back({});
  actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(as<Report>(actions[0]).report.skip_reason == left_for_good);
  CHECK(as<Report>(actions[0]).report.device_name == "pi-0");
  CHECK(as<Grant>(actions[1]).connection == 2);
  CHECK_FALSE(m.missing_holder());

  // It is told so when it comes again, and may once it is released.
  const std::string gone =
      "device 'pi-0' has left the run for good, until somebody at the server says: iotsl device "
      "release pi-0 --run RUN";
  CHECK(refusal(answer(m, 7, hello_of("pi-0", 0))) == gone);
  const net::Message again = answer(m, 8, hello_of("pi-0"));
  CHECK(net::decode<net::ErrorMessage>(again.payload)->code == net::WireError::left);
  CHECK(refusal(again) == gone);
  m.release(0);
  CHECK(enter(m, 9, hello_of("pi-0", 0)).empty());
}

TEST_CASE("places: a device that asks to leave is told once it is on the disk") {
  ServerMachine m(three_devices());
  enter_all(m);
  m.on_open(7, "pi-1");
  auto actions = give(m, 7, net::Leave{"for good", "pi-1"});
  REQUIRE(actions.size() == 1);
  CHECK(as<server_action::Leave>(actions[0]).connection == 7);
  CHECK(as<server_action::Leave>(actions[0]).name == "pi-1");
  CHECK(m.leave(1, {}, 7));
  actions = drain(m);
  REQUIRE(actions.size() == 5);
  // Its program, which takes part, and then the one that has asked.
  CHECK(as<Send>(actions[0]).connection == 2);
  CHECK(sent<net::ErrorMessage>(actions[0]).text ==
        "device 'pi-1' has left the run for good: it said so");
  CHECK(as<Close>(actions[1]).connection == 2);
  CHECK(as<PutAside>(actions[2]).device.gone);
  CHECK(as<PutAside>(actions[2]).device.reason == left_for_good);
  CHECK(as<Send>(actions[3]).connection == 7);
  CHECK(sent<net::LeaveOk>(actions[3]).index == 1);
  CHECK(as<Close>(actions[4]).connection == 7);
  CHECK(m.quarantine().is_gone(1));
  // As where a user has said so.
  actions = whole_turn(m, 1, first, 0);
  CHECK(as<Report>(actions[2]).report.skip_reason == left_for_good);
  CHECK(as<Grant>(actions[3]).connection == 3);

  // Where it cannot be written nobody is told that it is.
  m.on_open(8, "pi-2");
  give(m, 8, net::Leave{"for good", "pi-2"});
  CHECK(m.leave(2, {}, 8));
  m.abort(failure(ErrorCode::other, "disk"));
  for (const ServerAction& action : drain(m))
    if (is<Send>(action)) CHECK(as<Send>(action).message.type != MessageType::leave_ok);
}

TEST_CASE("places: the last device that leaves by itself is told so before the run ends") {
  ServerPlan all = three_devices();
  all.min_devices = 3;
  ServerMachine m(all);
  enter_all(m);
  m.on_open(7);
  give(m, 7, net::Leave{"for good", "pi-0"});
  CHECK(m.leave(0, {}, 7));
  const auto actions = drain(m);
  CHECK(is<PutAside>(actions.at(2)));
  CHECK(as<Send>(actions.at(3)).connection == 7);
  CHECK(sent<net::LeaveOk>(actions.at(3)).index == 0);
  CHECK(is<Fail>(actions.back()));
}

TEST_CASE("places: who asks to leave says its own name, and nothing else") {
  ServerMachine m(three_devices());
  enter_all(m);
  m.on_open(7, "pi-2");
  auto actions = give(m, 7, net::Leave{"for good", "pi-1"});
  CHECK(sent<net::ErrorMessage>(actions.at(0)).code == WireError::identity);
  CHECK(refusal(as<Send>(actions[0]).message) ==
        "the key is that of device 'pi-2', the name in LEAVE is 'pi-1'");
  m.on_open(8);
  actions = give(m, 8, net::Leave{"for good"});
  CHECK(sent<net::ErrorMessage>(actions.at(0)).code == WireError::not_allowed);
  // What it asks for is answered: there is nothing to say meanwhile.
  m.on_open(9);
  give(m, 9, net::Leave{"for good", "pi-1"});
  actions = give(m, 9, hello_of("pi-1", 1));
  CHECK(sent<net::ErrorMessage>(actions.at(0)).code == WireError::not_allowed);
  CHECK(m.quarantine().count() == 0);
  m.confirm_leave(9, 1);  // it is gone
  CHECK(drain(m).empty());
  // Over the connection of a program that takes part LEAVE is a pause, and has no name.
  actions = give(m, 2, net::Leave{"for good", "pi-1"});
  CHECK(as<PutAside>(actions.at(2)).device.reason.find("sent LEAVE where") != std::string::npos);
}

TEST_CASE("places: one that is away, or in quarantine, may leave as well") {
  ServerMachine away(three_devices());
  enter_all(away);
  away.on_lost(1);
  CHECK(away.missing_holder() == 0u);
  CHECK(away.leave(0, {}));
  auto actions = drain(away);
  REQUIRE(actions.size() == 3);
  CHECK(is<PutAside>(actions[0]));
  CHECK(is<Report>(actions[1]));
  CHECK(as<Grant>(actions[2]).connection == 2);

  ServerMachine failed(three_devices());
  enter_all(failed);
  give(failed, 3, net::ErrorMessage{WireError::not_finite, true, 0, "NaN"});
  CHECK(failed.leave(2, {}));
  REQUIRE(failed.quarantine().entries().size() == 2);
  CHECK(failed.quarantine().entries()[0].released);
  CHECK(failed.quarantine().is_gone(2));
  CHECK(failed.quarantine().left() == 2);
}

TEST_CASE("places: with too few left the run ends and says who has left") {
  ServerPlan least = three_devices();
  least.min_devices = 3;
  ServerMachine m(least);
  enter_all(m);
  CHECK(m.leave(1, {}));
  CHECK(
      as<Fail>(drain(m).back()).problem.message ==
      "2 of 3 devices are left, at least 3 are needed (--min-devices): device 'pi-1': it has left "
      "the run for good");
}

}  // namespace leaving_test
