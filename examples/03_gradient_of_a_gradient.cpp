// Gradient of a gradient: with create_graph the gradient is itself part of the graph, so that a
// loss may contain it. This one is the gradient penalty of WGAN-GP (Gulrajani et al. 2017, eq. 3),
// which asks a critic D for slope 1: (|dD/dx| - 1)^2.

#include <cmath>
#include <cstdio>

#include "iotsl/iotsl.hpp"

using namespace iotsl;

using T = double;  // every scalar type works; float runs on SIMD kernels

// D(x): two convolutions and a mean, for x [N,1,8,8].
static Tensor<T> critic(const Tensor<T>& x, const Tensor<T>& w1, const Tensor<T>& w2) {
  const Conv2dOptions stride_two{.stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  return sum(conv2d(tanh(conv2d(x, w1, {}, stride_two)), w2, {}, stride_two), {1, 2, 3});
}

static Tensor<T> penalty(const Tensor<T>& x, const Tensor<T>& w1, const Tensor<T>& w2) {
  const auto scores = critic(x, w1, w2);
  // The samples do not meet in D, so the gradient of the sum holds the gradient of each.
  const auto slope = grad(sum(scores), x, {}, {.create_graph = true});
  const auto norm = sqrt(add_scalar(sum(square(slope), {1, 2, 3}), 1e-12));
  return mean(square(add_scalar(norm, -1.0)));
}

int main() {
  Tensor<T> x = Tensor<T>::zeros({4, 1, 8, 8});
  Tensor<T> w1 = Tensor<T>::zeros({6, 1, 3, 3});
  Tensor<T> w2 = Tensor<T>::zeros({3, 6, 3, 3});
  fill_normal(x, 1.0, 7, 0);
  fill_normal(w1, 0.3, 7, 1);
  fill_normal(w2, 0.3, 7, 2);
  x.set_requires_grad();
  w1.set_requires_grad();
  w2.set_requires_grad();

  // The penalty's own gradient goes through the gradient: order two.
  const auto value = penalty(x, w1, w2);
  const auto second = grad<T>({value}, {w1, w2});
  std::printf("penalty %.6f, |d/dw1| %.6f, |d/dw2| %.6f\n", value.item(),
              std::sqrt(sum(square(second[0])).item()), std::sqrt(sum(square(second[1])).item()));

  // Judge: the slope of the penalty along its gradient, by a central difference.
  const T h = 1e-5;
  const auto above = penalty(x, (w1 + scale(second[0], h)), (w2 + scale(second[1], h)));
  const auto below = penalty(x, (w1 - scale(second[0], h)), (w2 - scale(second[1], h)));
  const T measured = (above.item() - below.item()) / (2 * h);
  const T expected = sum(square(second[0])).item() + sum(square(second[1])).item();
  std::printf("slope along it: measured %.9f, expected %.9f\n", measured, expected);
  if (!(std::abs(measured - expected) < 1e-6 * expected)) return 1;

  // Plain descent on the penalty brings the critic's slope to 1.
  Optimizer<T> optimizer({{"w1", w1}, {"w2", w2}}, {.kind = OptimizerKind::adam, .lr = 0.02});
  for (int step = 0; step < 100; ++step) optimizer.step(grad<T>({penalty(x, w1, w2)}, {w1, w2}));
  const T after = penalty(x, w1, w2).item();
  std::printf("penalty after 100 steps %.6f\n", after);
  return after < 0.01 * value.item() ? 0 : 1;
}
