#pragma once
// Convolution: a triple closed under differentiation. Letters: N batch, C input channels, H W input
// size, K output channels, R S kernel size, P Q output size, G groups of channels.

#include "iotsl/kernels/conv2d/conv2d.hpp"
#include "iotsl/ops/conv_groups.hpp"
#include "iotsl/ops/conv_options.hpp"
#include "iotsl/ops/reduce.hpp"
#include "iotsl/ops/view.hpp"

IOTSL_NAMESPACE_BEGIN

template <class T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias = {},
                 Conv2dOptions options = {});
template <class T>
Tensor<T> conv2d_weight_grad(const Tensor<T>& x, const Tensor<T>& gy, Index r, Index s,
                             Conv2dOptions options = {});

namespace detail {

struct ConvAttributes {
  Conv2dOptions options;
  Index h, w;  // of the larger side
  Index r, s;
};

inline Result<void> check_conv_options(const char* op, const Conv2dOptions& o) {
  if (o.stride_h < 1 || o.stride_w < 1 || o.dilation_h < 1 || o.dilation_w < 1)
    return failure(ErrorCode::usage, op, ": stride ", o.stride_h, "x", o.stride_w, ", dilation ",
                   o.dilation_h, "x", o.dilation_w, "; expected at least 1");
  if (o.pad_h < 0 || o.pad_w < 0)
    return failure(ErrorCode::usage, op, ": padding ", o.pad_h, "x", o.pad_w,
                   "; expected at least 0");
  if (o.crop_h < 0 || o.crop_w < 0)
    return failure(ErrorCode::usage, op, ": crop ", o.crop_h, "x", o.crop_w,
                   "; expected at least 0");
  if (o.groups.count() < 1)
    return failure(ErrorCode::usage, op, ": groups ", o.groups.count(), "; expected at least 1");
  for (const Index given : {o.stride_h, o.stride_w, o.pad_h, o.pad_w, o.dilation_h, o.dilation_w,
                            o.crop_h, o.crop_w, o.groups.count()})
    if (given > most_window)
      return failure(ErrorCode::usage, op,
                     ": one of stride, padding, dilation, crop and groups is ", given,
                     "; expected at most ", most_window);
  return {};
}

/// Output extent for one dimension; a failure where the kernel does not fit.
inline Result<Index> conv_extent(const char* op, Index extent, Index kernel, Index stride,
                                 Index pad, Index dilation, Index crop) {
  if (kernel > most_window)
    return failure(ErrorCode::usage, op, ": kernel of extent ", kernel, "; expected at most ",
                   most_window);
  const Index reach = dilation * (kernel - 1) + 1;
  if (extent + 2 * pad + crop < reach || kernel < 1)
    return failure(ErrorCode::usage, op, ": kernel of extent ", reach, " does not fit a map of ",
                   extent, " padded by ", pad);
  return (extent + 2 * pad + crop - reach) / stride + 1;
}

/// The shape of a convolution x[n,c,h,w] * weight[k,c/groups,r,s].
inline Result<kernels::ConvShape> conv_shape(const char* op, Index n, Index c, Index h, Index w,
                                             Index k, Index r, Index s, const Conv2dOptions& o) {
  if (const Result<void> good = check_conv_options(op, o); !good) return good.failure();
  const Index groups = o.groups.count();
  if (groups != 1 && (c % groups != 0 || k % groups != 0))
    return failure(ErrorCode::usage, op, ": ", groups,
                   " groups; expected a divisor of the channels on ", "both sides, ", c, " and ",
                   k);
  const auto p = conv_extent(op, h, r, o.stride_h, o.pad_h, o.dilation_h, o.crop_h);
  if (!p) return p.failure();
  const auto q = conv_extent(op, w, s, o.stride_w, o.pad_w, o.dilation_w, o.crop_w);
  if (!q) return q.failure();
  return kernels::ConvShape{.n = n,
                            .c = c,
                            .h = h,
                            .w = w,
                            .k = k,
                            .r = r,
                            .s = s,
                            .p = *p,
                            .q = *q,
                            .stride_h = o.stride_h,
                            .stride_w = o.stride_w,
                            .pad_h = o.pad_h,
                            .pad_w = o.pad_w,
                            .dilation_h = o.dilation_h,
                            .dilation_w = o.dilation_w};
}

/// The shape of conv2d(x, weight); a failure where they do not fit each other.
inline Result<kernels::ConvShape> conv2d_geometry(const Shape& x, const Shape& weight,
                                                  const Conv2dOptions& options) {
  if (x.rank() != 4 || weight.rank() != 4)
    return failure(ErrorCode::usage, "conv2d: expects x [N,C,H,W] and weight [K,C,R,S], given ", x,
                   " and ", weight);
  if (const Result<void> good = check_conv_options("conv2d", options); !good) return good.failure();
  const Index channels = weight[1] * options.groups.count();
  if (x[1] != channels)
    return failure(ErrorCode::usage, "conv2d: weight ", weight, " expects ", channels,
                   " input channels, x ", x, " has ", x[1]);
  return conv_shape("conv2d", x[0], x[1], x[2], x[3], weight[0], weight[2], weight[3], options);
}

/// Adjoint of conv2d in x, for an input of h x w: the gradient, and the transposed convolution.
template <class T>
Tensor<T> conv2d_input_grad(const Tensor<T>& gy, const Tensor<T>& weight, Index h, Index w,
                            const Conv2dOptions& options);

template <class T>
void conv2d_vjp(const Node<T>& node, Tensor<T>& gy, Tensor<T>* gx) {
  const auto a = node.template attributes<ConvAttributes>();
  if (node.wants(0)) gx[0] = conv2d_input_grad(gy, node.saved(1), a.h, a.w, a.options);
  if (node.wants(1)) gx[1] = conv2d_weight_grad(node.saved(0), gy, a.r, a.s, a.options);
  if (node.input_count() > 2 && node.wants(2)) gx[2] = sum(gy, {0, 2, 3});
}
template <class T>
void conv2d_input_grad_vjp(const Node<T>& node, Tensor<T>& gz, Tensor<T>* gx) {
  const auto a = node.template attributes<ConvAttributes>();
  if (node.wants(0)) gx[0] = conv2d(gz, node.saved(1), Tensor<T>(), a.options);
  if (node.wants(1)) gx[1] = conv2d_weight_grad(gz, node.saved(0), a.r, a.s, a.options);
}
template <class T>
void conv2d_weight_grad_vjp(const Node<T>& node, Tensor<T>& gw, Tensor<T>* gx) {
  const auto a = node.template attributes<ConvAttributes>();
  if (node.wants(0)) gx[0] = conv2d_input_grad(node.saved(1), gw, a.h, a.w, a.options);
  if (node.wants(1)) gx[1] = conv2d(node.saved(0), gw, Tensor<T>(), a.options);
}
template <class T>
inline constexpr OpInfo<T> conv2d_op{"conv2d", &conv2d_vjp<T>};
template <class T>
inline constexpr OpInfo<T> conv2d_input_grad_op{"conv_transpose2d", &conv2d_input_grad_vjp<T>};
template <class T>
inline constexpr OpInfo<T> conv2d_weight_grad_op{"conv2d_weight_grad", &conv2d_weight_grad_vjp<T>};

template <class T>
Tensor<T> conv2d_input_grad(const Tensor<T>& gy, const Tensor<T>& weight, Index h, Index w,
                            const Conv2dOptions& options) {
  const Shape &sg = gy.shape(), &sw = weight.shape();
  const auto shape = conv_shape("conv_transpose2d", sg[0], sw[1] * options.groups.count(), h, w,
                                sw[0], sw[2], sw[3], options)
                         .value();
  if (shape.k != sg[1] || shape.p != sg[2] || shape.q != sg[3])
    fail("conv_transpose2d: weight ", sw, " and an output of ", h, "x", w, " expect an input [N,",
         shape.k, ",", shape.p, ",", shape.q, "], given ", sg);
  Tensor<T> gx = Tensor<T>::uninitialized(Shape{shape.n, shape.c, h, w});
  conv_input_grad(shape, options, gy.data(), weight.data(), gx.mutable_data());
  if (Node<T>* node = record(conv2d_input_grad_op<T>, gx, gy, weight)) {
    node->set_attributes(ConvAttributes{options, h, w, sw[2], sw[3]});
    node->save(weight.requires_grad() ? gy : Tensor<T>());
    node->save(gy.requires_grad() ? weight : Tensor<T>());
  }
  return gx;
}

inline void check_bias(const char* op, const Shape& weight, const Shape& bias, Index channels) {
  if (!(bias == Shape{channels}))
    fail(op, ": weight ", weight, " expects bias [", channels, "], bias is ", bias);
}

}  // namespace detail

/// [N,K,P,Q], the shape of conv2d(x, weight, bias, options); a failure where x and weight do not
/// fit.
inline Result<Shape> conv2d_shape(const Shape& x, const Shape& weight,
                                  const Conv2dOptions& options = {}) {
  const Result<kernels::ConvShape> s = detail::conv2d_geometry(x, weight, options);
  if (!s) return s.failure();
  return Shape{s->n, s->k, s->p, s->q};
}

/// Two-dimensional convolution (cross-correlation, as in PyTorch).
///   y[n,k,p,q] = bias[k] + sum_{c,r,s} x[n,c, p*stride_h - pad_h + r*dilation_h, ...] w[k,c,r,s]
/// x [N,C,H,W], weight [K,C/G,R,S], bias [K] or undefined; gives [N,K,P,Q] with
/// P = (H + 2 pad_h - dilation_h (R-1) - 1) / stride_h + 1. Gradients: conv_transpose2d with the
/// same weight, conv2d_weight_grad, and the sum over N, P, Q. Raises an Error that names the
/// shapes.
template <class T>
Tensor<T> conv2d(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                 Conv2dOptions options) {
  const Shape &sx = x.shape(), &sw = weight.shape();
  const auto shape = detail::conv2d_geometry(sx, sw, options).value();
  if (bias.defined()) detail::check_bias("conv2d", sw, bias.shape(), sw[0]);
  Tensor<T> y = Tensor<T>::uninitialized(Shape{shape.n, shape.k, shape.p, shape.q});
  detail::conv_forward(shape, options, x.data(), weight.data(),
                       bias.defined() ? bias.data() : nullptr, y.mutable_data());
  Node<T>* node = bias.defined() ? record(detail::conv2d_op<T>, y, x, weight, bias)
                                 : record(detail::conv2d_op<T>, y, x, weight);
  if (node != nullptr) {
    node->set_attributes(detail::ConvAttributes{options, sx[2], sx[3], sw[2], sw[3]});
    node->save(weight.requires_grad() ? x : Tensor<T>());
    node->save(x.requires_grad() ? weight : Tensor<T>());
  }
  return y;
}

namespace detail {

/// Elements [begin, begin + extent) of one dimension, with zeros behind the last of x.
template <class T>
Tensor<T> window_of(const Tensor<T>& x, int dim, Index begin, Index extent) {
  const Index end = std::min(begin + extent, x.extent(dim));
  const Tensor<T> inside = slice(x, dim, std::min(begin, end), end);
  return pad(inside, dim, 0, extent - inside.extent(dim));
}

/// A transposed convolution with an output padding of a stride or more. No convolution has x for
/// its output and such an extent for its input, so h x w are cut out of all that taps reach.
template <class T>
Tensor<T> conv_transpose2d_window(const Tensor<T>& x, const Tensor<T>& weight,
                                  const Conv2dOptions& o, Index h, Index w) {
  Conv2dOptions whole = o;
  whole.pad_h = whole.pad_w = whole.crop_h = whole.crop_w = 0;
  const Shape &sx = x.shape(), &sw = weight.shape();
  const Index reach_h = (sx[2] - 1) * o.stride_h + o.dilation_h * (sw[2] - 1) + 1;
  const Index reach_w = (sx[3] - 1) * o.stride_w + o.dilation_w * (sw[3] - 1) + 1;
  const Tensor<T> y = conv2d_input_grad(x, weight, reach_h, reach_w, whole);
  return window_of(window_of(y, 2, o.pad_h, h), 3, o.pad_w, w);
}

}  // namespace detail

/// [N,C,H,W], the shape of conv_transpose2d; a failure where x and weight do not fit.
inline Result<Shape> conv_transpose2d_shape(const Shape& x, const Shape& weight,
                                            const Conv2dOptions& o = {}, Index output_pad_h = 0,
                                            Index output_pad_w = 0) {
  if (x.rank() != 4 || weight.rank() != 4)
    return failure(ErrorCode::usage,
                   "conv_transpose2d: expects x [N,K,P,Q] and weight [K,C,R,S], given ", x, " and ",
                   weight);
  if (x[1] != weight[0])
    return failure(ErrorCode::usage, "conv_transpose2d: weight ", weight, " expects ", weight[0],
                   " input channels, x ", x, " has ", x[1]);
  if (const Result<void> good = detail::check_conv_options("conv_transpose2d", o); !good)
    return good.failure();
  if (output_pad_h < 0 || output_pad_w < 0 || output_pad_h >= std::max(o.stride_h, o.dilation_h) ||
      output_pad_w >= std::max(o.stride_w, o.dilation_w))
    return failure(ErrorCode::usage, "conv_transpose2d: output padding ", output_pad_h, "x",
                   output_pad_w, " must be at least 0 and smaller than the stride or the dilation");
  const Index h = (x[2] - 1) * o.stride_h - 2 * o.pad_h + o.dilation_h * (weight[2] - 1) +
                  output_pad_h + 1 - o.crop_h;
  const Index w = (x[3] - 1) * o.stride_w - 2 * o.pad_w + o.dilation_w * (weight[3] - 1) +
                  output_pad_w + 1 - o.crop_w;
  if (h < 1 || w < 1)
    return failure(ErrorCode::usage, "conv_transpose2d: x ", x, " and weight ", weight,
                   " give an output of ", h, "x", w);
  return Shape{x[0], weight[1] * o.groups.count(), h, w};
}

/// Transposed convolution, the adjoint of conv2d in its input (as in PyTorch).
/// x [N,K,P,Q], weight [K,C/G,R,S] (input channels first), bias [C] or undefined; gives [N,C,H,W]
/// with H = (P-1) stride_h - 2 pad_h + dilation_h (R-1) + output_pad_h + 1 - crop_h. `output_pad`
/// must be smaller than the stride or the dilation.
template <class T>
Tensor<T> conv_transpose2d(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias = {},
                           Conv2dOptions options = {}, Index output_pad_h = 0,
                           Index output_pad_w = 0) {
  const Shape out =
      conv_transpose2d_shape(x.shape(), weight.shape(), options, output_pad_h, output_pad_w)
          .value();
  Tensor<T> y = output_pad_h < options.stride_h && output_pad_w < options.stride_w
                    ? detail::conv2d_input_grad(x, weight, out[2], out[3], options)
                    : detail::conv_transpose2d_window(x, weight, options, out[2], out[3]);
  if (!bias.defined()) return y;
  detail::check_bias("conv_transpose2d", weight.shape(), bias.shape(), out[1]);
  return add(y, reshape(bias, Shape{out[1], 1, 1}));
}

/// Adjoint of conv2d in its weight: gw[k,c,r,s] = sum_{n,p,q} x[n,c,...] gy[n,k,p,q].
/// x [N,C,H,W], gy [N,K,P,Q]; gives [K,C/G,r,s]. Raises an Error where gy is not the output of such
/// a convolution of x.
template <class T>
Tensor<T> conv2d_weight_grad(const Tensor<T>& x, const Tensor<T>& gy, Index r, Index s,
                             Conv2dOptions options) {
  const Shape &sx = x.shape(), &sg = gy.shape();
  if (sx.rank() != 4 || sg.rank() != 4 || sx[0] != sg[0])
    fail("conv2d_weight_grad: expects x [N,C,H,W] and gy [N,K,P,Q], given ", sx, " and ", sg);
  const auto shape =
      detail::conv_shape("conv2d_weight_grad", sx[0], sx[1], sx[2], sx[3], sg[1], r, s, options)
          .value();
  if (shape.p != sg[2] || shape.q != sg[3])
    fail("conv2d_weight_grad: x ", sx, " and a kernel of ", r, "x", s, " expect gy [", sx[0], ",",
         sg[1], ",", shape.p, ",", shape.q, "], given ", sg);
  Tensor<T> gw = Tensor<T>::uninitialized(Shape{shape.k, shape.c / options.groups.count(), r, s});
  detail::conv_weight_grad(shape, options, x.data(), gy.data(), gw.mutable_data());
  if (Node<T>* node = record(detail::conv2d_weight_grad_op<T>, gw, x, gy)) {
    node->set_attributes(detail::ConvAttributes{options, sx[2], sx[3], r, s});
    node->save(gy.requires_grad() ? x : Tensor<T>());
    node->save(x.requires_grad() ? gy : Tensor<T>());
  }
  return gw;
}

IOTSL_FLOAT(Tensor<float> conv2d(const Tensor<float>&, const Tensor<float>&, const Tensor<float>&,
                                 Conv2dOptions))
IOTSL_FLOAT(Tensor<float> conv_transpose2d(const Tensor<float>&, const Tensor<float>&,
                                           const Tensor<float>&, Conv2dOptions, Index, Index))
IOTSL_FLOAT(Tensor<float> conv2d_weight_grad(const Tensor<float>&, const Tensor<float>&, Index,
                                             Index, Conv2dOptions))

IOTSL_NAMESPACE_END
