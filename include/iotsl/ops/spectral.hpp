#pragma once
// Spectral norm (Miyato et al. 2018): a weight divided by an estimate of its largest singular
// value.

#include "iotsl/kernels/spectral.hpp"
#include "iotsl/ops/matmul.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

/// The weight as a matrix [out, everything else].
template <class T>
Shape weight_matrix(const Tensor<T>& weight) {
  const Index out = weight.shape()[0];
  return Shape{out, weight.size() / out};
}

/// The same of a weight that `op` was given, with a pair of vectors that must fit it.
template <class T>
Shape checked_matrix(const char* op, const Tensor<T>& weight, const Tensor<T>& u,
                     const Tensor<T>& v) {
  if (weight.rank() < 2 || weight.size() == 0)
    fail(op, ": expects a weight [out,...] with elements, given ", weight.shape());
  const Shape matrix = weight_matrix(weight);
  if (!(u.shape() == Shape{matrix[0]}) || !(v.shape() == Shape{matrix[1]}))
    fail(op, ": weight ", weight.shape(), " expects u [", matrix[0], "] and v [", matrix[1],
         "], given ", u.shape(), " and ", v.shape());
  return matrix;
}

/// gW = (gy - <gy, y> u v^T) / sigma.
template <class T>
void spectral_norm_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const Tensor<T> w = node.saved(0), u = node.saved(1), v = node.saved(2);
  const Shape matrix = weight_matrix(w);
  if (is_recording()) {  // sigma depends on w: a composition of ops, for higher orders
    const Tensor<T> column = reshape(v, Shape{matrix[1], 1}), row = reshape(u, Shape{1, matrix[0]});
    const Tensor<T> flat = reshape(w, matrix), g = reshape(gy, matrix);
    const Tensor<T> sigma = matmul(row, matmul(flat, column));
    const Tensor<T> dot = div(sum(mul(g, flat)), sigma);
    const Tensor<T> outer =
        matmul(reshape(u, Shape{matrix[0], 1}), reshape(v, Shape{1, matrix[1]}));
    gx[0] = reshape(div(sub(g, mul(dot, outer)), sigma), w.shape());
    return;
  }
  const T sigma = *node.saved(3).data();
  const T dot = static_cast<T>(kernels::dot(w.size(), gy.data(), w.data())) / sigma;
  gx[0] = output_like(gy);
  kernels::rank_one(matrix[0], matrix[1], T(1) / sigma, gy.data(), -dot / sigma, u.data(), v.data(),
                    gx[0].mutable_data());
}
template <class T>
inline constexpr OpInfo<T> spectral_norm_op{"spectral_norm", &spectral_norm_vjp<T>};

}  // namespace detail

/// weight / sigma with sigma = u^T W v, where W [out, rest] is the weight as a matrix and u [out],
/// v [rest] estimate its largest singular pair (power_iteration keeps them). Gradient:
/// (gy - <gy, weight / sigma> u v^T) / sigma; u and v are constants, as in PyTorch. Raises an Error
/// for wrong shapes and where sigma is not above 0.
template <class T>
Tensor<T> spectral_norm(const Tensor<T>& weight, const Tensor<T>& u, const Tensor<T>& v) {
  const Shape matrix = detail::checked_matrix("spectral_norm", weight, u, v);
  const Scratch product(static_cast<std::size_t>(matrix[0]) * sizeof(T));
  kernels::matvec(matrix[0], matrix[1], weight.data(), v.data(), product.as<T>());
  const Tensor<T> sigma =
      Tensor<T>::scalar(static_cast<T>(kernels::dot(matrix[0], u.data(), product.as<T>())));
  if (!(*sigma.data() > T(0)))
    fail("spectral_norm: u^T W v is ", *sigma.data(), "; expected a positive number");
  Tensor<T> y = Tensor<T>::uninitialized(weight.shape());
  kernels::affine(weight.size(), T(1) / *sigma.data(), weight.data(), T(0), y.mutable_data());
  if (Node<T>* node = record(detail::spectral_norm_op<T>, y, weight)) {
    node->save(weight);
    node->save(u);
    node->save(v);
    node->save(sigma);
  }
  return y;
}

/// `iterations` times v = W^T u / |W^T u|, u = W v / |W v|, in place. Afterwards u^T W v approaches
/// the largest singular value of W from below. Raises an Error for wrong shapes.
template <class T>
void power_iteration(const Tensor<T>& weight, Tensor<T>& u, Tensor<T>& v, int iterations = 1) {
  const Shape matrix = detail::checked_matrix("power_iteration", weight, u, v);
  const auto normalize = [](Tensor<T>& x) {
    const auto length = scalar_math::sqrt(kernels::dot(x.size(), x.data(), x.data()));
    constexpr double least = 1e-12;  // as in PyTorch
    kernels::affine(x.size(), static_cast<T>(1 / (length > least ? length : least)), x.data(), T(0),
                    x.mutable_data());
  };
  for (int i = 0; i < iterations; ++i) {
    kernels::matvec_transposed(matrix[0], matrix[1], weight.data(), u.data(), v.mutable_data());
    normalize(v);
    kernels::matvec(matrix[0], matrix[1], weight.data(), v.data(), u.mutable_data());
    normalize(u);
  }
}

IOTSL_FLOAT(Tensor<float> spectral_norm(const Tensor<float>&, const Tensor<float>&,
                                        const Tensor<float>&))
IOTSL_FLOAT(void power_iteration(const Tensor<float>&, Tensor<float>&, Tensor<float>&, int))

IOTSL_NAMESPACE_END
