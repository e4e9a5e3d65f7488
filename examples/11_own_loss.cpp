// A loss of your own: any function that gives one number, made of the library's operations, whose
// gradients come with it. This is the focal loss (Lin et al. 2017, eq. 4), which weighs down what
// the net already knows. Compile with: g++ -std=c++20 -Iinclude FILE

#include <cmath>
#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

/// Mean over the batch of -(1 - p)^2 log p, where p is the probability of the label: logits [N,M],
/// N labels in [0, M).
template <class T>
Tensor<T> focal_loss(const Tensor<T>& logits, std::span<const std::int32_t> labels) {
  const Index classes = logits.shape()[1];
  const Tensor<T> log_p = sum(mul(log_softmax(logits), one_hot<T>(labels, classes)), {1});
  const Tensor<T> missing = add_scalar(neg(exp(log_p)), 1);  // 1 - p
  return neg(mean(mul(square(missing), log_p)));
}

// What the formula says, and its slope by a central difference.
static bool agrees_with_the_formula() {
  Tensor<double> logits = Tensor<double>::from({2, 3}, {0.5, -1.0, 2.0, 0.1, 0.2, -0.3});
  const std::vector<std::int32_t> labels{2, 0};
  logits.set_requires_grad();
  const Tensor<double> loss = focal_loss<double>(logits, labels);
  const double sum0 = std::exp(0.5) + std::exp(-1.0) + std::exp(2.0);
  const double sum1 = std::exp(0.1) + std::exp(0.2) + std::exp(-0.3);
  const double p0 = std::exp(2.0) / sum0, p1 = std::exp(0.1) / sum1;
  const double expected =
      -((1 - p0) * (1 - p0) * std::log(p0) + (1 - p1) * (1 - p1) * std::log(p1)) / 2;

  const Tensor<double> slope = grad(loss, logits);
  const double h = 1e-5;
  const auto above = focal_loss<double>(logits.detach() + scale(slope, h), labels);
  const auto below = focal_loss<double>(logits.detach() - scale(slope, h), labels);
  const double measured = (above.item() - below.item()) / (2 * h);
  const double along = sum(square(slope)).item();
  std::printf("focal loss %.9f, by hand %.9f; slope %.9f, measured %.9f\n", loss.item(), expected,
              along, measured);
  return std::abs(loss.item() - expected) < 1e-12 && std::abs(measured - along) < 1e-8;
}

int main() {
  if (!agrees_with_the_formula()) return 1;

  Sequential<float> net;
  net.add("flatten", Flatten<float>{});
  net.add("hidden", Linear<float>(28 * 28, 32));
  net.add("act", Silu<float>{});
  net.add("head", Linear<float>(32, 10));
  net.initialize(/*seed=*/1);
  Optimizer<float> optimizer(net.parameters(), {.kind = OptimizerKind::adam, .lr = 3e-3});
  const auto digits = data::make_glyphs(data::Split::train, 400);
  const data::Loader loader(digits, /*batch=*/40);
  float first = 0, last = 0;
  for (int epoch = 0; epoch < 10; ++epoch)
    for (Index b = 0; b < loader.batches(); ++b) {
      const data::Batch batch = loader.fetch(b);
      const Tensor<float> loss = focal_loss<float>(net.forward(batch.x), batch.labels);
      backward(loss);
      optimizer.step();
      (epoch == 0 && b == 0 ? first : last) = loss.item();
    }
  std::printf("loss %.3f at first, %.3f after %lld steps\n", static_cast<double>(first),
              static_cast<double>(last), static_cast<long long>(10 * loader.batches()));
  return last < first / 2 ? 0 : 1;
}
