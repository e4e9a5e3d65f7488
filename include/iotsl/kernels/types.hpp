#pragma once
// The vocabulary of the kernels: shapes of windows and the names of element-wise functions.

#include <cstdint>
#include <type_traits>

#include "iotsl/config.hpp"
#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// x[n,c,h,w] * w[k,c,r,s] -> y[n,k,p,q]
struct ConvShape {
  Index n, c, h, w;
  Index k, r, s;
  Index p, q;
  Index stride_h, stride_w;
  Index pad_h, pad_w;
  Index dilation_h, dilation_w;
};

/// x[n,c,h,w] -> y[n,c,p,q]. Every window must meet at least one element of x, which
/// 2 * pad <= kernel ensures, and hold at most 255 positions.
struct PoolShape {
  Index n, c, h, w;
  Index p, q;
  Index kernel_h, kernel_w;
  Index stride_h, stride_w;
  Index pad_h, pad_w;
};

enum class Unary { neg, exp, log, sqrt, rsqrt, square, reciprocal, sigmoid, tanh, relu, abs };

/// `relu_grad(a, b)` is `b > 0 ? a : 0`. Since relu(x) > 0 exactly where x > 0, `b` may be the
/// output of the ReLU: its gradient needs neither the input nor a mask.
enum class Binary { add, sub, mul, div, relu_grad };

/// A scalar argument that takes no part in the deduction of T: `affine(n, 2, x, 0, y)` works.
template <class T>
using Scalar = std::type_identity_t<T>;

}  // namespace kernels

IOTSL_NAMESPACE_END
