#pragma once
// The input gradient of convolutions of few channels: a matrix product reads the many outputs where
// they are, and gives the gradient of every patch.

#include <algorithm>
#include <cstring>

#include "iotsl/core/memory.hpp"
#include "iotsl/kernels/conv2d/patches/window.hpp"
#include "iotsl/kernels/conv2d/table.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// The output columns [first, last) whose tap is inside the image; column q finds it at
/// q * stride + shift.
struct TapColumns {
  Index first, last, shift;
  TapColumns(const ConvShape& s, Index tap) : shift(tap * s.dilation_w - s.pad_w) {
    first = std::min(s.q, shift < 0 ? (-shift + s.stride_w - 1) / s.stride_w : Index{0});
    last = shift < s.w ? std::min(s.q, (s.w - 1 - shift) / s.stride_w + 1) : Index{0};
    last = std::max(first, last);
  }
};

/// Row of the image that an output row meets under a tap; outside [0, h) are zeros.
inline Index tap_row(const ConvShape& s, Index out_row, Index tap) {
  return out_row * s.stride_h + tap * s.dilation_h - s.pad_h;
}

/// The adjoint: adds planes[c*R*S][P*Q] of one image into gx[c][h][w], in the order of the taps.
inline void scatter_patches(const ConvShape& s, const float* planes, float* gx) {
  const auto add = conv_table().accumulate_into;
  for (Index c = 0; c < s.c; ++c)
    for (Index r = 0; r < s.r; ++r)
      for (Index t = 0; t < s.s; ++t) {
        const TapColumns columns(s, t);
        for (Index p = 0; p < s.p; ++p, planes += s.q) {
          const Index h = tap_row(s, p, r);
          if (h < 0 || h >= s.h) continue;
          float* row = gx + (c * s.h + h) * s.w + columns.shift;
          if (s.stride_w == 1)
            add(columns.last - columns.first, planes + columns.first, row + columns.first);
          else
            for (Index q = columns.first; q < columns.last; ++q) row[q * s.stride_w] += planes[q];
        }
      }
}

/// out[rows][width] = a[rows][depth] b[depth][width], the sum of each element from its first to its
/// last term. The last panel of columns overlaps the one before it.
struct RowsProduct {
  Index rows, depth, width;

  Index memory_floats() const {
    const Index cols = tile_table().cols;
    return round_up(depth * cols + (width < cols ? rows * cols : 0), 16);
  }
  void run(const float* a, const float* b, float* out, Index out_stride, float* memory) const {
    const GemmTable& kernels = gemm_table();
    const Index cols = tile_table().cols, wide = std::min(cols, width);
    for (Index begin = 0; begin < width; begin += cols) {
      const Index j = std::min(begin, width - wide);
      kernels.pack_rows(depth, wide, b + j, width, memory);
      if (wide == cols) {
        kernels.panel({a, depth, memory, depth, rows, out + j, out_stride, false});
        continue;
      }
      float* narrow = memory + depth * cols;
      kernels.panel({a, depth, memory, depth, rows, narrow, cols, false});
      for (Index i = 0; i < rows; ++i) std::copy_n(narrow + i * cols, wide, out + i * out_stride);
    }
  }
};

}  // namespace detail

/// gx[n,c,h,w] from gy[n,k,p,q]: the gradient of every patch, of which pixels are then the sums.
inline void patch_input_grad(const ConvShape& s, const float* gy, const float* w, float* gx) {
  const Index depth = detail::patch_depth(s), plane = s.p * s.q, image_floats = s.c * s.h * s.w;
  const Scratch turned(static_cast<std::size_t>(depth * s.k) * sizeof(float));
  tile_table().transpose(s.k, depth, w, depth, turned.as<float>(), s.k);
  const detail::RowsProduct product{depth, s.k, plane};
  const Index planes_floats = round_up(depth * plane, 16);
  const Index floats = planes_floats + product.memory_floats();
  const Scratch scratch(static_cast<std::size_t>(threads() * floats) * sizeof(float));
  run_tasks(s.n * s.k * plane * depth, s.n, [&](Index image) {
    float* dst = gx + image * image_floats;
    std::memset(dst, 0, static_cast<std::size_t>(image_floats) * sizeof(float));
    float* planes = scratch.as<float>() + worker_index() * floats;
    product.run(turned.as<float>(), gy + image * s.k * plane, planes, plane,
                planes + planes_floats);
    detail::scatter_patches(s, planes, dst);
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
