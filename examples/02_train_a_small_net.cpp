// Train a small net: layers, data in batches, loss, gradients, optimiser. The data are the built-in
// digits, so nothing has to be downloaded.

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

static Tensor<float> batch_of(const data::Loader& loader, Index b,
                              std::vector<std::int32_t>& labels) {
  labels.resize(static_cast<std::size_t>(loader.batch_size(b)));
  auto x = Tensor<float>::uninitialized({loader.batch_size(b), 1, 28, 28});
  loader.fill(b, x.mutable_data(), labels.data());
  return x;
}

static double accuracy(Sequential<float>& net, const data::Dataset& set) {
  const NoRecord no_graph;
  net.eval();
  const data::Loader loader(set, 100);
  std::vector<std::int32_t> labels;
  Index right = 0;
  for (Index b = 0; b < loader.batches(); ++b) {
    const auto logits = net.forward(batch_of(loader, b, labels));
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto row = logits.values().subspan(i * 10, 10);
      right += std::max_element(row.begin(), row.end()) - row.begin() == labels[i];
    }
  }
  net.train();
  return static_cast<double>(right) / static_cast<double>(set.size());
}

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
  std::vector<std::int32_t> labels;
  double reached = 0;
  for (int epoch = 0; epoch < 3; ++epoch) {
    loader.start_epoch(/*seed=*/1, /*device=*/0, epoch);
    double loss_sum = 0;
    for (Index b = 0; b < loader.batches(); ++b) {
      const auto x = batch_of(loader, b, labels);
      const auto loss =
          softmax_cross_entropy(net.forward(x), std::span<const std::int32_t>(labels));
      backward(loss);
      optimizer.step();
      loss_sum += static_cast<double>(loss.item());
    }
    reached = accuracy(net, test_set);
    std::printf("epoch %d: loss %.3f, test accuracy %.1f %%\n", epoch + 1,
                loss_sum / static_cast<double>(loader.batches()), 100 * reached);
  }
  return images < 1500 || reached > 0.85 ? 0 : 1;
}
