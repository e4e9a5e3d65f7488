#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "iotsl/core/parallel.hpp"
#include "iotsl/kernels/gemm.hpp"

using namespace iotsl;

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

struct Size {
  Index m, n, k;
};

// Every tail of the tile, both sides of each block size, vectors, and the linear layers' shapes.
std::vector<Size> sizes() {
  std::vector<Size> out = {{0, 5, 3},     {5, 0, 3},       {4, 6, 0},     {1, 1, 1},
                           {64, 10, 512}, {1, 10, 512},    {1, 300, 7},   {300, 1, 7},
                           {1, 1, 1000},  {10, 512, 64},   {64, 512, 10}, {17, 300, 5},
                           {250, 140, 9}, {241, 129, 257}, {5, 33, 513},  {480, 16, 30}};
  for (Index m = 1; m <= 13; ++m) out.push_back({m, 2 * m + 3, m + 1});
  for (Index n = 1; n <= 33; n += 4) out.push_back({7, n, 11});
  return out;
}

}  // namespace

TEST_CASE("gemm equals the reference on every target, transposed or not") {
  const simd::Target before = simd::active_target();
  for (const Size& s : sizes()) {
    const auto a = values(s.m * s.k, 1), b = values(s.k * s.n, 2);
    for (bool trans_a : {false, true})
      for (bool trans_b : {false, true}) {
        std::vector<float> expected(static_cast<std::size_t>(s.m * s.n));
        kernels::reference::gemm(trans_a, trans_b, s.m, s.n, s.k, a.data(), b.data(),
                                 expected.data());
        for (simd::Target target : simd::reachable_targets()) {
          simd::set_target(target);
          INFO(s.m, "x", s.n, "x", s.k, "transposed ", trans_a, trans_b, " on ",
               std::string(simd::name(target)));
          std::vector<float> c(expected.size(), NAN);
          kernels::gemm(trans_a, trans_b, s.m, s.n, s.k, a.data(), b.data(), c.data());
          double worst = 0;
          for (std::size_t i = 0; i < c.size(); ++i) {
            const double d =
                std::fabs(static_cast<double>(c[i]) - static_cast<double>(expected[i]));
            worst = d <= worst ? worst : d;  // a NaN stays
          }
          CHECK(worst < 2e-6 * (1.0 + std::sqrt(static_cast<double>(s.k))));
        }
      }
  }
  simd::set_target(before);
}

TEST_CASE("gemm does not depend on the number of threads") {
  const int before = threads();
  const Size s{300, 270, 600};
  const auto a = values(s.m * s.k, 3), b = values(s.k * s.n, 4);
  for (bool trans : {false, true}) {
    std::vector<float> one(static_cast<std::size_t>(s.m * s.n)), many(one.size());
    set_threads(1);
    kernels::gemm(trans, !trans, s.m, s.n, s.k, a.data(), b.data(), one.data());
    for (int count : {2, 3}) {
      set_threads(count);
      kernels::gemm(trans, !trans, s.m, s.n, s.k, a.data(), b.data(), many.data());
      CHECK(many == one);
    }
  }
  set_threads(before);
}

TEST_CASE("gemm in double runs on the reference") {
  const double a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8};
  double c[4];
  kernels::gemm(false, false, 2, 2, 2, a, b, c);
  CHECK(c[0] == 19.0);
  CHECK(c[3] == 50.0);
}
