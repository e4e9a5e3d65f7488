// The layers for small nets and the activations: what they give is what they say, also when they
// come out of a description. Their values: tests/golden/models/layers.safetensors.

#include <doctest/doctest.h>

#include "iotsl/core/json/json.hpp"
#include "iotsl/nn/layers/all.hpp"
#include "iotsl/nn/state.hpp"
#include "support/adjoint_check.hpp"

namespace all_layers_test {

using namespace iotsl;

/// What the net gives for x, layer by layer, each of the shape that it has said.
Tensor<float> forward_as_said(const Sequential<float>& net, const Tensor<float>& x) {
  Tensor<float> y = x;
  for (const NamedLayer<float>& named : net.layers()) {
    INFO("layer ", named.name);
    const Shape said = named.output_shape(y.shape()).value();
    y = named.layer.forward(y, {});
    CHECK(y.shape() == said);
  }
  return y;
}

TEST_CASE("small net layers and activations: shape, description and back") {
  Sequential<float> net;
  net.add("0", GroupedConv2d<float>(4, 8, 3, {.stride_h = 2, .pad_h = 1, .groups = 4}));
  net.add("1", GroupNorm<float>(2, 8));
  net.add("2", Silu<float>{});
  net.add("3", AvgPool2d<float>{{.kernel_h = 3, .stride_h = 1, .pad_h = 1}});
  net.add("4", LeakyRelu<float>{0.25});
  net.add("5", Gelu<float>{.tanh_form = true});
  net.add("6", Tanh<float>{});
  net.add("7", GlobalAvgPool2d<float>{});
  net.add("8", LayerNorm<float>(8));
  net.add("9", Sigmoid<float>{});
  net.add("10", Softmax<float>{});
  net.initialize(3);
  const Shape sample{1, 4, 7, 9};
  Tensor<float> x = Tensor<float>::full({2, 4, 7, 9}, 0.5F);
  x.mutable_data()[5] = -2;
  CHECK(forward_as_said(net, x).shape() == Shape{2, 8});

  const Json description = describe_layers(net);
  auto again = build_layers(description, sample, AllLayers<float>::types<float>());
  REQUIRE(again.ok());
  CHECK(to_text(describe_layers(*again)) == to_text(description));
  // Without these layers, as a device program may be built.
  const auto refused = build_layers(description, sample, StandardLayers<float>::types<float>());
  REQUIRE(!refused.ok());
  CHECK(refused.failure().message.find("'grouped_conv2d'") != std::string::npos);

  Json odd = *parse_json(R"([{"name":"a","type":"grouped_conv2d","in_channels":4,
                              "out_channels":8,"groups":3}])");
  const auto indivisible = build_layers(odd, sample, AllLayers<float>::types<float>());
  REQUIRE(!indivisible.ok());
  CHECK(indivisible.failure().message ==
        "layer 'a': grouped_conv2d: 3 groups; expected a divisor of 4 input channels");
  for (const Index groups : {0, 3})
    CHECK(check::error_of([&] {
            GroupedConv2d<float>(4, 8, 3, {.groups = groups});
          }).find("expected a divisor of 4 input channels") != std::string::npos);
  CHECK(check::error_of([] { Conv2d<float>(4, 8, 3, {.groups = 4}); }) ==
        "Conv2d: 4 groups; GroupedConv2d is the layer with groups");
}

TEST_CASE("layers that make and judge images: shape, description and back") {
  Sequential<float> net;
  net.add("linear", Linear<float>(6, 24));
  net.add("maps", Unflatten<float>{4, 2, 3});
  net.add("norm", PixelNorm<float>{});
  ConvTranspose2d<float> doubled(4, 3, 4, {.stride_h = 2, .stride_w = 2, .crop_h = 1});
  doubled.output_pad_w = 1;
  net.add("deconv", doubled);
  net.add("conv", SpectralNorm<float, Conv2d>(Conv2d<float>(3, 5, 3, {.pad_h = 1})));
  net.add("flat", Flatten<float>{});
  net.add("score", SpectralNorm<float, Linear>(Linear<float>(175, 1, false)));
  CHECK(std::string(net.find("conv")->type()) == "spectral_conv2d");
  net.initialize(5);
  std::vector<std::string> names;
  for (const auto& entry : state_entries<float>(net)) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"linear.weight", "linear.bias", "deconv.weight",
                                          "deconv.bias", "conv.weight", "conv.bias", "conv.u",
                                          "conv.v", "score.weight", "score.u", "score.v"});
  const Tensor<float> x = Tensor<float>::from({2, 6}, {1, -2, 3, 0.5F, 0, 1, 2, 2, -1, 0, 1, 4});
  CHECK(forward_as_said(net, x).shape() == Shape{2, 1});
  // 6 * 24 + 24, 4 * 3 * 16 + 3, 3 * 5 * 9 + 5, 175
  CHECK(net.cost(x.shape()).parameters == 168 + 195 + 140 + 175);

  const Json description = describe_layers(net);
  auto again = build_layers(description, {1, 6}, AllLayers<float>::types<float>());
  REQUIRE(again.ok());
  CHECK(to_text(describe_layers(*again)) == to_text(description));
  CHECK(build_layers(description, {1, 5}, AllLayers<float>::types<float>())
            .failure()
            .message.find("layer 'linear'") != std::string::npos);
  CHECK(check::error_of([] {
          Unflatten<float>{4, 2, 3}.forward(Tensor<float>::zeros({2, 23}));
        }) == "unflatten: 4 maps of 2x3 expect x [N,24], given [2,23]");
  CHECK(check::error_of([] { ConvTranspose2d<float>(4, 8, 3, {.groups = 4}); }) ==
        "ConvTranspose2d: 4 groups; expected 1");
}

TEST_CASE("spectral norm around a layer: its norm becomes one in training, and in it alone") {
  SpectralNorm<double, Linear> layer(Linear<double>(5, 4, false));
  layer.initialize(1, 0);
  Sequential<double> net;
  net.add("0", layer);  // shares the state
  const Tensor<double> x = check::normal({3, 5}, 2);
  const auto u = layer.u.clone();
  const Tensor<double> before = net.forward(x, {});
  CHECK(check::dot(u, layer.u) == doctest::Approx(1));
  CHECK(std::equal(u.data(), u.data() + 4, layer.u.data()));
  // The gradients of two passes of one step, in which the vectors went on.
  const Tensor<double> first = net.forward(x, {.training = true});
  const Tensor<double> second = net.forward(x, {.training = true});
  CHECK_FALSE(std::equal(u.data(), u.data() + 4, layer.u.data()));
  CHECK(grad(sum(add(first, second)), layer.layer.weight).defined());
  for (int step = 0; step < 200; ++step) layer.follow_spectrum();
  Tensor<double> again_u = layer.u.clone(), again_v = layer.v.clone();
  const Tensor<double> weight = layer.normalized().weight.detach();
  power_iteration(weight, again_u, again_v, 50);
  const double sigma = weight.data()[0] / spectral_norm(weight, again_u, again_v).data()[0];
  CHECK(sigma == doctest::Approx(1).epsilon(1e-9));
  CHECK(net.forward(x, {}).data()[0] == doctest::Approx(before.data()[0]).epsilon(0.1));
}

}  // namespace all_layers_test
