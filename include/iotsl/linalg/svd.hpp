#pragma once
// Exact singular values, in double whatever the tensor's type: the judge of the power iteration
// that spectral normalisation uses (Miyato et al. 2018, section 2.1).

#include <Eigen/SVD>

#include "iotsl/linalg/eigen.hpp"

IOTSL_NAMESPACE_BEGIN
namespace linalg {

/// W v = value * u and W^T u = value * v, with unit vectors u and v. Their common sign is free.
struct SingularTriple {
  double value = 0;
  Tensor<double> u;  ///< [rows]
  Tensor<double> v;  ///< [cols]
};

namespace detail {

/// The weight [K,...] as the matrix [K, rest] whose norm spectral normalisation divides by.
template <class T>
RowMatrix<double> as_double_matrix(const char* what, const Tensor<T>& tensor) {
  if (tensor.rank() < 2 || tensor.size() == 0)
    fail(what, ": tensor ", tensor.shape(), ", expected at least 2 dimensions and 1 value");
  const Index rows = tensor.extent(0);
  RowMatrix<double> out = matrix_view(tensor, rows, tensor.size() / rows).template cast<double>();
  if (!out.allFinite()) fail(what, ": tensor ", tensor.shape(), " has values that are not finite");
  return out;
}

/// Jacobi rotations after a QR: exact to rounding, and a quarter of the compile time of divide and
/// conquer, which is quicker from some hundreds of rows on.
inline Eigen::JacobiSVD<RowMatrix<double>> decompose(const char* what,
                                                     const RowMatrix<double>& matrix,
                                                     unsigned int options) {
  Eigen::JacobiSVD<RowMatrix<double>> svd(matrix, options);
  if (svd.info() != Eigen::Success)
    fail(what, ": no convergence for a matrix of ", Index{matrix.rows()}, " x ",
         Index{matrix.cols()});
  return svd;
}

}  // namespace detail

/// All min(K, rest) singular values of `tensor` [K,...] seen as [K, rest], the largest first.
/// Raises an Error for fewer than two dimensions, no values, or values that are not finite.
template <class T>
Tensor<double> singular_values(const Tensor<T>& tensor) {
  const auto matrix = detail::as_double_matrix("singular_values", tensor);
  const auto svd = detail::decompose("singular_values", matrix, 0);
  Tensor<double> out = Tensor<double>::uninitialized({Index{svd.singularValues().size()}});
  vector_view(out) = svd.singularValues();
  return out;
}

/// The largest singular value with its vectors, of `tensor` [K,...] seen as [K, rest]; errors as
/// above.
template <class T>
SingularTriple largest_singular_triple(const Tensor<T>& tensor) {
  const auto matrix = detail::as_double_matrix("largest_singular_triple", tensor);
  const auto svd = detail::decompose("largest_singular_triple", matrix,
                                     Eigen::ComputeThinU | Eigen::ComputeThinV);
  SingularTriple out{svd.singularValues()[0], Tensor<double>::uninitialized({matrix.rows()}),
                     Tensor<double>::uninitialized({matrix.cols()})};
  vector_view(out.u) = svd.matrixU().col(0);
  vector_view(out.v) = svd.matrixV().col(0);
  return out;
}

}  // namespace linalg
IOTSL_NAMESPACE_END
