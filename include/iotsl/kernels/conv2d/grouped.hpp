#pragma once
// Convolution in groups of channels; meaning as in reference/conv2d.hpp. A group of several input
// channels is an ordinary convolution of its channels, one group after the other; with one input
// channel each (depthwise) float takes loops of its own.

#include "iotsl/kernels/conv2d/conv2d.hpp"
#include "iotsl/kernels/conv2d/depthwise.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// The channels of each group in turn, as arrays of their own.
class Groups {
 public:
  Groups(const ConvShape& s, Index groups) : all_(s), one_(s), count_(groups) {
    one_.c /= groups;
    one_.k /= groups;
  }
  Index count() const { return count_; }
  const ConvShape& one() const { return one_; }
  Index x_elems() const { return one_.n * one_.c * one_.h * one_.w; }
  Index y_elems() const { return one_.n * one_.k * one_.p * one_.q; }
  Index w_elems() const { return one_.k * one_.c * one_.r * one_.s; }

  void take_x(Index group, const float* x, float* part) const {
    take(group, one_.c * one_.h * one_.w, x, part);
  }
  void take_y(Index group, const float* y, float* part) const {
    take(group, one_.k * one_.p * one_.q, y, part);
  }
  void put_x(Index group, const float* part, float* x) const {
    put(group, one_.c * one_.h * one_.w, part, x);
  }
  void put_y(Index group, const float* part, float* y) const {
    put(group, one_.k * one_.p * one_.q, part, y);
  }

 private:
  void take(Index group, Index elems, const float* all, float* part) const {
    for (Index n = 0; n < all_.n; ++n)
      std::copy_n(all + (n * count_ + group) * elems, elems, part + n * elems);
  }
  void put(Index group, Index elems, const float* part, float* all) const {
    for (Index n = 0; n < all_.n; ++n)
      std::copy_n(part + n * elems, elems, all + (n * count_ + group) * elems);
  }

  ConvShape all_, one_;
  Index count_;
};

}  // namespace detail

/// y[n,k,p,q] = bias[k] + sum over the channels c of k's group and r, s of x[n,c,h,w] w[k,c',r,s],
/// where c' counts from the group's first channel: w is [k, c / groups, r, s]. `bias` may be null;
/// `groups` divides c and k.
template <class T>
void grouped_conv2d(const ConvShape& s, Index groups, const T* x, const T* w,
                    const std::type_identity_t<T>* bias, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    if (groups == s.c) return detail::depthwise_forward(s, x, w, bias, y);
    const detail::Groups g(s, groups);
    const Scratch parts(static_cast<std::size_t>(g.x_elems() + g.y_elems()) * sizeof(float));
    float* x_part = parts.as<float>();
    float* y_part = x_part + g.x_elems();
    for (Index i = 0; i < groups; ++i) {
      g.take_x(i, x, x_part);
      conv2d(g.one(), x_part, w + i * g.w_elems(), bias != nullptr ? bias + i * g.one().k : nullptr,
             y_part);
      g.put_y(i, y_part, y);
    }
  } else {
    reference::conv2d(s, x, w, bias, y, groups);
  }
}

/// The adjoint in x.
template <class T>
void grouped_conv2d_input_grad(const ConvShape& s, Index groups, const T* gy, const T* w, T* gx) {
  if constexpr (std::is_same_v<T, float>) {
    if (groups == s.c) return detail::depthwise_input_grad(s, gy, w, gx);
    const detail::Groups g(s, groups);
    const Scratch parts(static_cast<std::size_t>(g.x_elems() + g.y_elems()) * sizeof(float));
    float* x_part = parts.as<float>();
    float* y_part = x_part + g.x_elems();
    for (Index i = 0; i < groups; ++i) {
      g.take_y(i, gy, y_part);
      conv2d_input_grad(g.one(), y_part, w + i * g.w_elems(), x_part);
      g.put_x(i, x_part, gx);
    }
  } else {
    reference::conv2d_input_grad(s, gy, w, gx, groups);
  }
}

/// The adjoint in w.
template <class T>
void grouped_conv2d_weight_grad(const ConvShape& s, Index groups, const T* x, const T* gy, T* gw) {
  if constexpr (std::is_same_v<T, float>) {
    if (groups == s.c) return detail::depthwise_weight_grad(s, x, gy, gw);
    const detail::Groups g(s, groups);
    const Scratch parts(static_cast<std::size_t>(g.x_elems() + g.y_elems()) * sizeof(float));
    float* x_part = parts.as<float>();
    float* y_part = x_part + g.x_elems();
    for (Index i = 0; i < groups; ++i) {
      g.take_x(i, x, x_part);
      g.take_y(i, gy, y_part);
      conv2d_weight_grad(g.one(), x_part, y_part, gw + i * g.w_elems());
    }
  } else {
    reference::conv2d_weight_grad(s, x, gy, gw, groups);
  }
}

/// The three for float behind one pointer: a program that names no number of groups
/// (ops/conv_options.hpp) does not contain them.
struct GroupedConv {
  void (*forward)(const ConvShape& s, Index groups, const float* x, const float* w,
                  const float* bias, float* y);
  void (*input_grad)(const ConvShape& s, Index groups, const float* gy, const float* w, float* gx);
  void (*weight_grad)(const ConvShape& s, Index groups, const float* x, const float* gy, float* gw);
};

inline constexpr GroupedConv grouped_conv{&grouped_conv2d<float>, &grouped_conv2d_input_grad<float>,
                                          &grouped_conv2d_weight_grad<float>};

}  // namespace kernels

IOTSL_NAMESPACE_END
