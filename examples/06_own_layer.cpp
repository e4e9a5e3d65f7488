// A layer of your own in a Sequential: it trains, is described, goes into a file and comes back,
// and nothing of the library has to know it. Compile with: g++ -std=c++20 -Iinclude FILE

#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

// The least that a layer has: a name, and a forward pass.
struct Square {
  static constexpr const char* type = "square";
  Tensor<float> forward(Tensor<float> x) { return square(std::move(x)); }
};

// y[n,c,h,w] = weight[c] x[n,c,h,w] + bias[c], with what it is built from and what it learns.
// nn/layer.hpp lists what else a layer may say, such as its output's shape where it differs.
struct ChannelScale {
  static constexpr const char* type = "channel_scale";
  Index channels = 0;
  Tensor<float> weight, bias;

  template <class Fields>
  void visit_fields(Fields& f) {  // in files, on the wire, in summaries; with bounds
    f.integer("channels", channels, 1, 4096);
  }
  template <class State>
  void visit_state(State& s) {  // names, shapes and first values
    s.parameter("weight", weight, {channels, 1, 1}, 1.0f);
    s.parameter("bias", bias, {channels, 1, 1});
  }
  Tensor<float> forward(Tensor<float> x) { return add(mul(x, weight), bias); }
};

int main() {
  Sequential<float> net;
  net.add("conv", Conv2d<float>(1, 6, 5, {.stride_h = 2, .stride_w = 2}));
  net.add("scale", ChannelScale{6, {}, {}});
  net.add("act", Square{});
  net.add("flatten", Flatten<float>{});
  net.add("head", Linear<float>(6 * 12 * 12, 10));
  net.initialize(/*seed=*/1);

  // It trains like any other.
  const auto digits = data::make_glyphs(data::Split::train, 200);
  Optimizer<float> optimizer(net.parameters(), {.kind = OptimizerKind::adam, .lr = 3e-3});
  const data::Loader loader(digits, /*batch=*/20);
  float first = 0, last = 0;
  for (Index b = 0; b < loader.batches(); ++b) {
    const data::Batch batch = loader.fetch(b);
    const auto loss = softmax_cross_entropy<float>(net.forward(batch.x), batch.labels);
    backward(loss);
    optimizer.step();
    (b == 0 ? first : last) = loss.item();
  }
  std::printf("loss %.3f at first, %.3f after %lld steps\n", static_cast<double>(first),
              static_cast<double>(last), static_cast<long long>(loader.batches()));
  for (const auto& layer : net.layers())
    std::printf("%-8s %-14s %s\n", layer.name.c_str(), layer.type(),
                fields_text(layer.layer).c_str());

  // A description is enough to build the net again, by a program that has the layers it names.
  using MyLayers = StandardLayers<float>::With<Square, ChannelScale>;
  const Json description = describe_layers(net);
  const Shape sample{1, 1, 28, 28};
  const auto again = build_layers(description, sample, MyLayers::types<float>());
  const auto without = build_layers(description, sample, StandardLayers<float>::types<float>());
  if (!again || without) return 1;
  std::printf("as it should be: %s\n", without.failure().message.c_str());
  return again->parameters().size() == net.parameters().size() && last < first ? 0 : 1;
}
