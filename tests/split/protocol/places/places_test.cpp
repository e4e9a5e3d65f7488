// Who has a place in a run: devices that take one which was left, come late, or fail before the run
// begins.

#include "split/protocol/places/places_fixture.hpp"

namespace places_test {

using namespace places_fixture;

TEST_CASE("places: a further device waits until a place is left, and takes it") {
  ServerMachine m(three_devices());
  enter_all(m);
  CHECK(refusal(answer(m, 7, hello_of("spare")), false) ==
        "the run has places 0 to 2 and no free one for 'spare' until one is left for good");
  // A place that is asked for by its number is another's: that will not change by waiting.
  CHECK(refusal(answer(m, 8, hello_of("spare", 1))) == "place 1 is taken by 'pi-1'");
  CHECK(refusal(answer(m, 9, hello_of("spare", 3))) ==
        "the run has places 0 to 2, device 'spare' asks for 3");

  CHECK(m.leave(1, {}));
  drain(m);
  net::Hello with_less = hello_of("spare", net::any_index, 7);
  with_less.samples = 3;  // without a manifest it trains on what it has
  const net::Message ok = answer(m, 10, with_less);
  REQUIRE(ok.type == MessageType::hello_ok);
  CHECK(net::decode<net::HelloOk>(ok.payload)->index == 1);
  // Until it is ready the place is not left any more, but not its own either.
  CHECK(refusal(answer(m, 11, hello_of("third")), false).find("no free one for 'third'") !=
        std::string::npos);
  CHECK(m.quarantine().has(1));
  give(m, 10, net::Join{77});
  const auto actions = give(m, 10, net::LabelHist{{2, 1}});
  REQUIRE(actions.size() == 1);
  CHECK(as<PlaceTaken>(actions[0]).device == 1);
  CHECK(as<PlaceTaken>(actions[0]).left_by == "pi-1");
  CHECK_FALSE(m.quarantine().has(1));
  const auto next = whole_turn(m, 1, first, 0);
  CHECK(as<Grant>(next.back()).connection == 10);
  CHECK(m.turns()->report().device_name == "spare");
  CHECK(m.turns()->report().samples == 3);
  // Who has left comes too late.
  CHECK(refusal(answer(m, 12, hello_of("pi-1", 1))) == "place 1 is taken by 'spare'");
}

TEST_CASE("places: a run that was prepared with a device's data gives its place to the same data") {
  ServerPlan iotsl = three_devices();
  iotsl.offer.description.method = Method::iotsl;
  iotsl.offer.description.generator = "{}";
  GeneratorsOnHand generators(3);
  for (std::uint32_t d = 0; d < 3; ++d) {
    generators[d] = GeneratorOnHand{};
    generators[d]->data_fingerprint[0] = static_cast<std::uint8_t>(d + 1);
  }
  ServerMachine m(iotsl, generators);
  for (std::uint32_t d = 0; d < 3; ++d)
    enter(m, d + 1, hello_of(concat("pi-", d), d, static_cast<std::uint8_t>(d + 1)));
  m.on_prepared({}, std::vector<ImputationOrder>(3));
  CHECK(m.phase() == Phase::turns);
  CHECK(m.leave(2, {}));
  drain(m);
  CHECK(refusal(answer(m, 7, hello_of("spare", 2, 9))) ==
        "device 'spare' holds other samples than 'pi-2', which has left place 2: the run was "
        "prepared with those");
  const auto actions = enter(m, 8, hello_of("spare", 2, 3));
  CHECK(is<PlaceTaken>(actions.at(0)));
}

TEST_CASE("places: who has left while the server was down is not waited for") {
  ServerPlan again = three_devices();
  ServerMachine m(again);
  enter(m, 1, hello_of("pi-0", 0));
  CHECK(m.wanted_devices() == 3);
  DeviceRecord known;
  known.name = "pi-1";
  known.samples = 4;
  CHECK(m.leave(1, known));
  CHECK(as<PutAside>(drain(m).at(0)).device.name == "pi-1");
  CHECK(m.phase() == Phase::gathering);
  CHECK(m.wanted_devices() == 2);
  // Itself it may not come back; another may when its turn, if it was in one, is over.
  CHECK(refusal(answer(m, 6, hello_of("spare", 1)), false) ==
        "place 1, which 'pi-1' has left, is free once the run has begun");
  CHECK(refusal(answer(m, 7, hello_of("pi-1", 1))).find("has left the run for good") !=
        std::string::npos);
  const auto actions = enter(m, 3, hello_of("pi-2", 2));
  CHECK(as<Grant>(actions.at(0)).connection == 1);

  // The last one that is waited for leaves: the run begins.
  ServerMachine last(again);
  enter(last, 1, hello_of("pi-0", 0));
  enter(last, 2, hello_of("pi-1", 1));
  known.name = "pi-2";
  CHECK(last.leave(2, known));
  const auto begins = drain(last);
  CHECK(is<PutAside>(begins.at(0)));
  CHECK(as<Grant>(begins.at(1)).connection == 1);
}

TEST_CASE("places: a device that is released while a server gathers is not waited for") {
  ServerPlan again = three_devices();
  again.quarantined = {put_aside("NaN")};
  ServerMachine m(again);
  CHECK(m.wanted_devices() == 2);
  m.release(1);
  CHECK(m.wanted_devices() == 2);
  enter(m, 1, hello_of("pi-0", 0));
  const auto begins = enter(m, 3, hello_of("pi-2", 2));
  CHECK(as<Grant>(begins.at(0)).connection == 1);
  // Its place waits for it, as of any other that is away.
  const auto next = whole_turn(m, 1, first, 0);
  CHECK(is<Report>(next.back()));
  CHECK(m.missing_holder() == 1u);

  // One that comes first and goes again keeps its place, and the others are waited for.
  ServerMachine early(again);
  early.release(1);
  enter(early, 2, hello_of("pi-1", 1));
  CHECK(early.phase() == Phase::gathering);
  early.on_lost(2);
  CHECK(early.devices()[1].name == "pi-1");
  enter(early, 1, hello_of("pi-0", 0));
  CHECK(early.phase() == Phase::gathering);
  enter(early, 3, hello_of("pi-2", 2));
  CHECK(early.phase() == Phase::turns);
}

TEST_CASE("places: a run begins with some devices, and the others come late") {
  ServerPlan some = three_devices();
  some.start_with = 2;
  ServerMachine m(some);
  CHECK(m.wanted_devices() == 2);
  enter(m, 1, hello_of("pi-0", 0));
  CHECK(m.phase() == Phase::gathering);
  const auto begins = enter(m, 3, hello_of("pi-2", 2));
  CHECK(as<Grant>(begins.at(0)).connection == 1);
  CHECK(m.missing_devices() == 1);
  // Nobody waits for the place, which the books say.
  auto actions = whole_turn(m, 1, first, 0);
  REQUIRE(actions.size() == 4);
  CHECK_FALSE(as<Report>(actions[1]).report.skipped);
  CHECK(as<Report>(actions[2]).report.skip_reason == "the device is not here yet");
  CHECK(as<Report>(actions[2]).report.device_name == "place 1");
  CHECK(as<Grant>(actions[3]).connection == 3);

  // It joins in another's turn and has its own next one, from the state of the run.
  CHECK(enter(m, 2, hello_of("late")).empty());
  CHECK(m.missing_devices() == 0);
  actions = whole_turn(m, 3, as<Grant>(actions[3]).grant.key, 2);
  actions = whole_turn(m, 1, as<Grant>(actions.back()).grant.key, 4);
  CHECK(as<Grant>(actions.back()).connection == 2);
  CHECK(as<Grant>(actions.back()).grant.first_step == 6);
  CHECK(as<Grant>(actions.back()).grant.round == 1);
}

TEST_CASE("places: where all who are here are put aside the run ends, whoever may come late") {
  ServerPlan some = three_devices();
  some.start_with = 1;
  ServerMachine m(some);
  enter(m, 1, hello_of("pi-0", 0));
  CHECK(m.phase() == Phase::turns);
  give(m, 1, net::ErrorMessage{WireError::not_finite, true, 0, "NaN"});
  CHECK(m.phase() == Phase::ended);
  CHECK(m.quarantine().check(2).failure().message ==
        "0 of 3 devices are left, 2 have not come yet, at least 1 is needed (--min-devices): "
        "device 'pi-0': it has failed: NaN");
}

TEST_CASE("places: a newcomer that fails ahead of its place is told, and nobody is put aside") {
  ServerPlan some = three_devices();
  some.start_with = 1;
  ServerMachine m(some);
  enter(m, 1, hello_of("pi-0", 0));
  CHECK(answer(m, 2, hello_of("pi-late")).type == MessageType::hello_ok);
  const auto after =
      give(m, 2, error_message(net::WireError::model_mismatch, true, "no such front"));
  for (const ServerAction& action : after) CHECK_FALSE(is<PutAside>(action));
  CHECK(m.phase() == ServerMachine::Phase::turns);
  // Its place is free for the next one.
  CHECK(answer(m, 3, hello_of("pi-other")).type == MessageType::hello_ok);
}

TEST_CASE("places, method fedavg: who comes late takes part from the next round on") {
  ServerPlan some = fedavg();
  some.start_with = 2;
  ServerMachine m(some);
  enter(m, 1, hello_of("pi-0", 0));
  auto actions = enter(m, 3, hello_of("pi-2", 2));
  REQUIRE(actions.size() == 2);
  CHECK(as<SendModel>(actions[0]).global.key == net::TurnKey{77, 0, 1});
  CHECK(as<SendModel>(actions[1]).global.key == net::TurnKey{77, 2, 1});
  CHECK(as<SendModel>(actions[1]).global.first_step == 2);
  CHECK(enter(m, 2, hello_of("late", 1)).empty());

  hand_in(m, 1, 0);
  hand_in(m, 3, 2);
  m.on_stored({});
  actions = drain(m);
  const auto& late = as<server_action::AverageModel>(actions.back()).barrier;
  CHECK(late.report.skip_reason == "the device is not here yet");
  CHECK(late.turn_complete());  // of no steps: a server that starts again must not do it once more
  m.on_stored({});
  drain(m);
  m.on_stored({});
  std::size_t sent_to = 0;
  for (const ServerAction& action : drain(m))
    if (is<SendModel>(action)) {
      ++sent_to;
      CHECK(as<SendModel>(action).global.round == 1);
    }
  CHECK(sent_to == 3);
}

TEST_CASE("places, method fedavg: who takes a left place takes part from the next round on") {
  ServerMachine m(fedavg());
  enter_all(m);
  CHECK(m.leave(1, {}));
  drain(m);
  net::Hello with_less = hello_of("spare");
  with_less.samples = 2;  // one batch: the round's steps are numbered for two
  CHECK(answer(m, 7, with_less).type == MessageType::hello_ok);
  give(m, 7, net::Join{77});
  const auto ready = give(m, 7, net::LabelHist{{1, 1}});
  REQUIRE(ready.size() == 1);
  CHECK(is<PlaceTaken>(ready[0]));
  hand_in(m, 1, 0);
  hand_in(m, 3, 2);
  m.on_stored({});
  CHECK(as<server_action::AverageModel>(drain(m).back()).barrier.report.skipped);
  m.on_stored({});
  drain(m);
  m.on_stored({});
  std::vector<std::uint64_t> first_steps;
  for (const ServerAction& action : drain(m))
    if (is<SendModel>(action)) first_steps.push_back(as<SendModel>(action).global.first_step);
  CHECK(first_steps == std::vector<std::uint64_t>{6, 8, 9});
}

TEST_CASE("places, method fedavg: a round with a left place begins anew in another server") {
  // "spare", with fewer samples, has taken the place of "pi-1" before the server died; the steps of
  // "pi-2" are numbered as if "pi-1" were there.
  ServerPlan again = fedavg();
  again.last_fence = 1;
  again.offer.incarnation = 2;
  again.quarantined = {put_aside(left_for_good)};
  again.quarantined[0].released = again.quarantined[0].gone = true;
  ServerMachine m(again);
  enter(m, 1, hello_of("pi-0", 0));
  net::Hello spare = hello_of("spare", 1);
  spare.samples = 2;
  CHECK(answer(m, 2, spare).type == MessageType::hello_ok);
  give(m, 2, net::Join{77});
  give(m, 2, net::LabelHist{{1, 1}});
  net::Hello third = hello_of("pi-2", 2);
  third.position.key = {77, 2, 1};
  CHECK(answer(m, 3, third).type == MessageType::hello_ok);
  give(m, 3, net::Join{77});
  give(m, 3, net::LabelHist{{2, 2}});
  const auto actions = give(m, 3, net::Resume{third.position, 2});
  std::vector<std::uint64_t> first_steps;
  for (const ServerAction& action : actions)
    if (is<SendModel>(action)) {
      CHECK(as<SendModel>(action).global.key.fence == 2);
      first_steps.push_back(as<SendModel>(action).global.first_step);
    }
  CHECK(first_steps == std::vector<std::uint64_t>{0, 2, 3});
  // What it had trained is old, and that is all: nobody is put aside.
  for (const ServerAction& action : hand_in(m, 3, 2)) {
    CHECK_FALSE(is<PutAside>(action));
    if (is<Send>(action)) CHECK(sent<net::ErrorMessage>(action).code == WireError::stale);
  }
}

TEST_CASE("places: a device that fails before the run begins is told of") {
  ServerMachine m(three_devices());
  enter(m, 1, hello_of("pi-0", 0));
  auto actions = give(m, 1, net::ErrorMessage{WireError::model_mismatch, true, 0, "front"});
  REQUIRE(actions.size() == 2);
  CHECK(is<Close>(actions[0]));
  CHECK(as<SentAway>(actions[1]).name == "pi-0");
  CHECK(as<SentAway>(actions[1]).reason == "it has failed: front");
  CHECK(as<SentAway>(actions[1]).had_place);
  enter(m, 2, hello_of("pi-1", 0));
  actions = give(m, 2, net::Join{77});
  REQUIRE(actions.size() == 3);
  CHECK(as<SentAway>(actions[2]).reason ==
        "device 'pi-1' sent JOIN where the protocol does not allow it");
  // Who has not said a name is nobody.
  m.on_open(3);
  CHECK(give(m, 3, net::Join{77}).size() == 2);
  CHECK(m.phase() == Phase::gathering);
  CHECK(m.wanted_devices() == 3);
}

TEST_CASE("places: who is refused for good is told of, and who is to wait is not") {
  ServerMachine m(three_devices());
  net::Hello other = hello_of("pi-0");
  other.dataset = "digits";
  m.on_open(1);
  auto actions = give(m, 1, other);
  REQUIRE(actions.size() == 3);
  CHECK(as<SentAway>(actions[2]).name == "pi-0");
  CHECK(as<SentAway>(actions[2]).reason == "the run trains on 'tiny', device 'pi-0' has 'digits'");
  CHECK_FALSE(as<SentAway>(actions[2]).had_place);
  CHECK_FALSE(as<SentAway>(actions[2]).is_proven);
  m.on_open(2, "pi-7");  // whose key it is, whatever it says
  actions = give(m, 2, hello_of("pi-1"));
  CHECK(as<SentAway>(actions.at(2)).name == "pi-7");
  CHECK(as<SentAway>(actions.at(2)).is_proven);
  enter_all(m);
  m.on_open(9);
  CHECK(give(m, 9, hello_of("pi-9")).size() == 2);  // the run is full until one leaves
}

TEST_CASE("places: one that was released while a server gathers is waited for where no other is") {
  ServerPlan again = three_devices();
  again.quarantined = {put_aside("NaN")};
  ServerMachine m(again);
  m.start();
  m.release(1);
  DeviceRecord known;
  known.name = "pi-0";
  CHECK(m.leave(0, known));
  known.name = "pi-2";
  CHECK(m.leave(2, known));
  // It may still come.
  CHECK(m.phase() == Phase::gathering);
  CHECK(m.wanted_devices() == 1);
  drain(m);
  const auto begins = enter(m, 1, hello_of("pi-1", 1));
  CHECK(is<Report>(begins.at(0)));  // the turn of "pi-0"
  CHECK(as<Grant>(begins.at(1)).connection == 1);

  // Where it leaves as well, nobody can come any more.
  ServerMachine nobody(again);
  nobody.start();
  nobody.release(1);
  for (std::uint32_t d = 0; d < 3; ++d) {
    known.name = concat("pi-", d);
    CHECK(nobody.phase() == Phase::gathering);
    CHECK(nobody.leave(d, known));
  }
  CHECK(nobody.phase() == Phase::ended);
  CHECK(as<Fail>(drain(nobody).back()).problem.message ==
        "0 of 3 devices are left, at least 1 is needed (--min-devices): device 'pi-0': it has left "
        "the run for good; device 'pi-1': it has left the run for good; device 'pi-2': it has left "
        "the run for good");
}

TEST_CASE("places, method cache: a server that has the others' samples waits for none of them") {
  ServerPlan again = three_devices();
  again.offer.description.method = Method::cached;
  again.offer.description.training.batch = 2;
  again.cached = {CachedDevice{"pi-0", 4}, CachedDevice{"pi-1", 4}, std::nullopt};
  ServerMachine m(again);
  m.start();
  CHECK(m.phase() == Phase::gathering);
  DeviceRecord known;
  known.name = "pi-2";
  CHECK(m.leave(2, known));
  CHECK(m.phase() == Phase::turns);
  CHECK(is<server_action::TrainCached>(drain(m).back()));
}

}  // namespace places_test
