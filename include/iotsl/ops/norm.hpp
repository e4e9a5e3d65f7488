#pragma once
// Batch normalisation (Ioffe, Szegedy 2015) as in PyTorch.

#include "iotsl/core/scalar_math.hpp"
#include "iotsl/kernels/norm/norm.hpp"
#include "iotsl/ops/elementwise.hpp"
#include "iotsl/ops/view.hpp"

// In a region, outside of which some compilers fuse these products with the sum.
IOTSL_REGION_BEGIN(IOTSL_TARGET_0)
IOTSL_NAMESPACE_BEGIN
namespace detail {
/// keep * old + take * value
[[gnu::noinline]] inline double blend(double keep, double old, double take, double value) {
  return keep * old + take * value;
}
}  // namespace detail
IOTSL_NAMESPACE_END
IOTSL_REGION_END

IOTSL_NAMESPACE_BEGIN

/// How batch_norm2d normalises; the defaults are those of PyTorch.
struct BatchNormOptions {
  bool training = true;
  double momentum = 0.1;
  double eps = 1e-5;
};

namespace detail {

/// HW of [N,C,H,W], 1 of [N,C].
inline Index map_size(const Shape& s) { return s.rank() == 4 ? s[2] * s[3] : 1; }
/// [N,C] or [N,C,H,W] as [N,C,HW].
template <class T>
Tensor<T> as_channels(const Tensor<T>& x) {
  const Shape& s = x.shape();
  return reshape(x, Shape{s[0], s[1], map_size(s)});
}
template <class T>
Tensor<T> per_channel(const Tensor<T>& v) {
  return reshape(v, Shape{1, v.size(), 1});
}

/// The gradient in training mode as a composition of ops, for higher orders:
///   gx = gamma inv (gy - mean(gy) - xhat mean(gy xhat)), where mean and inv depend on x.
template <class T>
void batch_norm_composed(const Node<T>& node, double eps, const Tensor<T>& gy4, Tensor<T>* gx) {
  const Tensor<T> x = as_channels(node.saved(0)), gamma = per_channel(node.saved(1));
  const Tensor<T> gy = as_channels(gy4);
  const Tensor<T> centred = sub(x, mean(x, {0, 2}, true));
  const Tensor<T> inv = rsqrt(add_scalar(mean(square(centred), {0, 2}, true), static_cast<T>(eps)));
  const Tensor<T> normal = mul(centred, inv);
  const Tensor<T> gy_normal = mul(gy, normal);
  if (node.wants(0)) {
    const Tensor<T> inner =
        sub(sub(gy, mean(gy, {0, 2}, true)), mul(normal, mean(gy_normal, {0, 2}, true)));
    gx[0] = reshape(mul(mul(gamma, inv), inner), gy4.shape());
  }
  if (node.wants(1)) gx[1] = sum(gy_normal, {0, 2});
  if (node.wants(2)) gx[2] = sum(gy, {0, 2});
}

template <class T>
void batch_norm_train_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  if (is_recording()) return batch_norm_composed(node, node.template attributes<double>(), gy, gx);
  const Tensor<T> x = node.saved(0), gamma = node.saved(1);
  const Index n = x.shape()[0], c = x.shape()[1];
  gx[0] = Tensor<T>::uninitialized(x.shape());
  gx[1] = Tensor<T>::uninitialized(Shape{c});
  gx[2] = Tensor<T>::uninitialized(Shape{c});
  kernels::batch_norm_grad(n, c, map_size(x.shape()), x.data(), gy.data(), node.saved(2).data(),
                           node.saved(3).data(), gamma.data(), gx[0].mutable_data(),
                           gx[1].mutable_data(), gx[2].mutable_data());
}

template <class T>
void batch_norm_eval_vjp(const Node<T>& node, Tensor<T>& gy4, Tensor<T>* gx) {
  const Tensor<T> gy = as_channels(gy4);
  const Tensor<T> inv = per_channel(node.saved(3));
  if (node.wants(0)) gx[0] = reshape(mul(gy, mul(per_channel(node.saved(1)), inv)), gy4.shape());
  if (node.wants(1)) {
    const Tensor<T> normal = mul(sub(as_channels(node.saved(0)), per_channel(node.saved(2))), inv);
    gx[1] = sum(mul(gy, normal), {0, 2});
  }
  if (node.wants(2)) gx[2] = sum(gy, {0, 2});
}

template <class T>
inline constexpr OpInfo<T> batch_norm_train_op{"batch_norm2d", &batch_norm_train_vjp<T>};
template <class T>
inline constexpr OpInfo<T> batch_norm_eval_op{"batch_norm2d", &batch_norm_eval_vjp<T>};

}  // namespace detail

/// The shape of batch_norm2d(x) with parameters of `channels` values: that of x.
inline Result<Shape> batch_norm2d_shape(const Shape& x, Index channels) {
  if (x.rank() != 4 && x.rank() != 2)
    return failure(ErrorCode::usage, "batch_norm2d: expects x [N,C,H,W] or [N,C], given ", x);
  if (x[1] != channels)
    return failure(ErrorCode::usage, "batch_norm2d: x ", x, " expects parameters of shape [", x[1],
                   "], given [", channels, "]");
  return x;
}

namespace detail {

struct NormSizes {
  Index n, c, hw;
  Index count() const { return n * hw; }  ///< values of a channel
};

/// Raises an Error where batch_norm2d does not take these.
template <class T>
NormSizes check_batch_norm(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta,
                           const Tensor<T>& running_mean, const Tensor<T>& running_var,
                           bool training) {
  const Shape& s = x.shape();
  batch_norm2d_shape(s, gamma.size()).value();
  for (const Tensor<T>* t : {&gamma, &beta, &running_mean, &running_var})
    if (!(t->shape() == Shape{s[1]}))
      fail("batch_norm2d: x ", s, " expects parameters of shape [", s[1], "], given ", t->shape());
  const NormSizes sizes{s[0], s[1], map_size(s)};
  if (training && sizes.count() < 2)
    fail("batch_norm2d: x ", s, " has ", sizes.count(),
         " value per channel; training needs at least 2");
  return sizes;
}

/// running = (1 - momentum) running + momentum * value, with the unbiased variance.
template <class T>
void update_running(const NormSizes& sizes, double momentum, const Tensor<T>& mean,
                    const Tensor<T>& var, Tensor<T>& running_mean, Tensor<T>& running_var) {
  const auto update = [&](Tensor<T>& running, const Tensor<T>& value, double factor) {
    T* to = running.mutable_data();
    for (Index i = 0; i < running.size(); ++i)
      to[i] = static_cast<T>(blend(1 - momentum, static_cast<double>(to[i]), momentum * factor,
                                   static_cast<double>(value.data()[i])));
  };
  const double count = static_cast<double>(sizes.count());
  update(running_mean, mean, 1.0);
  update(running_var, var, count / (count - 1));
}

/// 1 / sqrt(var + eps)
template <class T>
Tensor<T> inverse_deviation(const Tensor<T>& var, double eps) {
  Tensor<T> out = Tensor<T>::uninitialized(var.shape());
  T* inverse = out.mutable_data();
  for (Index i = 0; i < var.size(); ++i)
    inverse[i] = static_cast<T>(T(1) / scalar_math::sqrt(var.data()[i] + static_cast<T>(eps)));
  return out;
}

}  // namespace detail

/// y = gamma (x - mean) / sqrt(var + eps) + beta per channel; x is [N,C,H,W] or [N,C], all others
/// [C]. In training mean and (biased) variance are the batch's, and the running statistics move
/// towards them by `momentum` (with the unbiased variance), in place; otherwise the running
/// statistics are used. Raises an Error for wrong shapes and, in training, for a single value per
/// channel.
template <class T>
Tensor<T> batch_norm2d(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta,
                       Tensor<T>& running_mean, Tensor<T>& running_var,
                       BatchNormOptions options = {}) {
  const auto sizes =
      detail::check_batch_norm(x, gamma, beta, running_mean, running_var, options.training);
  Tensor<T> mean = running_mean.detach(), var = running_var;
  if (options.training) {
    mean = Tensor<T>::uninitialized(gamma.shape());
    var = Tensor<T>::uninitialized(gamma.shape());
    kernels::batch_norm_stats(sizes.n, sizes.c, sizes.hw, x.data(), mean.mutable_data(),
                              var.mutable_data());
    detail::update_running(sizes, options.momentum, mean, var, running_mean, running_var);
  }
  const Tensor<T> inv_std = detail::inverse_deviation(var, options.eps);
  Tensor<T> y = Tensor<T>::uninitialized(x.shape());
  kernels::batch_norm_apply(sizes.n, sizes.c, sizes.hw, x.data(), mean.data(), inv_std.data(),
                            gamma.data(), beta.data(), y.mutable_data());
  const OpInfo<T>& op =
      options.training ? detail::batch_norm_train_op<T> : detail::batch_norm_eval_op<T>;
  if (Node<T>* node = record(op, y, x, gamma, beta)) {
    node->set_attributes(options.eps);
    node->save(x);
    node->save(gamma);
    // The running mean may move before the gradient is taken.
    node->save(options.training ? mean : mean.clone());
    node->save(inv_std);
  }
  return y;
}

IOTSL_FLOAT(Tensor<float> batch_norm2d(const Tensor<float>&, const Tensor<float>&,
                                       const Tensor<float>&, Tensor<float>&, Tensor<float>&,
                                       BatchNormOptions))

IOTSL_NAMESPACE_END
