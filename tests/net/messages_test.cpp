#include <doctest/doctest.h>

#include "iotsl/net/messages/model_messages.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace messages_test {

namespace {

/// Checks that a message survives the wire, and that no shorter or longer payload is accepted.
template <class M>
M round_trip(const M& message) {
  const Bytes payload = encode(message);
  const Result<M> back = decode<M>(payload);
  REQUIRE(back.ok());
  CHECK(encode(*back) == payload);
  for (std::size_t length = 0; length < payload.size(); ++length)
    CHECK_FALSE(decode<M>(ByteSpan(payload).first(length)).ok());
  Bytes longer = payload;
  longer.push_back(0);
  CHECK_FALSE(decode<M>(longer).ok());
  return *back;
}

/// For messages whose last field takes all that follows: only the part before it is strict.
template <class M>
void strict_before(const Bytes& payload, std::size_t fixed) {
  for (std::size_t length = 0; length < fixed; ++length)
    CHECK_FALSE(decode<M>(ByteSpan(payload).first(length)).ok());
}

const TurnKey key{0x1122334455667788, 7, 9};

}  // namespace

TEST_CASE("messages: control messages survive the wire, strictly") {
  Hello hello;
  hello.device = "pi-03";
  hello.index = 2;
  hello.boot_nonce = 99;
  hello.dataset = "mnist";
  hello.samples = 12000;
  hello.data_fingerprint[31] = 5;
  hello.position = {key, 3, 1234};
  const Hello back = round_trip(hello);
  CHECK(back.device == "pi-03");
  CHECK(back.position.key == key);
  CHECK(back.data_fingerprint[31] == 5);

  HelloOk ok;
  ok.run = 4;
  ok.heartbeat_ms = 10000;
  ok.dead_ms = 25000;
  ok.description.model = "vgg16bn-compact";
  ok.description.training.optimizer.momentum = 0.9;
  CHECK(round_trip(ok).description.model == "vgg16bn-compact");
  CHECK(encode(ok).size() < max_payload_before_join);

  CHECK(round_trip(Join{5, {3}}).imputed[0] == 3);
  CHECK(round_trip(JoinOk{6, true}).generator_wanted);
  CHECK(round_trip(GenAck{{4}}).sha256[0] == 4);
  CHECK(round_trip(LabelHist{{3, 0, 8}}).counts == std::vector<std::uint64_t>{3, 0, 8});
  CHECK(round_trip(TurnAccept{key, 188}).steps == 188);
  CHECK(round_trip(Barrier{key, 1, 188}).step == 188);
  CHECK(round_trip(BarrierCommitted{key, 1, {7}}).hash[0] == 7);
  CHECK(round_trip(TurnDone{key, 188, {}}).last_step == 188);
  CHECK(round_trip(Resume{{key, 2, 188}, 50}).position.step == 188);
  CHECK(round_trip(ResumeOk{true}).proceed);
  CHECK(round_trip(TurnCommitted{key, 188}).last_step == 188);
  CHECK(round_trip(EvalReq{8, true}).local_data);
  CHECK(round_trip(EvalResp{8, 0.5, {1, 2}, {3, 4}}).samples[1] == 4);
  CHECK(round_trip(Heartbeat{1, 2, 3}).busy_ms == 3);
  CHECK(round_trip(ErrorMessage{WireError::gap, false, 10, "x"}).text == "x");
  CHECK(round_trip(Leave{"done"}).reason == "done");
  CHECK(round_trip(Leave{"done"}).device.empty());
  CHECK(round_trip(LeaveOk{7}).index == 7);
  CHECK(round_trip(Bye{"done"}).reason == "done");
  CHECK(round_trip(Bye{"later", true}).will_return);
}

TEST_CASE("messages: LEAVE has a name where it is for good") {
  // As on the wire: an earlier program's LEAVE is the part before the name.
  const Bytes payload = encode(Leave{"bye", "pi"});
  CHECK(payload == Bytes{3, 0, 'b', 'y', 'e', 2, 0, 'p', 'i'});
  CHECK(decode<Leave>(payload)->device == "pi");
  CHECK(decode<Leave>(ByteSpan(payload).first(5))->device.empty());
  for (std::size_t length = 6; length < payload.size(); ++length)
    CHECK_FALSE(decode<Leave>(ByteSpan(payload).first(length)).ok());
  const auto nobody = decode<Leave>(Bytes{3, 0, 'b', 'y', 'e', 0, 0});
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.failure().message.find("the name is empty") != std::string::npos);
  CHECK_FALSE(decode<Leave>(encode(Leave{"bye", "\x1b[2J"})).ok());
}

TEST_CASE("messages: values out of range are refused by name") {
  HelloOk ok;
  ok.heartbeat_ms = 10000;
  ok.dead_ms = 25000;
  Bytes payload = encode(ok);
  // `batch` = 64 stands once in the message; make it 1.
  const Bytes wanted{64, 0, 4, 0, 'a', 'd', 'a', 'm'};
  const auto at = std::search(payload.begin(), payload.end(), wanted.begin(), wanted.end());
  REQUIRE(at != payload.end());
  *at = 1;
  const auto bad = decode<HelloOk>(payload);
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.failure().message.find("batch is not in 2..4096") != std::string::npos);

  ErrorMessage error;
  Bytes code = encode(error);
  code[0] = 200;
  CHECK_FALSE(decode<ErrorMessage>(code).ok());
  code[0] = 1;
  code[2] = 2;  // a flag that is neither 0 nor 1
  CHECK_FALSE(decode<ErrorMessage>(code).ok());
  CHECK_THROWS_AS(encode(Leave{std::string(257, 'x')}), Error);
}

TEST_CASE("messages: names go to terminals and files, so that control characters are refused") {
  for (const char* bad : {"\x1b[2J", "pi\nepoch 9  forged",
                          "\xc2\x9b"
                          "2J",
                          "\xff"}) {
    Hello hello;
    hello.device = bad;
    const auto refused = decode<Hello>(encode(hello));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.failure().message.find("control character") != std::string::npos);
    CHECK(is_printable(refused.failure().message));
    hello.device = "pi-01";
    hello.dataset = bad;
    CHECK_FALSE(decode<Hello>(encode(hello)).ok());
  }
  Hello hello;
  hello.device = "Küche 2";
  CHECK(decode<Hello>(encode(hello))->device == "Küche 2");
}

TEST_CASE("messages: the words of a peer are shown without what a terminal would obey") {
  ErrorMessage error;
  error.text = "\x1b[31mgone\nepoch 9";
  CHECK(decode<ErrorMessage>(encode(error))->text == "?[31mgone?epoch 9");
  CHECK(decode<Bye>(encode(Bye{"\x1b]0;title\a"}))->reason == "?]0;title?");
  CHECK(decode<Leave>(encode(Leave{"bye\xe2\x80"}))->reason == "bye??");
}

TEST_CASE("messages: a count that no record could hold is refused") {
  const auto refused = [](const auto& good, std::size_t at, const char* why) {
    using M = std::decay_t<decltype(good)>;
    Bytes payload = encode(good);
    REQUIRE(decode<M>(payload).ok());
    store_le(payload.data() + at, max_count);
    CHECK(decode<M>(payload).ok());
    // 2^53 + 1, 2^63, 2^64 - 1
    for (const std::uint64_t value : {max_count + 1, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
      store_le(payload.data() + at, value);
      const auto bad = decode<M>(payload);
      REQUIRE_FALSE(bad.ok());
      CHECK_MESSAGE(bad.failure().message.find(concat("count ", value, ", expected at most ",
                                                      max_count)) != std::string::npos,
                    why, ": ", bad.failure().message);
    }
  };
  constexpr std::size_t turn_key = 16;
  refused(Hello{}, 2 + 4 + 2 + 4 + 8 + 2, "HELLO.samples");
  refused(TurnAccept{key, 1}, turn_key, "TURN_ACCEPT.steps");
  refused(Resume{}, turn_key + 4, "RESUME.step");
  refused(Resume{}, turn_key + 4 + 8, "RESUME.turn_steps");
  refused(GenUpload{}, 1, "GEN_UPLOAD.compute_us");
  refused(GenUpload{}, 1 + 8, "GEN_UPLOAD.peak_memory_bytes");
  const BarrierAck ack{key, 1, 2, {{1, 2}}, {}};
  constexpr std::size_t costs = turn_key + 8 + 8 + 4;
  refused(ack, costs, "BARRIER_ACK.compute_us");
  refused(ack, costs + 8, "BARRIER_ACK.peak_memory_bytes");
  refused(ack, costs + 16, "BARRIER_ACK.optimizer_steps");
  const LocalModel local{key, 1, 1, {{}}, {{}}, {}};
  constexpr std::size_t results = turn_key + 8 + 8 + 4;
  refused(local, turn_key, "LOCAL_MODEL.samples");
  refused(local, results + 8, "LOCAL_MODEL.results.samples");
  refused(local, results + 24 + 4, "LOCAL_MODEL.costs.compute_us");
  refused(local, results + 24 + 4 + 8, "LOCAL_MODEL.costs.peak_memory_bytes");
  CHECK_THROWS_AS(encode(TurnAccept{key, max_count + 1}), Error);

  BarrierAck counted = ack;
  counted.front.counters = {{"n", 3}};
  Bytes payload = encode(counted);
  REQUIRE(decode<BarrierAck>(payload).ok());
  store_le(payload.data() + payload.size() - 8, std::uint64_t{1} << 63);
  CHECK(decode<BarrierAck>(payload).failure().message.find("counter is not in 0..2^53") !=
        std::string::npos);
}

TEST_CASE("messages: costs add up to no more than a message may hold") {
  const EpochCost most{max_count, max_count};
  CHECK(add_costs({1, 7}, {2, 5}).compute_us == 3);
  CHECK(add_costs({1, 7}, {2, 5}).peak_memory_bytes == 7);
  CHECK(add_costs(most, most).compute_us == max_count);
  CHECK(add_costs(most, most).peak_memory_bytes == max_count);
}

TEST_CASE("messages: generators and their plan survive the wire, strictly") {
  ImputePlan plan;
  plan.generators = {{2, {7}}, {4, {8}}};
  plan.entries = {{0, 3, 1200, 99}, {1, 5, 800, 98}};
  const ImputePlan back = round_trip(plan);
  CHECK(back.generators[1].device == 4);
  CHECK(back.generators[1].sha256[0] == 8);
  CHECK(back.entries[0].count == 1200);
  CHECK(back.entries[1].seed == 98);
  const auto refused = [](const ImputePlan& good, const auto& change, const char* why) {
    // The writer refuses as well, so the bytes are changed.
    Bytes payload = encode(good);
    change(payload);
    const auto bad = decode<ImputePlan>(payload);
    REQUIRE_FALSE(bad.ok());
    CHECK_MESSAGE(bad.failure().message.find(why) != std::string::npos, bad.failure().message);
  };
  constexpr std::size_t entries = 4 + 2 * (4 + 32) + 4;
  refused(
      plan, [](Bytes& b) { b[entries] = 2; }, "generator is not in the plan");
  refused(
      plan, [](Bytes& b) { store_le(b.data() + entries + 8, std::uint64_t{0}); },
      "adds no samples");
  CHECK_FALSE(decode<ImputePlan>(Bytes(8)).ok());  // empty

  const std::uint8_t file[3] = {1, 2, 3};
  GenUpload upload{true, {5, 6}, file};
  const Bytes up = encode(upload);
  CHECK(up.size() == GenUpload::overhead_bytes + 3);
  const auto got = decode<GenUpload>(up);
  REQUIRE(got.ok());
  CHECK(got->brought);
  CHECK(got->cost.peak_memory_bytes == 6);
  CHECK(std::equal(got->file.begin(), got->file.end(), file));
  strict_before<GenUpload>(up, GenUpload::overhead_bytes);
  const Bytes down = encode(GenDownload{9, file});
  CHECK(down.size() == GenDownload::overhead_bytes + 3);
  CHECK(decode<GenDownload>(down)->device == 9);
  strict_before<GenDownload>(down, GenDownload::overhead_bytes);
}

TEST_CASE("messages: generator settings belong to method iotsl") {
  HelloOk ok;
  ok.heartbeat_ms = 10000;
  ok.dead_ms = 25000;
  ok.description.method = Method::iotsl;
  CHECK_THROWS_AS(encode(ok), Error);
  ok.description.generator = "{}";
  CHECK(round_trip(ok).description.generator == "{}");
  ok.description.method = Method::split_learning;
  CHECK_THROWS_AS(encode(ok), Error);
}

TEST_CASE("messages: an announced count costs nothing") {
  // 1024 items of 16 bytes announced, none there.
  Bytes payload = encode(BarrierAck{});
  store_le(payload.data() + 16 + 8 + 8, std::uint32_t{1024});
  CHECK_FALSE(decode<BarrierAck>(payload).ok());
  Bytes hist = encode(LabelHist{});
  store_le(hist.data(), std::uint32_t{4097});
  CHECK_FALSE(decode<LabelHist>(hist).ok());
}

TEST_CASE("messages: smashed batch, gradient and front keep every bit") {
  const float values[6] = {1.5f, -0.0f, 3e-42f, 1e38f, 5, 6};
  Step step{key, 77, {3, 9}, bytes_of(values, 6)};
  const Bytes payload = encode(step);
  CHECK(payload.size() == Step::overhead_bytes + 2 * 4 + 6 * 4);
  const Result<Step> back = decode<Step>(payload);
  REQUIRE(back.ok());
  CHECK(back->key == key);
  CHECK(back->step == 77);
  CHECK(back->labels == std::vector<std::int32_t>{3, 9});
  CHECK(std::memcmp(back->smashed.data(), values, sizeof values) == 0);
  strict_before<Step>(payload, Step::overhead_bytes + 8);

  const Bytes grad = encode(Grad{key, 77, 2.5, 1, bytes_of(values, 6)});
  CHECK(grad.size() == Grad::overhead_bytes + 6 * 4);
  REQUIRE(decode<Grad>(grad).ok());
  CHECK(decode<Grad>(grad)->loss == 2.5);
  strict_before<Grad>(grad, Grad::overhead_bytes);

  TurnGrant grant;
  grant.key = key;
  grant.learning_rate = 0.125;
  grant.front.optimizer_steps = 12;
  grant.front.tensors = {
      {"features.0.weight", TensorRole::parameter, {2, 3}, bytes_of(values, 6)},
      {"features.0.weight.exp_avg", TensorRole::optimizer, {}, bytes_of(values, 1)}};
  round_trip(grant);
  const Bytes granted = encode(grant);
  const TurnGrant got = decode<TurnGrant>(granted).value();
  REQUIRE(got.front.tensors.size() == 2);
  CHECK(got.front.tensors[0].shape == std::vector<std::uint32_t>{2, 3});
  CHECK(std::memcmp(got.front.tensors[0].values.data(), values, 24) == 0);
  CHECK(got.front.tensors[1].role == TensorRole::optimizer);

  grant.front.counters = {{"features.1.num_batches_tracked", 12}};
  BarrierAck ack{key, 1, 2, {{1000, 2000}, {3, 4}}, grant.front};
  CHECK(round_trip(ack).front.counters[0].value == 12);
}

TEST_CASE("messages: the whole nets of federated averaging keep every bit") {
  const float values[6] = {1.5f, -0.0f, 3e-42f, 1e38f, 5, 6};
  FrontState net;
  net.tensors = {{"features.0.weight", TensorRole::parameter, {2, 3}, bytes_of(values, 6)},
                 {"features.1.running_mean", TensorRole::buffer, {1}, bytes_of(values, 1)}};
  net.counters = {{"features.1.num_batches_tracked", 12}};
  const Bytes global = encode(GlobalModel{key, 3, 99, 5, 0.125, net});
  round_trip(GlobalModel{key, 3, 99, 5, 0.125, net});
  const GlobalModel down = decode<GlobalModel>(global).value();
  CHECK(down.key == key);
  CHECK(down.round == 3);
  CHECK(down.first_step == 99);
  CHECK(down.order_seed == 5);
  CHECK(down.learning_rate == 0.125);
  REQUIRE(down.model.tensors.size() == 2);
  CHECK(std::memcmp(down.model.tensors[0].values.data(), values, sizeof values) == 0);
  CHECK(down.model.counters[0].value == 12);

  const LocalModel answer{key, 25, 8, {{2.5, 25, 20}, {1.25, 25, 23}}, {{10, 20}, {30, 40}}, net};
  round_trip(answer);
  const Bytes local = encode(answer);
  const LocalModel up = decode<LocalModel>(local).value();
  CHECK(up.samples == 25);
  CHECK(up.steps == 8);
  REQUIRE(up.results.size() == 2);
  CHECK(up.results[1].loss_sum == 1.25);
  CHECK(up.results[1].correct == 23);
  CHECK(up.costs[1].peak_memory_bytes == 40);
  CHECK(std::memcmp(up.model.tensors[0].values.data(), values, sizeof values) == 0);
}

TEST_CASE("messages: a tensor whose shape does not match its bytes is refused") {
  const float values[6] = {};
  TurnGrant grant;
  grant.front.tensors = {{"w", TensorRole::parameter, {6}, bytes_of(values, 6)}};
  Bytes payload = encode(grant);
  const Bytes shape{1, 0, 0, 0, 6, 0, 0, 0};
  const auto at = std::search(payload.begin(), payload.end(), shape.begin(), shape.end());
  REQUIRE(at != payload.end());
  at[4] = 5;
  const auto bad = decode<TurnGrant>(payload);
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.failure().message.find("shape and bytes do not agree") != std::string::npos);
  at[4] = at[5] = at[6] = at[7] = 0xFF;
  CHECK_FALSE(decode<TurnGrant>(payload).ok());
}

}  // namespace messages_test
