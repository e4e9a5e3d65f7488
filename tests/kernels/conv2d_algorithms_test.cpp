// Both algorithms at every convolution of tests/cases that both can compute. What is chosen for a
// shape is compared by tests/ops/cases_test.cpp.

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "cases/conv_cases.hpp"
#include "iotsl/kernels/conv2d/conv2d.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;
using judge::Range;
using kernels::ConvAlgorithm;
using kernels::ConvOperation;
using kernels::ConvShape;

namespace conv2d_algorithms_test {

namespace {

std::vector<ConvShape> shapes() {
  std::vector<ConvShape> out;
  for (const cases::ConvCase& c : cases::conv_cases())
    if (c.options.groups.count() == 1 && kernels::winograd_applies(c.shape()))
      out.push_back(c.shape());
  return out;
}

struct Arrays {
  Range x, w, b, gy;
  explicit Arrays(const ConvShape& s)
      : x(judge::uniform(s.n * s.c * s.h * s.w, 1)),
        w(judge::uniform(s.k * s.c * 9, 2)),
        b(judge::uniform(s.k, 3)),
        gy(judge::uniform(s.n * s.k * s.p * s.q, 4)) {}
};

/// Filled with NaN first: every element must be written.
Range run(ConvOperation operation, ConvAlgorithm algorithm, const ConvShape& s, const Arrays& a) {
  const auto empty = [](const Range& like) { return judge::uniform(like.size(), 1, judge::nan); };
  if (operation == ConvOperation::forward) {
    Range y = empty(a.gy);
    kernels::detail::conv2d_float(algorithm, s, a.x.data(), a.w.data(), a.b.data(), y.data());
    return y;
  }
  if (operation == ConvOperation::input_grad) {
    Range gx = empty(a.x);
    kernels::detail::conv2d_input_grad_float(algorithm, s, a.gy.data(), a.w.data(), gx.data());
    return gx;
  }
  Range gw = empty(a.w);
  kernels::detail::conv2d_weight_grad_float(algorithm, s, a.x.data(), a.gy.data(), gw.data());
  return gw;
}

std::vector<double> exact(ConvOperation operation, const ConvShape& s, const Arrays& a) {
  const auto wide = [](const Range& r) {
    return std::vector<double>(r.data(), r.data() + r.size());
  };
  const std::vector<double> x = wide(a.x), w = wide(a.w), b = wide(a.b), gy = wide(a.gy);
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

/// Largest difference in units of the largest magnitude.
double error(const Range& got, const std::vector<double>& want) {
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    largest = std::fmax(largest, std::fabs(want[i]));
    const double d = std::fabs(static_cast<double>(got[static_cast<Index>(i)]) - want[i]);
    if (!(d <= worst)) worst = std::isnan(d) ? double{judge::infinity} : d;
  }
  return worst / largest;
}

constexpr ConvOperation operations[] = {ConvOperation::forward, ConvOperation::input_grad,
                                        ConvOperation::weight_grad};

std::string text(ConvOperation operation, const ConvShape& s) {
  return concat("operation ", static_cast<int>(operation), " x [", s.n, ",", s.c, ",", s.h, ",",
                s.w, "] filters ", s.k, " pad ", s.pad_h);
}

}  // namespace

TEST_CASE("direct and winograd equal the reference in double on every target") {
  for (const ConvShape& s : shapes()) {
    const Arrays a(s);
    for (ConvOperation operation : operations) {
      const std::vector<double> want = exact(operation, s, a);
      judge::on_each_target([&] {
        INFO(text(operation, s));
        CHECK(error(run(operation, ConvAlgorithm::direct, s, a), want) < 1e-5);
        CHECK(error(run(operation, ConvAlgorithm::winograd, s, a), want) < 5e-5);
      });
    }
  }
}

TEST_CASE("neither depends on the number of threads") {
  for (const ConvShape& s : shapes()) {
    const Arrays a(s);
    for (ConvOperation operation : operations) {
      INFO(text(operation, s));
      judge::check_threads([&] { return run(operation, ConvAlgorithm::direct, s, a); });
      judge::check_threads([&] { return run(operation, ConvAlgorithm::winograd, s, a); });
    }
  }
}

/// Images of size x size with a 3x3 kernel that keeps it.
ConvShape square(Index n, Index c, Index size, Index k) {
  return {n, c, size, size, k, 3, 3, size, size, 1, 1, 1, 1, 1, 1};
}

TEST_CASE("winograd is chosen by shape, where it saves enough products") {
  if (!kernels::winograd_allowed()) return;
  const auto chosen = [](const ConvShape& s) {
    return kernels::choose_algorithm(ConvOperation::forward, s);
  };
  CHECK(chosen(square(64, 64, 28, 64)) == ConvAlgorithm::winograd);
  CHECK(chosen(square(64, 256, 7, 256)) == ConvAlgorithm::winograd);
  CHECK(chosen(square(64, 512, 3, 512)) == ConvAlgorithm::direct);
  CHECK(chosen(square(1, 256, 7, 256)) == ConvAlgorithm::direct);
  CHECK(chosen(square(64, 1, 28, 64)) == ConvAlgorithm::patches);
  ConvShape strided = square(64, 64, 28, 64);
  strided.stride_h = 2;
  CHECK(chosen(strided) == ConvAlgorithm::direct);
}

}  // namespace conv2d_algorithms_test
