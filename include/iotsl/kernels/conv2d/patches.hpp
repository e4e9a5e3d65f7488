#pragma once
// Drivers of convolutions of few channels, such as a first layer: one tap is too short a sum there,
// and turning the many outputs channel-last would cost more than the products. The few inputs are
// copied instead, as one row of pixels per tap of a patch, and a matrix product reads or writes the
// many outputs where they are.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/weight_grad.hpp"
#include "iotsl/kernels/elementwise/elementwise.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

inline Index patch_depth(const ConvShape& s) { return s.c * s.r * s.s; }

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

/// to[c*R*S][rows * Q]: what the taps find at the output rows [begin, begin + rows) of one image.
inline void gather_patches(const ConvShape& s, const float* image, Index begin, Index rows,
                           float* to) {
  for (Index c = 0; c < s.c; ++c)
    for (Index r = 0; r < s.r; ++r)
      for (Index t = 0; t < s.s; ++t) {
        const TapColumns columns(s, t);
        for (Index p = begin; p < begin + rows; ++p, to += s.q) {
          const Index h = tap_row(s, p, r);
          const float* from = image + (c * s.h + h) * s.w + columns.shift;
          const bool inside = h >= 0 && h < s.h;
          const Index first = inside ? columns.first : s.q, last = inside ? columns.last : s.q;
          std::fill(to, to + first, 0.0F);
          if (s.stride_w == 1)
            std::copy(from + first, from + last, to + first);
          else
            for (Index q = first; q < last; ++q) to[q] = from[q * s.stride_w];
          std::fill(to + last, to + s.q, 0.0F);
        }
      }
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

/// Output rows per task of the forward pass: eight tasks at least, if there are so many rows, and
/// patches of 128 KB at most. Decides no bits.
inline Index patch_band(const ConvShape& s) {
  const Index fits = std::max<Index>(1, 32 * 1024 / (patch_depth(s) * s.q));
  const Index bands = s.n >= 8 ? 1 : std::min(s.p, (8 + s.n - 1) / s.n);
  return std::min(fits, (s.p + bands - 1) / bands);
}

/// The sums of the weight gradient, cut as weight_grad.hpp cuts those of a kernel with one tap
/// whose channels are the taps of a patch.
class PatchSums {
 public:
  explicit PatchSums(const ConvShape& s)
      : s_(s),
        depth_(patch_depth(s)),
        cols_(tile_table().cols),
        narrow_cols_(tile_table().narrow_cols),
        plan_(WeightGradPlan::make({s.n, depth_, s.p * s.q, s.k, s.p, s.q}, 1, cols_)),
        pixels_(plan_.images * plan_.band * s.q),
        stride_(round_up(depth_, cols_)),
        group_filters_(round_up((s.k + plan_.groups - 1) / plan_.groups, 24)),
        groups_((s.k + group_filters_ - 1) / group_filters_),
        sums_(static_cast<std::size_t>(plan_.slots * s.k * stride_) * sizeof(float)),
        patch_floats_(round_up(plan_.band * s.q * depth_, 16)),
        panel_floats_(pixels_ * stride_),
        worker_floats_(patch_floats_ + panel_floats_ +
                       (plan_.images == 1 ? 0 : round_up(group_filters_ * pixels_, 16))),
        memory_(static_cast<std::size_t>(threads() * worker_floats_) * sizeof(float)) {}

  Index tasks() const { return plan_.slots * groups_; }

  /// The sums of one slot for one group of filters.
  void sum(Index task, const float* x, const float* gy) const {
    const Index slot = task / groups_, k = task % groups_ * group_filters_, plane = s_.p * s_.q;
    const Index filters = std::min(group_filters_, s_.k - k);
    float* patches = memory_.as<float>() + worker_index() * worker_floats_;
    float* panels = patches + patch_floats_;
    float* turns = panels + panel_floats_;
    // Beyond the last tap something is summed that nobody reads: let it be numbers.
    std::memset(panels, 0, static_cast<std::size_t>(panel_floats_) * sizeof(float));
    float* sums = sums_of(slot) + k * stride_;
    std::memset(sums, 0, static_cast<std::size_t>(filters * stride_) * sizeof(float));
    const Index end = s_.n * (slot + 1) / plan_.slots;
    for (Index image = s_.n * slot / plan_.slots; image < end; image += plan_.images) {
      const Index count = std::min(plan_.images, end - image);
      for (Index begin = 0; begin < s_.p; begin += plan_.band) {
        const Index rows = std::min(plan_.band, s_.p - begin), pixels = rows * s_.q;
        for (Index i = 0; i < count; ++i) {
          gather_patches(s_, x + (image + i) * s_.c * s_.h * s_.w, begin, rows, patches);
          turn_patches(patches, pixels, i, count, panels);
        }
        const float* from = gy + (image * s_.k + k) * plane + begin * s_.q;
        if (count > 1) take_turns(from, count, filters, pixels, turns);
        multiply(count > 1 ? turns : from, count > 1 ? pixels * count : plane, pixels * count,
                 filters, panels, sums);
      }
    }
  }

  /// gw from the sums of all slots, in their order.
  void merge(float* gw) const {
    for (Index slot = 1; slot < plan_.slots; ++slot)
      conv_table().accumulate_into(s_.k * stride_, sums_of(slot), sums_of(0));
    for (Index k = 0; k < s_.k; ++k) std::copy_n(sums_of(0) + k * stride_, depth_, gw + k * depth_);
  }

 private:
  float* sums_of(Index slot) const { return sums_.as<float>() + slot * s_.k * stride_; }

  /// Columns of the panel that begins with tap `first`.
  Index panel_cols(Index first) const {
    return depth_ - first <= narrow_cols_ ? narrow_cols_ : cols_;
  }
  // Patches of image i as panels [pixel][image][taps of the panel].
  void turn_patches(const float* patches, Index pixels, Index i, Index images,
                    float* panels) const {
    for (Index first = 0; first < depth_; first += cols_) {
      const Index cols = panel_cols(first);
      tile_table().transpose(std::min(cols, depth_ - first), pixels, patches + first * pixels,
                             pixels, panels + first * pixels_ + i * cols, images * cols);
    }
  }
  // sums[filter][tap] += sum over the pixels of gy[filter][pixel] patch[pixel][tap].
  void multiply(const float* gy, Index gy_stride, Index pixels, Index filters, const float* panels,
                float* sums) const {
    const GemmTable& kernels = gemm_table();
    for (Index first = 0; first < depth_; first += cols_) {
      const auto panel = panel_cols(first) == cols_ ? kernels.panel : kernels.narrow_panel;
      panel(
          {gy, gy_stride, panels + first * pixels_, pixels, filters, sums + first, stride_, true});
    }
  }
  // [filter][pixel][image] from [image][filter][pixel].
  void take_turns(const float* gy, Index images, Index filters, Index pixels, float* to) const {
    for (Index k = 0; k < filters; ++k)
      for (Index p = 0; p < pixels; ++p)
        for (Index i = 0; i < images; ++i) *to++ = gy[(i * s_.k + k) * s_.p * s_.q + p];
  }

  const ConvShape& s_;
  Index depth_, cols_, narrow_cols_;
  WeightGradPlan plan_;
  Index pixels_;  // of a band of a block of images
  Index stride_;  // of the sums: taps in whole panels
  Index group_filters_, groups_;
  Scratch sums_;  // [slot][filter][stride]
  Index patch_floats_, panel_floats_, worker_floats_;
  Scratch memory_;  // of each worker: patches of an image, panels, gradients in turns
};

}  // namespace detail

/// y[n,k,p,q] = bias[k] + sum over c,r,s, in this order; `bias` may be null.
inline void patch_forward(const ConvShape& s, const float* x, const float* w, const float* bias,
                          float* y) {
  if (s.n * s.k * s.p * s.q == 0) return;
  const Index band = detail::patch_band(s), bands = (s.p + band - 1) / band;
  const Index depth = detail::patch_depth(s), plane = s.p * s.q;
  const Index patch_floats = round_up(depth * band * s.q, 16);
  const Index floats = patch_floats + detail::RowsProduct{s.k, depth, band * s.q}.memory_floats() +
                       s.k * tile_table().cols;  // a last band may be narrower than a panel
  const Scratch scratch(static_cast<std::size_t>(threads() * floats) * sizeof(float));
  run_tasks(s.n * s.k * plane * depth, s.n * bands, [&](Index task) {
    const Index image = task / bands, begin = task % bands * band;
    const Index rows = std::min(band, s.p - begin), pixels = rows * s.q;
    float* patches = scratch.as<float>() + worker_index() * floats;
    float* out = y + image * s.k * plane + begin * s.q;
    detail::gather_patches(s, x + image * s.c * s.h * s.w, begin, rows, patches);
    detail::RowsProduct{s.k, depth, pixels}.run(w, patches, out, plane, patches + patch_floats);
    if (bias != nullptr)
      for (Index k = 0; k < s.k; ++k)
        elementwise_table().affine(pixels, 1.0F, out + k * plane, bias[k], out + k * plane);
  });
}

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

/// gw[k,c,r,s] from x[n,c,h,w] and gy[n,k,p,q].
inline void patch_weight_grad(const ConvShape& s, const float* x, const float* gy, float* gw) {
  const Index weights = s.k * detail::patch_depth(s), products = s.n * s.p * s.q * weights;
  if (products == 0) {
    std::fill_n(gw, weights, 0.0F);
    return;
  }
  const detail::PatchSums work(s);
  run_tasks(products, work.tasks(), [&](Index task) { work.sum(task, x, gy); });
  work.merge(gw);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
