// The server's machine before the turns: generators, preparation, imputation.

#include "split/protocol/server_fixture.hpp"

namespace server_generators_test {

using namespace server_fixture;

namespace {

/// Two devices, each with samples of two classes out of three; the generators come by GEN_UPLOAD.
ServerPlan iotsl_plan() {
  ServerPlan out = plan();
  out.offer.description.method = Method::iotsl;
  out.offer.description.generator = "{}";
  return out;
}

/// Nothing is there yet.
const GeneratorsOnHand none(2);

/// Says HELLO and JOIN; whether JOIN_OK wants a generator.
bool is_wanted(ServerMachine& m, ConnectionId connection, std::uint32_t index,
               const Sha256Digest& imputed = {}, std::uint8_t data = 0) {
  m.on_open(connection);
  net::Hello fields = hello(index, connection);
  fields.data_fingerprint[0] = data;
  give(m, connection, fields);
  const auto actions = give(m, connection, net::Join{77, imputed});
  REQUIRE(actions.size() == 2);
  return sent<net::JoinOk>(actions[0]).generator_wanted;
}
std::vector<ServerAction> say_labels(ServerMachine& m, ConnectionId connection) {
  return give(m, connection, net::LabelHist{{2, 2}});
}

net::Message upload() {
  static const std::uint8_t file[3] = {7, 8, 9};
  net::GenUpload fields;
  fields.cost.compute_us = 5;
  fields.file = file;
  return net::make_message(fields);
}

std::vector<ImputationOrder> orders() { return {{sha256(bytes_of("plan", 4)), 3}, {}}; }

/// Both devices are here and their generators stored.
void reach_preparing(ServerMachine& m) {
  for (std::uint32_t i = 0; i < 2; ++i) {
    CHECK(is_wanted(m, i + 1, i));
    say_labels(m, i + 1);
    give(m, i + 1, upload());
    m.on_generator_stored(i + 1, Sha256Digest{});
  }
  REQUIRE(m.phase() == Phase::preparing);
}

}  // namespace

TEST_CASE("server: where nothing but generators is asked for, the run ends after the preparation") {
  ServerPlan only = iotsl_plan();
  only.offer.description.generator_only = true;
  only.turns = 0;
  ServerMachine m(only, none);
  reach_preparing(m);
  drain(m);
  m.on_prepared({}, {{}, {}});
  const auto actions = drain(m);
  REQUIRE(!actions.empty());
  CHECK(is<Finish>(actions.back()));
  for (const ServerAction& each : actions) CHECK_FALSE(is<Grant>(each));
}

TEST_CASE("server: a generator from every device, then the preparation, then the turns") {
  ServerMachine m(iotsl_plan(), none);
  CHECK(is_wanted(m, 1, 0));
  CHECK(say_labels(m, 1).empty());
  // It may come before the other devices do.
  auto actions = give(m, 1, upload());
  REQUIRE(actions.size() == 1);
  CHECK(as<StoreGenerator>(actions[0]).device == 0);
  CHECK(as<StoreGenerator>(actions[0]).connection == 1);
  CHECK(as<StoreGenerator>(actions[0]).upload.file.size() == 3);
  CHECK(as<StoreGenerator>(actions[0]).upload.cost.compute_us == 5);
  Sha256Digest digest{};
  digest[5] = 9;
  m.on_generator_stored(1, digest);
  actions = drain(m);
  REQUIRE(actions.size() == 1);
  CHECK(sent<net::GenAck>(actions[0]).sha256 == digest);
  CHECK(m.phase() == Phase::gathering);

  CHECK(is_wanted(m, 2, 1));
  CHECK(say_labels(m, 2).empty());
  CHECK(m.phase() == Phase::collecting);
  CHECK_FALSE(m.missing_holder().has_value());
  give(m, 2, upload());
  m.on_generator_stored(2, digest);
  actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(as<Send>(actions[0]).message.type == MessageType::gen_ack);
  CHECK(is<Prepare>(actions[1]));
  CHECK(m.phase() == Phase::preparing);

  m.on_prepared({}, orders());
  actions = drain(m);
  REQUIRE(actions.size() == 2);
  CHECK(as<Impute>(actions[0]).device == 0);
  CHECK(as<Impute>(actions[0]).connection == 1);
  CHECK(is<Grant>(actions[1]));
  CHECK(m.turns()->report().samples == 4 + 3);
  CHECK(is_in(m, State::waiting_accept));
  // As many steps as the completed data allows, and no more.
  check_refused(give(m, 1, net::TurnAccept{first, 8}), WireError::protocol);
}

TEST_CASE("server: the completed samples bound the steps of a turn") {
  ServerMachine m(iotsl_plan(), none);
  reach_preparing(m);
  m.on_prepared({}, orders());
  drain(m);
  CHECK(give(m, 1, net::TurnAccept{first, 7}).empty());
  CHECK(is_in(m, State::stepping));
}

TEST_CASE("server: a generator is taken once, and only where it is wanted") {
  ServerMachine m(iotsl_plan(), none);
  is_wanted(m, 1, 0);
  check_refused(give(m, 1, upload()), WireError::not_allowed);  // before LABEL_HIST
  is_wanted(m, 1, 0);
  say_labels(m, 1);
  give(m, 1, upload());
  m.on_generator_stored(1, Sha256Digest{});
  drain(m);
  check_refused(give(m, 1, upload()), WireError::not_allowed);

  ServerMachine plain(plan());
  server_fixture::join(plain, 1, 0);
  drain(plain);
  check_refused(give(plain, 1, upload()), WireError::not_allowed);
}

TEST_CASE("server: a generator that does not fit is refused, and asked for again") {
  ServerMachine m(iotsl_plan(), none);
  is_wanted(m, 1, 0);
  say_labels(m, 1);
  give(m, 1, upload());
  m.on_generator_stored(1, failure(ErrorCode::usage, "it makes other images"));
  const auto actions = drain(m);
  check_refused(actions, WireError::data_mismatch);
  CHECK(sent<net::ErrorMessage>(actions[0]).text.find("it makes other images") !=
        std::string::npos);
  CHECK(is_wanted(m, 3, 0));
}

TEST_CASE("server: a connection that is lost before GEN_ACK does not lose the generator") {
  ServerMachine m(iotsl_plan(), none);
  is_wanted(m, 1, 0);
  say_labels(m, 1);
  give(m, 1, upload());
  m.on_generator_stored(1, Sha256Digest{});
  m.on_lost(1);
  drain(m);
  CHECK_FALSE(is_wanted(m, 3, 0));
}

TEST_CASE("server: a generator at hand serves only the data that it comes from") {
  ServerPlan with = iotsl_plan();
  const GeneratorsOnHand generators{GeneratorOnHand{Sha256Digest{4}, {2, 2}},
                                    GeneratorOnHand{{}, {0, 0, 5}}};
  ServerMachine m(with, generators);
  CHECK_FALSE(is_wanted(m, 1, 0, {}, 4));
  m.on_lost(1);
  CHECK(is_wanted(m, 2, 0, {}, 5));  // other samples

  // Without a fingerprint the classes decide.
  with.offer.description.classes = 3;
  ServerMachine given(with, generators);
  CHECK_FALSE(is_wanted(given, 1, 1));
  const auto actions = give(given, 1, net::LabelHist{{2, 2, 0}});
  check_refused(actions, WireError::data_mismatch);
  CHECK(sent<net::ErrorMessage>(actions[0]).text.find("class 2") != std::string::npos);
}

TEST_CASE("server: a generator of unknown data is that of the first device to take the place") {
  ServerMachine m(iotsl_plan(), {GeneratorOnHand{{}, {2, 2}}, std::nullopt});
  CHECK(m.has_generator(0));
  CHECK_FALSE(m.has_generator(1));
  CHECK_FALSE(is_wanted(m, 1, 0, {}, 4));
  say_labels(m, 1);
  m.on_lost(1);
  CHECK_FALSE(is_wanted(m, 2, 0, {}, 4));
  m.on_lost(2);
  // Before the run has begun, another device may take the place; the generator is not its own.
  CHECK(is_wanted(m, 3, 0, {}, 5));
  say_labels(m, 3);
  CHECK_FALSE(m.has_generator(0));
  give(m, 3, upload());
  m.on_generator_stored(3, Sha256Digest{});
  CHECK(m.has_generator(0));
}

TEST_CASE("server: a device that has lost its state is sent the plan again") {
  ServerMachine m(iotsl_plan(), none);
  reach_preparing(m);
  m.on_prepared({}, orders());
  drain(m);
  m.on_lost(1);
  is_wanted(m, 3, 0);
  auto actions = say_labels(m, 3);
  REQUIRE(actions.size() == 2);
  CHECK(as<Impute>(actions[0]).connection == 3);
  CHECK(is<Grant>(actions[1]));
  // One that has its data still, or lacks nothing, is not.
  m.on_lost(3);
  is_wanted(m, 4, 0, orders()[0].plan_hash);
  actions = say_labels(m, 4);
  REQUIRE(actions.size() == 1);
  CHECK(is<Grant>(actions[0]));
  m.on_lost(2);
  is_wanted(m, 5, 1);
  CHECK(say_labels(m, 5).empty());
}

TEST_CASE("server: it can be paused while it collects and while it prepares") {
  ServerMachine collecting(iotsl_plan(), none);
  is_wanted(collecting, 1, 0);
  say_labels(collecting, 1);
  is_wanted(collecting, 2, 1);
  say_labels(collecting, 2);
  REQUIRE(collecting.phase() == Phase::collecting);
  ServerMachine preparing(iotsl_plan(), none);
  reach_preparing(preparing);
  drain(preparing);
  for (ServerMachine* m : {&collecting, &preparing}) {
    m->request_pause();
    const auto actions = drain(*m);
    REQUIRE(actions.size() == 5);
    CHECK(sent<net::Bye>(actions[0]).will_return);
    CHECK(is<Pause>(actions.back()));
  }
  preparing.on_prepared({}, orders());  // too late
  CHECK(drain(preparing).empty());
}

TEST_CASE("server: a preparation that fails ends the run") {
  ServerMachine m(iotsl_plan(), none);
  reach_preparing(m);
  drain(m);
  m.on_prepared(failure(ErrorCode::data, "nobody has class 3"), {});
  const auto actions = drain(m);
  CHECK(as<Fail>(actions.back()).problem.message == "nobody has class 3");
}

TEST_CASE("server: a device must come back with the samples that it had") {
  ServerMachine m(plan());
  reach(m, State::stepping);
  m.on_lost(1);
  m.on_open(3);
  net::Hello other = hello(0, 6);
  other.data_fingerprint[3] = 1;
  const auto actions = give(m, 3, other);
  REQUIRE(actions.size() == 3);
  const auto error = sent<net::ErrorMessage>(actions[0]);
  CHECK(error.code == WireError::data_mismatch);
  CHECK(error.text.find("other samples") != std::string::npos);
  CHECK(as<SentAway>(actions[2]).reason == error.text);
}

}  // namespace server_generators_test
