#include "iotsl/split/halves/front_description.hpp"

#include <doctest/doctest.h>

#include "iotsl/models/model.hpp"
#include "iotsl/split/halves/cut.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace front_description_test {

namespace {

ModelSpec small(const char* name) {
  return {.name = name, .width = 4, .height = 16, .width_px = 16};
}

Tensor<float> random_values(std::uint64_t seed) {
  Tensor<float> out = Tensor<float>::uninitialized(Shape{4, 1, 16, 16});
  const Random random(seed, Stream::user);
  float* values = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i)
    values[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
  return out;
}

std::string problem(const std::vector<net::LayerDescription>& layers,
                    const Shape& sample = Shape{1, 1, 16, 16}) {
  const auto built = build_front(layers, sample);
  return built ? "" : built.failure().message;
}

}  // namespace

TEST_CASE("architecture: every front of every model is rebuilt from its description") {
  for (const char* name : model_names) {
    const ModelSpec spec = small(name);
    const auto model = build_model<float>(spec);
    for (std::size_t cut = 1; cut < model.size(); ++cut) {
      const auto front = model.slice(0, cut);
      net::HelloOk offer;
      offer.heartbeat_ms = 1000;
      offer.dead_ms = 2000;
      offer.description.front = describe_layers(front);
      const net::Bytes payload = net::encode(offer);
      INFO(name << " cut after " << cut << " layers");
      CHECK(payload.size() <= net::max_payload_before_join);
      const auto received = net::decode<net::HelloOk>(payload);
      REQUIRE(received.ok());
      const auto built = build_front(received->description.front, sample_shape(spec));
      REQUIRE_MESSAGE(built.ok(), built.failure().message);
      CHECK(structure_sha256(*built) == structure_sha256(front));
      CHECK(built->output_shape(sample_shape(spec)) == front.output_shape(sample_shape(spec)));
    }
  }
}

TEST_CASE("architecture: nothing is built from a description that does not fit") {
  const auto good = describe_layers(build_model<float>(small("vgg16bn-compact")).slice(0, 7));
  REQUIRE(problem(good) == "");
  const auto changed = [&](std::size_t layer, std::size_t extent, std::uint16_t value) {
    auto layers = good;
    layers[layer].extents[extent] = value;
    return problem(layers);
  };
  CHECK(problem({}) == "front: has no layers");
  CHECK(changed(0, 0, 3).find("expects other channels, its input is [1,1,16,16]") !=
        std::string::npos);
  CHECK(changed(0, 2, 0).find("an extent is 0") != std::string::npos);
  CHECK(changed(0, 2, 99).find("above 15") != std::string::npos);
  CHECK(changed(0, 2, 5).find("not square") != std::string::npos);
  CHECK(changed(1, 0, 5).find("expects other channels") != std::string::npos);
  CHECK(changed(6, 4, 2).find("pads more than half") != std::string::npos);
  CHECK(problem(good, Shape{1, 1, 1, 1}).find("larger than its input") != std::string::npos);
  auto layers = good;
  layers[2].type = static_cast<net::LayerType>(99);
  CHECK(problem(layers).find("type is unknown") != std::string::npos);
  layers = good;
  layers[0].extents.pop_back();
  CHECK(problem(layers).find("wrong number of extents") != std::string::npos);
  // A linear layer that would take 16 GiB.
  layers = {{"flatten", net::LayerType::flatten, {}, 0},
            {"classifier", net::LayerType::linear, {65535, 65535}, 0}};
  CHECK(problem(layers, Shape{1, 15, 17, 257}).find("more than") != std::string::npos);
  layers = {{"drop", net::LayerType::dropout, {3}, 1.0}};
  CHECK(problem(layers).find("probability") != std::string::npos);
}

TEST_CASE("front state: it travels with every bit, and nothing else is accepted") {
  const ModelSpec spec = small("vgg16bn-compact");
  auto one = build_model<float>(spec), two = build_model<float>(spec);
  one.initialize(1);
  two.initialize(2);
  const OptimizerOptions adam{.kind = OptimizerKind::adam, .lr = 1e-3};
  FrontHalf from(one.slice(0, 7), adam, 1), to(two.slice(0, 7), adam, 1);
  // A few steps, so that running statistics, counters and optimiser state are no longer new.
  for (std::uint64_t step = 1; step <= 3; ++step) {
    const Tensor<float> x = random_values(step);
    const auto smashed = from.forward(x, step);
    REQUIRE(smashed.ok());
    REQUIRE(from.backward(Tensor<float>::full(smashed->shape(), 0.01f)).ok());
  }
  const net::Bytes wire = net::encode(from.state());
  const net::FrontState state = net::decode<net::FrontState>(wire).value();
  CHECK(state.optimizer_steps == 3);
  CHECK(state.counters.size() == 2);
  CHECK(state.counters[0].value == 3);
  REQUIRE(to.load(state, 3).ok());
  CHECK(net::encode(to.state()) == wire);
  const auto sizes = wire_sizes(to.layers(), to.optimizer(), sample_shape(spec), 8);
  CHECK(sizes.state_bytes() == wire.size());
  CHECK(sizes.optimizer_values == 2 * sizes.front_values);

  FrontHalf other(two.slice(0, 7), adam, 1);
  const net::Bytes before = net::encode(other.state());
  const auto refused = [&](auto change) {
    net::FrontState bad = state;
    change(bad);
    const auto loaded = other.load(bad, 3);
    REQUIRE_FALSE(loaded.ok());
    CHECK(net::encode(other.state()) == before);
    return loaded.failure().message;
  };
  CHECK(refused([](net::FrontState& s) { s.tensors.pop_back(); }).find("expected") !=
        std::string::npos);
  CHECK(refused([](net::FrontState& s) { std::swap(s.tensors[0], s.tensors[1]); }) != "");
  CHECK(refused([](net::FrontState& s) { s.tensors[2].role = net::TensorRole::buffer; }) != "");
  CHECK(refused([](net::FrontState& s) { s.counters[0].name = "x"; }) != "");
  const float nan[4] = {0, 0, std::numeric_limits<float>::quiet_NaN(), 0};
  CHECK(refused([&](net::FrontState& s) { s.tensors[1].values = iotsl::bytes_of(nan, 4); }) ==
        "front state: 'features.0.bias' has NaN or Inf");
  // Adam would divide by 1 - beta^0 after -1 steps.
  for (const std::uint64_t steps : {std::uint64_t{4}, ~std::uint64_t{0}})
    CHECK(refused([&](net::FrontState& s) { s.optimizer_steps = steps; }) ==
          concat("front state: its optimiser has taken ", steps, " steps, expected 0 to 3"));
  CHECK(other.load(state, 2).failure().message ==
        "front state: its optimiser has taken 3 steps, expected 0 to 2");
}

TEST_CASE("front state: squares are not negative") {
  const ModelSpec spec = small("vgg16bn-compact");
  auto model = build_model<float>(spec);
  model.initialize(1);
  const OptimizerOptions adam{.kind = OptimizerKind::adam, .lr = 1e-3, .ewc = 0.5};
  FrontHalf front(model.slice(0, 7), adam, 1);
  const net::Bytes wire = net::encode(front.state());
  const net::FrontState state = net::decode<net::FrontState>(wire).value();
  std::size_t squares = 0;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    const std::string& name = state.tensors[i].name;
    std::vector<float> values(state.tensors[i].values.size() / sizeof(float), 0.25f);
    net::FrontState bad = state;
    bad.tensors[i].values = iotsl::bytes_of(values.data(), values.size());
    values.back() = -0.0f;
    CHECK(check_front_state(bad, state, 0).ok());
    values.back() = -0.5f;
    const auto checked = check_front_state(bad, state, 0);
    const bool square = name.ends_with("exp_avg_sq") || name.ends_with("fisher") ||
                        name.ends_with("seen") || name.ends_with("running_var");
    squares += square;
    CHECK_MESSAGE(checked.ok() == !square, name);
    if (!checked)
      CHECK(checked.failure().message ==
            concat("front state: '", name, "' has -0.5, expected at least 0"));
  }
  CHECK(squares == 3 * front.layers().parameters().size() + 2);
}

}  // namespace front_description_test
