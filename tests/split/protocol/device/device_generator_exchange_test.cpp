// The device's machine before the turns: training and sending its generator, completing its data.

#include "split/protocol/device/device_fixture.hpp"

namespace device_generators_test {

using namespace device_fixture;

namespace {

net::HelloOk iotsl_offer() {
  net::HelloOk ok = offer(Method::iotsl);
  ok.description.generator = "{}";
  ok.devices = 4;
  ok.index = 1;
  return ok;
}

const std::uint8_t file[4] = {1, 2, 3, 4};
const std::uint8_t others[2][2] = {{5, 6}, {7, 8}};

/// A device that has its front; `classes` of its histogram.
DeviceMachine joined(bool wanted, std::vector<std::uint64_t> counts = {6, 0, 1, 5}) {
  DeviceIdentity who = identity();
  who.label_counts = std::move(counts);
  DeviceMachine m(who);
  m.on_connected();
  net::HelloOk ok = iotsl_offer();
  ok.description.classes = static_cast<std::uint16_t>(who.label_counts.size());
  m.on_message(net::make_message(ok));
  m.on_message(net::make_message(net::JoinOk{77, wanted}));
  m.on_message(net::make_message(net::FrontInit{}));
  drain(m);
  m.on_built(Sha256Digest{});
  return m;
}

/// What fills class 1 up to the mean of 4, and class 2: the generators of devices 0 and 3.
net::ImputePlan plan() {
  net::ImputePlan out;
  out.generators = {{0, sha256(ByteSpan(others[0]))}, {3, sha256(ByteSpan(others[1]))}};
  out.entries = {{0, 1, 4, 11}, {1, 2, 3, 12}};
  return out;
}
net::GenDownload download(std::size_t i) {
  net::GenDownload out;
  out.device = i == 0 ? 0 : 3;
  out.file = others[i];
  return out;
}

TrainedGenerator trained() { return {false, {123, 456}, file}; }

}  // namespace

TEST_CASE("device: a generator is trained step by step, sent, and acknowledged") {
  DeviceMachine m = joined(true);
  auto actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(sent<net::LabelHist>(actions).counts.size() == 4);
  CHECK(is<TrainGenerator>(actions[1]));
  CHECK(state_of(m) == State::training_generator);
  m.on_generator_trained(false);
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(is<TrainGenerator>(actions[0]));
  m.on_generator_trained(true);
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(is<FinishGenerator>(actions[0]));
  m.on_generator_finished(trained());
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  const auto upload = sent<net::GenUpload>(actions);
  CHECK(upload.cost.compute_us == 123);
  CHECK_FALSE(upload.brought);
  CHECK(state_of(m) == State::waiting_gen_ack);
  CHECK(give(m, net::GenAck{sha256(ByteSpan(file))}).empty());
  CHECK(state_of(m) == State::idle);
  CHECK(is<Load>(give(m, grant())[0]));
}

TEST_CASE("device: a lost connection ends the training's orders, not the training") {
  DeviceMachine m = joined(true);
  drain(m);
  m.on_lost();
  m.on_generator_trained(false);  // the iteration that was under way
  CHECK(drain(m).empty());
  // Back again: the server still wants it, and the work goes on where it stands.
  m.on_connected();
  m.on_message(net::make_message([] {
    net::HelloOk ok = iotsl_offer();
    ok.description.classes = 4;
    return ok;
  }()));
  drain(m);
  auto actions = take_in(m, {77, true});
  REQUIRE(actions.size() == 2);
  CHECK(is<TrainGenerator>(actions[1]));
  // The same while it waits for GEN_ACK; now the server has it.
  m.on_generator_trained(true);
  drain(m);
  m.on_generator_finished(trained());
  m.on_lost();
  drain(m);
  m.on_connected();
  m.on_message(net::make_message([] {
    net::HelloOk ok = iotsl_offer();
    ok.description.classes = 4;
    return ok;
  }()));
  drain(m);
  CHECK(take_in(m, {77, false}).size() == 1);
  CHECK(state_of(m) == State::idle);
}

TEST_CASE("device: what does not belong to its generator is refused") {
  DeviceMachine other_hash = joined(true);
  other_hash.on_generator_trained(true);
  other_hash.on_generator_finished(trained());
  drain(other_hash);
  check_refused(give(other_hash, net::GenAck{}), net::WireError::protocol);
  DeviceMachine none = joined(false);
  drain(none);
  check_refused(give(none, net::GenAck{}), net::WireError::not_allowed);
  DeviceMachine busy = joined(true);
  drain(busy);
  check_refused(give(busy, grant()), net::WireError::not_allowed);
  DeviceMachine failing = joined(true);
  drain(failing);
  failing.on_generator_trained(failure(ErrorCode::data, "the disk is full"));
  check_refused(drain(failing), net::WireError::run_failed);
  DeviceMachine plain = reach(State::joining);
  check_refused(give(plain, net::JoinOk{77, true}), net::WireError::protocol);
}

TEST_CASE("device: plan and generators complete its data before the turn is loaded") {
  DeviceMachine m = joined(false);
  drain(m);
  CHECK(give(m, plan()).empty());
  CHECK(state_of(m) == State::receiving_generators);
  CHECK(give(m, download(0)).empty());
  auto actions = give(m, download(1));
  REQUIRE(actions.size() == 1);
  CHECK(as<Impute>(actions[0]).plan.entries.size() == 2);
  CHECK(as<Impute>(actions[0]).downloads.size() == 2);
  CHECK(state_of(m) == State::idle);
  // A grant may arrive before the driver comes to it; the order of the actions is kept.
  CHECK(is<Load>(give(m, grant())[0]));
  m.on_imputed({});
  // From now on it says so.
  m.on_lost();
  drain(m);
  m.on_connected();
  drain(m);
  net::HelloOk ok = iotsl_offer();
  ok.description.classes = 4;
  actions = give(m, ok);
  REQUIRE(actions.size() == 2);
  const auto join = net::decode<net::Join>(message_of(actions[1]).payload);
  REQUIRE(join.ok());
  CHECK(join->imputed == sha256(net::encode(plan())));
}

TEST_CASE("device: a run of another server forgets the completed data") {
  DeviceMachine m = joined(false);
  give(m, plan());
  give(m, download(0));
  give(m, download(1));
  m.on_imputed({});
  m.on_lost();
  drain(m);
  m.on_connected();
  net::HelloOk other = iotsl_offer();
  other.run = 78;
  other.description.classes = 4;
  m.on_message(net::make_message(other));
  auto actions = drain(m);
  actions.erase(actions.begin());  // HELLO
  REQUIRE(actions.size() == 2);
  CHECK(net::decode<net::Join>(message_of(actions[1]).payload)->imputed == Sha256Digest{});
}

TEST_CASE("device: a cut between the downloads begins the plan anew") {
  DeviceMachine m = joined(false);
  give(m, plan());
  give(m, download(0));
  m.on_lost();
  drain(m);
  m.on_connected();
  net::HelloOk ok = iotsl_offer();
  ok.description.classes = 4;
  m.on_message(net::make_message(ok));
  drain(m);
  take_in(m, {77, false});
  check_refused(give(m, download(1)), net::WireError::not_allowed);
}

TEST_CASE("device: a wrong generator, or one too early, is refused") {
  DeviceMachine early = joined(false);
  drain(early);
  check_refused(give(early, download(0)), net::WireError::not_allowed);
  DeviceMachine order = joined(false);
  drain(order);
  give(order, plan());
  check_refused(give(order, download(1)), net::WireError::protocol);
  DeviceMachine content = joined(false);
  drain(content);
  give(content, plan());
  net::GenDownload changed = download(0);
  changed.file = others[1];
  check_refused(give(content, changed), net::WireError::protocol);
  DeviceMachine grant_first = joined(false);
  drain(grant_first);
  give(grant_first, plan());
  check_refused(give(grant_first, grant()), net::WireError::not_allowed);
  DeviceMachine bad_file = joined(false);
  drain(bad_file);
  bad_file.on_imputed(failure(ErrorCode::data, "generator file: cut off"));
  check_refused(drain(bad_file), net::WireError::data_mismatch);
}

TEST_CASE("device: the server cannot make it generate more than its mean class size") {
  const std::vector<std::uint64_t> counts{6, 0, 1, 5};  // three classes, mean 4
  const auto refused = [&](const auto& change, const char* why) {
    net::ImputePlan bad = plan();
    change(bad);
    const Result<void> checked = check_impute_plan(bad, counts, 1, 4);
    REQUIRE_FALSE(checked.ok());
    CHECK_MESSAGE(checked.failure().message.find(why) != std::string::npos,
                  checked.failure().message);
  };
  CHECK(check_impute_plan(plan(), counts, 1, 4).ok());
  refused([](net::ImputePlan& p) { p.entries[0].count = 5; }, "up to 4");
  refused([](net::ImputePlan& p) { p.entries[1].count = 4; }, "of which there are 1");
  refused([](net::ImputePlan& p) { p.entries[1].count = ~std::uint64_t{0}; }, "up to 4");
  refused([](net::ImputePlan& p) { p.entries[1] = {1, 1, 1, 12}; }, "of which there are 4");
  refused([](net::ImputePlan& p) { p.entries[0].label = 0; }, "of which there are 6");
  refused([](net::ImputePlan& p) { p.entries[0].label = 4; }, "class 4 of 4");
  refused([](net::ImputePlan& p) { p.generators[0].device = 1; }, "generator of device 1");
  refused([](net::ImputePlan& p) { p.generators[1].device = 0; }, "rising order");
  refused([](net::ImputePlan& p) { p.generators[1].device = 4; }, "another one of 4");
  DeviceMachine m = joined(false);
  drain(m);
  net::ImputePlan bad = plan();
  bad.entries[0].count = 5;
  check_refused(give(m, bad), net::WireError::protocol);
}

TEST_CASE("device: one that shares its generator only refuses a run with turns before it trains") {
  DeviceIdentity mine = identity();
  mine.generator_only = true;
  DeviceMachine m(mine);
  m.on_connected();
  drain(m);
  net::HelloOk with_turns = offer(Method::iotsl);
  with_turns.description.generator = "{}";
  const auto actions = give(m, with_turns);
  check_refused(actions, net::WireError::run_failed);
  CHECK(as<Fail>(actions[1]).problem.message.find("shares its generator only") !=
        std::string::npos);
}

TEST_CASE("device: no turn begins where the device or the run is of generators only") {
  for (const bool by_owner : {false, true}) {
    DeviceIdentity mine = identity();
    mine.generator_only = by_owner;
    DeviceMachine m(mine);
    m.on_connected();
    net::HelloOk ok = offer(Method::iotsl);
    ok.description.generator = "{}";
    ok.description.generator_only = true;
    m.on_message(net::make_message(ok));
    drain(m);
    take_in(m);
    REQUIRE(state_of(m) == State::idle);
    check_refused(give(m, grant()), net::WireError::protocol);
  }
}

}  // namespace device_generators_test
