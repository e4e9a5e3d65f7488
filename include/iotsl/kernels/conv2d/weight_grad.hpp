#pragma once
// Driver of the weight gradient: for every kernel tap the product x_tap^T gy
// over all pixels, as tiles of [in channel] x [out channel] in registers.
// Blocks of x and gy are turned channel-last into scratch, as
// [row][column][image][channel], so that the pixels of one tap are long runs.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/tiles.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// gw[k][c][tap] = sum over n, p, q of x[n,c,row(p,r),col(q,s)] gy[n,k,p,q].
struct WeightGrad {
  Index n, c, h, w, k;
  const AxisMap* row;
  const AxisMap* col;
  Index stride_w;
  const Im2col* im2col = nullptr;
};

namespace detail {

/// How the work is cut: a function of the shape alone. Slots, images and band decide bits: a band
/// of a block is summed in registers and then added to the sums of its slot.
struct WeightGradPlan {
  static constexpr Index sum_floats = 1024 * 1024;  // of all slots together
  static constexpr Index most_slots = 8;
  static constexpr Index wanted_tasks = 8;
  static constexpr Index band_pixels = 224;          // output pixels summed in registers
  static constexpr Index block_floats = 256 * 1024;  // of x and gy

  Index slots;   ///< parts of the batch with sums of their own, merged in order
  Index groups;  ///< parts of the output channels
  Index images;  ///< per block
  Index band;    ///< output rows per pass over a block

  static WeightGradPlan make(const WeightGrad& g, Index taps, Index tile_cols) {
    const Index out_h = g.row->out(), out_w = g.col->out(), pixels = out_h * out_w;
    const Index panels = (g.k + tile_cols - 1) / tile_cols;
    const Index sums = std::max<Index>(1, taps * g.c * panels * tile_cols);
    WeightGradPlan plan;
    plan.slots = std::min(std::clamp<Index>(sum_floats / sums, 1, most_slots), g.n);
    plan.groups = std::min(panels, (wanted_tasks + plan.slots - 1) / plan.slots);
    const Index image_floats = g.h * g.w * pixel_stride(g.c) + pixels * round_up(g.k, tile_cols);
    plan.images = std::min(std::max<Index>(1, band_pixels / pixels),
                           std::max<Index>(1, block_floats / std::max<Index>(1, image_floats)));
    plan.images = std::min(plan.images, (g.n + plan.slots - 1) / plan.slots);
    plan.band = std::clamp<Index>(band_pixels / (out_w * plan.images), 1, out_h);
    return plan;
  }
};

/// The runs of pixels of every used tap in one band of output rows.
class RunList {
 public:
  static Index bytes(const WeightGrad& g, const WeightGradPlan& plan) {
    const Index taps = g.row->taps() * g.col->taps();
    return taps * plan.band * g.col->out() * static_cast<Index>(sizeof(OuterRun)) +
           round_up((taps + 1) * static_cast<Index>(sizeof(Index)), 64);
  }
  RunList(const WeightGrad& g, void* memory)
      : g_(g),
        first_(static_cast<Index*>(memory)),
        run_(reinterpret_cast<OuterRun*>(
            static_cast<char*>(memory) +
            round_up((g.row->taps() * g.col->taps() + 1) * static_cast<Index>(sizeof(Index)),
                     64))) {}

  /// Floats between pixels that follow each other in a run.
  static Index x_step(const WeightGrad& g, Index images, Index x_stride) {
    return images == 1 ? g.stride_w * x_stride : x_stride;
  }

  void build(Index images, Index begin, Index end, Index x_stride, Index gy_stride) {
    Index count = 0, tap = 0;
    const bool whole_rows = images == 1 || g_.stride_w == 1;
    for (Index r = 0; r < g_.row->taps(); ++r)
      for (Index s = 0; s < g_.col->taps(); ++s) {
        first_[tap++] = count;
        for (Index p = begin; p < end; ++p) {
          const Index h = (*g_.row)(p, r);
          if (h < 0) continue;
          Index q = 0;
          while (q < g_.col->out()) {
            const Index w = (*g_.col)(q, s);
            Index last = q + 1;
            if (w >= 0) {
              if (whole_rows)
                while (last < g_.col->out() && (*g_.col)(last, s) >= 0) ++last;
              run_[count++] = {
                  static_cast<std::int32_t>((h * g_.w + w) * images * x_stride),
                  static_cast<std::int32_t>((p * g_.col->out() + q) * images * gy_stride),
                  static_cast<std::int32_t>((last - q) * images)};
            }
            q = last;
          }
        }
      }
    first_[tap] = count;
  }
  const OuterRun* of(Index tap) const { return run_ + first_[tap]; }
  Index count(Index tap) const { return first_[tap + 1] - first_[tap]; }

 private:
  const WeightGrad& g_;
  Index* first_;
  OuterRun* run_;
};

// gw of one panel from its sums [used tap][c][tile_cols]; taps that never meet
// the image get zero.
inline void unpack_panel(const WeightGrad& g, const UsedTaps& used, const float* sums,
                         Index first_k, Index valid, Index cols, float* gw) {
  const Index taps = g.row->taps() * g.col->taps();
  float* dst = gw + first_k * g.c * taps;
  const auto transpose = tile_table().transpose;
  if (taps == 1 && used.count() == 1) {
    transpose(g.c, valid, sums, cols, dst, g.c);
  } else if (used.count() == taps) {
    for (Index c = 0; c < g.c; ++c)
      transpose(taps, valid, sums + c * cols, g.c * cols, dst + c * taps, g.c * taps);
  } else {
    std::memset(dst, 0, static_cast<std::size_t>(valid * g.c * taps) * sizeof(float));
    for (Index o = 0; o < valid; ++o)
      for (Index c = 0; c < g.c; ++c)
        for (Index t = 0; t < used.count(); ++t)
          dst[(o * g.c + c) * taps + used.tap(t)] = sums[(t * g.c + c) * cols + o];
  }
}

}  // namespace detail

inline void weight_grad(const WeightGrad& g, const float* x, const float* gy, float* gw) {
  using detail::pixel_stride;
  using detail::RunList;
  const TileTable& tile_kernels = tile_table();
  const ConvTable& kernels = conv_table();
  const Index cols = tile_kernels.cols, taps = g.row->taps() * g.col->taps();
  const Index out_h = g.row->out(), out_w = g.col->out(), pixels = out_h * out_w;
  if (g.k * g.c * taps == 0) return;
  const UsedTaps used(*g.row, *g.col);
  if (g.n * pixels * used.count() == 0) {
    std::memset(gw, 0, static_cast<std::size_t>(g.k * g.c * taps) * sizeof(float));
    return;
  }

  const auto plan = detail::WeightGradPlan::make(g, used.count(), cols);
  const Index panels = (g.k + cols - 1) / cols, panel_floats = used.count() * g.c * cols;
  const Scratch sums_memory(static_cast<std::size_t>(plan.slots * panels * panel_floats) *
                            sizeof(float));
  float* sums = sums_memory.as<float>();

  const Index x_stride = pixel_stride(g.c);
  const Index group_panels = (panels + plan.groups - 1) / plan.groups;
  const Index gy_stride = pixel_stride(group_panels * cols);
  const Index x_floats = plan.images * g.h * g.w * x_stride;
  const Index gy_floats = plan.images * pixels * gy_stride;
  const Index float_bytes =
      round_up((x_floats + gy_floats) * static_cast<Index>(sizeof(float)), 64);
  const Index worker_bytes = float_bytes + round_up(RunList::bytes(g, plan), 64);
  const Scratch scratch(static_cast<std::size_t>(threads() * worker_bytes));

  const Index work = g.n * pixels * g.k * g.c * used.count();
  run_tasks(work, plan.slots * plan.groups, [&](Index task) {
    const Index slot = task / plan.groups, group = task % plan.groups;
    const Index first_panel = std::min(panels, group * group_panels);
    const Index last_panel = std::min(panels, first_panel + group_panels);
    const Index first_k = first_panel * cols, group_k = std::min(g.k, last_panel * cols) - first_k;
    if (group_k <= 0) return;
    char* memory = scratch.as<char>() + worker_index() * worker_bytes;
    float* xs = reinterpret_cast<float*>(memory);
    float* gs = xs + x_floats;
    RunList runs(g, memory + float_bytes);
    float* slot_sums = sums + slot * panels * panel_floats;
    std::memset(
        slot_sums + first_panel * panel_floats, 0,
        static_cast<std::size_t>((last_panel - first_panel) * panel_floats) * sizeof(float));

    const Index slot_end = g.n * (slot + 1) / plan.slots;
    for (Index image = g.n * slot / plan.slots; image < slot_end; image += plan.images) {
      const Index images = std::min(plan.images, slot_end - image);
      for (Index i = 0; i < images; ++i) {
        if (g.im2col != nullptr)
          g.im2col->gather(x, image + i, 0, out_h, xs + i * x_stride, images * x_stride);
        else
          tile_kernels.transpose(g.c, g.h * g.w, x + (image + i) * g.c * g.h * g.w, g.h * g.w,
                                 xs + i * x_stride, images * x_stride);
        tile_kernels.transpose(group_k, pixels, gy + ((image + i) * g.k + first_k) * pixels, pixels,
                               gs + i * gy_stride, images * gy_stride);
      }
      // Columns beyond the last output channel are computed too: they must at
      // least be numbers.
      for (Index p = 0; group_k % cols != 0 && p < images * pixels; ++p)
        for (Index o = group_k; o < round_up(group_k, cols); ++o) gs[p * gy_stride + o] = 0.0F;

      for (Index begin = 0; begin < out_h; begin += plan.band) {
        runs.build(images, begin, std::min(out_h, begin + plan.band), x_stride, gy_stride);
        for (Index panel = first_panel; panel < last_panel; ++panel)
          for (Index t = 0; t < used.count(); ++t) {
            const OuterBlock block{xs,
                                   gs + (panel - first_panel) * cols,
                                   RunList::x_step(g, images, x_stride),
                                   gy_stride,
                                   runs.of(used.tap(t)),
                                   runs.count(used.tap(t)),
                                   cols};
            kernels.outer(block, g.c, slot_sums + panel * panel_floats + t * g.c * cols);
          }
      }
    }
  });

  run_tasks(plan.slots * panels * panel_floats * 8, panels, [&](Index panel) {
    float* total = sums + panel * panel_floats;
    for (Index slot = 1; slot < plan.slots; ++slot)
      kernels.accumulate_into(panel_floats, total + slot * panels * panel_floats, total);
    detail::unpack_panel(g, used, total, panel * cols, std::min(cols, g.k - panel * cols), cols,
                         gw);
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
