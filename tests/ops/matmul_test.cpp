// Values and errors. Gradients: tests/cases.

#include "iotsl/ops/matmul.hpp"

#include "support/adjoint_check.hpp"

using namespace check;

TEST_CASE("the three products agree with each other") {
  for (const auto& [m, k, n] : {std::array<Index, 3>{3, 4, 5}, std::array<Index, 3>{1, 7, 1},
                                std::array<Index, 3>{17, 33, 9}, std::array<Index, 3>{6, 1, 13}}) {
    const Tensor<double> a = normal({m, k}, 1), b = normal({k, n}, 2);
    const Tensor<double> y = iotsl::matmul(a, b);
    const Tensor<double> nt = iotsl::matmul_nt(a, iotsl::transpose(b));
    const Tensor<double> tn = iotsl::matmul_tn(iotsl::transpose(a), b);
    REQUIRE(y.shape() == Shape{m, n});
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) {
        double sum = 0;
        for (Index l = 0; l < k; ++l) sum += a.data()[i * k + l] * b.data()[l * n + j];
        CHECK(y.data()[i * n + j] == doctest::Approx(sum).epsilon(1e-13));
        CHECK(nt.data()[i * n + j] == doctest::Approx(sum).epsilon(1e-13));
        CHECK(tn.data()[i * n + j] == doctest::Approx(sum).epsilon(1e-13));
      }
  }
}

TEST_CASE("products: errors") {
  const Tensor<double> a = normal({3, 4}, 1), b = normal({3, 5}, 2);
  CHECK(error_of([&] { iotsl::matmul(a, b); }) ==
        "matmul: inner extents differ: [3,4] has 4, [3,5] has 3");
  CHECK(error_of([&] { iotsl::matmul_nt(a, b); }) ==
        "matmul_nt: inner extents differ: [3,4] has 4, [3,5] has 5");
  CHECK(error_of([&] {
          iotsl::matmul_tn(a, normal({4, 5}, 1));
        }) == "matmul_tn: inner extents differ: [3,4] has 3, [4,5] has 4");
  CHECK(error_of([&] { iotsl::matmul(a, normal({4}, 1)); }) ==
        "matmul: expects two matrices, given [3,4] and [4]");
  CHECK(error_of([&] { iotsl::linear(a, b); }) ==
        "linear: weight [3,5] expects x [N,5], x is [3,4]");
  CHECK(error_of([&] {
          iotsl::linear(a, normal({2, 4}, 1), normal({3}, 2));
        }) == "linear: weight [2,4] expects bias [2], bias is [3]");
}
