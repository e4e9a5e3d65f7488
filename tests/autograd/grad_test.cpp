#include "iotsl/autograd/grad.hpp"

#include <cstring>
#include <thread>

#include "iotsl/autograd/staged_grad.hpp"
#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/view.hpp"
#include "support/adjoint_check.hpp"

namespace {

using namespace check;
using iotsl::backward;
using iotsl::grad;
using iotsl::NoRecord;

Tensor<double> leaf(std::initializer_list<double> values) {
  Tensor<double> out = Tensor<double>::from({static_cast<Index>(values.size())}, values);
  out.set_requires_grad();
  return out;
}

}  // namespace

TEST_CASE("backward adds to the gradients of the leaves") {
  Tensor<double> a = leaf({2, 3}), b = leaf({5, 7});
  CHECK(!a.grad().defined());
  backward(sum(a * b));
  CHECK(a.grad().data()[1] == 7);
  CHECK(b.grad().data()[0] == 2);
  const Tensor<double> first = a.grad();
  backward(sum(a * a));
  CHECK(a.grad().data()[0] == 5 + 2 * 2);
  CHECK(a.grad().data()[1] == 7 + 2 * 3);
  CHECK(first.data()[0] == 5);  // a handle that somebody took keeps its values
  CHECK(b.grad().data()[0] == 2);
  a.clear_grad();
  CHECK(!a.grad().defined());
}

TEST_CASE("backward with a seed") {
  Tensor<double> a = leaf({2, 3});
  backward(iotsl::square(a), Tensor<double>::from({2}, {10, 100}));
  CHECK(a.grad().data()[0] == 40);
  CHECK(a.grad().data()[1] == 600);
}

TEST_CASE("a leaf's gradient may be written over: no other leaf sees it, nor who gave the seed") {
  Tensor<double> a = leaf({2, 3}), b = leaf({5, 7});
  const Tensor<double> seed = Tensor<double>::from({2}, {1, -1});
  backward(add(a, b), seed);
  Tensor<double> clipped = a.grad();
  clipped.mutable_data()[0] = 9;
  CHECK(a.grad().data()[0] == 9);
  CHECK(b.grad().data()[0] == 1);
  Tensor<double> c = leaf({4, 4});
  backward(c, seed);
  Tensor<double> scaled = c.grad();
  scaled.mutable_data()[1] = 9;
  CHECK(seed.data()[0] == 1);
  CHECK(seed.data()[1] == -1);
}

TEST_CASE("grad accumulates nowhere") {
  Tensor<double> a = leaf({2, 3});
  CHECK(grad(sum(iotsl::square(a)), a).data()[1] == 6);
  CHECK(!a.grad().defined());
}

TEST_CASE("shared subexpressions are visited once and their gradients added") {
  Tensor<double> x = leaf({3});
  const Tensor<double> s = x * x;      // 9
  const Tensor<double> y = s * s + s;  // x^4 + x^2
  CHECK(grad(y, x).item() == 4 * 27 + 2 * 3);
  // A ladder with 2^60 paths.
  Tensor<double> z = leaf({1});
  Tensor<double> ladder = z;
  for (int i = 0; i < 60; ++i) ladder = iotsl::scale(ladder + ladder, 0.5);
  CHECK(grad(ladder, z).item() == 1);
}

TEST_CASE("gradients with respect to intermediate values, several outputs and repeats") {
  Tensor<double> x = leaf({3});
  const Tensor<double> s = iotsl::square(x), y = s * x, z = iotsl::scale(s, 5.0);
  const Tensors g = grad<double>({y, z}, {s, x, s});
  CHECK(g[0].item() == 3 + 5);
  CHECK(g[1].item() == 27 + 30);
  CHECK(g[2].item() == 8);
  // The same output twice, with seeds; an output that is its own input.
  const Tensors twice = grad<double>({x, x}, {x}, {leaf({2}), leaf({3})});
  CHECK(twice[0].item() == 5);
}

TEST_CASE("no influence gives zeros") {
  Tensor<double> x = leaf({3}), other = leaf({1, 2});
  const Tensors g = grad<double>({iotsl::square(x)}, {other, x});
  CHECK(g[0].shape() == Shape{2});
  CHECK(g[0].data()[1] == 0);
  CHECK(g[1].item() == 6);
}

TEST_CASE("detach and NoRecord stop the gradient") {
  Tensor<double> x = leaf({3});
  CHECK(grad(x.detach() * x, x).item() == 3);
  CHECK(!x.detach().requires_grad());
  CHECK(x.clone().requires_grad() == false);
  {
    const NoRecord scope;
    CHECK(!iotsl::is_recording());
    CHECK(!iotsl::square(x).requires_grad());
    {
      const iotsl::RecordScope again(true);
      CHECK(iotsl::square(x).requires_grad());
    }
    CHECK(!iotsl::is_recording());
  }
  CHECK(iotsl::is_recording());
  CHECK(iotsl::square(x).requires_grad());
  x.set_requires_grad(false);
  CHECK(!iotsl::square(x).requires_grad());
}

TEST_CASE("third order of a polynomial") {
  Tensor<double> x = leaf({1.5, -2});
  const iotsl::GradOptions create{.create_graph = true};
  const Tensor<double> y = sum(iotsl::square(x) * iotsl::square(x) * x);  // x^5
  const Tensor<double> first = grad(y, x, {}, create);
  const Tensor<double> second = grad(sum(first), x, {}, create);
  const Tensor<double> third = grad(sum(second), x, {}, create);
  const Tensor<double> fourth = grad(sum(third), x);
  for (Index i = 0; i < 2; ++i) {
    const double v = x.data()[i];
    CHECK(first.data()[i] == doctest::Approx(5 * v * v * v * v));
    CHECK(second.data()[i] == doctest::Approx(20 * v * v * v));
    CHECK(third.data()[i] == doctest::Approx(60 * v * v));
    CHECK(fourth.data()[i] == doctest::Approx(120 * v));
  }
}

TEST_CASE("the gradient of a gradient's norm, as in the gradient penalty") {
  gradient_check_first(
      [](const Tensors& in) {
        const Tensor<double> out = sum(iotsl::tanh(in[0] * in[1]) * in[0]);
        const Tensor<double> g = grad(out, in[0], {}, {.create_graph = true});
        const Tensor<double> norm = iotsl::sqrt(sum(iotsl::square(g), {1}));
        return iotsl::square(iotsl::add_scalar(norm, -1));
      },
      {normal({3, 4}, 1), normal({3, 4}, 2)});
}

TEST_CASE("backward with create_graph leaves differentiable gradients") {
  Tensor<double> x = leaf({3});
  backward(iotsl::square(x) * x, {}, {.create_graph = true});
  const Tensor<double> g = x.grad();
  x.clear_grad();
  REQUIRE(g.requires_grad());
  CHECK(g.item() == 27);
  CHECK(grad(g, x).item() == 18);
}

TEST_CASE("a graph is freed by its walk unless it is retained") {
  Tensor<double> x = leaf({3});
  const Tensor<double> y = x * x;
  CHECK(grad(y, x, {}, {.retain_graph = true}).item() == 6);
  CHECK(grad(y, x).item() == 6);
  CHECK(error_of([&] { grad(y, x); }) ==
        "grad: the values that mul saved were freed by an earlier walk; pass .retain_graph = true "
        "to walk it again");
  CHECK(iotsl::is_recording());
}

TEST_CASE("a saved tensor that was changed in place is refused, with the op's name") {
  Tensor<double> x = leaf({3}), w = leaf({4});
  const Tensor<double> product = x * w;
  w.mutable_data()[0] = 5;
  CHECK(error_of([&] { grad(product, x); }) ==
        "grad: a tensor [1] saved by mul was changed in place since (version 1, expected 0)");
  CHECK(iotsl::is_recording());
  // What needs only the other factor is not affected.
  CHECK(grad(x * w, w).item() == 3);

  Tensor<double> y = iotsl::exp(x);
  y.mutable_data()[0] = 0;
  CHECK(error_of([&] { grad(y, x); }) ==
        "grad: a tensor [1] saved by exp was changed in place since (version 2, expected 1)");
  // A view shares the version.
  const Tensor<double> square = iotsl::square(x);
  iotsl::reshape(x.detach(), {1, 1}).mutable_data()[0] = 1;
  CHECK(error_of([&] { grad(square, x); }) ==
        "grad: a tensor [1] saved by square was changed in place since (version 1, expected 0)");
}

TEST_CASE("grad: errors") {
  Tensor<double> x = leaf({1, 2});
  const Tensor<double> plain = normal({2}, 1);
  CHECK(error_of([&] { grad(plain, x); }) ==
        "grad: output 0 [2] does not depend on a tensor that requires a gradient");
  CHECK(error_of([&] { grad(iotsl::square(x), plain, normal({2}, 1)); }) ==
        "grad: input 0 [2] does not require a gradient");
  CHECK(error_of([&] { grad(iotsl::square(x), x); }) ==
        "grad: output 0 has shape [2]; only a tensor with one element needs no seed");
  CHECK(error_of([&] { backward(iotsl::square(x), normal({3}, 1)); }) ==
        "grad: seed 0 has shape [3], its output [2]");
  CHECK(error_of([&] {
          grad<double>({sum(x)}, {x}, {plain, plain});
        }) == "grad: 1 outputs and 2 seeds");
}

TEST_CASE("long chains overflow no stack") {
  const int length = 100000;
  Tensor<double> x = leaf({1});
  const auto before = iotsl::memory_statistics().in_use_bytes;
  {
    Tensor<double> y = x;
    for (int i = 0; i < length; ++i) y = iotsl::add_scalar(y, 1e-5);
    CHECK(y.item() == doctest::Approx(2));
    CHECK(grad(y, x, {}, {.retain_graph = true}).item() == 1);
  }  // the chain is freed here
  CHECK(iotsl::memory_statistics().in_use_bytes == before);
  {
    Tensor<double> y = x;
    for (int i = 0; i < length; ++i) y = iotsl::sqrt(y);
    const Tensor<double> g = grad(y, x, {}, {.create_graph = true});
    CHECK(g.requires_grad());
  }
  CHECK(iotsl::memory_statistics().in_use_bytes == before);
}

TEST_CASE("graphs leave no memory behind") {
  Tensor<double> x = leaf({1, 2, 3});
  const auto before = iotsl::memory_statistics().in_use_bytes;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Tensor<double> y = sum(iotsl::exp(x) * iotsl::sigmoid(iotsl::square(x)));
    const Tensor<double> g = grad(y, x, {}, {.create_graph = true});
    grad(sum(iotsl::square(g)), x);
    backward(iotsl::mean(x * x));
    x.clear_grad();
  }
  CHECK(iotsl::memory_statistics().in_use_bytes == before);
  // A walk that fails frees what it holds as well.
  {
    const Tensor<double> y = x * iotsl::exp(x);
    x.mutable_data()[0] = 9;
    CHECK(!error_of([&] { grad(sum(y), x); }).empty());
  }
  CHECK(iotsl::memory_statistics().in_use_bytes == before);
}

TEST_CASE("a walk frees saved values as it passes them") {
  const Index n = 1 << 16;
  Tensor<double> x = Tensor<double>::full({n}, 1.0);
  x.set_requires_grad();
  Tensor<double> y = x;
  for (int i = 0; i < 20; ++i) y = iotsl::tanh(y);
  const Tensor<double> total = sum(y);
  y = {};
  iotsl::reset_memory_peak();
  const auto before = iotsl::memory_statistics();
  grad(total, x);
  const auto after = iotsl::memory_statistics();
  const std::size_t one = n * sizeof(double);
  CHECK(after.peak_bytes < before.in_use_bytes + 6 * one);  // not one more per node
  CHECK(after.in_use_bytes + 19 * one < before.in_use_bytes);
}

namespace {

std::vector<int> asked;  // which inputs the walk wanted, one bit mask per call

void recording_vjp(const iotsl::Node<double>& node, Tensor<double>& gy, Tensor<double>* gx) {
  asked.push_back((node.wants(0) ? 1 : 0) | (node.wants(1) ? 2 : 0));
  for (int i = 0; i < 2; ++i)
    if (node.wants(i)) gx[i] = gy;
}
constexpr iotsl::OpInfo<double> recording_op{"recording", &recording_vjp};

void wrong_vjp(const iotsl::Node<double>&, Tensor<double>&, Tensor<double>* gx) {
  gx[0] = Tensor<double>::zeros({7});
}
constexpr iotsl::OpInfo<double> wrong_op{"wrong", &wrong_vjp};

Tensor<double> recording_add(const Tensor<double>& a, const Tensor<double>& b) {
  Tensor<double> y = (a + b).detach();
  iotsl::record(recording_op, y, a, b);
  return y;
}

}  // namespace

TEST_CASE("a walk computes only what is asked for") {
  Tensor<double> a = leaf({1}), b = leaf({2});
  const Tensor<double> inner = recording_add(a, a), y = recording_add(inner, b);
  asked.clear();
  grad(y, b);
  CHECK(asked == std::vector<int>{2});
  asked.clear();
  grad(y, a);
  CHECK(asked == std::vector<int>{1, 3});
  asked.clear();
  grad(y, inner);
  CHECK(asked == std::vector<int>{1});
}

TEST_CASE("a wrong vjp is caught where it happens") {
  Tensor<double> x = leaf({1, 2});
  Tensor<double> y = x.clone();
  iotsl::record(wrong_op, y, x);
  CHECK(error_of([&] { grad(sum(y), x); }) ==
        "grad: wrong gave a gradient of shape [7] for input 0 of shape [2]");
}

TEST_CASE("each thread records its own graph") {
  const auto work = [](double start, double& out) {
    Tensor<double> x = Tensor<double>::full({16}, start);
    x.set_requires_grad();
    for (int i = 0; i < 200; ++i) out = grad(sum(iotsl::square(x) * x), x).data()[3];
  };
  double first = 0, second = 0;
  std::thread other([&] { work(2, first); });
  {
    const NoRecord scope;  // concerns this thread only
    other.join();
  }
  std::thread again([&] { work(3, second); });
  work(4, first);
  again.join();
  CHECK(first == 48);
  CHECK(second == 27);
}

TEST_CASE("long double has gradients too") {
  Tensor<long double> x = Tensor<long double>::scalar(3.0L);
  x.set_requires_grad();
  const Tensor<long double> g = grad(iotsl::square(x) * x, x, {}, {.create_graph = true});
  CHECK(g.item() == 27.0L);
  CHECK(grad(g, x).item() == 18.0L);
}

TEST_CASE("staged grad: the same bits in two parts") {
  const iotsl::Random numbers(3, iotsl::Stream::user);
  std::uint64_t drawn = 0;
  const auto random = [&](const Shape& shape) {
    Tensor<float> out = Tensor<float>::uninitialized(shape);
    for (Index i = 0; i < out.size(); ++i)
      out.mutable_data()[i] = static_cast<float>(numbers.uniform(drawn++)) - 0.4F;
    out.set_requires_grad();
    return out;
  };
  const Tensor<float> x = random({4, 3, 6, 6}), unused = random({2});
  const std::vector<Tensor<float>> weights{random({5, 3, 3, 3}), random({5}), random({5}),
                                           random({5}), random({5, 5, 3, 3})};
  // The second convolution is used twice, and its result goes around it.
  const auto loss = [&] {
    const iotsl::Conv2dOptions same{.pad_h = 1, .pad_w = 1};
    Tensor<float> mean = Tensor<float>::zeros({5}), variance = Tensor<float>::full({5}, 1.0F);
    Tensor<float> y = iotsl::conv2d(x, weights[0], weights[1], same);
    y = iotsl::relu(
        iotsl::batch_norm2d(y, weights[2], weights[3], mean, variance, {.training = true}));
    const Tensor<float> z = iotsl::conv2d(y, weights[4], Tensor<float>(), same);
    return sum(iotsl::square(iotsl::conv2d(z, weights[4], Tensor<float>(), same) + y));
  };
  const auto check_same = [](const Tensor<float>& a, const Tensor<float>& b) {
    REQUIRE(a.shape() == b.shape());
    CHECK(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0);
  };
  std::vector<Tensor<float>> inputs = weights;
  inputs.push_back(unused);
  inputs.push_back(x);
  const std::vector<Tensor<float>> whole = grad<float>({loss()}, inputs);
  inputs.pop_back();
  iotsl::StagedGrad<float> staged(loss(), {x}, inputs);
  check_same(staged.first()[0], whole.back());
  const std::vector<Tensor<float>> rest = staged.rest();
  REQUIRE(rest.size() == inputs.size());
  for (std::size_t i = 0; i < rest.size(); ++i) check_same(rest[i], whole[i]);
  // Nothing first: all of it in the second part.
  iotsl::StagedGrad<float> late(loss(), {}, weights);
  CHECK(late.first().empty());
  const std::vector<Tensor<float>> all = late.rest();
  for (std::size_t i = 0; i < all.size(); ++i) check_same(all[i], whole[i]);
}

TEST_CASE("staged grad: each part computes only its own") {
  Tensor<double> x = leaf({1}), w = leaf({2}), v = leaf({3});
  const Tensor<double> of_x = recording_add(x, w), others = recording_add(w, v);
  const Tensor<double> y = recording_add(of_x, others);
  iotsl::StagedGrad<double> staged(y, {x}, {w, v});
  asked.clear();
  CHECK(staged.first()[0].item() == 1);
  CHECK(asked == std::vector<int>{1, 1});
  asked.clear();
  const std::vector<Tensor<double>> rest = staged.rest();
  CHECK(rest[0].item() == 2);
  CHECK(rest[1].item() == 1);
  CHECK(asked == std::vector<int>{2, 3, 2});
}
