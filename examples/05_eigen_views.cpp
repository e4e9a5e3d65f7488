// Eigen and tensors on the same memory: a tensor seen as an Eigen matrix, an Eigen matrix seen as a
// tensor, and Eigen's exact SVD as the judge of a power iteration. Needs Eigen (package
// libeigen3-dev).

#include <cmath>
#include <cstdio>

#include "iotsl/iotsl.hpp"
#include "iotsl/linalg/eigen.hpp"
#include "iotsl/linalg/svd.hpp"

using namespace iotsl;

// A layer's weight as Eigen sees it: nothing is copied, a write on one side is seen on the other.
static bool tensor_as_matrix() {
  Tensor<float> weight = Tensor<float>::zeros({4, 2, 3, 3});
  fill_normal(weight, 1.0, /*seed=*/7, /*index=*/0);
  auto matrix = linalg::matrix_view(weight, 4, 2 * 3 * 3);
  matrix.row(0) *= 10.0f;
  std::printf("weight %s as a matrix of %ld x %ld: norms of its rows",
              to_string(weight.shape()).c_str(), static_cast<long>(matrix.rows()),
              static_cast<long>(matrix.cols()));
  for (int row = 0; row < 4; ++row)
    std::printf(" %.3f", static_cast<double>(matrix.row(row).norm()));
  std::printf("\n");
  return matrix.data() == weight.data();
}

// A matrix that Eigen owns goes through the network, and the gradient comes back as a matrix.
static bool matrix_as_tensor() {
  linalg::RowMatrix<float> points(3, 2);
  points << 1.0f, 2.0f, -0.5f, 0.25f, 3.0f, -1.0f;
  Tensor<float> x = linalg::tensor_view(points);
  x.set_requires_grad();
  const Tensor<float> slope = grad(sum(square(x)), x);  // d/dx sum(x^2) = 2 x
  const float error = (linalg::matrix_view(slope) - 2.0f * points).cwiseAbs().maxCoeff();
  std::printf("gradient of |x|^2 against 2 x: largest difference %g\n", static_cast<double>(error));
  return x.data() == points.data() && error < 1e-6f;
}

// The power iteration of spectral normalisation: v = W^T u / |.|, u = W v / |.|, sigma = u^T W v.
static bool power_iteration() {
  Tensor<double> weight = Tensor<double>::zeros({16, 8, 5, 5});
  fill_normal(weight, 0.1, /*seed=*/7, /*index=*/1);
  const linalg::SingularTriple exact = linalg::largest_singular_triple(weight);

  const Tensor<double>& frozen = weight;
  const auto matrix = linalg::matrix_view(frozen, 16, 8 * 5 * 5);
  Eigen::VectorXd u = Eigen::VectorXd::Ones(16).normalized(), v;
  double sigma = 0;
  for (int step = 1; step <= 1000; ++step) {
    v = (matrix.transpose() * u).normalized();
    u = (matrix * v).normalized();
    sigma = u.dot(matrix * v);
    if (step == 1 || step == 10 || step == 100 || step == 1000)
      std::printf("power iteration, %4d steps: sigma %.9f, exact %.9f\n", step, sigma, exact.value);
  }
  return std::abs(sigma - exact.value) < 1e-6 * exact.value &&
         std::abs(u.dot(linalg::vector_view(exact.u))) > 0.99;
}

int main() { return tensor_as_matrix() && matrix_as_tensor() && power_iteration() ? 0 : 1; }
