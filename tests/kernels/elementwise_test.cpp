#include "iotsl/kernels/elementwise/elementwise.hpp"

#include <cmath>

#include "iotsl/kernels/elementwise/activation.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;
using kernels::Binary;
using kernels::Unary;

namespace {

const Unary unaries[] = {Unary::neg,   Unary::exp,    Unary::log,        Unary::sqrt,
                         Unary::rsqrt, Unary::square, Unary::reciprocal, Unary::sigmoid,
                         Unary::tanh,  Unary::relu,   Unary::abs};
const Binary binaries[] = {Binary::add, Binary::sub, Binary::mul, Binary::div, Binary::relu_grad};

bool is_exact(Unary op) {
  return op != Unary::exp && op != Unary::log && op != Unary::sigmoid && op != Unary::tanh;
}

float apply(Unary op, float x) {
  float y = 0;
  kernels::unary(op, 1, &x, &y);
  return y;
}

// 32-bit NEON takes denormal numbers as zero and gives zero for them, whatever the program asks
// for.
#if defined(__arm__) && defined(__ARM_NEON)
constexpr bool denormals = false;
#else
constexpr bool denormals = true;
#endif

// Largest error of op over floats spread evenly over the bit patterns from `first` to `last`.
double worst_ulps(Unary op, float first, float last) {
  const auto begin = std::bit_cast<std::uint32_t>(first);
  const auto end = std::bit_cast<std::uint32_t>(last);
  const Index n = 60000;
  judge::Range x(n), y(n);
  for (Index i = 0; i < n; ++i)
    x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(
        begin + static_cast<std::uint64_t>(end - begin) * static_cast<std::uint64_t>(i) / (n - 1)));
  kernels::unary(op, n, x.data(), y.data());
  double largest = 0;
  for (Index i = 0; i < n; ++i) {
    const double error =
        judge::ulps(y[i], kernels::reference::unary(op, static_cast<double>(x[i])));
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

}  // namespace

TEST_CASE("unary functions equal the reference at every size and alignment") {
  judge::on_each_target([] {
    for (Unary op : unaries)
      for (Index n : judge::sizes)
        for (Index offset : {0, 1, 3}) {
          const judge::Range x = judge::uniform(n, 1, 0.01F, 3, offset);
          judge::Range y(n, offset), want(n);
          kernels::unary(op, n, x.data(), y.data());
          kernels::reference::unary(op, n, x.data(), want.data());
          INFO("op ", static_cast<int>(op), ", n ", n, ", offset ", offset);
          CHECK(judge::worst(y, want, 0, is_exact(op) ? 0 : 4e-7) <= 1);
          judge::Range inplace = x;
          kernels::unary(op, n, inplace.data(), inplace.data());
          CHECK(inplace.same_bits(y));
        }
  });
}

TEST_CASE("exp, log, sigmoid and tanh are accurate over their whole range") {
  judge::on_each_target([] {
    CHECK(worst_ulps(Unary::exp, 1e-10F, 88.72F) < 1.5);
    CHECK(worst_ulps(Unary::exp, -1e-10F, -87.3F) < 1.5);
    if (denormals) {
      CHECK(worst_ulps(Unary::exp, -87.3F, -110.0F) < 1.5);
      CHECK(worst_ulps(Unary::log, 1e-45F, 1.17e-38F) < 1.5);
    }
    CHECK(worst_ulps(Unary::log, 1.2e-38F, 3.4e38F) < 1.5);
    CHECK(worst_ulps(Unary::log, 0.9F, 1.1F) < 1.5);
    CHECK(worst_ulps(Unary::sigmoid, 1e-10F, 100.0F) < 2);
    CHECK(worst_ulps(Unary::sigmoid, -1e-10F, denormals ? -110.0F : -87.3F) < 2.5);
    CHECK(worst_ulps(Unary::tanh, 1e-20F, 100.0F) < 2);
    CHECK(worst_ulps(Unary::tanh, -1e-20F, -100.0F) < 2);
  });
}

TEST_CASE("activations are accurate over their whole range, and their slopes") {
  using kernels::Activation;
  const Index n = 100001;
  const judge::Range gy = judge::uniform(n, 1, 1, 1);
  judge::Range x(n, 1), y(n, 3), slope(n);
  for (Index i = 0; i < n; ++i) x[i] = -13 + 26 * static_cast<float>(i) / static_cast<float>(n - 1);
  judge::on_each_target([&] {
    for (Activation f :
         {Activation::normal_cdf, Activation::silu, Activation::gelu, Activation::gelu_tanh}) {
      INFO("activation ", static_cast<int>(f));
      kernels::activation(f, n, x.data(), y.data());
      kernels::activation_grad(f, n, x.data(), gy.data(), slope.data());
      double worst = 0, worst_slope = 0;
      for (Index i = 0; i < n; ++i) {
        const double at = static_cast<double>(x[i]);
        const double want = kernels::reference::activation(f, at);
        const double error = std::fabs(static_cast<double>(y[i]) - want);
        // The exponent of what has almost vanished is a rounded square.
        if (std::fabs(want) > 1e-36)
          worst = std::fmax(worst, error / std::fabs(want) / std::fmax(1, at < 0 ? at * at : 1));
        const double want_slope = kernels::reference::activation_slope(f, at);
        worst_slope = std::fmax(worst_slope, std::fabs(static_cast<double>(slope[i]) - want_slope));
      }
      CHECK(worst < 6e-7);
      CHECK(worst_slope < 3e-6);
      CHECK(std::isfinite(y[0]));
    }
  });
}

TEST_CASE("special values") {
  judge::on_each_target([] {
    for (Unary op : unaries) {
      INFO("op ", static_cast<int>(op));
      CHECK(std::isnan(apply(op, judge::nan)));
      for (float x : {0.0F, 1.0F, judge::infinity, -judge::infinity, denormals ? 1e-40F : 0.0F,
                      3e38F, -3e38F}) {
        const float want = kernels::reference::unary(op, x), got = apply(op, x);
        INFO("x ", x);
        CHECK((got == doctest::Approx(want).epsilon(1e-6) || got == want ||
               (std::isnan(got) && std::isnan(want))));
      }
    }
    CHECK(std::isnan(apply(Unary::log, -1e-40F)));
    CHECK(apply(Unary::exp, 89.0F) == judge::infinity);
    CHECK(apply(Unary::exp, -105.0F) == 0.0F);
    CHECK(apply(Unary::exp, 0.0F) == 1.0F);
    CHECK(apply(Unary::log, 1.0F) == 0.0F);
    const float gy = 5, nothing = judge::nan;
    float gx = -1;
    kernels::binary(Binary::relu_grad, 1, &gy, &nothing, &gx);
    CHECK(gx == 0.0F);
  });
}

TEST_CASE("binary functions, affine and axpy equal the reference") {
  judge::on_each_target([] {
    for (Index n : judge::sizes) {
      const judge::Range a = judge::uniform(n, 1, -2, 2, 1), b = judge::uniform(n, 2, -2, 2, 3);
      judge::Range y(n, 2), want(n);
      INFO("n ", n);
      for (Binary op : binaries) {
        kernels::binary(op, n, a.data(), b.data(), y.data());
        kernels::reference::binary(op, n, a.data(), b.data(), want.data());
        CHECK(y.same_bits(want));
        judge::Range left = a, right = b;
        kernels::binary(op, n, left.data(), b.data(), left.data());
        kernels::binary(op, n, a.data(), right.data(), right.data());
        CHECK(left.same_bits(y));
        CHECK(right.same_bits(y));
      }
      kernels::affine(n, 1.7F, a.data(), -0.3F, y.data());
      kernels::reference::affine(n, 1.7F, a.data(), -0.3F, want.data());
      CHECK(judge::worst(y, want, 3e-7, 0) <= 1);
      judge::Range sum = b, sum_want = b;
      kernels::axpy(n, -0.37F, a.data(), sum.data());
      kernels::reference::axpy(n, -0.37F, a.data(), sum_want.data());
      CHECK(judge::worst(sum, sum_want, 3e-7, 0) <= 1);
    }
  });
}

TEST_CASE("binary with broadcasting") {
  struct Case {
    Index shape[4], a[4], b[4];
  };
  const Case cases[] = {
      {{2, 3, 5, 7}, {105, 35, 7, 1}, {0, 1, 0, 0}},   // a channel's value
      {{2, 3, 5, 7}, {0, 0, 0, 1}, {105, 35, 7, 1}},   // a row
      {{4, 9, 1, 1}, {9, 1, 1, 1}, {1, 0, 1, 1}},      // a column
      {{2, 3, 40, 90}, {0, 0, 0, 0}, {0, 0, 0, 0}},    // two scalars
      {{1, 1, 6, 10}, {0, 0, 1, 6}, {0, 0, 10, 1}},    // a transposed operand
      {{1, 1, 1, 70000}, {0, 0, 0, 1}, {0, 0, 0, 0}},  // one long row
      {{3, 1, 20000, 2}, {40000, 0, 2, 1}, {0, 0, 0, 1}},
      {{2, 0, 5, 7}, {105, 35, 7, 1}, {0, 1, 0, 0}},  // empty
  };
  judge::on_each_target([&] {
    for (const Case& c : cases) {
      const judge::Range a = judge::uniform(120000, 3, 0.5F, 2),
                         b = judge::uniform(120000, 4, 1, 2);
      const Index n = c.shape[0] * c.shape[1] * c.shape[2] * c.shape[3];
      INFO("case ", &c - cases);
      for (Binary op : binaries) {
        judge::Range y(n), want(n);
        kernels::binary_broadcast(op, c.shape, a.data(), c.a, b.data(), c.b, y.data());
        kernels::reference::binary_broadcast(op, c.shape, a.data(), c.a, b.data(), c.b,
                                             want.data());
        CHECK(y.same_bits(want));
      }
    }
  });
}

TEST_CASE("element-wise results do not depend on the number of threads") {
  const judge::Range x = judge::uniform(150001, 7, -3, 3);
  judge::check_threads([&] {
    judge::Range y(x.size());
    kernels::unary(Unary::exp, x.size(), x.data(), y.data());
    kernels::axpy(x.size(), 0.3F, x.data(), y.data());
    return y;
  });
}

TEST_CASE("other scalar types take the reference") {
  const long double x[3] = {-1.0L, 0.5L, 2.0L};
  long double y[3];
  kernels::unary(Unary::exp, 3, x, y);
  for (int i = 0; i < 3; ++i) CHECK(y[i] == std::exp(x[i]));
  kernels::affine(3, 2, x, 1, y);
  CHECK(y[2] == 5.0L);
}
