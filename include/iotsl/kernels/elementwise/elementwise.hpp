#pragma once
// Element-wise functions on ranges. Meaning and aliasing: reference/elementwise.hpp. In float,
// exp, log, sigmoid and tanh are within 2 ulp, and multiply-adds round twice on the baseline.

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/elementwise/math.hpp"
#include "iotsl/kernels/reference/elementwise.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// What a target implements: single-threaded, on ranges. Strides are 1, or 0 for a repeated value.
struct ElementwiseTable {
  void (*unary)(Unary op, Index n, const float* x, float* y);
  void (*binary)(Binary op, Index n, const float* a, Index a_stride, const float* b, Index b_stride,
                 float* y);
  void (*affine)(Index n, float scale, const float* x, float shift, float* y);
  void (*axpy)(Index n, float alpha, const float* x, float* y);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/elementwise/elementwise-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(ElementwiseTable, elementwise_table)

/// y[i] = op(x[i]); y may be x.
template <class T>
void unary(Unary op, Index n, const T* x, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const ElementwiseTable& table = elementwise_table();
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.unary(op, end - begin, x + begin, y + begin);
    });
  } else {
    reference::unary(op, n, x, y);
  }
}

/// y[i] = scale * x[i] + shift; y may be x.
template <class T>
void affine(Index n, Scalar<T> scale, const T* x, Scalar<T> shift, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const ElementwiseTable& table = elementwise_table();
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.affine(end - begin, scale, x + begin, shift, y + begin);
    });
  } else {
    reference::affine(n, scale, x, shift, y);
  }
}

/// y[i] = op(a[i], b[i]); y may be a or b.
template <class T>
void binary(Binary op, Index n, const T* a, const T* b, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const ElementwiseTable& table = elementwise_table();
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.binary(op, end - begin, a + begin, 1, b + begin, 1, y + begin);
    });
  } else {
    reference::binary(op, n, a, b, y);
  }
}

/// y[i] += alpha * x[i]
template <class T>
void axpy(Index n, Scalar<T> alpha, const T* x, T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const ElementwiseTable& table = elementwise_table();
    parallel_chunks(n, grain_elems, [&](Index begin, Index end) {
      table.axpy(end - begin, alpha, x + begin, y + begin);
    });
  } else {
    reference::axpy(n, alpha, x, y);
  }
}

/// y[out_shape] = op(a, b) with element strides; stride 0 repeats an operand along a dimension.
template <class T>
void binary_broadcast(Binary op, const Index out_shape[4], const T* a, const Index a_strides[4],
                      const T* b, const Index b_strides[4], T* y) {
  if constexpr (std::is_same_v<T, float>) {
    const Nest<2> nest = coalesce<2>(out_shape, {a_strides, b_strides});
    const Index a_step = nest.stride[0][3], b_step = nest.stride[1][3];
    const bool vectors = (a_step == 0 || a_step == 1) && (b_step == 0 || b_step == 1);
    if (vectors) {
      const ElementwiseTable& table = elementwise_table();
      for_each_row(nest, [&](Index n, Index at, const std::array<Index, 2>& from) {
        table.binary(op, n, a + from[0], a_step, b + from[1], b_step, y + at);
      });
      return;
    }
  }
  // Strides other than 0 and 1 in the innermost dimension come from transposed operands: rare.
  reference::binary_broadcast(op, out_shape, a, a_strides, b, b_strides, y);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
