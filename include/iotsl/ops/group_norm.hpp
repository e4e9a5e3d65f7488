#pragma once
// Normalisation within a sample, which needs no batch: over groups of channels (Wu, He 2018) and
// over the last dimensions (Ba, Kiros, Hinton 2016), as in PyTorch.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/norm/norm.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/view.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

struct RowNormAttributes {
  Index rows;  ///< x is [rows, values], each row normalised on its own
  double eps;
  Shape scale_shape;  ///< how gamma and beta broadcast over x
};

/// (x - mean) / sqrt(var + eps) of each row; without a graph. inv_std is [rows].
template <class T>
Tensor<T> normalised(const Tensor<T>& x, const Tensor<T>& mean, const Tensor<T>& inv_std) {
  const Index rows = mean.size();
  const Tensor<T> one = Tensor<T>::full(Shape{rows}, T(1)), none = Tensor<T>::zeros(Shape{rows});
  Tensor<T> y = Tensor<T>::uninitialized(x.shape());
  if (rows > 0)
    kernels::batch_norm_apply(1, rows, x.size() / rows, x.data(), mean.data(), inv_std.data(),
                              one.data(), none.data(), y.mutable_data());
  return y;
}

/// gx = inv (g - mean(g) - xhat mean(g xhat)) with g = gy gamma and means over the row. In a
/// recorded walk xhat and inv are compositions of ops on x, for higher orders.
template <class T>
void row_norm_affine_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto a = node.template attributes<RowNormAttributes>();
  if (a.rows == 0) {
    for (int i = 0; i < 3; ++i) gx[i] = Tensor<T>::zeros(node.saved(i > 0 ? 1 : 0).shape());
    return;
  }
  const Tensor<T> x = node.saved(0), gamma = reshape(node.saved(1), a.scale_shape);
  const Shape param = node.saved(1).shape();
  const Index values = x.size() / a.rows;
  const Shape as_rows{a.rows, values};
  Tensor<T> inv, normal;
  if (is_recording()) {
    const Tensor<T> row = reshape(x, as_rows);
    const Tensor<T> centred = sub(row, mean(row, {1}, true));
    inv = rsqrt(add_scalar(mean(square(centred), {1}, true), static_cast<T>(a.eps)));
    normal = reshape(mul(centred, inv), x.shape());
  } else if (node.wants(1)) {
    normal = normalised(x, node.saved(2), node.saved(3));
  }
  if (node.wants(1)) gx[1] = reshape(sum_to(mul(gy, normal), a.scale_shape), param);
  if (node.wants(2)) gx[2] = reshape(sum_to(gy, a.scale_shape), param);
  if (!node.wants(0)) return;
  const Tensor<T> g = mul(gy, gamma);
  if (is_recording()) {
    const Tensor<T> g_row = reshape(g, as_rows), normal_row = reshape(normal, as_rows);
    const Tensor<T> along = mul(normal_row, mean(mul(g_row, normal_row), {1}, true));
    const Tensor<T> inner = sub(sub(g_row, mean(g_row, {1}, true)), along);
    gx[0] = reshape(mul(inv, inner), x.shape());
    return;
  }
  gx[0] = Tensor<T>::uninitialized(x.shape());
  const Tensor<T> one = Tensor<T>::full(Shape{a.rows}, T(1));
  Tensor<T> dot = Tensor<T>::uninitialized(Shape{a.rows}), total = dot.clone();
  kernels::batch_norm_grad(1, a.rows, values, x.data(), g.data(), node.saved(2).data(),
                           node.saved(3).data(), one.data(), gx[0].mutable_data(),
                           dot.mutable_data(), total.mutable_data());
}
template <class T>
inline constexpr OpInfo<T> group_norm_op{"group_norm", &row_norm_affine_vjp<T>};
template <class T>
inline constexpr OpInfo<T> layer_norm_op{"layer_norm", &row_norm_affine_vjp<T>};

template <class T>
Tensor<T> row_norm_affine(const OpInfo<T>& op, const Tensor<T>& x, const Tensor<T>& gamma,
                          const Tensor<T>& beta, const RowNormAttributes& a) {
  Tensor<T> mean = Tensor<T>::zeros(Shape{a.rows}), inv_std = mean.clone();
  if (a.rows > 0)
    kernels::batch_norm_stats(1, a.rows, x.size() / a.rows, x.data(), mean.mutable_data(),
                              inv_std.mutable_data());
  T* inverse = inv_std.mutable_data();
  for (Index i = 0; i < a.rows; ++i)
    inverse[i] = T(1) / scalar_math::sqrt(inverse[i] + static_cast<T>(a.eps));
  Tensor<T> y = normalised(x, mean, inv_std);
  const auto extents = x.shape().padded();
  const auto dense = broadcast_strides(x.shape()), repeated = broadcast_strides(a.scale_shape);
  kernels::binary_broadcast(kernels::Binary::mul, extents.data(), y.data(), dense.data(),
                            gamma.data(), repeated.data(), y.mutable_data());
  kernels::binary_broadcast(kernels::Binary::add, extents.data(), y.data(), dense.data(),
                            beta.data(), repeated.data(), y.mutable_data());
  if (Node<T>* node = record(op, y, x, gamma, beta)) {
    node->set_attributes(a);
    node->save(x);
    node->save(gamma);
    node->save(mean);
    node->save(inv_std);
  }
  return y;
}

/// The last dimensions of x are those of `last`.
inline bool ends_with(const Shape& x, const Shape& last) {
  if (last.rank() < 1 || last.rank() > x.rank()) return false;
  for (int d = 0; d < last.rank(); ++d)
    if (x[x.rank() - last.rank() + d] != last[d]) return false;
  return true;
}

}  // namespace detail

/// The shape of group_norm(x, groups, ...) with parameters of `channels` values, that of x; a
/// failure where they do not fit each other.
inline Result<Shape> group_norm_shape(const Shape& x, Index groups, Index channels) {
  if (x.rank() < 2) return failure(ErrorCode::usage, "group_norm: expects x [N,C,...], given ", x);
  if (x[1] != channels)
    return failure(ErrorCode::usage, "group_norm: x ", x, " expects parameters of shape [", x[1],
                   "], given [", channels, "]");
  if (groups < 1 || channels % groups != 0)
    return failure(ErrorCode::usage, "group_norm: ", groups, " groups; expected a divisor of ",
                   channels, " channels");
  if (x[1] < 1 || (x[0] > 0 && x.elements() == 0))
    return failure(ErrorCode::usage, "group_norm: x ", x, " has no values to normalise");
  return x;
}

/// y = gamma (x - mean) / sqrt(var + eps) + beta with mean and biased variance of each sample's
/// group of C / groups channels; x is [N,C,...], gamma and beta [C]. Raises an Error for wrong
/// shapes.
template <class T>
Tensor<T> group_norm(const Tensor<T>& x, Index groups, const Tensor<T>& gamma,
                     const Tensor<T>& beta, double eps = 1e-5) {
  for (const Tensor<T>* t : {&gamma, &beta})
    if (t->rank() != 1) fail("group_norm: expects parameters of shape [C], given ", t->shape());
  for (const Tensor<T>* t : {&gamma, &beta}) group_norm_shape(x.shape(), groups, t->size()).value();
  Shape scale{x.shape()[1]};
  for (int d = 2; d < x.rank(); ++d) scale.push_back(1);
  return detail::row_norm_affine(detail::group_norm_op<T>, x, gamma, beta,
                                 {x.shape()[0] * groups, eps, scale});
}

/// The shape of layer_norm(x, ...) with parameters of shape `last`, that of x; a failure where x
/// does not end with it.
inline Result<Shape> layer_norm_shape(const Shape& x, const Shape& last) {
  if (!detail::ends_with(x, last) || last.elements() == 0)
    return failure(ErrorCode::usage, "layer_norm: x ", x, " and parameters ", last,
                   "; expected the last dimensions of x, with elements");
  return x;
}

/// y = gamma (x - mean) / sqrt(var + eps) + beta with mean and biased variance over the last
/// dimensions of x, which are those of gamma and beta. Raises an Error for wrong shapes.
template <class T>
Tensor<T> layer_norm(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta,
                     double eps = 1e-5) {
  for (const Tensor<T>* t : {&gamma, &beta}) layer_norm_shape(x.shape(), t->shape()).value();
  if (!(gamma.shape() == beta.shape()))
    fail("layer_norm: weight ", gamma.shape(), " and bias ", beta.shape(), "; expected one shape");
  return detail::row_norm_affine(detail::layer_norm_op<T>, x, gamma, beta,
                                 {x.size() / gamma.size(), eps, gamma.shape()});
}

IOTSL_FLOAT(Tensor<float> group_norm(const Tensor<float>&, Index, const Tensor<float>&,
                                     const Tensor<float>&, double))
IOTSL_FLOAT(Tensor<float> layer_norm(const Tensor<float>&, const Tensor<float>&,
                                     const Tensor<float>&, double))

IOTSL_NAMESPACE_END
