// ReLU, dropout, pooling, norms and losses: special values and errors. Gradients: tests/cases.

#include <cmath>

#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/group_norm.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/pool.hpp"
#include "support/adjoint_check.hpp"

namespace {

using namespace check;
using iotsl::Random;
using iotsl::Stream;

Tensor<double> batch_norm(const Tensors& in, bool training, double eps = 1e-5) {
  Tensor<double> mean = normal({in[1].size()}, 11), var = positive({in[1].size()}, 12);
  return iotsl::batch_norm2d(in[0], in[1], in[2], mean, var, {.training = training, .eps = eps});
}

}  // namespace

TEST_CASE("relu: values, zero, gradients of order one and two") {
  const Tensor<double> x = Tensor<double>::from({4}, {-1, 0, 2, -0.0});
  const Tensor<double> y = iotsl::relu(x);
  CHECK(y.data()[0] == 0);
  CHECK(y.data()[1] == 0);
  CHECK(y.data()[2] == 2);
  CHECK(y.data()[3] == 0);
  Tensor<double> leaf = x.clone();
  leaf.set_requires_grad();
  const Tensor<double> g = iotsl::grad(iotsl::sum(iotsl::relu(leaf)), leaf);
  CHECK(g.data()[1] == 0);
  CHECK(g.data()[2] == 1);
  gradient_check([](const Tensors& in) { return iotsl::relu(in[0]); }, {apart({3, 5}, 1)});
  gradient_check([](const Tensors& in) { return iotsl::square(iotsl::relu(in[0])) * in[0]; },
                 {apart({3, 5}, 1)});
}

TEST_CASE("leaky_relu: values, zero, the slopes it takes") {
  Tensor<double> x = Tensor<double>::from({4}, {-2, 0, 2, -0.0});
  x.set_requires_grad();
  const Tensor<double> y = iotsl::leaky_relu(x, 0.25);
  CHECK(y.data()[0] == -0.5);
  CHECK(y.data()[2] == 2);
  const Tensor<double> g = iotsl::grad(iotsl::sum(y), x);
  for (int i : {0, 1, 3}) CHECK(g.data()[i] == 0.25);  // as PyTorch, also at 0
  CHECK(g.data()[2] == 1);
  CHECK(error_of([&] { iotsl::leaky_relu(x, -0.5); }) ==
        "leaky_relu: negative slope -0.5; expected at least 0");
}

TEST_CASE("dropout: the mask is a function of the counters") {
  const Index n = 40000;
  const Tensor<double> x = Tensor<double>::full({n}, 3.0);
  const Random random(7, Stream::dropout, 5);
  const Tensor<double> a = iotsl::dropout(x, 0.25, random), b = iotsl::dropout(x, 0.25, random);
  const Tensor<double> other = iotsl::dropout(x, 0.25, Random(7, Stream::dropout, 6));
  Index kept = 0, differing = 0, wrong = 0;
  for (Index i = 0; i < n; ++i) {
    const bool drop = random.bits(static_cast<std::uint64_t>(i)) < (1u << 30);
    wrong += a.data()[i] != (drop ? 0 : 3.0 / 0.75) || b.data()[i] != a.data()[i];
    kept += a.data()[i] != 0;
    differing += a.data()[i] != other.data()[i];
  }
  CHECK(wrong == 0);
  // Five standard deviations of a binomial around 3/4, and of two independent masks.
  CHECK(std::abs(static_cast<double>(kept) - 0.75 * n) < 5 * std::sqrt(n * 0.75 * 0.25));
  CHECK(std::abs(static_cast<double>(differing) - 0.375 * n) < 5 * std::sqrt(n * 0.375 * 0.625));
}

TEST_CASE("dropout: the gradient uses the mask of the output") {
  const Random random(3, Stream::dropout);
  for (Index n : {1, 3, 17, 40000}) {
    Tensor<double> x = Tensor<double>::full({n}, 1.0);
    x.set_requires_grad();
    const Tensor<double> y = iotsl::dropout(x, 0.5, random);
    const Tensor<double> g = iotsl::grad(iotsl::sum(y), x);
    CHECK(std::equal(g.data(), g.data() + n, y.data()));
  }
  gradient_check(
      [&](const Tensors& in) { return iotsl::square(iotsl::dropout(in[0], 0.5, random)); },
      {normal({4, 5}, 1)});
}

TEST_CASE("dropout: probabilities") {
  const Tensor<double> x = normal({5}, 1);
  const Random random(1, Stream::dropout);
  CHECK(iotsl::dropout(x, 0, random).data() == x.data());
  CHECK(error_of([&] { iotsl::dropout(x, 1.0, random); }) ==
        "dropout: probability 1; expected 0 <= p < 1");
  CHECK(error_of([&] { iotsl::dropout(x, -0.5, random); }) ==
        "dropout: probability -0.5; expected 0 <= p < 1");
}

TEST_CASE("max_pool2d: ties go to the first position, padding never wins") {
  const Tensor<double> x = Tensor<double>::from({1, 1, 2, 2}, {-1, -1, -1, -1});
  Tensor<double> leaf = x.clone();
  leaf.set_requires_grad();
  const Tensor<double> y = iotsl::max_pool2d(leaf);
  CHECK(y.item() == -1);
  const Tensor<double> g = iotsl::grad(iotsl::sum(y), leaf);
  CHECK(g.data()[0] == 1);
  CHECK(g.data()[3] == 0);
  const Tensor<double> padded = iotsl::max_pool2d(
      x, {.kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1});
  for (double v : padded.values()) CHECK(v == -1);
}

TEST_CASE("pooling: errors") {
  const Tensor<double> x = normal({1, 2, 3, 3}, 1);
  CHECK(error_of([&] {
          iotsl::avg_pool2d(normal({3, 3}, 1));
        }) == "avg_pool2d: expects x [N,C,H,W], given [3,3]");
  CHECK(error_of([&] { iotsl::avg_pool2d(x, {.kernel_h = 4, .kernel_w = 4}); }) ==
        "avg_pool2d: kernel 4x4 does not fit x [1,2,3,3] padded by 0x0");
  CHECK(
      error_of([&] { iotsl::avg_pool2d(x, {.stride_w = 0}); }) ==
      "avg_pool2d: kernel 2x2, stride 2x0, padding 0x0; expected kernel and stride at least 1 and "
      "padding at most half the kernel");
  CHECK(error_of([&] {
          iotsl::max_pool2d(normal({3, 3}, 1));
        }) == "max_pool2d: expects x [N,C,H,W], given [3,3]");
  CHECK(error_of([&] { iotsl::max_pool2d(x, {.kernel_h = 4, .kernel_w = 4}); }) ==
        "max_pool2d: kernel 4x4 does not fit x [1,2,3,3] padded by 0x0");
  const iotsl::Pool2dOptions padded{
      .kernel_h = 2, .kernel_w = 2, .stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1};
  for (const Shape& empty : {Shape{1, 2, 0, 3}, Shape{1, 2, 3, 0}})
    CHECK(error_of([&] { iotsl::max_pool2d(Tensor<double>::zeros(empty), padded); }) ==
          iotsl::concat("max_pool2d: x ", empty, " has no pixels"));
  CHECK(iotsl::max_pool2d(Tensor<double>::zeros({0, 2, 3, 3}), padded).shape() ==
        Shape{0, 2, 4, 4});
  CHECK(
      error_of([&] { iotsl::max_pool2d(x, {.pad_h = 2}); }) ==
      "max_pool2d: kernel 2x2, stride 2x2, padding 2x0; expected kernel and stride at least 1 and "
      "padding at most half the kernel");
  CHECK(error_of([&] {
          iotsl::global_avg_pool2d(normal({3, 3}, 1));
        }) == "global_avg_pool2d: expects x [N,C,H,W], given [3,3]");
}

TEST_CASE("batch_norm2d: only some arguments ask for a gradient") {
  const Tensors at{normal({3, 2, 2, 3}, 1), positive({2}, 2), normal({2}, 3)};
  const auto x_only = [&](const Tensors& in) { return batch_norm({in[0], at[1], at[2]}, true); };
  const auto parameters = [&](const Tensors& in) {
    return batch_norm({at[0], in[0], in[1]}, true);
  };
  gradient_check(x_only, {at[0]}, 1e-6);
  gradient_check(parameters, {at[1], at[2]}, 1e-6);
  gradient_check(
      [&](const Tensors& in) { return iotsl::square(batch_norm(in, true, 1e-2)) * in[0]; }, at,
      1e-6);
}

TEST_CASE("group_norm and layer_norm: only some arguments ask for a gradient, and errors") {
  const Tensor<double> x = normal({3, 4, 2, 3}, 1), gamma = positive({4}, 2), beta = normal({4}, 3);
  const Tensor<double> wide = positive({2, 3}, 2);
  gradient_check([&](const Tensors& in) { return iotsl::group_norm(in[0], 2, gamma, beta); }, {x},
                 1e-6);
  gradient_check([&](const Tensors& in) { return iotsl::group_norm(x, 2, in[0], in[1]); },
                 {gamma, beta}, 1e-6);
  gradient_check([&](const Tensors& in) { return iotsl::layer_norm(in[0], wide, wide); }, {x},
                 1e-6);
  gradient_check([&](const Tensors& in) { return iotsl::layer_norm(x, in[0], wide); }, {wide},
                 1e-6);
  CHECK(error_of([&] { iotsl::group_norm(x, 3, gamma, beta); }) ==
        "group_norm: 3 groups; expected a divisor of 4 channels");
  CHECK(error_of([&] { iotsl::group_norm(x, 2, gamma, positive({3}, 1)); }) ==
        "group_norm: x [3,4,2,3] expects parameters of shape [4], given [3]");
  CHECK(error_of([&] { iotsl::group_norm(beta, 2, gamma, beta); }) ==
        "group_norm: expects x [N,C,...], given [4]");
  CHECK(error_of([&] { iotsl::layer_norm(x, gamma, beta); }) ==
        "layer_norm: x [3,4,2,3] and parameters [4]; expected the last dimensions of x, with "
        "elements");
  CHECK(error_of([&] { iotsl::layer_norm(x, wide, positive({3}, 1)); }) ==
        "layer_norm: weight [2,3] and bias [3]; expected one shape");
}

TEST_CASE("batch_norm2d: output and running statistics") {
  const Tensor<double> x = Tensor<double>::from({2, 1, 1, 2}, {1, 2, 3, 6});
  const Tensor<double> gamma = Tensor<double>::full({1}, 2.0),
                       beta = Tensor<double>::full({1}, 1.0);
  Tensor<double> mean = Tensor<double>::full({1}, 10.0), var = Tensor<double>::full({1}, 5.0);
  const Tensor<double> y = iotsl::batch_norm2d(x, gamma, beta, mean, var, {.eps = 0.5});
  // Mean 3, biased variance 3.5, unbiased 14/3.
  CHECK(y.data()[3] == doctest::Approx(1 + 2 * 3 / std::sqrt(4.0)));
  CHECK(mean.item() == doctest::Approx(0.9 * 10 + 0.1 * 3));
  CHECK(var.item() == doctest::Approx(0.9 * 5 + 0.1 * 14 / 3));
  const Tensor<double> z =
      iotsl::batch_norm2d(x, gamma, beta, mean, var, {.training = false, .eps = 0});
  CHECK(z.data()[0] == doctest::Approx(1 + 2 * (1 - mean.item()) / std::sqrt(var.item())));
}

TEST_CASE("batch_norm2d: no channels have an empty gradient") {
  Tensor<double> x = Tensor<double>::zeros({2, 0, 3, 3}), none = Tensor<double>::zeros({0});
  x.set_requires_grad();
  const Tensor<double> y = iotsl::batch_norm2d(x, none, none, none, none);
  iotsl::backward(y, Tensor<double>::zeros(y.shape()));
  CHECK(x.grad().shape() == x.shape());
}

TEST_CASE("batch_norm2d: errors") {
  Tensor<double> two = positive({2}, 1), three = positive({3}, 1);
  const Tensor<double> x = normal({1, 2, 1, 1}, 1);
  CHECK(error_of([&] { iotsl::batch_norm2d(x, two, two, two, two); }) ==
        "batch_norm2d: x [1,2,1,1] has 1 value per channel; training needs at least 2");
  CHECK(error_of([&] { iotsl::batch_norm2d(x, two, three, two, two); }) ==
        "batch_norm2d: x [1,2,1,1] expects parameters of shape [2], given [3]");
  CHECK(error_of([&] { iotsl::batch_norm2d(normal({2}, 1), two, two, two, two); }) ==
        "batch_norm2d: expects x [N,C,H,W] or [N,C], given [2]");
}

TEST_CASE("losses: values far from zero") {
  const Tensor<double> far = Tensor<double>::from({1, 2}, {1000, -1000});
  CHECK(iotsl::softmax_cross_entropy(far, std::vector<std::int32_t>{0}).item() == 0);
  CHECK(iotsl::softmax_cross_entropy(far, std::vector<std::int32_t>{1}).item() == 2000);
  const Tensor<float> narrow = Tensor<float>::from({1, 2}, {-300.f, 300.f});
  CHECK(iotsl::softmax_cross_entropy(narrow, std::vector<std::int32_t>{0}).item() == 600.f);
}

TEST_CASE("losses: errors") {
  const Tensor<double> x = normal({2, 3}, 1);
  CHECK(error_of([&] {
          iotsl::softmax_cross_entropy(x, std::vector<std::int32_t>{0, 3});
        }) == "softmax_cross_entropy: label 3 at position 1; expected 0 to 2");
  CHECK(error_of([&] {
          iotsl::softmax_cross_entropy(x, std::vector<std::int32_t>{-1, 0});
        }) == "softmax_cross_entropy: label -1 at position 0; expected 0 to 2");
  CHECK(!error_of([&] { iotsl::softmax_cross_entropy(x, std::vector<std::int32_t>{0}); }).empty());
  CHECK(error_of([&] { iotsl::log_softmax(normal({3}, 1)); }) ==
        "log_softmax: expects x [N,M], given [3]");
  CHECK(error_of([&] { iotsl::softmax(normal({3}, 1)); }) == "softmax: expects x [N,M], given [3]");
  CHECK(error_of([&] {
          iotsl::mse_loss(x, normal({3, 2}, 1));
        }) == "mse_loss: x [2,3] and target [3,2]; expected one shape, with elements");
}
