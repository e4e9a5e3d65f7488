#include "iotsl/kernels/pool.hpp"

#include <cmath>

#include "cases/pool_cases.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;
using kernels::PoolShape;

namespace {

std::vector<PoolShape> all_shapes() {
  std::vector<PoolShape> out;
  for (const cases::PoolCase& c : cases::pool_cases())
    out.push_back(detail::pool_shape(c.x, c.options).value());
  return out;
}
const std::vector<PoolShape> shapes = all_shapes();

struct Pooled {
  judge::Range y;
  std::vector<std::uint8_t> index;
};

Pooled pooled(const PoolShape& s, const judge::Range& x, bool reference) {
  const Index outputs = s.n * s.c * s.p * s.q;
  Pooled out{judge::Range(outputs, 1), std::vector<std::uint8_t>(std::size_t(outputs))};
  if (reference)
    kernels::reference::max_pool2d(s, x.data(), out.y.data(), out.index.data());
  else
    kernels::max_pool2d(s, x.data(), out.y.data(), out.index.data());
  return out;
}

}  // namespace

TEST_CASE("max pooling equals the reference: values and positions") {
  judge::on_each_target([] {
    for (const PoolShape& s : shapes) {
      INFO("shape ", &s - shapes.data());
      judge::Range x = judge::uniform(s.n * s.c * s.h * s.w, 1, -1, 1, 1);
      // Few distinct values, so that many windows have several equal maxima.
      for (Index i = 0; i < x.size(); i += 2) x[i] = std::round(x[i]);
      const Pooled got = pooled(s, x, false), want = pooled(s, x, true);
      CHECK(got.y.same_bits(want.y));
      CHECK(got.index == want.index);
    }
  });
}

TEST_CASE("minus infinity and NaN are pooled as PyTorch does") {
  judge::on_each_target([] {
    for (const PoolShape& s : shapes) {
      INFO("shape ", &s - shapes.data());
      judge::Range x = judge::uniform(s.n * s.c * s.h * s.w, 2);
      for (Index i = 0; i < x.size(); ++i) {
        if (i % 3 != 0) x[i] = -judge::infinity;
        if (i % 7 == 0) x[i] = judge::nan;
      }
      for (int pass = 0; pass < 2; ++pass) {
        const Pooled got = pooled(s, x, false), want = pooled(s, x, true);
        CHECK(judge::worst(got.y, want.y, 0, 0) <= 1);
        CHECK(got.index == want.index);
        for (Index i = 0; i < x.size(); ++i) x[i] = -judge::infinity;
      }
    }
    const PoolShape s = detail::pool_shape({1, 1, 2, 2}, {}).value();
    judge::Range x(4);
    x[1] = judge::nan;
    x[3] = 5;
    const Pooled got = pooled(s, x, false);
    CHECK(std::isnan(got.y[0]));
    CHECK(got.index[0] == 1);
  });
}

TEST_CASE("the scatter equals the reference and the gather is its adjoint") {
  judge::on_each_target([] {
    for (const PoolShape& s : shapes) {
      INFO("shape ", &s - shapes.data());
      const Index inputs = s.n * s.c * s.h * s.w;
      const judge::Range x = judge::uniform(inputs, 3);
      const Pooled forward = pooled(s, x, false);
      const judge::Range gy = judge::uniform(forward.y.size(), 4, -1, 1, 1);
      judge::Range gx(inputs, 3), want(inputs);
      for (Index i = 0; i < inputs; ++i) gx[i] = judge::nan;  // every element must be written
      kernels::max_pool2d_grad(s, gy.data(), forward.index.data(), gx.data());
      kernels::reference::max_pool2d_grad(s, gy.data(), forward.index.data(), want.data());
      CHECK(judge::worst(gx, want, 0, 0) <= 1);

      judge::Range gathered(forward.y.size());
      kernels::max_pool2d_gather(s, x.data(), forward.index.data(), gathered.data());
      CHECK(gathered.same_bits(forward.y));
      double left = 0, right = 0;
      for (Index i = 0; i < inputs; ++i) left += double{x[i]} * double{gx[i]};
      for (Index i = 0; i < gy.size(); ++i) right += double{gathered[i]} * double{gy[i]};
      CHECK(left == doctest::Approx(right).epsilon(1e-5));
    }
  });
}

TEST_CASE("pooling does not depend on the number of threads") {
  for (const Pool2dOptions& o : {cases::window(2, 2, 0), cases::window(3, 1, 1)}) {
    const PoolShape s = detail::pool_shape({8, 9, 28, 28}, o).value();
    const judge::Range x = judge::uniform(s.n * s.c * s.h * s.w, 5);
    judge::check_threads([&] {
      const Pooled forward = pooled(s, x, false);
      judge::Range gx(x.size());
      kernels::max_pool2d_grad(s, forward.y.data(), forward.index.data(), gx.data());
      return gx;
    });
  }
}
