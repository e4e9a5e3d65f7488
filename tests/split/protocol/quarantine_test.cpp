// A device that fails by itself: it is put aside, its turn ends where the last barrier stands, and
// the run goes on with the others.

#include "split/protocol/server_fixture.hpp"

namespace quarantine_test {

using namespace server_fixture;
using server_action::AverageModel;
using server_action::KeepModel;
using server_action::SendModel;
using server_action::TrainCached;

namespace {

/// Two rounds of a run that can go back.
ServerPlan two_rounds() {
  ServerPlan out = plan();
  out.turns = 4;
  out.keeps_barriers = true;
  return out;
}

/// The first actions: the device at connection 1 was told (unless it has said so itself) and
/// closed, and is put aside for `reason`. What follows.
std::vector<ServerAction> put_aside(std::vector<ServerAction> actions, std::string_view reason,
                                    bool told = true) {
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
void check_goes_on(const std::vector<ServerAction>& actions, std::string_view reason) {
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
std::vector<ServerAction> turn_of_other(ServerMachine& m, const net::TurnKey& key,
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

/// Says HELLO for `index` over a new connection; the answer.
net::Message answer_to_hello(ServerMachine& m, ConnectionId connection, std::uint32_t index,
                             const char* name = "pi") {
  m.on_open(connection);
  net::Hello fields = hello(index, connection);
  fields.device = name;
  const auto actions = give(m, connection, fields);
  REQUIRE(!actions.empty());
  return as<Send>(actions[0]).message;
}
std::string refusal(const net::Message& answer) {
  REQUIRE(answer.type == MessageType::error);
  const auto error = net::decode<net::ErrorMessage>(answer.payload).value();
  CHECK(error.fatal);
  return error.text;
}

QuarantinedDevice entry(std::uint32_t device) {
  return {.device = device,
          .name = "pi",
          .samples = 4,
          .label_counts = {2, 2},
          .data_fingerprint = to_hex(Sha256Digest{}),
          .turn = 0,
          .step = 0,
          .reason = "NaN"};
}

}  // namespace

TEST_CASE("quarantine: NaN in a STEP is found before it is applied") {
  ServerMachine m(two_rounds());
  reach(m, State::training);
  m.on_step_refused(failure(ErrorCode::network, "STEP 1 has NaN or Inf"));
  const auto actions = put_aside(drain(m), "STEP 1 has NaN or Inf");
  check_goes_on(actions, "STEP 1 has NaN or Inf");
  CHECK_FALSE(m.missing_holder());

  // The others take their turns; its next one is skipped.
  const auto next = turn_of_other(m, as<Grant>(actions[1]).grant.key, 0);
  REQUIRE(next.size() == 4);
  CHECK(as<Report>(next[1]).report.turn == 1);
  CHECK_FALSE(as<Report>(next[1]).report.skipped);
  CHECK(as<Report>(next[2]).report.turn == 2);
  CHECK(as<Report>(next[2]).report.skip_reason == "STEP 1 has NaN or Inf");
  CHECK(as<Report>(next[2]).report.device_name == "pi");
  CHECK(as<Grant>(next[3]).grant.key.turn == 3);
  CHECK(as<Grant>(next[3]).grant.first_step == 2);
  const auto end = turn_of_other(m, as<Grant>(next[3]).grant.key, 2);
  CHECK(is<Finish>(end.back()));
}

TEST_CASE("quarantine: a step that the server's half has in part is taken back") {
  // In the forward pass, and behind the gradient that was sent already.
  for (const State state : {State::training, State::stepping, State::waiting_ack}) {
    ServerMachine m(two_rounds());
    reach(m, state);
    const Failure why = failure(ErrorCode::other, "step 1: the loss is NaN");
    if (state == State::training)
      m.on_trained(why);
    else
      m.on_step_failed(why);
    auto actions = put_aside(drain(m), why.message);
    REQUIRE(actions.size() == 1);
    CHECK(as<RollBack>(actions[0]).barrier == 0);
    CHECK(as<RollBack>(actions[0]).why == "device 'pi' is put aside");
    m.on_rolled_back({});
    check_goes_on(drain(m), why.message);
    CHECK(steps_applied(m) == 0);
  }
}

TEST_CASE("quarantine: a device that gives up or breaks the protocol, in every state of its turn") {
  for (const State state : {State::waiting_accept, State::stepping, State::training,
                            State::waiting_ack, State::storing, State::waiting_done})
    for (const bool own : {true, false}) {
      INFO("state " << static_cast<int>(state) << " own error " << own);
      ServerMachine m(two_rounds());
      reach(m, state);
      const auto first_actions =
          own ? give(m, 1, net::ErrorMessage{WireError::not_finite, true, 0, "NaN"})
              : give(m, 1, net::Join{77});
      auto actions = put_aside(
          first_actions,
          own ? "it has failed: NaN" : "device 'pi' sent JOIN where the protocol does not allow it",
          !own);
      const bool ahead = state == State::waiting_ack || state == State::storing;
      if (ahead) {
        REQUIRE(actions.size() == 1);
        CHECK(is<RollBack>(actions[0]));
        m.on_rolled_back({});
        actions = drain(m);
      }
      REQUIRE(actions.size() == 2);
      // Behind its last barrier the whole turn counts.
      CHECK(as<Report>(actions[0]).report.skipped == (state != State::waiting_done));
      CHECK(as<Grant>(actions[1]).connection == 2);
      CHECK(as<Grant>(actions[1]).grant.first_step == (state == State::waiting_done ? 2 : 0));
    }
}

TEST_CASE("quarantine: what a barrier inside the turn holds stays") {
  ServerPlan often = two_rounds();
  often.barrier_steps = 1;
  ServerMachine m(often);
  join(m, 1, 0);
  join(m, 2, 1);
  give(m, 1, net::TurnAccept{first, 3});
  m.on_barrier_due();
  give(m, 1, step_message(first, 1));
  m.on_trained(TrainedStep{});
  give(m, 1, ack_message(first, 1, 1));
  m.on_stored({});
  give(m, 1, step_message(first, 2));
  m.on_trained(TrainedStep{});
  give(m, 1, step_message(first, 3));
  m.on_step_refused(failure(ErrorCode::network, "STEP 3 has NaN or Inf"));
  auto actions = drain(m);
  CHECK(as<PutAside>(actions.at(actions.size() - 2)).device.step == 1);
  CHECK(as<RollBack>(actions.back()).step == 1);
  m.on_rolled_back({});
  actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(as<Report>(actions[0]).report.skipped);
  CHECK(as<Report>(actions[0]).report.epochs[0].samples == 2);  // of its first step
  CHECK(as<Grant>(actions[1]).connection == 2);
  CHECK(as<Grant>(actions[1]).grant.first_step == 1);
}

TEST_CASE("quarantine: lies about counts, and a front that is refused") {
  ServerMachine steps(two_rounds());
  reach(steps, State::waiting_accept);
  const char* reason = "TURN_ACCEPT of turn 0 with 100 steps, expected 1 to 4";
  check_goes_on(put_aside(give(steps, 1, net::TurnAccept{first, 100}), reason), reason);

  ServerMachine barrier(two_rounds());
  reach(barrier, State::waiting_ack);
  reason = "BARRIER_ACK of barrier 1 at step 9, expected 1 at 2";
  CHECK(is<RollBack>(put_aside(give(barrier, 1, ack_message(first, 1, 9)), reason).at(0)));

  ServerMachine front(two_rounds());
  reach(front, State::storing);
  reason = "front state: 'w' has NaN or Inf";
  front.on_front_refused(failure(ErrorCode::network, reason));
  CHECK(is<RollBack>(put_aside(drain(front), reason).at(0)));
  front.on_rolled_back({});
  check_goes_on(drain(front), reason);

  // Samples per class when it comes back: it has the place already.
  ServerMachine again(two_rounds());
  reach(again, State::stepping);
  again.on_lost(1);
  again.on_open(1);
  give(again, 1, hello(0));
  give(again, 1, net::Join{77});
  reason = "LABEL_HIST has 2 classes and 7 samples, expected 2 and 4";
  check_goes_on(put_aside(give(again, 1, net::LabelHist{{3, 4}}), reason), reason);
}

TEST_CASE("quarantine: a device that waits for its turn") {
  ServerMachine m(two_rounds());
  reach(m, State::training);
  const auto actions = give(m, 2, net::ErrorMessage{WireError::run_failed, true, 0, "no memory"});
  REQUIRE(actions.size() == 2);
  CHECK(as<Close>(actions[0]).connection == 2);
  CHECK(as<PutAside>(actions[1]).device.device == 1);
  CHECK(is_in(m, State::training));  // nobody else notices
  m.on_trained(TrainedStep{});
  drain(m);
  CHECK(is<Train>(give(m, 1, step_message(first, 2))[0]));
  m.on_trained(TrainedStep{});
  drain(m);
  const net::Message ack = ack_message(first, 1, 2);
  give(m, 1, ack);
  m.on_stored({});
  drain(m);
  const auto next = give(m, 1, net::TurnDone{first, 2, ack.digest});
  REQUIRE(next.size() == 4);
  CHECK(as<Report>(next[2]).report.skip_reason == "it has failed: no memory");
  CHECK(as<Grant>(next[3]).connection == 1);
  CHECK(as<Grant>(next[3]).grant.key.turn == 2);
}

TEST_CASE("quarantine: with too few devices left the run stops, and says who and why") {
  ServerPlan both = two_rounds();
  both.min_devices = 2;
  ServerMachine m(both);
  reach(m, State::training);
  m.on_step_refused(failure(ErrorCode::network, "STEP 1 has NaN or Inf"));
  const auto actions = put_aside(drain(m), "STEP 1 has NaN or Inf");
  const char* text =
      "1 of 2 devices are left, at least 2 are needed (--min-devices): device 'pi': STEP 1 has NaN "
      "or Inf";
  CHECK(as<Fail>(actions.back()).problem.message == text);
  CHECK(as<Fail>(actions.back()).problem.code == ErrorCode::network);

  // It goes on once somebody is released, and not before.
  both.quarantined = {entry(0)};
  ServerMachine again(both);
  again.start();
  CHECK(is<Fail>(drain(again).back()));
  both.quarantined[0].released = true;
  ServerMachine released(both);
  released.start();
  CHECK(drain(released).empty());
  reach(released, State::waiting_accept);

  // A run of one device ends with what it says.
  ServerPlan alone = plan();
  alone.order.devices = 1;
  ServerMachine one(alone);
  join(one, 1, 0);
  drain(one);
  const auto end = give(one, 1, net::ErrorMessage{WireError::not_finite, true, 0, "NaN"});
  CHECK(as<Fail>(end.back()).problem.message ==
        "0 of 1 device is left, at least 1 is needed (--min-devices): device 'pi': it has failed: "
        "NaN");
}

TEST_CASE("quarantine: without barriers a run goes on only where nothing has to be taken back") {
  ServerPlan without = two_rounds();
  without.keeps_barriers = false;
  ServerMachine clean(without);
  reach(clean, State::training);
  clean.on_step_refused(failure(ErrorCode::network, "NaN"));
  check_goes_on(put_aside(drain(clean), "NaN"), "NaN");

  ServerMachine ahead(without);
  reach(ahead, State::waiting_ack);
  const auto end = give(ahead, 1, net::ErrorMessage{WireError::not_finite, true, 0, "NaN"});
  CHECK(as<Fail>(end.back()).problem.message ==
        "device 'pi' is put aside (it has failed: NaN), and without a run folder (--out) there is "
        "no barrier to go back to");
}

TEST_CASE("quarantine: a pause does not wait for the barrier of a device that has failed") {
  ServerMachine m(two_rounds());
  reach(m, State::training);
  m.request_pause();
  m.on_trained(failure(ErrorCode::other, "NaN"));
  CHECK(is<Pause>(drain(m).back()));
  CHECK(m.quarantine().has(0));
  CHECK(m.committed().step == 0);
}

TEST_CASE("quarantine: who is in it is told so, and comes back once it is released") {
  ServerMachine m(two_rounds());
  reach(m, State::training);
  m.on_step_refused(failure(ErrorCode::network, "NaN"));
  drain(m);
  const std::string why =
      "device 'pi' is in quarantine until somebody at the server says: iotsl device release pi "
      "--run RUN; NaN";
  CHECK(refusal(answer_to_hello(m, 3, 0)) == why);
  CHECK(refusal(answer_to_hello(m, 4, net::any_index)) == why);
  CHECK(refusal(answer_to_hello(m, 5, 0, "stranger")) == "place 0 is taken by 'pi'");
  CHECK(m.quarantine().entries().size() == 1);  // asking is no new failure

  m.release(0);
  CHECK(answer_to_hello(m, 6, 0).type == MessageType::hello_ok);
  give(m, 6, net::Join{77});
  CHECK(give(m, 6, net::LabelHist{{2, 2}}).empty());
  const net::TurnKey key{77, 1, 2};
  const auto next = turn_of_other(m, key, 0);
  CHECK(as<Grant>(next.back()).connection == 6);
  CHECK(as<Grant>(next.back()).grant.key.turn == 2);
  // It may fail again.
  give(m, 6, net::ErrorMessage{WireError::not_finite, true, 0, "again"});
  CHECK(m.quarantine().entries().size() == 2);
  CHECK(m.quarantine().find(0)->reason == "it has failed: again");
}

TEST_CASE("quarantine: a server that starts again waits for the others alone") {
  ServerPlan again = two_rounds();
  again.quarantined = {entry(0)};
  ServerMachine m(again);
  m.start();
  // The place is not another's, though nothing has begun.
  CHECK(refusal(answer_to_hello(m, 8, 0, "stranger")) ==
        "place 0 is taken by 'pi', which is in quarantine");
  CHECK(refusal(answer_to_hello(m, 9, 0)).find("is in quarantine until") != std::string::npos);
  join(m, 2, 1);
  auto actions = drain(m);
  REQUIRE(actions.size() == 5);
  actions.erase(actions.begin(), actions.begin() + 3);  // HELLO_OK, JOIN_OK, FRONT_INIT
  check_goes_on(actions, "NaN");
  CHECK(m.committed().id == 0);
}

TEST_CASE("quarantine: before a run has begun a place is only left") {
  ServerMachine m(two_rounds());
  join(m, 1, 0);
  drain(m);
  auto actions = give(m, 1, net::ErrorMessage{WireError::model_mismatch, true, 0, "front"});
  REQUIRE(actions.size() == 2);
  CHECK(is<Close>(actions[0]));
  CHECK(is<server_action::SentAway>(actions[1]));
  CHECK(m.quarantine().count() == 0);
  CHECK(answer_to_hello(m, 3, 0, "another").type == MessageType::hello_ok);
  // Nor is a place lost by what a stranger says ahead of HELLO_OK.
  ServerMachine begun(two_rounds());
  reach(begun, State::stepping);
  begun.on_lost(1);
  begun.on_open(5);
  net::Hello other = hello(0);
  other.samples = 5;
  give(begun, 5, other);
  CHECK(begun.quarantine().count() == 0);
}

TEST_CASE("quarantine: a device whose generator is refused, or that fails in training it") {
  ServerPlan iotsl = two_rounds();
  iotsl.offer.description.method = Method::iotsl;
  iotsl.offer.description.generator = "{}";
  for (const bool own : {true, false}) {
    ServerMachine m(iotsl, GeneratorsOnHand(2));
    join(m, 1, 0);
    join(m, 2, 1);
    drain(m);
    const std::uint8_t file[3] = {7, 8, 9};
    net::GenUpload upload;
    upload.file = file;
    give(m, 2, upload);
    m.on_generator_stored(2, Sha256Digest{});
    drain(m);
    REQUIRE(m.phase() == Phase::collecting);
    std::vector<ServerAction> actions;
    const char* reason = "it has failed: no memory";
    if (own) {
      actions =
          put_aside(give(m, 1, net::ErrorMessage{WireError::run_failed, true, 0, "no memory"}),
                    reason, false);
    } else {
      give(m, 1, upload);
      m.on_generator_stored(1, failure(ErrorCode::data, "no generator"));
      reason = "device 'pi': no generator";
      actions = put_aside(drain(m), reason);
    }
    // It was the last that was waited for.
    REQUIRE(actions.size() == 1);
    CHECK(is<Prepare>(actions[0]));
    m.on_prepared({}, {{}, {}});
    check_goes_on(drain(m), reason);
    // Released, it is not asked for a generator that nobody needs any more.
    m.release(0);
    CHECK(answer_to_hello(m, 7, 0).type == MessageType::hello_ok);
    CHECK_FALSE(sent<net::JoinOk>(give(m, 7, net::Join{77})[0]).generator_wanted);
    CHECK(give(m, 7, net::LabelHist{{2, 2}}).empty());
    CHECK(m.ready_devices() == 2);
  }
}

TEST_CASE("quarantine, method fedavg: a round's mean is without the device") {
  ServerPlan rounds = two_rounds();
  rounds.offer.description.method = Method::federated_averaging;
  rounds.offer.description.training.batch = 2;
  const auto answer = [](std::uint32_t turn, std::uint32_t fence) {
    net::LocalModel out;
    out.key = {77, turn, fence};
    out.samples = 4;
    out.steps = 2;
    out.results = {{2.5, 4, 3}};
    out.costs.resize(1);
    net::Message message = net::make_message(out);
    message.digest = sha256(message.payload);
    return message;
  };
  const auto average = [](const ServerAction& action) { return as<AverageModel>(action).barrier; };
  ServerMachine m(rounds);
  join(m, 1, 0);
  join(m, 2, 1);
  drain(m);
  // The second's net waits for its turn when it fails: it is not used.
  give(m, 2, answer(1, 1));
  m.on_model_kept(2, {});
  drain(m);
  auto actions = give(m, 2, net::ErrorMessage{WireError::run_failed, true, 0, "no memory"});
  REQUIRE(actions.size() == 2);
  CHECK(is<PutAside>(actions[1]));
  CHECK(is<KeepModel>(give(m, 1, answer(0, 1))[0]));
  m.on_model_kept(1, {});
  actions = drain(m);
  CHECK_FALSE(average(actions[0]).report.skipped);
  m.on_stored({});
  actions = drain(m);
  CHECK(average(actions.back()).report.turn == 1);
  CHECK(average(actions.back()).report.skip_reason == "it has failed: no memory");
  CHECK(as<AverageModel>(actions.back()).ends_round);
  m.on_stored({});
  actions = drain(m);  // the next round, for the first alone
  REQUIRE(actions.size() == 2);
  CHECK(as<SendModel>(actions[0]).connection == 1);

  // Released it trains the round's net, the same answer as of a device that was switched off.
  m.release(1);
  CHECK(answer_to_hello(m, 4, 1).type == MessageType::hello_ok);
  give(m, 4, net::Join{77});
  actions = give(m, 4, net::LabelHist{{2, 2}});
  REQUIRE(actions.size() == 1);
  CHECK(as<SendModel>(actions[0]).global.key == net::TurnKey{77, 3, 2});
  // The first sends NaN: its turn is in hand, and is skipped at once.
  give(m, 1, answer(2, 2));
  m.on_model_kept(1, failure(ErrorCode::network, "'w' has NaN or Inf"));
  actions = put_aside(drain(m), "LOCAL_MODEL of device 'pi': 'w' has NaN or Inf");
  REQUIRE(actions.size() == 1);
  CHECK(average(actions[0]).report.turn == 2);
  CHECK(average(actions[0]).report.skipped);
  m.on_stored({});
  drain(m);
  give(m, 4, answer(3, 2));
  m.on_model_kept(4, {});
  m.on_stored({});
  CHECK(is<Finish>(drain(m).back()));

  // A server that starts again in a round whose first device is put aside.
  rounds.quarantined = {entry(0)};
  ServerMachine again(rounds);
  join(again, 2, 1);
  actions = drain(again);
  REQUIRE(actions.size() == 5);
  CHECK(as<SendModel>(actions[3]).global.first_step == 2);
  CHECK(average(actions[4]).report.skip_reason == "NaN");
}

TEST_CASE("quarantine, method cache: who has sent its samples is needed no more") {
  ServerPlan cache = two_rounds();
  cache.offer.description.method = Method::cached;
  cache.offer.description.generator = "{}";
  cache.offer.description.training.batch = 2;
  cache.offer.description.training.frozen_front = true;
  cache.cached = {CachedDevice{"pi", 4}, std::nullopt};
  ServerMachine m(cache);
  m.start();
  join(m, 1, 0);
  join(m, 2, 1);
  drain(m);
  // The server works on the first one's samples: nothing is asked of it.
  const auto closed = give(m, 1, net::ErrorMessage{WireError::run_failed, true, 0, "disk"});
  REQUIRE(closed.size() == 2);
  CHECK(is<Close>(closed[0]));
  CHECK(as<server_action::SentAway>(closed[1]).reason == "it has failed: disk");
  CHECK(m.quarantine().count() == 0);
  // What it has sent makes the loss explode.
  m.on_trained(failure(ErrorCode::other, "step 1: the loss is NaN"));
  auto actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(as<PutAside>(actions[0]).device.reason == "step 1: the loss is NaN");
  CHECK(is<RollBack>(actions[1]));
  m.on_rolled_back({});
  actions = drain(m);
  CHECK(as<Report>(actions[0]).report.skipped);
  CHECK(as<Grant>(actions[1]).connection == 2);

  // Of two, one is cached and the other put aside: nobody is waited for.
  cache.quarantined = {entry(1)};
  ServerMachine alone(cache);
  alone.start();
  actions = drain(alone);
  REQUIRE(actions.size() == 2);
  CHECK(as<TrainCached>(actions[1]).device == 0);
}

}  // namespace quarantine_test
