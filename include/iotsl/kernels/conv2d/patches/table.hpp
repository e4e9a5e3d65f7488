#pragma once
// What the drivers of convolution by patches hand to the kernels of a target. A patch is what all
// taps of all channels meet at one output pixel. The patches of a band of pixels are a row for each
// tap, which begins at patches[tap[d]]; rows may share memory.

#include "iotsl/kernels/gemm/gemm_tile.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// out[filter][pixel] = bias[filter] + sum over d of w[filter][d] patch[d][pixel], from the first
/// to the last; the bias, which may be null, is added then. Behind the last pixel of a row a tile
/// may be read.
struct PatchFilter {
  Index filters, depth, pixels;
  const float* w;
  const float* patches;
  const Index* tap;
  const float* bias;
  float* out;
  Index out_stride;
};

/// What bands of some images add to the gradients of the weights: in each lane l,
/// sums[filter][d][l] += sum over the images and over the pixels p = l, l + lanes, ... of
/// gy[image][filter][p] patch[image][d][p].
struct PatchProducts {
  Index images, filters, depth, pixels;  ///< a depth of at least 2
  const float* gy;
  Index gy_image, gy_stride;  ///< floats from one image to the next, and of filters
  const float* patches;
  Index patch_image;
  const Index* tap;
  float* sums;
};

struct PatchTable {
  Index lanes;
  Index product_filters;  ///< of a tile of add_products
  /// to[row * width + i] = from[row * from_stride + i * step]. Up to three vectors are read and one
  /// is written behind the last.
  void (*gather_rows)(Index rows, Index width, Index step, const float* from, Index from_stride,
                      float* to);
  void (*filter)(const PatchFilter& f);
  void (*add_products)(const PatchProducts& p);
  /// out[i] = the sum of sums[i][0 .. lanes).
  void (*sum_lanes)(Index count, const float* sums, float* out);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/conv2d/patches/patches-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels {
IOTSL_TABLE(PatchTable, patch_table)
}  // namespace kernels
IOTSL_NAMESPACE_END
