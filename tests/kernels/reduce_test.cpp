#include "iotsl/kernels/reduce/reduce.hpp"

#include <cmath>

#include "kernels/judge.hpp"

using namespace iotsl;

namespace {

Index kept(const Index shape[4], unsigned mask) {
  Index n = 1;
  for (int d = 0; d < 4; ++d)
    if (((mask >> d) & 1U) == 0) n *= shape[d];
  return n;
}

}  // namespace

TEST_CASE("sums over every set of dimensions equal the reference") {
  const Index shapes[][4] = {
      {1, 1, 1, 1}, {2, 3, 4, 5},    {3, 7, 9, 17},    {1, 1, 3, 1000},  {5, 1, 1, 33},
      {2, 1, 9, 1}, {64, 3, 28, 28}, {1, 1, 1, 70001}, {70001, 1, 1, 1}, {300, 2, 300, 1},
      {2, 0, 3, 4}, {2, 3, 4, 0},    {9, 1, 130, 70},  {1, 1, 9000, 10},
  };
  judge::on_each_target([&] {
    for (const auto& shape : shapes)
      for (unsigned mask = 0; mask < 16; ++mask) {
        const Index n = shape[0] * shape[1] * shape[2] * shape[3];
        const judge::Range x = judge::uniform(n, 5, -1, 1, 1);
        judge::Range y(kept(shape, mask)), want(kept(shape, mask));
        kernels::reduce_sum(shape, mask, x.data(), y.data());
        kernels::reference::reduce_sum(shape, mask, x.data(), want.data());
        INFO("shape ", shape[0], " ", shape[1], " ", shape[2], " ", shape[3], ", mask ", mask);
        const double terms = static_cast<double>(n) / static_cast<double>(y.size() + 1);
        CHECK(judge::worst(y, want, 1e-6 + 3e-7 * std::sqrt(terms), 3e-7) <= 1);
      }
  });
}

TEST_CASE("a long sum keeps its digits") {
  // Plain float accumulation of 4 million times 0.1 is off by several per cent.
  const Index n = 4000000;
  judge::Range x(n);
  for (Index i = 0; i < n; ++i) x[i] = 0.1F;
  const double exact = static_cast<double>(n) * static_cast<double>(0.1F);
  judge::on_each_target([&] {
    for (const auto& shape : {std::array<Index, 4>{1, 1, 1, n}, {1, 1, n / 4, 4}}) {
      judge::Range y(shape[3] == 4 ? 4 : 1);
      kernels::reduce_sum(shape.data(), shape[3] == 4 ? 7U : 15U, x.data(), y.data());
      CHECK(static_cast<double>(y[0]) * static_cast<double>(y.size()) ==
            doctest::Approx(exact).epsilon(1e-6));
    }
  });
}

TEST_CASE("infinities and NaN reach the sum") {
  judge::on_each_target([] {
    for (float special : {judge::infinity, judge::nan}) {
      judge::Range x = judge::uniform(100, 1);
      x[99] = special;
      const Index shape[4] = {1, 1, 10, 10};
      judge::Range all(1), columns(10);
      kernels::reduce_sum(shape, 15U, x.data(), all.data());
      kernels::reduce_sum(shape, 4U, x.data(), columns.data());
      CHECK(std::isnan(all[0]) == std::isnan(special));
      CHECK(!std::isfinite(all[0]));
      CHECK(!std::isfinite(columns[9]));
      CHECK(std::isfinite(columns[8]));
    }
  });
}

TEST_CASE("sums do not depend on the number of threads") {
  const judge::Range x = judge::uniform(64 * 9 * 35 * 35, 6);
  const Index shape[4] = {64, 9, 35, 35};
  for (unsigned mask : {1U, 5U, 10U, 13U, 14U, 15U})
    judge::check_threads([&] {
      judge::Range y(kept(shape, mask));
      kernels::reduce_sum(shape, mask, x.data(), y.data());
      return y;
    });
}

TEST_CASE("broadcast equals the reference") {
  struct Case {
    Index shape[4], strides[4];
  };
  const Case cases[] = {
      {{2, 3, 5, 7}, {0, 1, 0, 0}},     {{2, 3, 5, 7}, {0, 0, 0, 1}},
      {{4, 6, 1, 1}, {1, 0, 0, 0}},     {{1, 1, 300, 300}, {0, 0, 0, 0}},
      {{1, 1, 6, 5}, {0, 0, 1, 6}},     {{2, 3, 5, 7}, {105, 35, 7, 1}},
      {{1, 1, 1, 70000}, {0, 0, 0, 1}}, {{2, 0, 5, 7}, {0, 1, 0, 0}},
  };
  const judge::Range x = judge::uniform(70000, 8);
  for (const Case& c : cases) {
    const Index n = c.shape[0] * c.shape[1] * c.shape[2] * c.shape[3];
    judge::Range y(n), want(n);
    kernels::broadcast(c.shape, x.data(), c.strides, y.data());
    kernels::reference::broadcast(c.shape, x.data(), c.strides, want.data());
    CHECK(y.same_bits(want));
  }
}
