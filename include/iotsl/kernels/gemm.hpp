#pragma once
// Matrix product; meaning as in reference/gemm.hpp.

#include "iotsl/kernels/reference/gemm.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

template <class T>
void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, const T* b, T* c) {
  reference::gemm(trans_a, trans_b, m, n, k, a, b, c);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
