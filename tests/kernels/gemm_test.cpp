#include "iotsl/kernels/gemm/gemm.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "cases/product_sizes.hpp"
#include "kernels/judge.hpp"

using namespace iotsl;
using judge::Range;

namespace {
std::vector<double> in_double(const Range& x) { return {x.data(), x.data() + x.size()}; }
}  // namespace

TEST_CASE("gemm equals the reference on every target, transposed or not") {
  for (const cases::ProductSize& s : cases::product_sizes()) {
    if (!s.compared) continue;
    const Range a = judge::uniform(s.m * s.k, 1), b = judge::uniform(s.k * s.n, 2);
    const std::vector<double> exact_a = in_double(a), exact_b = in_double(b);
    for (bool trans_a : {false, true})
      for (bool trans_b : {false, true}) {
        std::vector<double> want(static_cast<std::size_t>(s.m * s.n));
        kernels::reference::gemm(trans_a, trans_b, s.m, s.n, s.k, exact_a.data(), exact_b.data(),
                                 want.data());
        INFO(s.m, "x", s.n, "x", s.k, " transposed ", trans_a, trans_b);
        judge::on_each_target([&] {
          Range c = judge::uniform(s.m * s.n, 1, judge::nan);
          kernels::gemm(trans_a, trans_b, s.m, s.n, s.k, a.data(), b.data(), c.data());
          CHECK(judge::error(c, want) < 1e-6);
        });
      }
  }
}

TEST_CASE("gemm does not depend on the number of threads") {
  const Index m = 300, n = 270, k = 600;
  const Range a = judge::uniform(m * k, 3), b = judge::uniform(k * n, 4);
  for (bool trans : {false, true})
    judge::check_threads([&] {
      Range c(m * n);
      kernels::gemm(trans, !trans, m, n, k, a.data(), b.data(), c.data());
      return c;
    });
}

TEST_CASE("gemm in double runs on the reference") {
  const double a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8};
  double c[4];
  kernels::gemm(false, false, 2, 2, 2, a, b, c);
  CHECK(c[0] == 19.0);
  CHECK(c[3] == 50.0);
}
