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

struct PatchTable {
  /// to[row * width + i] = from[row * from_stride + i * step]. Up to three vectors are read and one
  /// is written behind the last.
  void (*gather_rows)(Index rows, Index width, Index step, const float* from, Index from_stride,
                      float* to);
  void (*filter)(const PatchFilter& f);
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
