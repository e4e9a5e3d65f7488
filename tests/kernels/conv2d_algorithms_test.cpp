// Every convolution of tests/cases by what Winograd competes with there (direct, or by patches),
// and by Winograd wherever it applies, also where it would not be chosen. Larger ones than a test
// has time for are compared once, as they are chosen, by tests/ops/cases_test.cpp.

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "cases/conv_cases.hpp"
#include "iotsl/kernels/conv2d/grouped.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;
using judge::Range;
using kernels::ConvAlgorithm;
using kernels::ConvOperation;
using kernels::ConvShape;

namespace conv2d_algorithms_test {

namespace {

/// A convolution and how to compute it; without an algorithm by the kernels for groups.
struct Problem {
  std::string name;
  ConvShape s;
  Index groups;
  std::optional<ConvAlgorithm> algorithm;

  Index w_elems() const { return s.k * (s.c / groups) * s.r * s.s; }
  double bound() const { return algorithm == ConvAlgorithm::winograd ? 5e-5 : 1e-5; }
};

std::vector<Problem> problems() {
  std::vector<Problem> out;
  for (const cases::ConvCase& c : cases::conv_cases()) {
    const ConvShape s = c.shape();
    const Index groups = c.options.groups.count();
    const Problem grouped{c.name, s, groups, std::nullopt};
    if (s.n * s.p * s.q * grouped.w_elems() > 8000000) continue;
    if (groups != 1) {
      out.push_back(grouped);
      continue;
    }
    out.push_back({c.name + ", direct", s, 1, kernels::direct_algorithm(s)});
    if (kernels::winograd_applies(s))
      out.push_back({c.name + ", winograd", s, 1, ConvAlgorithm::winograd});
  }
  return out;
}

struct Arrays {
  Range x, w, b, gy;
  explicit Arrays(const Problem& p)
      : x(judge::uniform(p.s.n * p.s.c * p.s.h * p.s.w, 1)),
        w(judge::uniform(p.w_elems(), 2)),
        b(judge::uniform(p.s.k, 3)),
        gy(judge::uniform(p.s.n * p.s.k * p.s.p * p.s.q, 4)) {}
};

/// Filled with NaN first: every element must be written.
Range run(ConvOperation operation, const Problem& p, const Arrays& a) {
  const auto empty = [](const Range& like) { return judge::uniform(like.size(), 1, judge::nan); };
  const float *x = a.x.data(), *w = a.w.data(), *gy = a.gy.data();
  if (operation == ConvOperation::forward) {
    Range y = empty(a.gy);
    if (p.algorithm)
      kernels::detail::conv2d_by(kernels::detail::FloatOperands{}, *p.algorithm, p.s, x, w,
                                 a.b.data(), y.data());
    else
      kernels::grouped_conv2d(p.s, p.groups, x, w, a.b.data(), y.data());
    return y;
  }
  if (operation == ConvOperation::input_grad) {
    Range gx = empty(a.x);
    if (p.algorithm)
      kernels::detail::conv2d_input_grad_by(kernels::detail::FloatOperands{}, *p.algorithm, p.s, gy,
                                            w, gx.data());
    else
      kernels::grouped_conv2d_input_grad(p.s, p.groups, gy, w, gx.data());
    return gx;
  }
  Range gw = empty(a.w);
  if (p.algorithm)
    kernels::detail::conv2d_weight_grad_by(kernels::detail::FloatOperands{}, *p.algorithm, p.s, x,
                                           gy, gw.data());
  else
    kernels::grouped_conv2d_weight_grad(p.s, p.groups, x, gy, gw.data());
  return gw;
}

std::vector<double> exact(ConvOperation operation, const Problem& p, const Arrays& a) {
  const auto wide = [](const Range& r) {
    return std::vector<double>(r.data(), r.data() + r.size());
  };
  const std::vector<double> x = wide(a.x), w = wide(a.w), b = wide(a.b), gy = wide(a.gy);
  std::vector<double> out;
  if (operation == ConvOperation::forward) {
    out.resize(gy.size());
    kernels::reference::conv2d(p.s, x.data(), w.data(), b.data(), out.data(), p.groups);
  } else if (operation == ConvOperation::input_grad) {
    out.resize(x.size());
    kernels::reference::conv2d_input_grad(p.s, gy.data(), w.data(), out.data(), p.groups);
  } else {
    out.resize(w.size());
    kernels::reference::conv2d_weight_grad(p.s, x.data(), gy.data(), out.data(), p.groups);
  }
  return out;
}

constexpr ConvOperation operations[] = {ConvOperation::forward, ConvOperation::input_grad,
                                        ConvOperation::weight_grad};

}  // namespace

TEST_CASE("every algorithm equals the reference in double on every target") {
  for (const Problem& p : problems()) {
    const Arrays a(p);
    for (ConvOperation operation : operations) {
      const std::vector<double> want = exact(operation, p, a);
      judge::on_each_target([&] {
        INFO(p.name, ", operation ", static_cast<int>(operation));
        CHECK(judge::error(run(operation, p, a), want) < p.bound());
      });
    }
  }
}

TEST_CASE("no algorithm depends on the number of threads") {
  for (const Problem& p : problems()) {
    const Arrays a(p);
    for (ConvOperation operation : operations) {
      INFO(p.name, ", operation ", static_cast<int>(operation));
      judge::check_threads([&] { return run(operation, p, a); });
    }
  }
}

TEST_CASE("winograd: rows that no output needs come from no other image") {
  // Of a transposed convolution whose input has more rows than its output reaches.
  for (const Index rows : {17, 18, 38}) {
    Problem p{"cropped",
              {3, 32, rows, 16, 32, 3, 3, rows + 4, 16, 1, 1, 2, 1, 1, 1},
              1,
              ConvAlgorithm::winograd};
    REQUIRE(kernels::winograd_applies(p.s));
    Arrays a(p);
    const Index image = a.gy.size() / 3, out = p.s.c * p.s.h * p.s.w;
    judge::on_each_target([&] {
      const Range before = run(ConvOperation::input_grad, p, a);
      Range next = a.gy;
      std::swap(next, a.gy);
      for (Index i = image; i < a.gy.size(); ++i) a.gy[i] = 1e8f;
      const Range after = run(ConvOperation::input_grad, p, a);
      std::swap(next, a.gy);
      INFO(rows, " rows");
      CHECK(std::memcmp(before.data(), after.data(),
                        static_cast<std::size_t>(out) * sizeof(float)) == 0);
    });
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
