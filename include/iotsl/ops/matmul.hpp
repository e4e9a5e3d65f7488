#pragma once
// Matrix products: a triple (NN, NT, TN) closed under differentiation.

#include "iotsl/kernels/bf16/products_table.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"
#include "iotsl/ops/product_precision.hpp"
#include "iotsl/ops/view.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b, ProductPrecision precision = {});
template <class T>
Tensor<T> matmul_nt(const Tensor<T>& a, const Tensor<T>& b, ProductPrecision precision = {});
template <class T>
Tensor<T> matmul_tn(const Tensor<T>& a, const Tensor<T>& b, ProductPrecision precision = {});

namespace detail {

template <class T>
void matmul_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto precision = node.template attributes<ProductPrecision>();
  if (node.wants(0)) gx[0] = matmul_nt(gy, node.saved(1), precision);
  if (node.wants(1)) gx[1] = matmul_tn(node.saved(0), gy, precision);
}
template <class T>
void matmul_nt_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto precision = node.template attributes<ProductPrecision>();
  if (node.wants(0)) gx[0] = matmul(gy, node.saved(1), precision);
  if (node.wants(1)) gx[1] = matmul_tn(gy, node.saved(0), precision);
}
template <class T>
void matmul_tn_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto precision = node.template attributes<ProductPrecision>();
  if (node.wants(0)) gx[0] = matmul_nt(node.saved(1), gy, precision);
  if (node.wants(1)) gx[1] = matmul(node.saved(0), gy, precision);
}
template <class T>
inline constexpr OpInfo<T> matmul_op{"matmul", &matmul_vjp<T>};
template <class T>
inline constexpr OpInfo<T> matmul_nt_op{"matmul_nt", &matmul_nt_vjp<T>};
template <class T>
inline constexpr OpInfo<T> matmul_tn_op{"matmul_tn", &matmul_tn_vjp<T>};

template <class T>
Tensor<T> matrix_product(const OpInfo<T>& op, bool trans_a, bool trans_b, const Tensor<T>& a,
                         const Tensor<T>& b, ProductPrecision precision) {
  if (a.rank() != 2 || b.rank() != 2)
    fail(op.name, ": expects two matrices, given ", a.shape(), " and ", b.shape());
  const Index m = a.shape()[trans_a ? 1 : 0], k = a.shape()[trans_a ? 0 : 1];
  const Index n = b.shape()[trans_b ? 0 : 1], k_b = b.shape()[trans_b ? 1 : 0];
  if (k != k_b)
    fail(op.name, ": inner extents differ: ", a.shape(), " has ", k, ", ", b.shape(), " has ", k_b);
  Tensor<T> y = Tensor<T>::uninitialized(Shape{m, n});
  if constexpr (std::is_same_v<T, float>) {
    const auto gemm = precision.bf16() != nullptr ? precision.bf16()->gemm : &kernels::gemm<float>;
    gemm(trans_a, trans_b, m, n, k, a.data(), b.data(), y.mutable_data());
  } else {
    kernels::gemm(trans_a, trans_b, m, n, k, a.data(), b.data(), y.mutable_data());
  }
  if (Node<T>* node = record(op, y, a, b)) {
    node->set_attributes(precision);
    node->save(b.requires_grad() ? a : Tensor<T>());
    node->save(a.requires_grad() ? b : Tensor<T>());
  }
  return y;
}

}  // namespace detail

/// a [M,K] times b [K,N] gives [M,N]. `precision` of float tensors, here and below: that of the
/// product and of its gradients; other tensors know their own alone.
template <class T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b, ProductPrecision precision) {
  return detail::matrix_product(detail::matmul_op<T>, false, false, a, b, precision);
}
/// a [M,K] times the transpose of b [N,K] gives [M,N].
template <class T>
Tensor<T> matmul_nt(const Tensor<T>& a, const Tensor<T>& b, ProductPrecision precision) {
  return detail::matrix_product(detail::matmul_nt_op<T>, false, true, a, b, precision);
}
/// The transpose of a [K,M] times b [K,N] gives [M,N].
template <class T>
Tensor<T> matmul_tn(const Tensor<T>& a, const Tensor<T>& b, ProductPrecision precision) {
  return detail::matrix_product(detail::matmul_tn_op<T>, true, false, a, b, precision);
}

/// [N,out], the shape of linear(x, weight).
inline Result<Shape> linear_shape(const Shape& x, const Shape& weight) {
  if (x.rank() != 2 || weight.rank() != 2 || x[1] != weight[1])
    return failure(ErrorCode::usage, "linear: weight ", weight, " expects x [N,",
                   weight.rank() == 2 ? weight[1] : Index{-1}, "], x is ", x);
  return Shape{x[0], weight[0]};
}

/// x [N,in] times the transpose of weight [out,in], plus bias [out] (may be undefined): [N,out].
template <class T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias = {},
                 ProductPrecision precision = {}) {
  linear_shape(x.shape(), weight.shape()).value();
  Tensor<T> y = matmul_nt(x, weight, precision);
  if (!bias.defined()) return y;
  if (!(bias.shape() == Shape{weight.shape()[0]}))
    fail("linear: weight ", weight.shape(), " expects bias [", weight.shape()[0], "], bias is ",
         bias.shape());
  return add(y, bias);
}

IOTSL_FLOAT(Tensor<float> matmul(const Tensor<float>&, const Tensor<float>&, ProductPrecision))
IOTSL_FLOAT(Tensor<float> matmul_nt(const Tensor<float>&, const Tensor<float>&, ProductPrecision))
IOTSL_FLOAT(Tensor<float> matmul_tn(const Tensor<float>&, const Tensor<float>&, ProductPrecision))
IOTSL_FLOAT(Tensor<float> linear(const Tensor<float>&, const Tensor<float>&, const Tensor<float>&,
                                 ProductPrecision))

IOTSL_NAMESPACE_END
