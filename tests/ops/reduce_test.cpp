// Values and errors. Gradients: tests/cases.

#include "iotsl/ops/reduce.hpp"

#include "iotsl/ops/view.hpp"
#include "support/adjoint_check.hpp"

using namespace check;

TEST_CASE("sum and mean over dimensions") {
  const Tensor<double> x = Tensor<double>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(iotsl::sum(x).item() == 21);
  CHECK(iotsl::mean(x).item() == 3.5);
  const Tensor<double> rows = iotsl::sum(x, {1});
  CHECK(rows.shape() == Shape{2});
  CHECK(rows.data()[0] == 6);
  CHECK(rows.data()[1] == 15);
  const Tensor<double> columns = iotsl::mean(x, {-2}, true);
  CHECK(columns.shape() == Shape{1, 3});
  CHECK(columns.data()[2] == 4.5);
  CHECK(iotsl::sum(x, {}).shape() == x.shape());
}

TEST_CASE("the sum of many float values is accurate") {
  const Index n = 1 << 22;
  const Tensor<float> x = Tensor<float>::full({n}, 0.1f);
  CHECK(iotsl::sum(x).item() == doctest::Approx(0.1 * n).epsilon(1e-5));
}

TEST_CASE("reductions: errors") {
  const Tensor<double> x = normal({2, 3}, 1);
  CHECK(error_of([&] { iotsl::sum(x, {2}); }) == "sum: [2,3] has no dimension 2");
  CHECK(error_of([&] { iotsl::sum(x, {0, -2}); }) == "sum: dimension -2 is named twice");
  CHECK(error_of([&] {
          iotsl::broadcast_to(x, {2, 4});
        }) == "broadcast_to: [2,3] cannot be repeated to [2,4]");
  CHECK(error_of([&] { iotsl::broadcast_to(x, {3}); }) ==
        "broadcast_to: [2,3] cannot be repeated to [3]");
  CHECK(error_of([&] { iotsl::sum_to(x, {4}); }) == "sum_to: [2,3] cannot be summed to [4]");
  CHECK(error_of([&] {
          iotsl::mean(Tensor<double>::zeros({0, 3}));
        }) == "mean: [0,3] has no elements");
  CHECK(error_of([&] {
          iotsl::mean(Tensor<double>::zeros({0, 3}), {0});
        }) == "mean: [0,3] has no elements");
}

TEST_CASE("the mean over images of an empty batch is empty") {
  const Tensor<double> none = Tensor<double>::zeros({0, 3, 2, 2});
  CHECK(iotsl::mean(none, {2, 3}).shape() == Shape{0, 3});
  CHECK(iotsl::mean(none, {1}, true).shape() == Shape{0, 1, 2, 2});
}

TEST_CASE("argmax: the first of the largest in each row") {
  const Tensor<float> x = Tensor<float>::from({3, 3}, {-1, 4, 4, -3, -2, -1, 0, 0, 0});
  CHECK(iotsl::argmax(x) == std::vector<Index>{1, 2, 0});
  CHECK(iotsl::argmax(Tensor<double>::zeros({0, 3})).empty());
  // NaN is the largest, as in PyTorch, and the first of several.
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor<float> bad =
      Tensor<float>::from({4, 3}, {1, nan, 0, nan, 5, 1, 0, 1, nan, 2, nan, nan});
  CHECK(iotsl::argmax(bad) == std::vector<Index>{1, 0, 2, 1});
  CHECK(error_of([] { iotsl::argmax(Tensor<float>::zeros({3})); }) ==
        "argmax: [3], expected [N,M] with M > 0");
  CHECK(error_of([] {
          iotsl::argmax(Tensor<float>::zeros({2, 0}));
        }) == "argmax: [2,0], expected [N,M] with M > 0");
}
