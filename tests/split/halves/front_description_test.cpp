#include "iotsl/split/halves/front_description.hpp"

#include <doctest/doctest.h>

#include "iotsl/models/model.hpp"
#include "iotsl/split/halves/cut.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace front_description_test {

namespace {

ModelSpec small(const char* name) {
  return {.name = name, .width = 4, .images = {.height = 16, .width = 16}};
}

Tensor<float> random_values(std::uint64_t seed) {
  Tensor<float> out = Tensor<float>::uninitialized(Shape{4, 1, 16, 16});
  const Random random(seed, Stream::user);
  float* values = out.mutable_data();
  for (Index i = 0; i < out.size(); ++i)
    values[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
  return out;
}

net::FrontInit front_init(const std::string& layers) {
  return {iotsl::bytes_of(layers.data(), layers.size())};
}

/// Why no front is built from the layers; empty: it is built.
std::string problem(const std::string& layers, const Shape& sample = Shape{1, 1, 16, 16}) {
  const auto built = build_front(front_init(layers), sample, StandardLayers<float>::types<float>());
  return built ? "" : built.failure().message;
}
bool says(const std::string& text, const char* what) {
  INFO(text);
  return text.find(what) != std::string::npos;
}
/// `layers` within so many sequential layers.
std::string nested(int depth, std::string layers) {
  for (int i = 0; i < depth; ++i)
    layers = concat(R"([{"name":"s","type":"sequential","layers":)", layers, "}]");
  return layers;
}

/// max(x, 0.1 x), a layer that no list of the library has.
struct Leaky {
  static constexpr const char* type = "leaky";
  double slope = 0.1;
  template <class Fields>
  void visit_fields(Fields& f) {
    f.real("slope", slope, 0, 1);
  }
  Tensor<float> forward(Tensor<float> x) {
    return sub(relu(x), scale(relu(neg(x)), static_cast<float>(slope)));
  }
};

}  // namespace

TEST_CASE("front description: every front of every model is rebuilt") {
  for (const char* name : model_names) {
    const ModelSpec spec = small(name);
    const auto model = build_model<float>(spec);
    for (std::size_t cut = 1; cut < model.size(); ++cut) {
      const auto front = model.slice(0, cut);
      INFO(name << " cut after " << cut << " layers");
      const auto message = describe_front(front);
      REQUIRE(message.ok());
      const auto received = net::decode<net::FrontInit>(message->payload);
      REQUIRE(received.ok());
      const auto built =
          build_front(*received, sample_shape(spec), StandardLayers<float>::types<float>());
      REQUIRE_MESSAGE(built.ok(), built.failure().message);
      CHECK(structure_sha256(*built) == structure_sha256(front));
      CHECK(to_text(describe_layers(*built)) == to_text(describe_layers(front)));
      CHECK(*built->output_shape(sample_shape(spec)) == *front.output_shape(sample_shape(spec)));
    }
  }
}

TEST_CASE("front description: a layer of the program's own, and a program that lacks it") {
  Sequential<float> front;
  front.add("conv", Conv2d<float>(1, 2, 3, {}));
  front.add("act", Leaky{0.25});
  const auto message = describe_front(front);
  REQUIRE(message.ok());
  const auto description = net::decode<net::FrontInit>(message->payload);
  const auto built = build_front(*description, Shape{1, 1, 16, 16},
                                 StandardLayers<float>::With<Leaky>::types<float>());
  REQUIRE_MESSAGE(built.ok(), built.failure().message);
  REQUIRE((*built)[1].layer.get_if<Leaky>() != nullptr);
  CHECK((*built)[1].layer.get_if<Leaky>()->slope == 0.25);
  CHECK(problem(std::string(text_of(description->layers))) ==
        "front: layer 'act' is of type 'leaky', which this program does not have; it has conv2d, "
        "batch_norm2d, relu, max_pool2d, global_avg_pool2d, flatten, dropout, linear, sequential, "
        "residual, concat");
}

TEST_CASE("front description: nothing is built from one that does not fit") {
  const std::string good =
      to_text(describe_layers(build_model<float>(small("vgg16bn-compact")).slice(0, 7)));
  REQUIRE(problem(good) == "");
  /// The description with its first `from` replaced.
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return problem(text.replace(at, from.size(), to));
  };
  CHECK(problem("[]") == "front: there are no layers");
  CHECK(says(problem(""), "front: "));
  CHECK(problem("{}") == "front: layers must be an array, found object");
  CHECK(problem("[1]") ==
        "front: layer '0' has no name: expected an object with key 'name', found integer");
  CHECK(problem(R"([{"name":"a"}])") == "front: layer 'a' key 'type' is missing");
  CHECK(changed(R"("in_channels":1)", R"("in_channels":3)") ==
        "front: layer 'features.0': conv2d: weight [4,3,3,3] expects 3 input channels, x "
        "[1,1,16,16] has 1");
  CHECK(changed(R"("kernel":[3,3])", R"("kernel":[0,3])") ==
        "front: layer 'features.0' field 'kernel' is 0, expected 1 to 64");
  CHECK(says(changed(R"("kernel":[3,3])", R"("kernel":[3,99])"), "is 99, expected 1 to 64"));
  CHECK(says(changed(R"("kernel":[3,3])", R"("kernel":3)"), "must be two integers, found integer"));
  CHECK(says(changed(R"("kernel":[3,3])", R"("kernel":[3,1.5])"), "must be an integer"));
  CHECK(says(changed(R"("kernel":[3,3])", R"("kernel":[19,3])"), "does not fit"));
  CHECK(says(changed(R"("bias":true)", R"("bias":1)"), "must be true or false"));
  CHECK(says(changed(R"("bias":true)", R"("bias":true,"groups":2)"), "has no field 'groups'"));
  CHECK(says(changed(R"("in_channels":1,)", ""),
             "field 'in_channels' is missing, expected 1 to 65535"));
  CHECK(says(changed(R"("channels":4)", R"("channels":5)"), "layer 'features.1': batch_norm2d"));
  CHECK(says(changed("features.1", "features.0"), "layer 'features.0' is there twice"));
  CHECK(says(changed("features.1", ""), "has an empty name"));
  CHECK(says(changed("features.1", std::string(113, 'a')), "more than 112 bytes"));
  CHECK(
      says(changed(R"("relu")", R"("gelu2")"), "is of type 'gelu2', which this program does not"));
  CHECK(says(problem(good, Shape{1, 1, 1, 1}),
             "layer 'features.6': max_pool2d: kernel 2x2 does not"));
  CHECK(says(problem(R"([{"name":"drop","type":"dropout","probability":1}])"),
             "'probability' is 1, expected at least 0 and below 1"));
  CHECK(problem(R"([{"name":"pool","type":"max_pool2d","pad":[2,0]}])") != "");
}

TEST_CASE("front description: what would take too much memory is refused before it is taken") {
  // A linear layer of 16 GiB.
  CHECK(says(problem(R"([{"name":"a","type":"flatten"},
      {"name":"b","type":"linear","in_features":65535,"out_features":65535}])",
                     Shape{1, 15, 17, 257}),
             "layer 'b' with those before it has more than 67108864 parameters"));
  // Many that are allowed one by one.
  std::string many = "[";
  for (int i = 0; i < 5; ++i)
    many += concat(i == 0 ? "" : ",", R"({"name":")", i,
                   R"(","type":"linear","in_features":4096,"out_features":4096})");
  CHECK(says(problem(many + "]", Shape{1, 4096}), "layer '3' with those"));
  // No parameters, but a large output.
  const std::string wide =
      R"([{"name":"c","type":"conv2d","in_channels":1,"out_channels":65535,"pad":[64,64]}])";
  CHECK(says(problem(wide), "more than 67108864 values"));
  CHECK(says(problem(nested(3, wide)), "more than 67108864 values"));
  CHECK(says(problem(nested(
                 3, R"([{"name":"b","type":"linear","in_features":65535,"out_features":65535}])")),
             "layer 's.s.s.b' with those"));
  CHECK(problem(nested(7, R"([{"name":"r","type":"relu"}])")) == "");
  CHECK(says(problem(nested(8, R"([{"name":"r","type":"relu"}])")), "nested deeper than 8"));
  CHECK(says(problem(nested(1000, R"([{"name":"r","type":"relu"}])")), "front: "));
  std::string layers = "[";
  for (int i = 0; i < 1025; ++i)
    layers += concat(i == 0 ? "" : ",", R"({"name":")", i, R"(","type":"relu"})");
  CHECK(says(problem(layers + "]"), "layer '1024' is one of more than 1024"));
  Sequential<float> large;
  for (int i = 0; i < 2000; ++i) large.append(concat(std::string(300, 'a'), i), Relu<float>{});
  CHECK_FALSE(describe_front(large).ok());
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
