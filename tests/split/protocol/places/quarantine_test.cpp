// A device that fails by itself: it is put aside, its turn ends where the last barrier stands, and
// the run goes on with the others.

#include "split/protocol/places/quarantine_fixture.hpp"

namespace quarantine_test {

using namespace quarantine_fixture;

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

}  // namespace quarantine_test
