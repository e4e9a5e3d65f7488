// Products of bfloat16: the drivers against the reference in double on rounded operands, with the
// instructions where the CPU has them, and on the target avx2x2 without.

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cases/conv_cases.hpp"
#include "cases/product_sizes.hpp"
#include "iotsl/kernels/bf16/operands.hpp"
#include "iotsl/kernels/bf16/products.hpp"
#include "kernels/judge.hpp"
#include "support/skip.hpp"

using namespace iotsl;
using judge::Range;
using kernels::ConvAlgorithm;
using kernels::ConvOperation;
using kernels::ConvShape;

namespace bf16_test {

namespace {

/// Calls body() with each target active that has products of bfloat16; says where there is none.
template <class Body>
void on_each_bf16_target(const Body& body) {
  int found = 0;
  judge::on_each_target([&] {
    if (!simd::multiplies_bfloat16()) return;
    ++found;
    body();
  });
  if (found == 0) SKIP_TEST("no AVX-512 BF16 here");
}

/// To the nearest of 8 significant bits, ties to even: by arithmetic, not by bits.
double rounded(float x) {
  if (!std::isfinite(x) || x == 0) return static_cast<double>(x);
  int exponent = 0;
  const double mantissa = std::frexp(static_cast<double>(x), &exponent);  // in [0.5, 1)
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
}
std::vector<double> rounded(const Range& x) {
  std::vector<double> out;
  for (Index i = 0; i < x.size(); ++i) out.push_back(rounded(x[i]));
  return out;
}

struct Problem {
  std::string name;
  ConvShape s;
  ConvAlgorithm algorithm;
  /// Winograd rounds what it has transformed.
  double bound() const { return algorithm == ConvAlgorithm::winograd ? 3e-2 : 1e-5; }
};

std::vector<Problem> problems() {
  std::vector<Problem> out;
  for (const cases::ConvCase& c : cases::conv_cases()) {
    const ConvShape s = c.shape();
    if (s.n * s.p * s.q * s.k * s.c * s.r * s.s > 5000000) continue;
    if (c.options.groups.count() != 1 || !kernels::bf16_applies(s)) continue;
    out.push_back({c.name + ", direct", s, ConvAlgorithm::direct});
    if (kernels::winograd_applies(s))
      out.push_back({c.name + ", winograd", s, ConvAlgorithm::winograd});
  }
  return out;
}

struct Arrays {
  Range x, w, b, gy;
  explicit Arrays(const ConvShape& s)
      : x(judge::uniform(s.n * s.c * s.h * s.w, 1)),
        w(judge::uniform(s.k * s.c * s.r * s.s, 2)),
        b(judge::uniform(s.k, 3)),
        gy(judge::uniform(s.n * s.k * s.p * s.q, 4)) {}
};

/// Filled with NaN first: every element must be written.
Range run(ConvOperation operation, const Problem& p, const Arrays& a) {
  namespace detail = kernels::detail;
  const detail::Bf16Operands bf16;
  const auto empty = [](const Range& like) { return judge::uniform(like.size(), 1, judge::nan); };
  const float *x = a.x.data(), *w = a.w.data(), *gy = a.gy.data();
  Range out = empty(operation == ConvOperation::forward      ? a.gy
                    : operation == ConvOperation::input_grad ? a.x
                                                             : a.w);
  if (operation == ConvOperation::forward)
    detail::conv2d_by(bf16, p.algorithm, p.s, x, w, a.b.data(), out.data());
  else if (operation == ConvOperation::input_grad)
    detail::conv2d_input_grad_by(bf16, p.algorithm, p.s, gy, w, out.data());
  else
    detail::conv2d_weight_grad_by(bf16, p.algorithm, p.s, x, gy, out.data());
  return out;
}

std::vector<double> exact(ConvOperation operation, const ConvShape& s, const Arrays& a) {
  const std::vector<double> x = rounded(a.x), w = rounded(a.w), gy = rounded(a.gy);
  const std::vector<double> b(a.b.data(), a.b.data() + a.b.size());  // is added in float
  std::vector<double> out;
  if (operation == ConvOperation::forward) {
    out.resize(gy.size());
    kernels::reference::conv2d(s, x.data(), w.data(), b.data(), out.data());
  } else if (operation == ConvOperation::input_grad) {
    out.resize(x.size());
    kernels::reference::conv2d_input_grad(s, gy.data(), w.data(), out.data());
  } else {
    out.resize(w.size());
    kernels::reference::conv2d_weight_grad(s, x.data(), gy.data(), out.data());
  }
  return out;
}

constexpr ConvOperation operations[] = {ConvOperation::forward, ConvOperation::input_grad,
                                        ConvOperation::weight_grad};

}  // namespace

TEST_CASE("bfloat16: convolution equals the reference on rounded operands") {
  const std::vector<Problem> all = problems();
  REQUIRE(all.size() > 20);
  on_each_bf16_target([&] {
    for (const Problem& p : all) {
      const Arrays a(p.s);
      for (ConvOperation operation : operations) {
        INFO(p.name, ", operation ", static_cast<int>(operation));
        CHECK(judge::error(run(operation, p, a), exact(operation, p.s, a)) < p.bound());
      }
    }
  });
}

TEST_CASE("bfloat16: the matrix product equals the reference on rounded operands") {
  on_each_bf16_target([&] {
    for (const cases::ProductSize& s : cases::product_sizes()) {
      if (!s.compared) continue;
      for (bool trans_a : {false, true})
        for (bool trans_b : {false, true}) {
          const Range a = judge::uniform(s.m * s.k, 1), b = judge::uniform(s.k * s.n, 2);
          const std::vector<double> wide_a = rounded(a), wide_b = rounded(b);
          std::vector<double> want(static_cast<std::size_t>(s.m * s.n));
          kernels::reference::gemm(trans_a, trans_b, s.m, s.n, s.k, wide_a.data(), wide_b.data(),
                                   want.data());
          Range c = judge::uniform(s.m * s.n, 1, judge::nan);
          kernels::bf16_products.gemm(trans_a, trans_b, s.m, s.n, s.k, a.data(), b.data(),
                                      c.data());
          INFO(s.m, "x", s.n, "x", s.k, " transposed ", trans_a, trans_b);
          CHECK(judge::error(c, want) < 1e-5);
        }
    }
  });
}

TEST_CASE("bfloat16: the bits depend neither on threads nor on who multiplies") {
  for (const Problem& p : problems()) {
    const Arrays a(p.s);
    for (ConvOperation operation : operations) {
      INFO(p.name, ", operation ", static_cast<int>(operation));
      std::vector<Range> all;
      judge::on_each_target([&] {
        if (!simd::multiplies_bfloat16()) return;
        judge::check_threads([&] { return run(operation, p, a); });
        all.push_back(run(operation, p, a));
      });
      for (const Range& other : all) CHECK(other.same_bits(all.front()));
    }
  }
}

TEST_CASE("bfloat16: a NaN stays one, ties go to even, the smallest numbers are zero") {
  on_each_bf16_target([&] {
    const auto product = [](float x) {
      const float one = 1;
      float y = judge::nan;
      kernels::bf16_products.gemm(false, false, 1, 1, 1, &x, &one, &y);
      return y;
    };
    CHECK(std::isnan(product(judge::nan)));
    CHECK(std::isnan(product(std::bit_cast<float>(0x7F800001U))));  // whose upper half is infinity
    CHECK(product(-judge::infinity) == -judge::infinity);
    CHECK(product(0x1.01p0F) == 0x1.00p0F);
    CHECK(product(0x1.03p0F) == 0x1.04p0F);
    CHECK(product(0x1.010002p0F) == 0x1.02p0F);
    CHECK(product(0x1p-126F) == 0x1p-126F);
    CHECK(product(0x1p-127F) == 0);
  });
}

TEST_CASE("bfloat16: what is chosen, by shape") {
  const auto square = [](Index n, Index c, Index size, Index k) {
    return ConvShape{n, c, size, size, k, 3, 3, size, size, 1, 1, 1, 1, 1, 1};
  };
  CHECK(kernels::bf16_pays(square(64, 64, 28, 64)));
  CHECK(kernels::bf16_pays(square(64, 512, 3, 512)));
  CHECK_FALSE(kernels::bf16_pays(square(64, 512, 1, 512)));
  CHECK_FALSE(kernels::bf16_pays(square(64, 1, 28, 64)));
}

}  // namespace bf16_test
