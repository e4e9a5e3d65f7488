// Who has a place in a run: devices that leave for good, take a place that was left, come late, or
// fail before the run begins.

#include "split/protocol/server_fixture.hpp"

namespace places_test {

using namespace server_fixture;
using server_action::PlaceTaken;
using server_action::PutAside;
using server_action::SendModel;
using server_action::SentAway;

namespace {

/// Three rounds of three devices, "pi-0" to "pi-2", with barriers.
ServerPlan three_devices() {
  ServerPlan out = plan();
  out.order.devices = 3;
  out.turns = 9;
  out.keeps_barriers = true;
  return out;
}

net::Hello hello_of(const std::string& name, std::uint32_t index = net::any_index,
                    std::uint8_t data = 0) {
  net::Hello out = hello(index);
  out.device = name;
  out.data_fingerprint[0] = data;
  return out;
}
/// "pi-1" as the books of a run have it.
QuarantinedDevice put_aside(const std::string& reason) {
  return {.device = 1,
          .name = "pi-1",
          .samples = 4,
          .label_counts = {2, 2},
          .data_fingerprint = to_hex(Sha256Digest{}),
          .reason = reason};
}
net::Message answer(ServerMachine& m, ConnectionId connection, const net::Hello& fields) {
  m.on_open(connection);
  const auto actions = give(m, connection, fields);
  REQUIRE(!actions.empty());
  return as<Send>(actions[0]).message;
}
std::string refusal(const net::Message& message, bool fatal = true) {
  REQUIRE(message.type == MessageType::error);
  const auto error = net::decode<net::ErrorMessage>(message.payload).value();
  CHECK(error.fatal == fatal);
  CHECK((error.retry_after_ms > 0) == !fatal);
  return error.text;
}
/// Joins; what the server does when the device is ready.
std::vector<ServerAction> enter(ServerMachine& m, ConnectionId connection,
                                const net::Hello& fields) {
  CHECK(answer(m, connection, fields).type == MessageType::hello_ok);
  give(m, connection, net::Join{77});
  return give(m, connection, net::LabelHist{{2, 2}});
}
/// All three are here: connections 1 to 3.
std::vector<ServerAction> enter_all(ServerMachine& m) {
  std::vector<ServerAction> last;
  for (std::uint32_t d = 0; d < 3; ++d) last = enter(m, d + 1, hello_of(concat("pi-", d), d));
  return last;
}
/// The turn of `key` in two steps, as far as its end.
std::vector<ServerAction> whole_turn(ServerMachine& m, ConnectionId from, const net::TurnKey& key,
                                     std::uint64_t first_step) {
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

ServerPlan fedavg() {
  ServerPlan out = three_devices();
  out.offer.description.method = Method::federated_averaging;
  out.offer.description.training.batch = 2;
  return out;
}
/// The device's net of its turn in the first round arrives and is kept.
std::vector<ServerAction> hand_in(ServerMachine& m, ConnectionId from, std::uint32_t turn) {
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

}  // namespace

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
  CHECK(refusal(answer(m, 8, hello_of("pi-0"))) == gone);
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
