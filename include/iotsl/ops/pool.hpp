#pragma once
// Max pooling, average pooling and the global average.

#include "iotsl/kernels/pool.hpp"
#include "iotsl/ops/conv.hpp"
#include "iotsl/ops/reduce.hpp"

IOTSL_NAMESPACE_BEGIN

/// Window, stride and padding of a pool, as in PyTorch.
struct Pool2dOptions {
  Index kernel_h = 2, kernel_w = 2;
  Index stride_h = 2, stride_w = 2;
  Index pad_h = 0, pad_w = 0;
};

namespace detail {

/// Scatters gy to the positions that the pool has chosen; its adjoint gathers from them.
template <class T>
Tensor<T> max_pool2d_scatter(const Tensor<T>& gy, const kernels::PoolShape& shape, Buffer index);
template <class T>
Tensor<T> max_pool2d_gather(const Tensor<T>& gx, const kernels::PoolShape& shape, Buffer index);

inline const std::uint8_t* index_bytes(const Buffer& index) {
  return reinterpret_cast<const std::uint8_t*>(index.data());
}

template <class T>
void max_pool2d_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  gx[0] =
      max_pool2d_scatter(gy, node.template attributes<kernels::PoolShape>(), node.saved_bytes());
}
template <class T>
void max_pool2d_scatter_vjp(const Node<T>& node, Tensor<T>& gz, Tensor<T>* gx) {
  gx[0] = max_pool2d_gather(gz, node.template attributes<kernels::PoolShape>(), node.saved_bytes());
}
template <class T>
inline constexpr OpInfo<T> max_pool2d_op{"max_pool2d", &max_pool2d_vjp<T>};
template <class T>
inline constexpr OpInfo<T> max_pool2d_scatter_op{"max_pool2d_scatter", &max_pool2d_scatter_vjp<T>};
template <class T>
inline constexpr OpInfo<T> max_pool2d_gather_op{"max_pool2d_gather", &max_pool2d_vjp<T>};

template <class T>
Tensor<T> max_pool2d_scatter(const Tensor<T>& gy, const kernels::PoolShape& s, Buffer index) {
  Tensor<T> gx = Tensor<T>::uninitialized(Shape{s.n, s.c, s.h, s.w});
  kernels::max_pool2d_grad(s, gy.data(), index_bytes(index), gx.mutable_data());
  if (Node<T>* node = record(max_pool2d_scatter_op<T>, gx, gy)) {
    node->set_attributes(s);
    node->save_bytes(std::move(index));
  }
  return gx;
}

template <class T>
Tensor<T> max_pool2d_gather(const Tensor<T>& gx, const kernels::PoolShape& s, Buffer index) {
  Tensor<T> y = Tensor<T>::uninitialized(Shape{s.n, s.c, s.p, s.q});
  kernels::max_pool2d_gather(s, gx.data(), index_bytes(index), y.mutable_data());
  if (Node<T>* node = record(max_pool2d_gather_op<T>, y, gx)) {
    node->set_attributes(s);
    node->save_bytes(std::move(index));
  }
  return y;
}

/// [N,C,P,Q] of windows over x; a failure where they do not fit it.
template <class Options>
Result<Shape> window_shape(const char* op, const Shape& x, const Options& o) {
  if (x.rank() != 4) return failure(ErrorCode::usage, op, ": expects x [N,C,H,W], given ", x);
  if (x[2] < 1 || x[3] < 1) return failure(ErrorCode::usage, op, ": x ", x, " has no pixels");
  if (o.kernel_h < 1 || o.kernel_w < 1 || o.stride_h < 1 || o.stride_w < 1 || o.pad_h < 0 ||
      o.pad_w < 0 || o.pad_h > o.kernel_h / 2 || o.pad_w > o.kernel_w / 2)
    return failure(ErrorCode::usage, op, ": kernel ", o.kernel_h, "x", o.kernel_w, ", stride ",
                   o.stride_h, "x", o.stride_w, ", padding ", o.pad_h, "x", o.pad_w,
                   "; expected kernel and stride at least 1 and padding at most half the kernel");
  for (const Index given : {o.kernel_h, o.kernel_w, o.stride_h, o.stride_w})
    if (given > most_window)
      return failure(ErrorCode::usage, op, ": kernel or stride of ", given, "; expected at most ",
                     most_window);
  if (x[2] + 2 * o.pad_h < o.kernel_h || x[3] + 2 * o.pad_w < o.kernel_w)
    return failure(ErrorCode::usage, op, ": kernel ", o.kernel_h, "x", o.kernel_w,
                   " does not fit x ", x, " padded by ", o.pad_h, "x", o.pad_w);
  return Shape{x[0], x[1], (x[2] + 2 * o.pad_h - o.kernel_h) / o.stride_h + 1,
               (x[3] + 2 * o.pad_w - o.kernel_w) / o.stride_w + 1};
}

/// The shape of max_pool2d(x); a failure where it does not take x.
inline Result<kernels::PoolShape> pool_shape(const Shape& x, const Pool2dOptions& o) {
  const Result<Shape> y = window_shape("max_pool2d", x, o);
  if (!y) return y.failure();
  if (o.kernel_h * o.kernel_w > 255)
    return failure(ErrorCode::usage, "max_pool2d: kernel ", o.kernel_h, "x", o.kernel_w,
                   " has more than 255 positions");
  return kernels::PoolShape{.n = x[0],
                            .c = x[1],
                            .h = x[2],
                            .w = x[3],
                            .p = (*y)[2],
                            .q = (*y)[3],
                            .kernel_h = o.kernel_h,
                            .kernel_w = o.kernel_w,
                            .stride_h = o.stride_h,
                            .stride_w = o.stride_w,
                            .pad_h = o.pad_h,
                            .pad_w = o.pad_w};
}

}  // namespace detail

/// [N,C,P,Q], the shape of max_pool2d(x, options).
inline Result<Shape> max_pool2d_shape(const Shape& x, const Pool2dOptions& options = {}) {
  const Result<kernels::PoolShape> s = detail::pool_shape(x, options);
  if (!s) return s.failure();
  return Shape{s->n, s->c, s->p, s->q};
}

/// Largest value of each window: [N,C,H,W] to [N,C,P,Q], P = (H + 2 pad_h - kernel_h)/stride_h + 1.
/// Padding never wins; of equal values the first in row order does. Saves one byte per output.
template <class T>
Tensor<T> max_pool2d(const Tensor<T>& x, Pool2dOptions options = {}) {
  const kernels::PoolShape shape = detail::pool_shape(x.shape(), options).value();
  Tensor<T> y = Tensor<T>::uninitialized(Shape{shape.n, shape.c, shape.p, shape.q});
  Buffer index(static_cast<std::size_t>(y.size()));
  kernels::max_pool2d(shape, x.data(), y.mutable_data(),
                      reinterpret_cast<std::uint8_t*>(index.data()));
  if (Node<T>* node = record(detail::max_pool2d_op<T>, y, x)) {
    node->set_attributes(shape);
    node->save_bytes(std::move(index));
  }
  return y;
}

/// Windows as those of max pooling. Padding counts as zeros; with `count_include_pad` the sum is
/// divided by all positions of the window, else by those inside the image.
struct AvgPool2dOptions {
  Index kernel_h = 2, kernel_w = 2;
  Index stride_h = 2, stride_w = 2;
  Index pad_h = 0, pad_w = 0;
  bool count_include_pad = true;
};

/// [N,C,P,Q], the shape of avg_pool2d(x); a failure where the windows do not fit x.
inline Result<Shape> avg_pool2d_shape(const Shape& x, const AvgPool2dOptions& o = {}) {
  if (x.rank() == 4 && x[1] < 1)
    return failure(ErrorCode::usage, "avg_pool2d: expects x [N,C,H,W] with channels, given ", x);
  return detail::window_shape("avg_pool2d", x, o);
}

namespace detail {

/// Positions of the window of output `out` that lie inside an axis of `extent`.
inline Index inside_window(Index out, Index kernel, Index stride, Index pad, Index extent) {
  const Index begin = out * stride - pad;
  return std::min(begin + kernel, extent) - std::max<Index>(begin, 0);
}

}  // namespace detail

/// Mean of each window: [N,C,H,W] to [N,C,P,Q], P = (H + 2 pad_h - kernel_h) / stride_h + 1. It is
/// the depthwise convolution with equal weights, and so are its gradients.
template <class T>
Tensor<T> avg_pool2d(const Tensor<T>& x, AvgPool2dOptions o = {}) {
  const Shape out = avg_pool2d_shape(x.shape(), o).value();
  const Index channels = x.shape()[1];
  const Conv2dOptions windows{.stride_h = o.stride_h,
                              .stride_w = o.stride_w,
                              .pad_h = o.pad_h,
                              .pad_w = o.pad_w,
                              .groups = channels};
  const Shape weight{channels, 1, o.kernel_h, o.kernel_w};
  const T area = static_cast<T>(o.kernel_h * o.kernel_w);
  if (o.count_include_pad || (o.pad_h == 0 && o.pad_w == 0))
    return conv2d(x, Tensor<T>::full(weight, T(1) / area), Tensor<T>(), windows);
  Tensor<T> inverse = Tensor<T>::uninitialized(Shape{out[2], out[3]});
  T* to = inverse.mutable_data();
  for (Index p = 0; p < out[2]; ++p)
    for (Index q = 0; q < out[3]; ++q)
      *to++ = T(1) / static_cast<T>(
                         detail::inside_window(p, o.kernel_h, o.stride_h, o.pad_h, x.shape()[2]) *
                         detail::inside_window(q, o.kernel_w, o.stride_w, o.pad_w, x.shape()[3]));
  return mul(conv2d(x, Tensor<T>::full(weight, T(1)), Tensor<T>(), windows), inverse);
}

/// [N,C], the shape of global_avg_pool2d(x).
inline Result<Shape> global_avg_pool2d_shape(const Shape& x) {
  if (x.rank() != 4)
    return failure(ErrorCode::usage, "global_avg_pool2d: expects x [N,C,H,W], given ", x);
  return Shape{x[0], x[1]};
}

/// Mean of each channel: [N,C,H,W] to [N,C].
template <class T>
Tensor<T> global_avg_pool2d(const Tensor<T>& x) {
  global_avg_pool2d_shape(x.shape()).value();
  return mean(x, {2, 3});
}

IOTSL_FLOAT(Tensor<float> max_pool2d(const Tensor<float>&, Pool2dOptions))
IOTSL_FLOAT(Tensor<float> avg_pool2d(const Tensor<float>&, AvgPool2dOptions))
IOTSL_FLOAT(Tensor<float> global_avg_pool2d(const Tensor<float>&))

IOTSL_NAMESPACE_END
