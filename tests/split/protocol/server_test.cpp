#include "iotsl/core/json/value.hpp"
#include "split/protocol/server_fixture.hpp"

namespace server_test {

using namespace server_fixture;

namespace {

std::vector<net::Message> all_messages() {
  return {net::make_message(hello()),
          net::make_message(net::HelloOk{plan().offer}),
          net::make_message(net::Join{77}),
          net::make_message(net::JoinOk{77}),
          net::make_message(net::FrontInit{}),
          net::make_message(net::LabelHist{{2, 2}}),
          net::make_message(net::TurnGrant{}),
          net::make_message(net::TurnAccept{first, 2}),
          step_message(first, 1),
          net::make_message(net::Grad{}),
          net::make_message(net::Barrier{}),
          ack_message(first, 1, 2),
          net::make_message(net::BarrierCommitted{}),
          net::make_message(net::TurnDone{}),
          net::make_message(net::TurnCommitted{}),
          net::make_message(net::EvalReq{}),
          net::make_message(net::EvalResp{}),
          net::make_message(net::Resume{}),
          net::make_message(net::ResumeOk{})};
}

bool allowed(std::optional<State> state, MessageType type) {
  switch (type) {
    case MessageType::turn_accept:
      return state == State::waiting_accept;
    // In waiting_ack a STEP may be a repetition; its own test covers it.
    case MessageType::step:
      return state == State::stepping || state == State::waiting_ack;
    case MessageType::barrier_ack:
      return state == State::waiting_ack;
    case MessageType::turn_done:
      return state == State::waiting_done;
    default:
      return false;
  }
}

const std::optional<State> all_states[] = {
    std::nullopt,       State::waiting_accept, State::stepping,    State::training,
    State::waiting_ack, State::storing,        State::waiting_done};

int number(std::optional<State> state) { return state ? static_cast<int>(*state) : -1; }

}  // namespace

TEST_CASE("server: a whole run of two turns") {
  ServerMachine m(plan());
  m.on_open(1);
  auto actions = give(m, 1, hello(1));
  REQUIRE(actions.size() == 1);
  const net::HelloOk ok = sent<net::HelloOk>(actions[0]);
  CHECK(ok.index == 1);
  CHECK(ok.devices == 2);
  actions = give(m, 1, net::Join{77});
  REQUIRE(actions.size() == 2);
  CHECK(sent<net::JoinOk>(actions[0]).run == 77);
  CHECK(as<Send>(actions[1]).message.type == MessageType::front_init);
  CHECK(text_of(as<Send>(actions[1]).message.payload) == "[]");
  CHECK(give(m, 1, net::LabelHist{{3, 1}}).empty());
  CHECK(m.ready_devices() == 1);
  m.on_open(2);
  CHECK(sent<net::HelloOk>(give(m, 2, hello(net::any_index, 6))[0]).index == 0);
  give(m, 2, net::Join{77});
  actions = give(m, 2, net::LabelHist{{2, 2}});

  // The order of turns is that of the places, not of arrival.
  std::uint64_t step = 0;
  for (std::uint32_t turn = 0; turn < 2; ++turn) {
    const ConnectionId holder = turn == 0 ? 2 : 1;
    REQUIRE(actions.size() == 1);
    CHECK(as<Grant>(actions[0]).connection == holder);
    const net::TurnKey key = as<Grant>(actions[0]).grant.key;
    CHECK(key.turn == turn);
    CHECK(key.fence == turn + 1);
    CHECK(as<Grant>(actions[0]).grant.first_step == step);
    CHECK(give(m, holder, net::TurnAccept{key, 2}).empty());
    for (int i = 0; i < 2; ++i) {
      actions = give(m, holder, step_message(key, ++step));
      REQUIRE(actions.size() == 1);
      CHECK(as<Train>(actions[0]).step.labels.size() == 2);
      const float gradient[6] = {};
      m.on_trained(TrainedStep{0.5, 1, bytes_of(gradient, 6), {{2, 3}}, 10});
      actions = drain(m);
      CHECK(sent<net::Grad>(actions.back()).step == step);
    }
    // Ahead of the gradient of its step, so that the device stops in time.
    REQUIRE(actions.size() == 2);
    const net::Barrier barrier = sent<net::Barrier>(actions[0]);
    CHECK(barrier.step == step);
    const net::Message ack = ack_message(key, barrier.id, step);
    actions = give(m, holder, ack);
    REQUIRE(actions.size() == 1);
    CHECK(is<Store>(actions[0]));
    m.on_stored({});
    actions = drain(m);
    CHECK(sent<net::BarrierCommitted>(actions[0]).hash == ack.digest);
    actions = give(m, holder, net::TurnDone{key, step, ack.digest});
    REQUIRE(actions.size() >= 2);
    CHECK(sent<net::TurnCommitted>(actions[0]).last_step == step);
    CHECK(as<Report>(actions[1]).report.turn == turn);
    CHECK(as<Report>(actions[1]).report.device_name == "pi");
    CHECK(as<Report>(actions[1]).report.samples == 4);
    CHECK(as<Report>(actions[1]).report.steps == 2);
    CHECK(as<Report>(actions[1]).report.epochs[0].loss_sum == 2.0);
    CHECK(as<Report>(actions[1]).report.epochs[0].samples == 4);
    CHECK(as<Report>(actions[1]).report.epochs[0].correct == 2);
    CHECK(as<Report>(actions[1]).report.epochs[0].server_us == 20);
    CHECK(as<Report>(actions[1]).report.costs[0].compute_us == 7);
    actions.erase(actions.begin(), actions.begin() + 2);
  }
  REQUIRE(actions.size() == 5);
  CHECK(as<Send>(actions[0]).message.type == MessageType::bye);
  CHECK(is<Finish>(actions[4]));
  CHECK(m.phase() == Phase::ended);
}

TEST_CASE("server: a message that a state does not allow gives ERROR and close") {
  for (const std::optional<State>& state : all_states)
    for (const net::Message& message : all_messages()) {
      if (allowed(state, message.type)) continue;
      ServerMachine m(plan());
      reach(m, state);
      INFO("state " << number(state) << " message " << net::to_string(message.type));
      check_refused(give(m, 1, message), WireError::not_allowed);
    }
}

TEST_CASE("server: nobody but the holder changes anything") {
  for (const std::optional<State>& state : all_states) {
    if (!state) continue;
    for (const net::Message& message : all_messages()) {
      ServerMachine m(plan());
      reach(m, state);
      const std::uint64_t before = steps_applied(m);
      const auto actions = give(m, 2, message);
      INFO("state " << number(state) << " message " << net::to_string(message.type));
      REQUIRE(!actions.empty());
      CHECK(sent<net::ErrorMessage>(actions[0]).fatal);
      CHECK(as<Send>(actions[0]).connection == 2);
      CHECK(steps_applied(m) == before);
    }
  }
}

TEST_CASE("server: handshake in its order only") {
  for (int done = 0; done < 3; ++done)
    for (const net::Message& message : all_messages()) {
      ServerMachine m(plan());
      m.on_open(1);
      if (done > 0) give(m, 1, hello());
      if (done > 1) give(m, 1, net::Join{77});
      const MessageType next[] = {MessageType::hello, MessageType::join, MessageType::label_hist};
      if (message.type == next[done]) continue;
      INFO("after " << done << " messages: " << net::to_string(message.type));
      check_refused(give(m, 1, message), WireError::not_allowed);
    }
}

TEST_CASE("server: a step is applied exactly once") {
  ServerMachine m(plan());
  reach(m, State::training);
  const float gradient[6] = {9, 8, 7, 6, 5, 4};
  m.on_trained(TrainedStep{0.5, 1, bytes_of(gradient, 6), {{2, 3}}});
  const auto answer = drain(m);
  REQUIRE(answer.size() == 1);
  CHECK(steps_applied(m) == 1);

  // The same again: the same answer, and nothing is computed.
  const auto again = give(m, 1, step_message(first, 1));
  REQUIRE(again.size() == 1);
  CHECK(as<Send>(again[0]).message.payload == as<Send>(answer[0]).message.payload);
  CHECK(steps_applied(m) == 1);

  // Older, newer, of an old turn: answered, and the run goes on.
  check_answered(give(m, 1, step_message(first, 0)), WireError::stale);
  check_answered(give(m, 1, step_message(first, 3)), WireError::gap);
  check_answered(give(m, 1, step_message({77, 0, 0}, 2)), WireError::stale);
  check_answered(give(m, 2, step_message({77, 0, 0}, 2)), WireError::stale);
  CHECK(is<Train>(give(m, 1, step_message(first, 2))[0]));
}

TEST_CASE("server: a repeated step with other content is fatal") {
  ServerMachine m(plan());
  reach(m, State::training);
  m.on_trained(TrainedStep{});
  drain(m);
  check_refused(give(m, 1, step_message(first, 1, 1.5f)), WireError::nondeterminism);
}

TEST_CASE("server: the last step of a turn can be repeated, one more cannot be sent") {
  ServerMachine m(plan());
  reach(m, State::waiting_ack);
  const auto again = give(m, 1, step_message(first, 2));
  REQUIRE(again.size() == 1);
  CHECK(as<Send>(again[0]).message.type == MessageType::grad);
  check_refused(give(m, 1, step_message(first, 3)), WireError::not_allowed);
}

TEST_CASE("server: what a STEP holds must fit the model") {
  const auto refused = [](auto change) {
    ServerMachine m(plan());
    reach(m, State::stepping);
    const float smashed[12] = {};
    net::Step step;
    step.key = first;
    step.step = 1;
    step.labels = {0, 1};
    step.smashed = bytes_of(smashed, 6);
    std::vector<std::uint32_t> shape{2, 3};
    change(step, shape, smashed);
    check_refused(give(m, 1, net::make_message(step, {shape})), WireError::protocol);
  };
  using S = std::vector<std::uint32_t>;
  {
    ServerMachine coded(plan());
    reach(coded, State::stepping);
    net::Message step = step_message(first, 1);
    step.form.dtype = net::type_number(WireCoding::int8);
    check_refused(give(coded, 1, std::move(step)), WireError::protocol);
  }
  refused([](net::Step& s, S&, const float* v) { s.smashed = bytes_of(v, 5); });
  refused([](net::Step& s, S&, const float*) { s.labels = {0, 2}; });
  refused([](net::Step& s, S&, const float*) { s.labels = {0, -1}; });
  refused([](net::Step& s, S& shape, const float* v) {
    s.labels = {0};
    s.smashed = bytes_of(v, 3);
    shape = {1, 3};
  });
  refused([](net::Step& s, S& shape, const float* v) {
    s.labels = {0, 1, 0, 1};
    s.smashed = bytes_of(v, 12);
    shape = {4, 3};
  });
  refused([](net::Step&, S& shape, const float*) { shape = {3, 2}; });
  refused([](net::Step&, S& shape, const float*) { shape = {}; });
}

TEST_CASE("server: a failed write ends the run") {
  ServerMachine disk(plan());
  reach(disk, State::storing);
  disk.on_stored(failure(ErrorCode::other, "disk full"));
  auto actions = drain(disk);
  CHECK(as<Fail>(actions.back()).problem.message == "disk full");
  CHECK(sent<net::ErrorMessage>(actions.front()).fatal);  // without barriers nothing is left
  CHECK(disk.phase() == Phase::ended);

  // With barriers it can be taken up again: the devices come back.
  ServerPlan kept = plan();
  kept.keeps_barriers = true;
  ServerMachine again(kept);
  reach(again, State::storing);
  again.on_stored(failure(ErrorCode::other, "disk full"));
  actions = drain(again);
  CHECK(sent<net::Bye>(actions.front()).will_return);
  CHECK(as<Fail>(actions.back()).problem.message == "disk full");
  CHECK_FALSE(again.farewell());
}

TEST_CASE(
    "server: where the last turn's books cannot be written nobody hears that it is complete") {
  ServerPlan last = plan();
  last.turns = 1;
  last.keeps_barriers = true;
  ServerMachine m(last);
  reach(m, State::waiting_done);
  m.on_message(1, net::make_message(net::TurnDone{first, 2, ack_message(first, 1, 2).digest}));
  ServerAction action;
  while (m.pop(action) && !is<Report>(action)) {
  }
  CHECK(m.farewell());
  m.abort(failure(ErrorCode::other, "disk full"));
  const auto rest = drain(m);
  REQUIRE(rest.size() == 1);
  CHECK(as<Fail>(rest[0]).problem.message == "disk full");
  CHECK_FALSE(m.farewell());
}

TEST_CASE(
    "server: costs beyond any record end their connection, and sums of large ones do not wrap") {
  ServerPlan plan = server_fixture::plan();
  plan.keeps_barriers = true;
  ServerMachine m(plan);
  reach(m, State::waiting_ack);
  net::Message bad = ack_message(first, 1, 2);
  // The writer refuses such a cost as well, so the bytes are changed.
  constexpr std::size_t costs = 16 + 8 + 8 + 4;
  store_le(bad.payload.data() + costs + 8, ~std::uint64_t{0});
  const auto actions = give(m, 1, bad);
  check_refused(actions, WireError::protocol);
  CHECK(sent<net::ErrorMessage>(actions[0]).text.find("count 18446744073709551615, expected") !=
        std::string::npos);
  CHECK(m.phase() != Phase::ended);

  // The same turn, granted again and again, with the largest costs each time.
  ServerMachine often(plan);
  join(often, 1, 0);
  join(often, 2, 1);
  ConnectionId holder = 1;
  for (std::uint32_t fence = 1; fence <= 3; ++fence) {
    net::TurnKey key = first;
    key.fence = fence;
    give(often, holder, net::TurnAccept{key, 4});
    give(often, holder, step_message(key, fence));
    give(often, holder, net::Leave{"stopped"});
    often.on_trained(TrainedStep{});
    drain(often);
    REQUIRE(is_in(often, State::waiting_ack));
    net::BarrierAck ack;
    ack.key = key;
    ack.id = fence;
    ack.step = fence;
    ack.costs = {{net::max_count, net::max_count}};
    give(often, holder, ack);
    REQUIRE(is_in(often, State::storing));
    CHECK(often.turns()->report().costs[0].compute_us == net::max_count);
    CHECK(Json(often.turns()->report().costs[0].peak_memory_bytes).is_int());
    often.on_stored({});
    give(often, holder, net::Bye{"stopped"});
    holder = 2 + fence;
    join(often, holder, 0, 5 + fence);
    drain(often);
    REQUIRE(is_in(often, State::waiting_accept));
  }
}

}  // namespace server_test
