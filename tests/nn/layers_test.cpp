// Layers of the library and of a program's own: in a chain, in one another, as JSON.

#include <doctest/doctest.h>

#include "iotsl/nn/layer_list.hpp"
#include "iotsl/nn/state.hpp"
#include "support/gradient_check.hpp"

namespace layers_test {

using namespace iotsl;

namespace {

/// All that a layer needs.
template <class T>
struct Square {
  static constexpr const char* type = "square";
  Tensor<T> forward(Tensor<T> x) { return square(std::move(x)); }
};

/// One with a field, a parameter for each channel, and initial weights.
template <class T>
struct ChannelScale {
  static constexpr const char* type = "channel_scale";
  Index channels = 0;
  Tensor<T> weight;

  template <class Fields>
  void visit_fields(Fields& f) {
    f.integer("channels", channels, 1, 100);
  }
  template <class Visitor>
  void visit_state(Visitor& v) {
    v.parameter("weight", weight, Shape{channels, 1, 1}, T(3));
  }
  void initialize(std::uint64_t seed, std::uint32_t number) {
    fill_normal(weight, 1.0, seed, number);
  }
  Tensor<T> forward(Tensor<T> x) { return mul(x, weight); }
};

using OwnLayers = StandardLayers<float>::With<Square<float>, ChannelScale<float>>;

template <class T>
Sequential<T> block(Index in, Index out, Index stride) {
  Residual<T> sum;
  sum.body.add("conv1",
               Conv2d<T>(in, out, 3,
                         {.stride_h = stride, .stride_w = stride, .pad_h = 1, .pad_w = 1}, false));
  sum.body.add("bn1", BatchNorm2d<T>(out));
  sum.body.add("square", Square<T>{});
  sum.body.add("conv2", Conv2d<T>(out, out, 3, {.pad_h = 1, .pad_w = 1}, false));
  sum.body.add("bn2", BatchNorm2d<T>(out));
  if (in != out || stride != 1) {
    sum.projection.add("0", Conv2d<T>(in, out, 1, {.stride_h = stride, .stride_w = stride}, false));
    sum.projection.add("1", BatchNorm2d<T>(out));
  }
  Sequential<T> chain;
  chain.add("0", std::move(sum));
  return chain;
}

/// Two stages and a layer with two branches.
template <class T>
Sequential<T> branching_net() {
  Sequential<T> net;
  net.add("layer1", block<T>(2, 2, 1));
  net.add("layer2", block<T>(2, 4, 2));
  Concat<T> mixed;
  mixed.branches.add("branch1x1", Conv2d<T>(4, 2, 1, {}));
  Sequential<T> deep;
  deep.add("reduce", Conv2d<T>(4, 1, 1, {}));
  deep.add("conv", Conv2d<T>(1, 3, 3, {.pad_h = 1, .pad_w = 1}));
  mixed.branches.add("branch3x3", std::move(deep));
  net.add("mixed", std::move(mixed));
  net.add("fc", ChannelScale<T>{5, {}});
  return net;
}

std::vector<std::string> names(const std::vector<NamedTensor<float>>& tensors) {
  std::vector<std::string> out;
  for (const auto& each : tensors) out.push_back(each.name);
  return out;
}

}  // namespace

TEST_CASE("layers: one of a few lines works in a chain") {
  Sequential<float> net;
  net.add("linear", Linear<float>(3, 2));
  net.add("square", Square<float>{});
  net.initialize(1);
  const Tensor<float> x = Tensor<float>::full({4, 3}, 1.0f);
  const Tensor<float> y = net.forward(x, {}), before = net.slice(0, 1).forward(x, {});
  for (Index i = 0; i < y.size(); ++i) CHECK(y.data()[i] == before.data()[i] * before.data()[i]);
  CHECK(std::string(net[1].type()) == "square");
  CHECK(*net.output_shape({4, 3}) == Shape{4, 2});
  CHECK(net[1].cost({1, 2}).operations == 2);
  CHECK(net[1].cost({1, 2}).activation_bytes == 8);
  CHECK(net.parameters().size() == 2);
  CHECK(net.leaves() == 2);
}

TEST_CASE("layers: own state gets its memory in a chain, and a copy shares it") {
  Sequential<float> net;
  net.add("scale", ChannelScale<float>{2, {}});
  REQUIRE(net.parameters().size() == 1);
  CHECK(net.parameters()[0].name == "scale.weight");
  CHECK(net.parameters()[0].tensor.data()[1] == 3);
  CHECK(net.parameters()[0].tensor.requires_grad());
  CHECK(net[0].cost({1, 2, 4, 4}).parameters == 2);
  const Sequential<float> copy = net, part = net.slice(0, 1);
  net.parameters()[0].tensor.mutable_data()[0] = 7;
  CHECK(copy.parameters()[0].tensor.data()[0] == 7);
  CHECK(part.parameters()[0].tensor.data()[0] == 7);
  CHECK(load_state(copy, *parse_safetensors(*serialize_safetensors(state_views(net)))).ok());
  CHECK_THROWS_WITH_AS(net.add("scale", Square<float>{}),
                       "sequential: two layers are named 'scale'", Error);
}

TEST_CASE("layers: nested ones have the names that PyTorch gives them") {
  const Sequential<float> net = branching_net<float>();
  CHECK(names(net.parameters()) == std::vector<std::string>{"layer1.0.conv1.weight",
                                                            "layer1.0.bn1.weight",
                                                            "layer1.0.bn1.bias",
                                                            "layer1.0.conv2.weight",
                                                            "layer1.0.bn2.weight",
                                                            "layer1.0.bn2.bias",
                                                            "layer2.0.conv1.weight",
                                                            "layer2.0.bn1.weight",
                                                            "layer2.0.bn1.bias",
                                                            "layer2.0.conv2.weight",
                                                            "layer2.0.bn2.weight",
                                                            "layer2.0.bn2.bias",
                                                            "layer2.0.downsample.0.weight",
                                                            "layer2.0.downsample.1.weight",
                                                            "layer2.0.downsample.1.bias",
                                                            "mixed.branch1x1.weight",
                                                            "mixed.branch1x1.bias",
                                                            "mixed.branch3x3.reduce.weight",
                                                            "mixed.branch3x3.reduce.bias",
                                                            "mixed.branch3x3.conv.weight",
                                                            "mixed.branch3x3.conv.bias",
                                                            "fc.weight"});
  CHECK(names(net.buffers())[0] == "layer1.0.bn1.running_mean");
  CHECK(net.counters().back().name == "layer2.0.downsample.1.num_batches_tracked");
  CHECK(net.leaves() == 5 + 7 + 3 + 1);
}

TEST_CASE("layers: numbers count those that hold no others, depth first") {
  const auto add_all = [](Sequential<float>& chain, int from, int to) {
    for (int i = from; i < to; ++i) {
      if (i % 2 == 0)
        chain.add(std::to_string(i), Linear<float>(3, 3));
      else
        chain.add(std::to_string(i), Dropout<float>{0.5});
    }
  };
  Sequential<float> flat, nested, inner, innermost;
  add_all(flat, 0, 8);
  add_all(nested, 0, 2);
  add_all(inner, 2, 4);
  add_all(innermost, 4, 6);
  inner.add("deeper", innermost);
  nested.add("inner", inner);
  add_all(nested, 6, 8);
  flat.initialize(5);
  nested.initialize(5);
  const auto a = flat.parameters(), b = nested.parameters();
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    CHECK(std::equal(a[i].tensor.values().begin(), a[i].tensor.values().end(),
                     b[i].tensor.values().begin()));
  const Tensor<float> x = Tensor<float>::full({16, 3}, 1000.0f);
  const ForwardMode mode{.training = true, .seed = 3, .step = 4};
  const Tensor<float> y = flat.forward(x, mode), z = nested.forward(x, mode);
  CHECK(std::equal(y.values().begin(), y.values().end(), z.values().begin()));
  // A part keeps its numbers.
  const Tensor<float> whole = nested.slice(2, 5).forward(nested.slice(0, 2).forward(x, mode), mode);
  CHECK(std::equal(y.values().begin(), y.values().end(), whole.values().begin()));
}

TEST_CASE("layers: branches against their definition, shapes and costs") {
  Sequential<float> net = branching_net<float>();
  net.initialize(2);
  const Shape sample{1, 2, 6, 6};
  CHECK(*net.output_shape(sample) == Shape{1, 5, 3, 3});
  Index parameters = 0;
  for (const auto& each : net.parameters()) parameters += each.tensor.size();
  CHECK(net.cost(sample).parameters == parameters);

  const Tensor<float> x = Tensor<float>::full({3, 2, 6, 6}, 0.5f);
  const auto* stage = net[1].layer.get_if<Sequential<float>>();
  REQUIRE(stage != nullptr);
  Residual<float> sum = *(*stage)[0].layer.get_if<Residual<float>>();
  const Tensor<float> got = sum.forward(x, {});
  const Tensor<float> body = sum.body.forward(x, {}), beside = sum.projection.forward(x, {});
  for (Index i = 0; i < got.size(); ++i) CHECK(got.data()[i] == body.data()[i] + beside.data()[i]);
  Concat<float> mixed = *net[2].layer.get_if<Concat<float>>();
  const Tensor<float> joined = mixed.forward(got, {});
  const Tensor<float> first = mixed.branches[0].layer.forward(got, {});
  REQUIRE(joined.shape() == Shape{3, 5, 3, 3});
  CHECK(joined.data()[0] == first.data()[0]);
  CHECK(x.data()[0] == 0.5f);  // not overwritten

  sum.projection = {};
  CHECK(sum.output_shape(sample).failure().message ==
        "residual: x [1,2,6,6] gives [1,4,3,3] through the body and [1,2,6,6] beside it; expected "
        "the same");
  CHECK(net.output_shape({1, 3, 6, 6}).failure().message ==
        "layer 'layer1': layer '0': layer 'conv1': conv2d: weight [2,2,3,3] expects 2 input "
        "channels, x [1,3,6,6] has 3");
}

TEST_CASE("layers: gradients through branches") {
  Sequential<double> net = branching_net<double>();
  net.initialize(3);
  for (auto& each : net.parameters())
    if (each.name.ends_with("weight") && each.tensor.rank() == 4)
      for (Index i = 0; i < each.tensor.size(); ++i) each.tensor.mutable_data()[i] *= 0.5;
  for (const bool training : {false, true}) {
    CAPTURE(training);
    // Of the input, and of a weight that two paths share.
    check::gradient_check_first(
        [&](const check::Tensors& in) { return net.forward(in[0], {.training = training}); },
        {check::normal({3, 2, 4, 4}, 1)}, 1e-6);
  }
  Tensor<double> x = check::normal({2, 2, 4, 4}, 5);
  const Tensor<double> u = check::normal({2, 5, 2, 2}, 6);
  auto parameters = net.parameters();
  std::vector<Tensor<double>> leaves;
  for (auto& each : parameters) leaves.push_back(each.tensor);
  const auto grads = grad<double>({net.forward(x, {})}, leaves, {u});
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    CAPTURE(parameters[i].name);
    const check::Tensors v{check::normal(leaves[i].shape(), 7)};
    const Tensor<double> at = leaves[i].clone();
    const double expected = check::slope_at_zero([&](double t) {
      for (Index k = 0; k < at.size(); ++k)
        leaves[i].mutable_data()[k] = at.data()[k] + t * v[0].data()[k];
      return check::dot(net.forward(x, {}), u);
    });
    std::copy(at.values().begin(), at.values().end(), leaves[i].mutable_data());
    CHECK(check::dot(grads[i], v[0]) == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("layers: a chain is built again from its description") {
  const Sequential<float> net = branching_net<float>();
  const Shape sample{1, 2, 6, 6};
  const std::string text = to_text(describe_layers(net));
  const auto built = build_layers(*parse_json(text), sample, OwnLayers::types<float>());
  REQUIRE_MESSAGE(built.ok(), built.failure().message);
  CHECK(to_text(describe_layers(*built)) == text);
  CHECK(load_state(*built, *parse_safetensors(*serialize_safetensors(state_views(net)))).ok());
  CHECK(state_sha256(*built) == state_sha256(net));
  const auto lacking =
      build_layers(*parse_json(text), sample, StandardLayers<float>::types<float>());
  REQUIRE_FALSE(lacking.ok());
  CHECK(lacking.failure().message.starts_with(
      "layer 'layer1.0.square' is of type 'square', which this program does not have; it has "
      "conv2d, "));
  const auto misspelt =
      build_layers(*parse_json(R"([{"name":"s","type":"channel_scale","canals":2}])"), sample,
                   OwnLayers::types<float>());
  CHECK(misspelt.failure().message == "layer 's' field 'channels' is missing, expected 1 to 100");
  const auto other = build_layers(*parse_json(text), Shape{1, 3, 6, 6}, OwnLayers::types<float>());
  CHECK(other.failure().message.find("expects 2 input channels") != std::string::npos);
  const auto limited =
      build_layers(*parse_json(text), sample, OwnLayers::types<float>(), {.state_values = 300});
  CHECK(limited.failure().message.find("more than 300 parameters") != std::string::npos);
}

TEST_CASE("layers: a weight that a layer has already is one of the shape that it states") {
  Sequential<float> net;
  net.add("good", ChannelScale<float>{2, Tensor<float>::full({2, 1, 1}, 3)});
  try {
    net.add("s", ChannelScale<float>{2, Tensor<float>::full({2, 1, 2}, 3)});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("weight' of a layer is [2,1,2]; expected [2,1,1]") !=
          std::string::npos);
  }
}

TEST_CASE("layers: the text of their fields leaves out what is usual") {
  CHECK(fields_text<float>(Conv2d<float>(3, 8, 5, {.stride_h = 2, .pad_w = 1}, false)) ==
        "in_channels 3, out_channels 8, kernel 5x5, stride 2x1, pad 0x1, bias false");
  CHECK(fields_text<float>(Relu<float>{}) == "");
  CHECK(fields_text<float>(Dropout<float>{0.25}) == "probability 0.25");
  CHECK(fields_text<float>(block<float>(2, 2, 1)) == "layers 1");
  CHECK(fields_text<float>(ChannelScale<float>{5, {}}) == "channels 5");
}

TEST_CASE("a chain that lets a layer do the work of those behind it gives the same bits") {
  const auto chain = [](bool square_between) {
    Sequential<float> out;
    out.add("0", Conv2d<float>(2, 6, 3, {.pad_h = 1, .pad_w = 1}));
    out.add("1", BatchNorm2d<float>(6));
    out.add("2", Relu<float>{});
    out.add("3", Conv2d<float>(6, 5, 3));
    out.add("4", BatchNorm2d<float>(5));
    out.add("5", Relu<float>{});
    if (square_between) out.add("between", Square<float>{});
    out.add("6", MaxPool2d<float>{});
    out.add("7", BatchNorm2d<float>(5));  // nothing behind it
    out.initialize(3);
    return out;
  };
  Tensor<float> x = Tensor<float>::uninitialized(Shape{4, 2, 11, 12});
  for (Index i = 0; i < x.size(); ++i)
    x.mutable_data()[i] =
        static_cast<float>(Random(1, Stream::user).normal(static_cast<std::uint64_t>(i)));
  for (bool square_between : {false, true})
    for (bool training : {true, false}) {
      const Sequential<float> whole = chain(square_between), parts = chain(square_between);
      const ForwardMode mode{.training = training};
      const Tensor<float> y = whole.forward(x, mode);
      Tensor<float> want = x;
      for (const auto& named : parts.layers()) want = named.layer.forward(want, mode);
      REQUIRE(y.shape() == want.shape());
      for (Index i = 0; i < y.size(); ++i) CHECK(y.data()[i] == want.data()[i]);
      const auto trained = whole.parameters(), expected = parts.parameters();
      std::vector<Tensor<float>> weights, others;
      for (std::size_t i = 0; i < trained.size(); ++i) {
        weights.push_back(trained[i].tensor);
        others.push_back(expected[i].tensor);
      }
      const auto got = grad<float>({y}, weights, {y.detach()});
      const auto wanted = grad<float>({want}, others, {want.detach()});
      for (std::size_t i = 0; i < got.size(); ++i)
        for (Index j = 0; j < got[i].size(); ++j) CHECK(got[i].data()[j] == wanted[i].data()[j]);
      // Running statistics, and how often they have moved.
      for (std::size_t i = 0; i < whole.buffers().size(); ++i)
        CHECK(whole.buffers()[i].tensor.data()[0] == parts.buffers()[i].tensor.data()[0]);
      for (const NamedCounter& counter : whole.counters())
        CHECK(counter.counter.value() == (training ? 1 : 0));
    }
}

}  // namespace layers_test
