#include "iotsl/linalg/svd.hpp"

#include <cmath>
#include <limits>

#include "support/adjoint_check.hpp"

namespace svd_test {

using namespace iotsl;
using check::error_of;

TEST_CASE("singular values of matrices that are known in closed form") {
  // Rotations on both sides of diag(3, 2) leave the values.
  const double a = 0.3, b = 1.1;
  const linalg::RowMatrix<double> left{{std::cos(a), -std::sin(a)}, {std::sin(a), std::cos(a)}};
  const linalg::RowMatrix<double> right{{std::cos(b), -std::sin(b)}, {std::sin(b), std::cos(b)}};
  linalg::RowMatrix<double> product = left * Eigen::Vector2d(3, 2).asDiagonal() * right;
  const Tensor<double> values = linalg::singular_values(linalg::tensor_view(product));
  REQUIRE(values.shape() == Shape{2});
  CHECK(values.data()[0] == doctest::Approx(3).epsilon(1e-14));
  CHECK(values.data()[1] == doctest::Approx(2).epsilon(1e-14));

  const Tensor<float> ones = Tensor<float>::full({4, 9}, 1.0f);
  CHECK(linalg::singular_values(ones).data()[0] == doctest::Approx(6).epsilon(1e-14));
  CHECK(linalg::singular_values(ones).data()[1] == doctest::Approx(0).epsilon(1e-14));
  const Tensor<float> row = Tensor<float>::from({1, 2}, {3.0f, -4.0f});
  CHECK(linalg::singular_values(row).shape() == Shape{1});
  CHECK(linalg::largest_singular_triple(row).value == doctest::Approx(5).epsilon(1e-14));
}

TEST_CASE("the largest triple: W v = s u, W^T u = s v, and no direction is stretched more") {
  for (const Shape& shape : {Shape{10, 4096}, Shape{64, 1, 5, 5}, Shape{20, 20}, Shape{90, 3, 2}}) {
    CAPTURE(to_string(shape));
    const Tensor<double> weight = check::normal(shape, 5);
    const Index rows = shape[0], cols = weight.size() / rows;
    const auto w = linalg::matrix_view(weight, rows, cols);
    const linalg::SingularTriple top = linalg::largest_singular_triple(weight);
    const auto u = linalg::vector_view(top.u), v = linalg::vector_view(top.v);
    CHECK(u.size() == rows);
    CHECK(v.size() == cols);
    CHECK(u.norm() == doctest::Approx(1).epsilon(1e-12));
    CHECK(v.norm() == doctest::Approx(1).epsilon(1e-12));
    CHECK((w * v - top.value * u).norm() < 1e-12 * top.value);
    CHECK((w.transpose() * u - top.value * v).norm() < 1e-12 * top.value);

    const Tensor<double> all = linalg::singular_values(weight);
    CHECK(all.size() == std::min(rows, cols));
    CHECK(all.data()[0] == doctest::Approx(top.value).epsilon(1e-12));
    double squares = 0;
    for (Index i = 0; i < all.size(); ++i) {
      CHECK(all.data()[i] <= all.data()[std::max<Index>(i - 1, 0)]);
      squares += all.data()[i] * all.data()[i];
    }
    CHECK(squares == doctest::Approx(w.squaredNorm()).epsilon(1e-12));
    const Tensor<double> other = check::normal({cols}, 6);
    const auto direction = linalg::vector_view(other);
    CHECK((w * direction).norm() < top.value * direction.norm());
  }
}

TEST_CASE("the SVD is exact where a power iteration converges slowly") {
  // The two largest values differ by 1e-6: after 100 steps an iteration still mixes their vectors.
  linalg::RowMatrix<double> weight = linalg::RowMatrix<double>::Zero(3, 4);
  weight.diagonal() << 1 + 1e-6, 1, 0.5;
  const Tensor<double> tensor = linalg::tensor_view(weight);
  const linalg::SingularTriple top = linalg::largest_singular_triple(tensor);
  CHECK(top.value == doctest::Approx(1 + 1e-6).epsilon(1e-14));
  CHECK(std::abs(top.u.data()[0]) == doctest::Approx(1).epsilon(1e-12));
  Eigen::Vector3d u = Eigen::Vector3d::Ones().normalized();
  for (int step = 0; step < 100; ++step) u = (weight * (weight.transpose() * u)).normalized();
  CHECK(std::abs(u[0]) < 0.8);
}

TEST_CASE("svd: errors name the tensor") {
  CHECK(error_of([] { (void)linalg::singular_values(Tensor<float>::zeros({5})); }) ==
        "singular_values: tensor [5], expected at least 2 dimensions and 1 value");
  CHECK(error_of([] {
          (void)linalg::largest_singular_triple(Tensor<float>::zeros({0, 5}));
        }) == "largest_singular_triple: tensor [0,5], expected at least 2 dimensions and 1 value");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_of([&] {
          (void)linalg::singular_values(Tensor<float>::full({2, 2}, nan));
        }) == "singular_values: tensor [2,2] has values that are not finite");
}

}  // namespace svd_test
