#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "iotsl/kernels/conv2d/conv2d.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;
using judge::Range;
using kernels::ConvAlgorithm;
using kernels::ConvOperation;
using kernels::ConvShape;

namespace winograd_test {

namespace {

ConvShape shape(Index n, Index c, Index h, Index w, Index k, Index pad) {
  return {n, c, h, w, k, 3, 3, h + 2 * pad - 2, w + 2 * pad - 2, 1, 1, pad, pad, 1, 1};
}

// The layers of the networks and tails of everything: channels that fill no vector, images that end
// within a tile or are smaller than one, bands of one image, blocks of several, every padding.
const std::vector<ConvShape> shapes = {
    shape(2, 64, 28, 28, 64, 1), shape(3, 128, 14, 14, 64, 1), shape(5, 256, 7, 7, 32, 1),
    shape(7, 20, 14, 14, 24, 1), shape(9, 33, 7, 7, 40, 1),    shape(1, 16, 40, 37, 50, 1),
    shape(5, 48, 9, 11, 17, 0),  shape(40, 70, 3, 3, 48, 1),   shape(3, 17, 6, 5, 19, 2),
    shape(33, 16, 1, 1, 16, 1),  shape(1, 16, 4, 70, 16, 1),
};

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

TEST_CASE("winograd is within 5e-5 of the largest output of float64, on every target") {
  for (const ConvShape& s : shapes) {
    const Arrays a(s);
    for (ConvOperation operation : operations) {
      const std::vector<double> want = exact(operation, s, a);
      judge::on_each_target([&] {
        INFO(text(operation, s));
        CHECK(error(run(operation, ConvAlgorithm::winograd, s, a), want) < 5e-5);
      });
    }
  }
}

TEST_CASE("winograd does not depend on the number of threads") {
  for (const ConvShape& s : shapes) {
    const Arrays a(s);
    for (ConvOperation operation : operations) {
      INFO(text(operation, s));
      judge::check_threads([&] { return run(operation, ConvAlgorithm::winograd, s, a); });
    }
  }
}

TEST_CASE("winograd is chosen by shape, where it saves enough products") {
  if (!kernels::winograd_allowed()) return;
  const auto chosen = [](const ConvShape& s) {
    return kernels::choose_algorithm(ConvOperation::forward, s);
  };
  CHECK(chosen(shape(64, 64, 28, 28, 64, 1)) == ConvAlgorithm::winograd);
  CHECK(chosen(shape(64, 256, 7, 7, 256, 1)) == ConvAlgorithm::winograd);
  CHECK(chosen(shape(64, 512, 3, 3, 512, 1)) == ConvAlgorithm::direct);
  CHECK(chosen(shape(1, 256, 7, 7, 256, 1)) == ConvAlgorithm::direct);
  CHECK(chosen(shape(64, 1, 28, 28, 64, 1)) == ConvAlgorithm::patches);
  ConvShape strided = shape(64, 64, 28, 28, 64, 1);
  strided.stride_h = 2;
  CHECK(chosen(strided) == ConvAlgorithm::direct);
}

}  // namespace winograd_test
