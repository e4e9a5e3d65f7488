#pragma once
// Norms of vectors: pixel norm over channels, and the norm of each sample.

#include "iotsl/kernels/norm/pixel_norm.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/view.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

template <class T>
void pixel_norm_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const Tensor<T> x = node.saved(0);
  const Shape& s = x.shape();
  if (is_recording()) {  // the same as a composition of ops, for higher orders
    const Tensor<T> eps = Tensor<T>::scalar(static_cast<T>(node.template attributes<double>()));
    const Tensor<T> inv = rsqrt(add(mean(square(x), {1}, true), eps));
    const Tensor<T> dot = mean(mul(gy, x), {1}, true);
    gx[0] = sub(mul(gy, inv), mul(x, mul(mul(square(inv), inv), dot)));
    return;
  }
  gx[0] = output_like(gy);
  kernels::pixel_norm_grad(s[0], s[1], s[2] * s[3], x.data(), node.saved(1).data(), gy.data(),
                           gx[0].mutable_data());
}
template <class T>
inline constexpr OpInfo<T> pixel_norm_op{"pixel_norm", &pixel_norm_vjp<T>};

}  // namespace detail

/// That of x [N,C,H,W]; a failure where x is none.
inline Result<Shape> pixel_norm_shape(const Shape& x) {
  if (x.rank() == 4 && x[1] >= 1) return x;
  return failure(ErrorCode::usage, "pixel_norm: expects x [N,C,H,W], given ", x);
}

/// y[n,c,h,w] = x[n,c,h,w] / sqrt(mean over c of x[n,c,h,w]^2 + eps) (Karras et al. 2018, section
/// 4.2; eps as in GS-WGAN). Gradient: inv gy - x inv^3 mean_c(gy x). Raises an Error where x is not
/// [N,C,H,W].
template <class T>
Tensor<T> pixel_norm(const Tensor<T>& x, double eps = 1e-10) {
  const Shape s = pixel_norm_shape(x.shape()).value();
  Tensor<T> y = Tensor<T>::uninitialized(s);
  Tensor<T> inv = Tensor<T>::uninitialized(Shape{s[0], s[2], s[3]});
  kernels::pixel_norm(s[0], s[1], s[2] * s[3], eps, x.data(), inv.mutable_data(), y.mutable_data());
  if (Node<T>* node = record(detail::pixel_norm_op<T>, y, x)) {
    node->set_attributes(eps);
    node->save(x);
    node->save(inv);
  }
  return y;
}

/// Euclidean norm of each sample: x [N,...] gives [N], sqrt(sum of squares + eps). With an eps
/// above 0 the gradient is finite at 0 as well.
template <class T>
Tensor<T> row_norm(const Tensor<T>& x, double eps) {
  return sqrt(add_scalar(sum(square(flatten(x)), {1}), static_cast<T>(eps)));
}

IOTSL_FLOAT(Tensor<float> pixel_norm(const Tensor<float>&, double))
IOTSL_FLOAT(Tensor<float> row_norm(const Tensor<float>&, double))

IOTSL_NAMESPACE_END
