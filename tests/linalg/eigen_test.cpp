#include "iotsl/linalg/eigen.hpp"

#include "support/adjoint_check.hpp"

namespace eigen_test {

using namespace iotsl;
using check::error_of;

TEST_CASE("matrix_view: the tensor's own values, row by row") {
  Tensor<float> x = Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto before = x.version();
  auto view = linalg::matrix_view(x);
  CHECK(x.version() != before);
  CHECK(view.rows() == 2);
  CHECK(view.cols() == 3);
  CHECK(view(1, 0) == 4);
  view(1, 0) = 40;
  CHECK(x.data()[3] == 40);

  const Tensor<float>& frozen = x;
  const auto version = x.version();
  const auto read = linalg::matrix_view(frozen);
  CHECK(read.data() == x.data());
  CHECK(x.version() == version);

  const Tensor<float> rows = x.alias({1, 3}, 3);  // a batch slice begins inside the buffer
  CHECK(linalg::matrix_view(rows)(0, 0) == 40);
}

TEST_CASE("matrix_view and vector_view: any shape as a matrix or a vector") {
  Tensor<double> weight = check::normal({4, 2, 3, 5}, 1);
  auto matrix = linalg::matrix_view(weight, 4, 30);
  CHECK(matrix(3, 29) == weight.data()[119]);
  auto all = linalg::vector_view(weight);
  CHECK(all.size() == 120);
  all *= 2;
  CHECK(matrix(0, 7) == weight.data()[7]);
  const Tensor<double>& frozen = weight;
  CHECK(linalg::matrix_view(frozen, 60, 2).data() == weight.data());
  CHECK(linalg::vector_view(frozen).data() == weight.data());
  CHECK(linalg::vector_view(Tensor<double>::scalar(3.0))[0] == 3.0);
  CHECK(linalg::matrix_view(Tensor<double>::zeros({0, 4})).rows() == 0);
}

TEST_CASE("matrix_view: errors give the shapes") {
  Tensor<float> x = Tensor<float>::zeros({2, 3, 4});
  CHECK(error_of([&] { (void)linalg::matrix_view(x); }) ==
        "matrix_view: tensor [2,3,4] has 3 dimensions, expected 2");
  CHECK(error_of([&] { (void)linalg::matrix_view(x, 2, 13); }) ==
        "matrix_view: tensor [2,3,4] has 24 values, a matrix of 2 x 13 expected 26");
  CHECK(error_of([&] { (void)linalg::matrix_view(x, -2, -12); }).find("-2 x -12") !=
        std::string::npos);
}

TEST_CASE("tensor_view: Eigen's own values under a tensor") {
  linalg::RowMatrix<float> points(2, 3);
  points << 1, 2, 3, 4, 5, 6;
  Tensor<float> x = linalg::tensor_view(points);
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.data() == points.data());
  points(0, 1) = 20;
  CHECK(x.data()[1] == 20);
  x.mutable_data()[5] = 60;
  CHECK(points(1, 2) == 60);

  Eigen::VectorXd column = Eigen::VectorXd::LinSpaced(4, 0, 3);
  CHECK(linalg::tensor_view(column).shape() == Shape{4});
  Eigen::Array<float, 2, 2, Eigen::RowMajor> array;
  array << 1, 2, 3, 4;
  CHECK(linalg::tensor_view(array).data()[2] == 3);
  auto last_row = points.row(1);
  CHECK(linalg::tensor_view(last_row).data() == points.data() + 3);
  auto last_rows = points.bottomRows(1);
  CHECK(linalg::tensor_view(last_rows).shape() == Shape{1, 3});
}

TEST_CASE("tensor_view: rows with gaps are an error with shape and distance") {
  linalg::RowMatrix<float> points = linalg::RowMatrix<float>::Zero(3, 5);
  auto part = points.leftCols(2);
  CHECK(error_of([&] { (void)linalg::tensor_view(part); }) ==
        "tensor_view: matrix [3,2] has its values 1 and its rows 5 apart, expected 1 and 2");
  auto column = points.col(0);
  CHECK(error_of([&] { (void)linalg::tensor_view(column); }) ==
        "tensor_view: vector [3] has its values 5 apart, expected 1");
}

TEST_CASE("tensor_view: no operation writes over the owner's values") {
  linalg::RowMatrix<float> points(1, 4);
  points << -1, 2, -3, 4;
  const linalg::RowMatrix<float> before = points;
  // A tensor that nobody else holds is overwritten where it is handed over; this one must not be.
  const Tensor<float> y = relu(linalg::tensor_view(points));
  CHECK(y.data() != points.data());
  CHECK(points == before);
  CHECK(y.data()[0] == 0);
  CHECK_FALSE(linalg::tensor_view(points).unique());
}

TEST_CASE("tensor_view: gradients, and no bytes of the pool for the values") {
  linalg::RowMatrix<double> weight = linalg::RowMatrix<double>::Random(300, 200);
  const std::size_t before = memory_statistics().in_use_bytes;
  {
    Tensor<double> w = linalg::tensor_view(weight);
    CHECK(memory_statistics().in_use_bytes - before < 1024);
    w.set_requires_grad();
    const Tensor<double> slope = grad(sum(square(w)), w);
    CHECK((linalg::matrix_view(slope) - 2 * weight).norm() < 1e-12);
    const Tensor<double> saved = square(w);
    w.mutable_data()[0] = 1;
    CHECK(error_of([&] { (void)grad(sum(saved), w); }) != "");
  }
  CHECK(memory_statistics().in_use_bytes == before);
}

}  // namespace eigen_test
