// Train a small net: layers, data in batches, loss, gradients, optimiser. The data are the built-in
// digits, so nothing has to be downloaded.

#include <cstdio>
#include <cstdlib>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

int main(int argc, char** argv) {
  const Index images = argc > 1 ? std::atoi(argv[1]) : 1500;
  const auto train_set = data::make_glyphs(data::Split::train, images);
  const auto test_set = data::make_glyphs(data::Split::test, images / 6);

  Sequential<float> net;
  net.add("conv1", Conv2d<float>(1, 8, 3, {.stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}));
  net.add("bn1", BatchNorm2d<float>(8));
  net.add("relu1", Relu<float>{});
  net.add("conv2", Conv2d<float>(8, 16, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("bn2", BatchNorm2d<float>(16));
  net.add("relu2", Relu<float>{});
  net.add("pool", MaxPool2d<float>{});
  net.add("flatten", Flatten<float>{});
  net.add("head", Linear<float>(16 * 7 * 7, 10));
  net.initialize(/*seed=*/1);

  Optimizer<float> optimizer(net.parameters(), {.kind = OptimizerKind::adam, .lr = 3e-3});
  data::Loader loader(train_set, /*batch=*/50);
  double reached = 0;
  for (int epoch = 0; epoch < 3; ++epoch) {
    loader.start_epoch(/*seed=*/1, /*device=*/0, epoch);
    double loss_sum = 0;
    for (Index b = 0; b < loader.batches(); ++b) {
      const data::Batch batch = loader.fetch(b);
      const auto loss = softmax_cross_entropy<float>(net.forward(batch.x), batch.labels);
      backward(loss);
      optimizer.step();
      loss_sum += static_cast<double>(loss.item());
    }
    reached = train::evaluate(net, test_set).accuracy();
    std::printf("epoch %d: loss %.3f, test accuracy %.1f %%\n", epoch + 1,
                loss_sum / static_cast<double>(loader.batches()), 100 * reached);
  }
  return images < 1500 || reached > 0.85 ? 0 : 1;
}
