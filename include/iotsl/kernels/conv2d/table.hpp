#pragma once
// What the convolution drivers hand to the kernels of a target.

#include <cstdint>

#include "iotsl/kernels/gemm/gemm_tile.hpp"
#include "iotsl/kernels/operands.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// One kernel tap of a tile: which weights, and where each row of the tile reads its channels
/// (offset in floats; a row outside the image reads zeros).
struct TapRows {
  std::int32_t tap;
  std::int32_t row[7];
};

/// Up to six output pixels that are computed together: their taps that touch the image, and the
/// rows of the output buffer they go to.
struct CorrelateTile {
  std::int32_t first_tap, taps;
  std::int32_t rows;  ///< 4 or 6
  std::int32_t out[6];
};

/// Consecutive pixels of x and gy that meet under one kernel tap; offsets in floats.
struct OuterRun {
  std::int32_t x, gy;
  std::int32_t pixels;
};

/// The pixels of one kernel tap within a block, for a panel of output channels. Up to seven floats
/// behind the last pixel of x are read and do not count.
struct OuterBlock {
  const float* x;
  const float* gy;
  Index x_step, gy_step;  ///< from one pixel to the next
  const OuterRun* run;
  Index runs;
  Index out_stride;
  bool adds;  ///< to what `out` holds; else it is not read
};

struct ConvTable {
  void (*correlate)(Index tiles, const CorrelateTile* tile, const TapRows* taps, const float* in,
                    Index depth, const float* panel, const float* bias, float* out);
  void (*outer)(const OuterBlock& block, Index channels, float* out);
  void (*accumulate_into)(Index n, const float* x, float* y);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/conv2d/conv2d-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {
IOTSL_TABLE(ConvTable, conv_table)
namespace detail {
inline const ConvTable& conv_kernels(FloatOperands) { return conv_table(); }
}  // namespace detail
}  // namespace kernels

IOTSL_NAMESPACE_END
