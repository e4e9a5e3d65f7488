#pragma once
// Sums over dimensions and broadcasts. Meaning: reference/reduce.hpp. Sums are cut by the shape
// alone, and the parts are added in double in index order.

#include <algorithm>
#include <cstring>

#include "iotsl/core/memory.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/reference/reduce.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

struct ReduceTable {
  /// Sum of `rows` rows of `length` elements.
  double (*sum_rows)(Index rows, Index row_stride, Index length, const float* x);
  /// sums[i] += sum over the rows of element i
  void (*add_rows)(Index rows, Index row_stride, Index width, const float* x, double* sums);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/reduce/reduce-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(ReduceTable, reduce_table)

namespace detail {

/// A sum seen as x[batch, outer_sum, outer, inner_sum, inner] -> y[batch, outer, inner]: every set
/// of dimensions has this form once neighbours with the same fate are joined. `inner` is 1 where
/// the innermost dimension is summed, and only then `batch` may be more than 1.
struct SumShape {
  Index batch = 1, outer_sum = 1, outer = 1, inner_sum = 1, inner = 1;
};

/// Elements of x that are added into one partial result. Decides bits: the partial results are
/// rounded on their own (in double) before they are added.
inline constexpr Index partial_elems = 65536;
/// Columns that are summed side by side. Decides bits, because a partial result then has so many
/// times fewer rows.
inline constexpr Index strip_elems = 512;

/// How the summed elements of one output are cut: `outer_sum` into groups, or, where one is
/// already large, `inner_sum` into pieces.
struct SumCut {
  Index group, groups, piece, pieces;

  SumCut(const SumShape& s, Index width) {
    const Index limit = std::max<Index>(1, partial_elems / width);
    piece = std::min(s.inner_sum, limit);
    pieces = (s.inner_sum + piece - 1) / piece;
    group = pieces > 1 ? 1 : std::max<Index>(1, limit / s.inner_sum);
    groups = (s.outer_sum + group - 1) / group;
  }
  Index parts() const { return groups * pieces; }
};

/// [outer_sum, outer, inner_sum] -> [outer]: contiguous runs.
inline void sum_runs(const SumShape& s, const float* x, float* y) {
  const ReduceTable& table = reduce_table();
  const SumCut cut(s, 1);
  const Index parts = cut.parts();
  const auto sum_part = [&](Index output, Index part) {
    const Index first = part / cut.pieces * cut.group, offset = part % cut.pieces * cut.piece;
    const float* from = x + (first * s.outer + output) * s.inner_sum + offset;
    return table.sum_rows(std::min(cut.group, s.outer_sum - first), s.outer * s.inner_sum,
                          std::min(cut.piece, s.inner_sum - offset), from);
  };
  const Index work = std::min(s.outer_sum, cut.group) * cut.piece;
  const Index grain = std::max<Index>(1, grain_elems / work);
  if (parts == 1) {
    parallel_chunks(s.outer, grain, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) y[i] = static_cast<float>(sum_part(i, 0));
    });
    return;
  }
  const Scratch scratch(static_cast<std::size_t>(s.outer * parts) * sizeof(double));
  double* partial = scratch.as<double>();
  parallel_chunks(s.outer * parts, grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) partial[i] = sum_part(i / parts, i % parts);
  });
  for (Index i = 0; i < s.outer; ++i) {
    double sum = 0;
    for (Index part = 0; part < parts; ++part) sum += partial[i * parts + part];
    y[i] = static_cast<float>(sum);
  }
}

/// [outer_sum, outer, inner_sum, inner] -> [outer, inner]: whole rows added to each other.
inline void sum_columns(const SumShape& s, const float* x, float* y) {
  const ReduceTable& table = reduce_table();
  const Index strip = std::min(s.inner, strip_elems);
  const Index strips = (s.inner + strip - 1) / strip;
  const SumCut cut(s, strip);
  const Index outputs = s.outer * s.inner;
  const Scratch scratch(static_cast<std::size_t>(outputs * cut.parts()) * sizeof(double));
  double* partial = scratch.as<double>();
  const Index items = cut.parts() * s.outer * strips;
  const Index work = std::min(s.outer_sum, cut.group) * cut.piece * strip;
  parallel_chunks(items, std::max<Index>(1, grain_elems / work), [&](Index begin, Index end) {
    for (Index item = begin; item < end; ++item) {
      const Index part = item / (s.outer * strips);
      const Index output = item / strips % s.outer, column = item % strips * strip;
      const Index first = part / cut.pieces * cut.group, row = part % cut.pieces * cut.piece;
      const Index width = std::min(strip, s.inner - column);
      double* sums = partial + part * outputs + output * s.inner + column;
      std::fill(sums, sums + width, 0.0);
      for (Index i = first; i < std::min(first + cut.group, s.outer_sum); ++i)
        table.add_rows(std::min(cut.piece, s.inner_sum - row), s.inner, width,
                       x + ((i * s.outer + output) * s.inner_sum + row) * s.inner + column, sums);
    }
  });
  for (Index i = 0; i < outputs; ++i) {
    double sum = 0;
    for (Index part = 0; part < cut.parts(); ++part) sum += partial[part * outputs + i];
    y[i] = static_cast<float>(sum);
  }
}

inline void reduce_sum_float(const Index shape[4], unsigned dims_mask, const float* x, float* y) {
  // Joins the dimensions from the innermost outwards; a level holds summed or kept ones in turn.
  SumShape s;
  Index* const levels[] = {&s.inner, &s.inner_sum, &s.outer, &s.outer_sum, &s.batch};
  std::size_t level = 0;
  Index outputs = 1, elements = 1;
  for (std::size_t d = 4; d-- > 0;) {
    const bool summed = ((dims_mask >> d) & 1U) != 0;
    elements *= shape[d];
    if (!summed) outputs *= shape[d];
    if (shape[d] == 1) continue;
    if (summed != (level % 2 == 1)) ++level;
    *levels[level] *= shape[d];
  }
  if (elements == 0) {
    std::fill(y, y + outputs, 0.0F);
    return;
  }
  if (s.inner != 1) return sum_columns(s, x, y);
  for (Index i = 0; i < s.batch; ++i)
    sum_runs(s, x + i * (elements / s.batch), y + i * (outputs / s.batch));
}

}  // namespace detail

/// y[kept dims] = sum of x[shape] over the dimensions d whose bit d is set in `dims_mask`.
template <class T>
void reduce_sum(const Index shape[4], unsigned dims_mask, const T* x, T* y) {
  if constexpr (std::is_same_v<T, float>)
    detail::reduce_sum_float(shape, dims_mask, x, y);
  else
    reference::reduce_sum(shape, dims_mask, x, y);
}

/// y[out_shape] = x with element strides; stride 0 repeats x along a dimension.
template <class T>
void broadcast(const Index out_shape[4], const T* x, const Index x_strides[4], T* y) {
  const Nest<1> nest = coalesce<1>(out_shape, {x_strides});
  const Index step = nest.stride[0][3];
  for_each_row(nest, [&](Index n, Index at, const std::array<Index, 1>& from) {
    const T* source = x + from[0];
    if (step == 1)
      std::copy(source, source + n, y + at);
    else
      for (Index i = 0; i < n; ++i) y[at + i] = source[i * step];
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
