#pragma once
// Batch normalisation with what nearly always follows it, a ReLU and perhaps a pool, as one
// operation: each value is read from memory once per direction instead of once per operation, and
// what lies between them is not kept. Values and gradients are those of the operations one after
// the other, to the bit.

#include <optional>

#include "iotsl/ops/activation.hpp"
#include "iotsl/ops/norm.hpp"
#include "iotsl/ops/pool.hpp"

IOTSL_NAMESPACE_BEGIN

namespace detail {

struct NormReluAttributes {
  double eps;
  bool pools;
  kernels::PoolShape pool;
};

inline void batch_norm_relu_vjp(const Node<float>& node, Tensor<float>& gy, Tensor<float>* gx) {
  const auto a = node.attributes<NormReluAttributes>();
  const Tensor<float> x = node.saved(0), gamma = node.saved(1), beta = node.saved(2);
  const Shape& s = x.shape();
  const kernels::NormInput in{
      s[0],         s[1],        s[2] * s[3],          x.data(),
      gamma.data(), beta.data(), node.saved(3).data(), node.saved(4).data()};
  if (is_recording()) {
    // The ReLU's mask is a constant: its own derivative is zero almost everywhere.
    Tensor<float> y = Tensor<float>::uninitialized(s);
    kernels::batch_norm_relu(in, nullptr, y.mutable_data());
    const Tensor<float> arriving =
        a.pools ? max_pool2d_scatter(gy, a.pool, node.saved_bytes()) : gy;
    return batch_norm_composed(node, a.eps, relu_grad(arriving, y), gx);
  }
  gx[1] = Tensor<float>::uninitialized(gamma.shape());
  gx[2] = Tensor<float>::uninitialized(gamma.shape());
  float *ggamma = gx[1].mutable_data(), *gbeta = gx[2].mutable_data();
  if (a.pools) {
    gx[0] = Tensor<float>::uninitialized(s);
    kernels::batch_norm_relu_pool_grad(in, a.pool, gy.data(), index_bytes(node.saved_bytes()),
                                       gx[0].mutable_data(), ggamma, gbeta);
  } else {
    gx[0] = output_like(gy);
    kernels::batch_norm_relu_grad(in, gy.data(), gx[0].mutable_data(), ggamma, gbeta);
  }
}
inline constexpr OpInfo<float> batch_norm_relu_op{"batch_norm2d_relu", &batch_norm_relu_vjp};

/// `pool`: null for none; else of 2x2 windows at stride 2.
inline Tensor<float> batch_norm_relu(const Tensor<float>& x, const Tensor<float>& gamma,
                                     const Tensor<float>& beta, Tensor<float>& running_mean,
                                     Tensor<float>& running_var, const BatchNormOptions& options,
                                     const kernels::PoolShape* pool) {
  const NormSizes sizes =
      check_batch_norm(x, gamma, beta, running_mean, running_var, options.training);
  Tensor<float> mean = running_mean.detach(), var, inv_std;
  std::optional<kernels::BatchStatistics> found;
  if (options.training) {
    for (Tensor<float>* t : {&mean, &var, &inv_std})
      *t = Tensor<float>::uninitialized(gamma.shape());
    found = {mean.mutable_data(), inv_std.mutable_data(), var.mutable_data(),
             static_cast<float>(options.eps)};
  } else {
    inv_std = inverse_deviation(running_var, options.eps);
  }
  const kernels::NormInput in{sizes.n,      sizes.c,     sizes.hw,    x.data(),
                              gamma.data(), beta.data(), mean.data(), inv_std.data()};
  const kernels::BatchStatistics* const statistics = found ? &*found : nullptr;
  Tensor<float> y = Tensor<float>::uninitialized(
      pool == nullptr ? x.shape() : Shape{pool->n, pool->c, pool->p, pool->q});
  Buffer index;
  if (pool == nullptr) {
    kernels::batch_norm_relu(in, statistics, y.mutable_data());
  } else {
    index = Buffer(static_cast<std::size_t>(y.size()));
    kernels::batch_norm_relu_pool(in, statistics, *pool, y.mutable_data(),
                                  reinterpret_cast<std::uint8_t*>(index.data()));
  }
  if (options.training)
    update_running(sizes, options.momentum, mean, var, running_mean, running_var);
  if (Node<float>* node = record(batch_norm_relu_op, y, x, gamma, beta)) {
    node->set_attributes(NormReluAttributes{options.eps, pool != nullptr,
                                            pool == nullptr ? kernels::PoolShape{} : *pool});
    for (const Tensor<float>& t : {x, gamma, beta, mean, inv_std}) node->save(t);
    node->save_bytes(std::move(index));
  }
  return y;
}

/// Whether one operation does it: planes of float, and no gradient of running statistics.
template <class T>
bool is_one_pass(const Tensor<T>& x, const BatchNormOptions& options) {
  return std::is_same_v<T, float> && x.shape().rank() == 4 && x.shape()[2] * x.shape()[3] > 1 &&
         (options.training || !is_recording());
}

}  // namespace detail

/// relu(batch_norm2d(...)), with the same arguments and errors. In training on maps of more than
/// one pixel, and wherever no graph is recorded, each channel's passes follow each other in the
/// cache, and of what the ReLU has done nothing is kept.
template <class T>
Tensor<T> batch_norm2d_relu(const Tensor<T>& x, const Tensor<T>& gamma, const Tensor<T>& beta,
                            Tensor<T>& running_mean, Tensor<T>& running_var,
                            BatchNormOptions options = {}) {
  if constexpr (std::is_same_v<T, float>) {
    if (detail::is_one_pass(x, options))
      return detail::batch_norm_relu(x, gamma, beta, running_mean, running_var, options, nullptr);
  }
  return relu(batch_norm2d(x, gamma, beta, running_mean, running_var, options));
}

/// max_pool2d(relu(batch_norm2d(...)), pool), likewise, but that a pool which does not fit x is
/// noticed first; in one pass where the pool is of 2x2 windows at stride 2, which keeps one byte
/// for each of its outputs and no map between.
template <class T>
Tensor<T> batch_norm2d_relu_max_pool2d(const Tensor<T>& x, const Tensor<T>& gamma,
                                       const Tensor<T>& beta, Tensor<T>& running_mean,
                                       Tensor<T>& running_var, BatchNormOptions options = {},
                                       Pool2dOptions pool = {}) {
  if constexpr (std::is_same_v<T, float>) {
    const auto shape = detail::pool_shape(x.shape(), pool).value();
    if (detail::is_one_pass(x, options) && kernels::detail::is_pool_2x2(shape))
      return detail::batch_norm_relu(x, gamma, beta, running_mean, running_var, options, &shape);
  }
  return max_pool2d(batch_norm2d_relu(x, gamma, beta, running_mean, running_var, options), pool);
}

IOTSL_FLOAT(Tensor<float> batch_norm2d_relu(const Tensor<float>&, const Tensor<float>&,
                                            const Tensor<float>&, Tensor<float>&, Tensor<float>&,
                                            BatchNormOptions))
IOTSL_FLOAT(Tensor<float> batch_norm2d_relu_max_pool2d(const Tensor<float>&, const Tensor<float>&,
                                                       const Tensor<float>&, Tensor<float>&,
                                                       Tensor<float>&, BatchNormOptions,
                                                       Pool2dOptions))

IOTSL_NAMESPACE_END
