// The layers for small nets and the activations: what they give is what they say, also when they
// come out of a description. Their values: tests/golden/models/layers.safetensors.

#include <doctest/doctest.h>

#include "iotsl/core/json.hpp"
#include "iotsl/nn/all_layers.hpp"
#include "iotsl/nn/state.hpp"
#include "support/adjoint_check.hpp"

namespace all_layers_test {

using namespace iotsl;

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
  Tensor<float> y = x;
  for (const NamedLayer<float>& named : net.layers()) {
    INFO("layer ", named.name);
    const Shape said = named.output_shape(y.shape()).value();
    y = named.layer.forward(y, {});
    CHECK(y.shape() == said);
  }
  CHECK(y.shape() == Shape{2, 8});

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
    CHECK(check::error_of([&] { GroupedConv2d<float>(4, 8, 3, {.groups = groups}); })
              .find("expected a divisor of 4 input channels") != std::string::npos);
  CHECK(check::error_of([] { Conv2d<float>(4, 8, 3, {.groups = 4}); }) ==
        "Conv2d: 4 groups; GroupedConv2d is the layer with groups");
}

}  // namespace all_layers_test
