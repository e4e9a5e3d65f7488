#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "iotsl/core/parallel.hpp"
#include "iotsl/kernels/conv2d/conv2d.hpp"

using namespace iotsl;
using kernels::ConvShape;

namespace {

// Reproducible values in [-1, 1).
std::vector<float> values(Index count, std::uint64_t seed) {
  std::vector<float> out(static_cast<std::size_t>(count));
  std::uint64_t state = seed * 0x9E3779B97F4A7C15U + 1;
  for (float& v : out) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    v = static_cast<float>(static_cast<double>(state >> 33) / 1073741824.0 - 1.0);
  }
  return out;
}

ConvShape shape(Index n, Index c, Index h, Index w, Index k, Index r, Index s, Index stride_h = 1,
                Index stride_w = 1, Index pad_h = 0, Index pad_w = 0, Index dilation_h = 1,
                Index dilation_w = 1) {
  const Index p = (h + 2 * pad_h - dilation_h * (r - 1) - 1) / stride_h + 1;
  const Index q = (w + 2 * pad_w - dilation_w * (s - 1) - 1) / stride_w + 1;
  return {n, c, h, w, k, r, s, p, q, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w};
}

std::string text(const ConvShape& s) {
  return concat("x [", s.n, ",", s.c, ",", s.h, ",", s.w, "] w [", s.k, ",", s.c, ",", s.r, ",",
                s.s, "] y ", s.p, "x", s.q, " stride ", s.stride_h, ",", s.stride_w, " pad ",
                s.pad_h, ",", s.pad_w, " dilation ", s.dilation_h, ",", s.dilation_w);
}

struct Sizes {
  Index x, w, y;
  explicit Sizes(const ConvShape& s)
      : x(s.n * s.c * s.h * s.w), w(s.k * s.c * s.r * s.s), y(s.n * s.k * s.p * s.q) {}
};

// The layers of the networks, and what is odd: tails in every dimension, strides that leave rows
// out, kernels larger than the image, taps that never touch it, empty batches.
std::vector<ConvShape> shapes() {
  return {
      shape(2, 1, 28, 28, 64, 3, 3, 1, 1, 1, 1),
      shape(2, 64, 28, 28, 64, 3, 3, 1, 1, 1, 1),
      shape(7, 20, 14, 14, 24, 3, 3, 1, 1, 1, 1),
      shape(9, 33, 7, 7, 40, 3, 3, 1, 1, 1, 1),
      shape(13, 70, 3, 3, 48, 3, 3, 1, 1, 1, 1),
      shape(11, 64, 1, 1, 33, 3, 3, 1, 1, 1, 1),
      shape(1, 16, 1, 1, 16, 1, 1),
      shape(3, 5, 9, 11, 7, 1, 1),
      shape(3, 17, 8, 6, 19, 1, 1, 2, 2),
      shape(1, 3, 32, 32, 10, 5, 5, 2, 2, 2, 2),
      shape(4, 1, 28, 28, 9, 5, 5, 2, 2, 2, 2),
      shape(4, 64, 14, 14, 20, 5, 5, 2, 2, 2, 2),
      shape(2, 20, 7, 7, 12, 5, 5, 2, 2, 2, 2),
      shape(4, 12, 8, 8, 25, 5, 5),         // deconvolution 4x4 -> 8x8
      shape(3, 1, 28, 28, 64, 8, 8, 2, 2),  // deconvolution 11x11 -> 28x28
      shape(5, 2, 6, 9, 3, 2, 4, 3, 1, 1, 2, 2, 1),
      shape(5, 9, 10, 9, 18, 3, 2, 2, 3, 2, 1, 2, 3),
      shape(2, 6, 13, 5, 5, 3, 3, 4, 4),  // rows that no output reads
      shape(6, 8, 9, 9, 8, 2, 2, 3, 3),   // pixels with no tap at all
      shape(2, 7, 2, 2, 6, 5, 5, 1, 1, 2, 2),
      shape(1, 8, 40, 3, 16, 3, 3, 1, 1, 1, 1),
      shape(1, 10, 3, 300, 17, 3, 3, 1, 1, 1, 1),
      shape(0, 3, 5, 5, 4, 3, 3),
      shape(32, 128, 5, 5, 16, 3, 3, 1, 1, 1, 1),
  };
}

// Distance of two arrays, in units of the largest magnitude of the second.
double error(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 1e-30, worst = 0;
  for (float v : b) largest = std::fmax(largest, std::fabs(static_cast<double>(v)));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = d <= worst ? worst : d;  // a NaN stays
  }
  return worst / largest;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

struct Results {
  std::vector<float> y, gx, gw;
};

Results run(const ConvShape& s, const std::vector<float>& x, const std::vector<float>& w,
            const std::vector<float>& bias, const std::vector<float>& gy) {
  // Filled with NaN: every element must be written.
  const Sizes size(s);
  const auto empty = [](Index n) { return std::vector<float>(static_cast<std::size_t>(n), NAN); };
  Results out{empty(size.y), empty(size.x), empty(size.w)};
  const float* shift = bias.empty() ? nullptr : bias.data();
  const kernels::ConvAlgorithm algorithm = kernels::direct_algorithm(s);  // see winograd_test.cpp
  kernels::detail::conv2d_float(algorithm, s, x.data(), w.data(), shift, out.y.data());
  kernels::detail::conv2d_input_grad_float(algorithm, s, gy.data(), w.data(), out.gx.data());
  kernels::detail::conv2d_weight_grad_float(algorithm, s, x.data(), gy.data(), out.gw.data());
  return out;
}

}  // namespace

TEST_CASE("convolution and its adjoints equal the reference on every target") {
  const simd::Target before = simd::active_target();
  for (const ConvShape& s : shapes()) {
    const Sizes size(s);
    const auto x = values(size.x, 1), w = values(size.w, 2), gy = values(size.y, 3);
    const auto bias = values(s.k, 4);
    Results expected{std::vector<float>(gy.size()), std::vector<float>(x.size()),
                     std::vector<float>(w.size())};
    kernels::reference::conv2d(s, x.data(), w.data(), bias.data(), expected.y.data());
    kernels::reference::conv2d_input_grad(s, gy.data(), w.data(), expected.gx.data());
    kernels::reference::conv2d_weight_grad(s, x.data(), gy.data(), expected.gw.data());
    for (simd::Target target : simd::reachable_targets()) {
      simd::set_target(target);
      INFO(text(s), " on ", std::string(simd::name(target)));
      const Results got = run(s, x, w, bias, gy);
      CHECK(error(got.y, expected.y) < 2e-6);
      CHECK(error(got.gx, expected.gx) < 2e-6);
      CHECK(error(got.gw, expected.gw) < 1e-5);
    }
  }
  simd::set_target(before);
}

TEST_CASE("adjoint identities: <conv(x), gy> = <x, input_grad(gy)> = <w, weight_grad(x, gy)>") {
  for (const ConvShape& s : shapes()) {
    INFO(text(s));
    const Sizes size(s);
    const auto x = values(size.x, 5), w = values(size.w, 6), gy = values(size.y, 7);
    const Results got = run(s, x, w, {}, gy);
    const double form = dot(got.y, gy);
    const double scale = 1.0 + std::sqrt(dot(got.y, got.y) * dot(gy, gy));
    CHECK(std::fabs(dot(got.gx, x) - form) / scale < 1e-6);
    CHECK(std::fabs(dot(got.gw, w) - form) / scale < 1e-6);
  }
}

TEST_CASE("results do not depend on the number of threads") {
  const int before = threads();
  for (const ConvShape& s : shapes()) {
    INFO(text(s));
    const Sizes size(s);
    const auto x = values(size.x, 8), w = values(size.w, 9), gy = values(size.y, 10);
    set_threads(1);
    const Results one = run(s, x, w, {}, gy);
    for (int count : {2, 3}) {
      set_threads(count);
      const Results many = run(s, x, w, {}, gy);
      CHECK(many.y == one.y);
      CHECK(many.gx == one.gx);
      CHECK(many.gw == one.gw);
    }
  }
  set_threads(before);
}
