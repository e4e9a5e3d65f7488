// Quarantine ahead of a run, in its preparation, after it was interrupted, and in methods whose
// turns are others.

#include "split/protocol/places/quarantine_fixture.hpp"

namespace quarantine_phases_test {

using namespace quarantine_fixture;
using server_action::AverageModel;
using server_action::KeepModel;
using server_action::SendModel;
using server_action::TrainCached;

namespace {

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

}  // namespace

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

}  // namespace quarantine_phases_test
