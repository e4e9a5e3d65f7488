// What a device is told of a run.

#include <doctest/doctest.h>

#include "iotsl/net/messages/run_description.hpp"

using namespace iotsl;
using namespace iotsl::net;

namespace run_description_test {

namespace {

/// The bytes of a description, written field by field; the device's half of a run depends on them.
Bytes description_bytes(std::string_view method, std::string_view optimizer, int local_epochs = 3,
                        int batch = 500) {
  Bytes out;
  ByteWriter w(out);
  for (const std::string_view text : {method, std::string_view("glyphs"), std::string_view("net")})
    w.string(text, max_name_bytes);
  for (const int extent : {1, 28, 20, 7}) w.number(static_cast<std::uint16_t>(extent));
  w.number(static_cast<std::uint16_t>(local_epochs));
  w.number(static_cast<std::uint16_t>(batch));
  w.string(optimizer, max_name_bytes);
  for (const double value : {0.9, 0.01, 0.5, 0.75, 1e-6}) w.number(value);
  w.boolean(true);
  w.number(2.0);
  w.boolean(true);
  w.number(std::uint64_t{11});
  w.string(method == "iotsl" ? "{}" : "", max_settings_bytes);
  w.boolean(method == "iotsl");
  return out;
}

struct DescriptionMessage : RunDescription {
  static constexpr const char* name = "description";
};

}  // namespace

TEST_CASE("messages: a description has its fields in the order of the wire") {
  DescriptionMessage d;
  d.dataset = "glyphs";
  d.model = "net";
  d.height = 28;
  d.width = 20;
  d.classes = 7;
  d.training = {.epochs = 40,
                .local_epochs = 3,
                .batch = 500,
                .replay = 9,
                .optimizer = {.kind = OptimizerKind::sgd,
                              .lr = 0.25,
                              .weight_decay = 0.01,
                              .momentum = 0.9,
                              .nesterov = true,
                              .beta1 = 0.5,
                              .beta2 = 0.75,
                              .eps = 1e-6,
                              .ewc = 2}};
  d.training.frozen_front = true;
  d.seed = 11;
  for (const auto& [method, name] :
       {std::pair{Method::split_learning, "sl"}, std::pair{Method::iotsl, "iotsl"},
        std::pair{Method::random_gradient, "local"},
        std::pair{Method::federated_averaging, "fedavg"}}) {
    d.method = method;
    d.generator = method == Method::iotsl ? "{}" : "";
    d.generator_only = method == Method::iotsl;
    const Bytes bytes = encode(d);
    CHECK(bytes == description_bytes(name, "sgd"));
    const auto got = decode<DescriptionMessage>(bytes);
    REQUIRE(got.ok());
    CHECK(got->method == method);
    const TrainingOptions& training = got->training;
    CHECK(training.local_epochs == 3);
    CHECK(training.batch == 500);
    CHECK(training.optimizer.kind == OptimizerKind::sgd);
    CHECK(training.optimizer.weight_decay == 0.01);
    CHECK(training.optimizer.beta2 == 0.75);
    CHECK(training.optimizer.nesterov);
    CHECK(training.optimizer.ewc == 2);
    CHECK(training.frozen_front);
    CHECK(got->generator_only == (method == Method::iotsl));
    // The server's affair does not travel.
    CHECK(training.epochs == TrainingOptions().epochs);
    CHECK(training.replay == 0);
    CHECK(training.optimizer.lr == TrainingOptions().optimizer.lr);
  }
  d.training.batch = 65536 + 64;
  CHECK_THROWS_WITH_AS(encode(d), doctest::Contains("65600 does not fit into 2 bytes"), Error);
}

TEST_CASE("messages: what no device can take part in is refused, with what was expected") {
  const auto refusal = [](const Bytes& bytes) {
    const auto got = decode<DescriptionMessage>(bytes);
    return got.ok() ? std::string() : got.failure().message;
  };
  CHECK(refusal(description_bytes("sl", "adam")).empty());
  const auto all = std::to_string(description_bytes("sl", "adam").size());
  for (const char* method : {"central", "split_learning", "SL", ""}) {
    INFO(method);
    CHECK(refusal(description_bytes(method, "adam"))
              .ends_with(": method is neither sl, iotsl, cache, fedavg nor local"));
  }
  CHECK(refusal(description_bytes("sl", "lion")).ends_with(": optimizer is neither adam nor sgd"));
  CHECK(refusal(description_bytes("sl", "adam", 0)).ends_with(": epochs are not in 1..1024"));
  CHECK(refusal(description_bytes("sl", "adam", 1024)).empty());
  CHECK(refusal(description_bytes("sl", "adam", 1025)).ends_with(": epochs are not in 1..1024"));
  CHECK(refusal(description_bytes("sl", "adam", 1, 1)).ends_with(": batch is not in 2..4096"));
  CHECK(refusal(description_bytes("sl", "adam", 1, 2)).empty());
  CHECK(refusal(description_bytes("sl", "adam", 1, 4096)).empty());
  CHECK(refusal(description_bytes("sl", "adam", 1, 4097)) ==
        concat("description: offset ", all, " of ", all, ": batch is not in 2..4096"));
  // The end of a message that is cut off is what is wrong with it, whatever its method.
  Bytes cut = description_bytes("nobody", "adam");
  cut.pop_back();
  CHECK(refusal(cut).ends_with(": ends too early"));
}

}  // namespace run_description_test
