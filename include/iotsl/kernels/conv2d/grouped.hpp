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
  Groups(const ConvShape& s, Index groups)
      : one_(one_group(s, groups)),
        count_(groups),
        x_elems_(one_.n * one_.c * one_.h * one_.w),
        memory_(static_cast<std::size_t>(x_elems_ + one_.n * one_.k * one_.p * one_.q) *
                sizeof(float)) {}
  const ConvShape& one() const { return one_; }
  Index w_elems() const { return one_.k * one_.c * one_.r * one_.s; }

  /// The group's part of x or y, in memory of this object: what was taken, or room for what is put.
  float* x() const { return memory_.as<float>(); }
  float* y() const { return x() + x_elems_; }
  const float* take_x(Index group, const float* all) const {
    return take(group, one_.c * one_.h * one_.w, all, x());
  }
  const float* take_y(Index group, const float* all) const {
    return take(group, one_.k * one_.p * one_.q, all, y());
  }
  void put_x(Index group, float* all) const { put(group, one_.c * one_.h * one_.w, x(), all); }
  void put_y(Index group, float* all) const { put(group, one_.k * one_.p * one_.q, y(), all); }

 private:
  static ConvShape one_group(ConvShape s, Index groups) {
    s.c /= groups;
    s.k /= groups;
    return s;
  }
  const float* take(Index group, Index elems, const float* all, float* part) const {
    for (Index n = 0; n < one_.n; ++n)
      std::copy_n(all + (n * count_ + group) * elems, elems, part + n * elems);
    return part;
  }
  void put(Index group, Index elems, const float* part, float* all) const {
    for (Index n = 0; n < one_.n; ++n)
      std::copy_n(part + n * elems, elems, all + (n * count_ + group) * elems);
  }

  ConvShape one_;
  Index count_, x_elems_;
  Scratch memory_;
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
    for (Index i = 0; i < groups; ++i) {
      conv2d(g.one(), g.take_x(i, x), w + i * g.w_elems(),
             bias != nullptr ? bias + i * g.one().k : nullptr, g.y());
      g.put_y(i, y);
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
    for (Index i = 0; i < groups; ++i) {
      conv2d_input_grad(g.one(), g.take_y(i, gy), w + i * g.w_elems(), g.x());
      g.put_x(i, gx);
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
    for (Index i = 0; i < groups; ++i)
      conv2d_weight_grad(g.one(), g.take_x(i, x), g.take_y(i, gy), gw + i * g.w_elems());
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
