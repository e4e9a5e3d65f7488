#pragma once
// A transpose float by float, for blocks that are too small for vectors.

#include "iotsl/core/shape.hpp"

IOTSL_NAMESPACE_BEGIN
namespace simd {

/// dst[j][i] = src[i][j] for i < rows, j < cols; strides in floats.
inline void transpose_floats(Index rows, Index cols, const float* src, Index src_stride, float* dst,
                             Index dst_stride) {
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i) dst[j * dst_stride + i] = src[i * src_stride + j];
}

}  // namespace simd
IOTSL_NAMESPACE_END
