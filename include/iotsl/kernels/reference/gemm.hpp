#pragma once
// Matrix product.

#include "iotsl/kernels/reference/accumulator.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::reference {

/// c[m,n] = op(a) op(b), row-major and dense. op(a) is [m,k] and lies in memory as [m,k], or as
/// [k,m] where `trans_a`; op(b) is [k,n], in memory [k,n], or [n,k] where `trans_b`.
template <class T>
void gemm(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, const T* b, T* c) {
  const Index a_row = trans_a ? 1 : k, a_col = trans_a ? m : 1;
  const Index b_row = trans_b ? 1 : n, b_col = trans_b ? k : 1;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      Accumulator<T> sum = 0;
      for (Index l = 0; l < k; ++l)
        sum += static_cast<Accumulator<T>>(a[i * a_row + l * a_col]) *
               static_cast<Accumulator<T>>(b[l * b_row + j * b_col]);
      c[i * n + j] = static_cast<T>(sum);
    }
}

}  // namespace kernels::reference

IOTSL_NAMESPACE_END
