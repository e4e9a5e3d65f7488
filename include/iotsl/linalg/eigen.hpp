#pragma once
// Tensors as Eigen matrices and Eigen matrices as tensors, without a copy in either direction: both
// sides read and write the same values. Eigen is known to this folder only.

#include <Eigen/Core>

#include "iotsl/core/tensor.hpp"

IOTSL_NAMESPACE_BEGIN
namespace linalg {

/// The storage order of a tensor: rows one after the other.
template <class T>
using RowMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
using MatrixView = Eigen::Map<RowMatrix<T>>;
template <class T>
using ConstMatrixView = Eigen::Map<const RowMatrix<T>>;
template <class T>
using VectorView = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>;
template <class T>
using ConstVectorView = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>;

namespace detail {
inline void check_matrix(const Shape& shape) {
  if (shape.rank() != 2)
    fail("matrix_view: tensor ", shape, " has ", shape.rank(), " dimensions, expected 2");
}
inline void check_matrix(const Shape& shape, Index rows, Index cols) {
  if (rows < 0 || cols < 0 || Shape{rows, cols}.elements() != shape.elements())
    fail("matrix_view: tensor ", shape, " has ", shape.elements(), " values, a matrix of ", rows,
         " x ", cols, " expected ", rows * cols);
}
}  // namespace detail

/// The values of `tensor` [R,C] as an R x C matrix. The view is valid while a handle to the tensor
/// lives. Raises an Error for another number of dimensions.
template <class T>
ConstMatrixView<T> matrix_view(const Tensor<T>& tensor) {
  detail::check_matrix(tensor.shape());
  return {tensor.data(), tensor.extent(0), tensor.extent(1)};
}
/// The same for writing: making the view counts as one write in place, so a graph that saved the
/// tensor before refuses to use it. Let the view go before the tensor is recorded again.
template <class T>
MatrixView<T> matrix_view(Tensor<T>& tensor) {
  detail::check_matrix(tensor.shape());
  return {tensor.mutable_data(), tensor.extent(0), tensor.extent(1)};
}

/// A tensor of any shape as a matrix of `rows` x `cols`, such as a convolution's weight [K,C,R,S]
/// as [K, C*R*S]. Raises an Error where the numbers of values differ.
template <class T>
ConstMatrixView<T> matrix_view(const Tensor<T>& tensor, Index rows, Index cols) {
  detail::check_matrix(tensor.shape(), rows, cols);
  return {tensor.data(), rows, cols};
}
template <class T>
MatrixView<T> matrix_view(Tensor<T>& tensor, Index rows, Index cols) {
  detail::check_matrix(tensor.shape(), rows, cols);
  return {tensor.mutable_data(), rows, cols};
}

/// All values of a tensor of any shape as one column vector.
template <class T>
ConstVectorView<T> vector_view(const Tensor<T>& tensor) {
  return {tensor.data(), tensor.size()};
}
template <class T>
VectorView<T> vector_view(Tensor<T>& tensor) {
  return {tensor.mutable_data(), tensor.size()};
}

/// An Eigen matrix, array, map or block as a tensor: [rows, cols], or [size] for what is a vector
/// at compile time. The matrix owns the values, so it must outlive every handle, and must not be
/// resized meanwhile; a temporary is refused by the compiler. What Eigen writes is not counted as a
/// write in place: a graph that saved the tensor does not notice it. Raises an Error where the rows
/// do not follow each other directly.
template <class Derived>
Tensor<typename Derived::Scalar> tensor_view(Eigen::DenseBase<Derived>& matrix) {
  static_assert((Derived::Flags & Eigen::DirectAccessBit) && (Derived::Flags & Eigen::LvalueBit),
                "tensor_view: an expression has no memory of its own; evaluate it first");
  static_assert(Derived::IsRowMajor || Derived::IsVectorAtCompileTime,
                "tensor_view: a tensor is row-major, as linalg::RowMatrix<T> is");
  Derived& m = matrix.derived();
  const Index rows = m.rows(), cols = m.cols();
  if constexpr (Derived::IsVectorAtCompileTime) {
    if (m.innerStride() != 1 && m.size() > 1)
      fail("tensor_view: vector [", rows * cols, "] has its values ", Index{m.innerStride()},
           " apart, expected 1");
    return Tensor<typename Derived::Scalar>::borrow({rows * cols}, m.data());
  } else {
    const bool gaps = (cols > 1 && m.innerStride() != 1) || (rows > 1 && m.outerStride() != cols);
    if (m.size() > 0 && gaps)
      fail("tensor_view: matrix [", rows, ",", cols, "] has its values ", Index{m.innerStride()},
           " and its rows ", Index{m.outerStride()}, " apart, expected 1 and ", cols);
    return Tensor<typename Derived::Scalar>::borrow({rows, cols}, m.data());
  }
}

}  // namespace linalg
IOTSL_NAMESPACE_END
