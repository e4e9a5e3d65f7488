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
  fill_normal(weight, 1.0, /*seed=*/7, /*tensor_number=*/0);
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

// Spectral norm divides a weight by an estimate of its largest singular value, from a few steps of
// power iteration. The exact value says how good the estimate is.
static bool power_iteration_against_svd() {
  Tensor<double> weight = Tensor<double>::zeros({16, 8, 5, 5});
  fill_normal(weight, 0.1, /*seed=*/7, /*tensor_number=*/1);
  const linalg::SingularTriple exact = linalg::largest_singular_triple(weight);

  Tensor<double> u = Tensor<double>::full({16}, 0.25), v = Tensor<double>::zeros({200});
  const Tensor<double>& frozen = weight;
  const auto matrix = linalg::matrix_view(frozen, 16, 200);
  double sigma = 0;
  for (int steps : {1, 9, 90, 900}) {
    power_iteration(weight, u, v, steps);
    sigma = linalg::vector_view(u).dot(matrix * linalg::vector_view(v));
    std::printf("%3d more steps of power iteration: sigma %.9f, exact %.9f\n", steps, sigma,
                exact.value);
  }
  const Tensor<double> normed = spectral_norm(weight, u, v);
  std::printf("largest singular value after spectral norm: %.9f\n",
              linalg::singular_values(normed).data()[0]);
  return std::abs(sigma - exact.value) < 1e-6 * exact.value;
}

int main() {
  return tensor_as_matrix() && matrix_as_tensor() && power_iteration_against_svd() ? 0 : 1;
}
