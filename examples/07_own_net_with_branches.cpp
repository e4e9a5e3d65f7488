// A net that branches: residual blocks, with a projection where the shape changes, and branches of
// different kernels side by side. 14_resnet18.cpp is a large one, with the names of torchvision.
// Compile with: g++ -std=c++20 -Iinclude FILE

#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

static Conv2d<float> conv(Index in, Index out, Index kernel, Index stride = 1) {
  return {in,
          out,
          kernel,
          {.stride_h = stride, .stride_w = stride, .pad_h = kernel / 2, .pad_w = kernel / 2},
          /*with_bias=*/false};
}

// relu(body(x) + projection(x)); an empty projection is x itself.
static Sequential<float> block(Index in, Index out, Index stride) {
  Residual<float> sum;
  sum.body.add("conv1", conv(in, out, 3, stride));
  sum.body.add("bn1", BatchNorm2d<float>(out));
  sum.body.add("relu", Relu<float>{});
  sum.body.add("conv2", conv(out, out, 3));
  sum.body.add("bn2", BatchNorm2d<float>(out));
  if (in != out || stride != 1) sum.projection.add("0", conv(in, out, 1, stride));
  Sequential<float> chain;
  chain.add("0", std::move(sum));
  chain.add("relu", Relu<float>{});
  return chain;
}

int main() {
  // Three views of the image, joined along the channels.
  Concat<float> views;
  views.branches.add("point", conv(1, 2, 1));
  views.branches.add("near", conv(1, 3, 3));
  views.branches.add("far", conv(1, 3, 5));

  Sequential<float> net;  // a chain is a layer of other chains
  net.add("views", std::move(views));
  net.add("block1", block(8, 8, 1));
  net.add("block2", block(8, 16, 2));
  net.add("pool", GlobalAvgPool2d<float>{});
  net.add("head", Linear<float>(16, 10));
  net.initialize(/*seed=*/1);

  Shape shape{1, 1, 28, 28};
  for (const auto& layer : net.layers()) {
    const LayerCost cost = layer.cost(shape);
    shape = layer.output_shape(shape).value();  // a net that does not fit says which layer
    std::printf("%-7s %-18s %-14s %6lld parameters, %8lld operations\n", layer.name.c_str(),
                layer.type(), to_string(shape).c_str(), static_cast<long long>(cost.parameters),
                static_cast<long long>(cost.operations));
  }
  std::printf("names:");
  for (const auto& parameter : net.parameters())
    if (parameter.name.starts_with("block2.")) std::printf(" %s", parameter.name.c_str());
  std::printf("\n");

  const auto digits = data::make_glyphs(data::Split::train, 96);
  Optimizer<float> optimizer(net.parameters(), {.kind = OptimizerKind::adam, .lr = 1e-2});
  const data::Loader loader(digits, /*batch=*/16);
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
  return last < first ? 0 : 1;
}
