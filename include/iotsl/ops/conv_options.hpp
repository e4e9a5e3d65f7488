#pragma once
// How a convolution is laid over its input, for those who describe one and compute none.

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN

/// Strides, zero padding and dilation of a convolution. `crop` belongs to the transposed one: so
/// many rows at the bottom and columns at the right are left out of its output and never computed.
/// For conv2d, its adjoint, they are further zeros there.
struct Conv2dOptions {
  Index stride_h = 1, stride_w = 1;
  Index pad_h = 0, pad_w = 0;
  Index dilation_h = 1, dilation_w = 1;
  Index crop_h = 0, crop_w = 0;
};

IOTSL_NAMESPACE_END
