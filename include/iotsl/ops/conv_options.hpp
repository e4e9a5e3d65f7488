#pragma once
// How a convolution is laid over its input, for those who describe one and compute none.

#include "iotsl/core/shape.hpp"
#include "iotsl/ops/product_precision.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {
struct GroupedConv;
}

/// The groups that the channels of a convolution are cut into, 1 unless set: output channels see
/// the input channels of their own group. As many groups as input channels is a depthwise
/// convolution. A program that never sets a number does not contain the kernels for it.
class ConvGroups {
 public:
  constexpr ConvGroups() = default;
  ConvGroups(Index count);  // ops/conv_groups.hpp; implicit, for `.groups = 4`

  constexpr Index count() const { return count_; }
  /// Null unless a number was set.
  constexpr const kernels::GroupedConv* kernels() const { return kernels_; }

 private:
  Index count_ = 1;
  const kernels::GroupedConv* kernels_ = nullptr;
};

namespace detail {
/// Most of a kernel, stride, padding or dilation in one direction, and of groups: with more the
/// extents of an output could not be computed in an Index.
inline constexpr Index most_window = Index{1} << 30;
}  // namespace detail

/// Strides, zero padding, dilation and groups of a convolution. `crop` belongs to the transposed
/// one: so many rows at the bottom and columns at the right are left out of its output and never
/// computed. For conv2d, its adjoint, they are further zeros there.
struct Conv2dOptions {
  Index stride_h = 1, stride_w = 1;
  Index pad_h = 0, pad_w = 0;
  Index dilation_h = 1, dilation_w = 1;
  Index crop_h = 0, crop_w = 0;
  ConvGroups groups = {};
  ProductPrecision precision = {};  ///< of float tensors in one group; others know float alone
};

IOTSL_NAMESPACE_END
