#pragma once
// Loop nests over strided operands: dimensions that lie dense in memory are joined, so that the
// innermost loop, the row, is as long as it can be.

#include <algorithm>
#include <array>

#include "iotsl/core/threads/parallel.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// Elements of a task. Smaller problems stay on the calling thread. Decides no bits: a task holds
/// whole sums, or elements that know nothing of each other.
inline constexpr Index grain_elems = 32768;

/// Extents and strides, innermost last, of `operands` inputs that are walked together.
template <std::size_t operands>
struct Nest {
  std::array<Index, 4> extent{1, 1, 1, 1};
  std::array<std::array<Index, 4>, operands> stride{};
};

/// Joins neighbouring dimensions wherever all operands allow it and drops those of extent 1.
template <std::size_t operands>
Nest<operands> coalesce(const Index shape[4], const std::array<const Index*, operands>& strides) {
  Nest<operands> nest;
  std::size_t out = 4;  // the outermost dimension in use so far
  for (std::size_t d = 4; d-- > 0;) {
    if (shape[d] == 1) continue;
    bool joins = out < 4;
    for (std::size_t o = 0; o < operands && joins; ++o)
      joins = strides[o][d] == nest.stride[o][out] * nest.extent[out];
    if (joins) {
      nest.extent[out] *= shape[d];
      continue;
    }
    nest.extent[--out] = shape[d];
    for (std::size_t o = 0; o < operands; ++o) nest.stride[o][out] = strides[o][d];
  }
  return nest;
}

/// Calls body(length, y_offset, offsets) in parallel for pieces of rows that together cover the
/// nest once; `y_offset` counts elements of the dense output, `offsets` those of the operands.
template <std::size_t operands, class Body>
void for_each_row(const Nest<operands>& nest, const Body& body) {
  const auto& extent = nest.extent;
  const Index rows = extent[0] * extent[1] * extent[2];
  if (rows * extent[3] == 0) return;
  const Index piece = std::min(extent[3], grain_elems);
  const Index pieces = (extent[3] + piece - 1) / piece;
  parallel_chunks(
      rows * pieces, std::max<Index>(1, grain_elems / piece), [&](Index begin, Index end) {
        for (Index item = begin; item < end; ++item) {
          const Index row = item / pieces, first = item % pieces * piece;
          const Index i = row / (extent[1] * extent[2]);
          const Index j = row / extent[2] % extent[1], k = row % extent[2];
          std::array<Index, operands> offsets;
          for (std::size_t o = 0; o < operands; ++o) {
            const auto& stride = nest.stride[o];
            offsets[o] = i * stride[0] + j * stride[1] + k * stride[2] + first * stride[3];
          }
          body(std::min(piece, extent[3] - first), row * extent[3] + first, offsets);
        }
      });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
