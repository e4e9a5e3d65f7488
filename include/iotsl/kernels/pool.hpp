#pragma once
// Max pooling. Meaning: reference/pool.hpp. Vectorised are windows of 2x2 with stride 2, forwards
// and backwards, and all windows with horizontal stride 1, forwards; the rest takes plain loops.

#include <algorithm>
#include <array>

#include "iotsl/core/memory.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/kernels/reference/pool.hpp"
#include "iotsl/kernels/rows.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// All on `planes` planes of h * w inputs and p * q outputs, n and c left aside.
struct PoolTable {
  void (*max_2x2)(const PoolShape& s, Index planes, const float* x, float* y, std::uint8_t* index);
  void (*scatter_2x2)(const PoolShape& s, Index planes, const float* gy, const std::uint8_t* index,
                      float* gx);
  void (*max_dense)(const PoolShape& s, Index planes, const float* x, float* lines, float* y,
                    std::uint8_t* index);
};

// Vectors of at most 16 lanes may read that far beyond the last output.
constexpr Index padded_width(const PoolShape& s) {
  return std::max(s.q + s.kernel_w, s.w + 2 * s.pad_w) + 16;
}
constexpr Index pool_scratch_elems(const PoolShape& s) {
  return (s.h + 2 * s.pad_h) * padded_width(s) + s.q + 16;
}

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/pool-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(PoolTable, pool_table)

namespace detail {

inline bool is_pool_2x2(const PoolShape& s) {
  return s.kernel_h == 2 && s.kernel_w == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 &&
         s.pad_w == 0;
}

/// Calls visit(output, input) for every output of the group's planes and the input that `index`
/// says it came from. The offsets of a window's positions come from a table: a division per output
/// would cost more than the memory does.
template <class Visit>
void for_each_chosen(const PoolShape& s, const std::uint8_t* index, const Visit& visit) {
  std::array<Index, 256> offset{};
  for (Index at = 0; at < s.kernel_h * s.kernel_w; ++at)
    offset[static_cast<std::size_t>(at)] = at / s.kernel_w * s.w + at % s.kernel_w;
  Index output = 0;
  for (Index plane = 0; plane < s.n * s.c; ++plane)
    for (Index p = 0; p < s.p; ++p) {
      Index corner = (plane * s.h + p * s.stride_h - s.pad_h) * s.w - s.pad_w;
      for (Index q = 0; q < s.q; ++q, ++output, corner += s.stride_w)
        visit(output, corner + offset[index[output]]);
    }
}

/// Calls body(shape, first_input, first_output) in parallel for groups of planes; `shape` is that
/// of the group.
template <class Body>
void for_each_planes(const PoolShape& s, const Body& body) {
  const Index grain = std::max<Index>(1, grain_elems / std::max<Index>(1, s.h * s.w));
  parallel_chunks(s.n * s.c, grain, [&](Index begin, Index end) {
    PoolShape group = s;
    group.n = 1;
    group.c = end - begin;
    body(group, begin * s.h * s.w, begin * s.p * s.q);
  });
}

}  // namespace detail

/// y[n,c,p,q] = maximum of the window, index[n,c,p,q] = its position in the window.
template <class T>
void max_pool2d(const PoolShape& s, const T* x, T* y, std::uint8_t* index) {
  if constexpr (std::is_same_v<T, float>) {
    const PoolTable& table = pool_table();
    if (detail::is_pool_2x2(s)) {
      detail::for_each_planes(s, [&](const PoolShape& group, Index in, Index out) {
        table.max_2x2(group, group.c, x + in, y + out, index + out);
      });
      return;
    }
    if (s.stride_w == 1) {
      const Index elems = pool_scratch_elems(s);
      const Scratch lines(static_cast<std::size_t>(threads() * elems) * sizeof(float));
      detail::for_each_planes(s, [&](const PoolShape& group, Index in, Index out) {
        table.max_dense(group, group.c, x + in, lines.as<float>() + worker_index() * elems, y + out,
                        index + out);
      });
      return;
    }
  }
  detail::for_each_planes(s, [&](const PoolShape& group, Index in, Index out) {
    reference::max_pool2d(group, x + in, y + out, index + out);
  });
}

/// gx[n,c,h,w] = sum of the gy[n,c,p,q] whose maximum lay there.
template <class T>
void max_pool2d_grad(const PoolShape& s, const T* gy, const std::uint8_t* index, T* gx) {
  detail::for_each_planes(s, [&](const PoolShape& group, Index in, Index out) {
    if constexpr (std::is_same_v<T, float>) {
      if (detail::is_pool_2x2(s))
        return pool_table().scatter_2x2(group, group.c, gy + out, index + out, gx + in);
    }
    std::fill_n(gx + in, group.c * s.h * s.w, T(0));
    detail::for_each_chosen(group, index + out,
                            [&](Index output, Index input) { gx[in + input] += gy[out + output]; });
  });
}

/// y[n,c,p,q] = x at the place that `index` names: the adjoint of max_pool2d_grad.
template <class T>
void max_pool2d_gather(const PoolShape& s, const T* x, const std::uint8_t* index, T* y) {
  detail::for_each_planes(s, [&](const PoolShape& group, Index in, Index out) {
    detail::for_each_chosen(group, index + out,
                            [&](Index output, Index input) { y[out + output] = x[in + input]; });
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
