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
};

namespace detail {

/// How the work is cut: a function of the shape alone. Slots, images and band decide bits: a band
/// of a block is summed in registers and then added to the sums of its slot.
struct WeightGradPlan {
  static constexpr Index sum_floats = 1024 * 1024;  // of all slots together
  static constexpr Index most_slots = 8;
  static constexpr Index wanted_tasks = 8;
  static constexpr Index band_words = 288;          // of an output channel, summed in registers
  static constexpr Index block_words = 256 * 1024;  // of x and gy

  Index slots;         ///< parts of the batch with sums of their own, merged in order
  Index groups;        ///< parts of the output channels
  Index group_panels;  ///< panels of output channels in each but the last
  Index images;        ///< per block
  Index band;          ///< output rows per pass over a block

  struct Size {
    Index n, c, in_pixels, k, out_h, out_w;
  };
  static WeightGradPlan make(const Size& s, Index taps, Index tile_cols, Index per_word = 1) {
    const Index pixels = s.out_h * s.out_w, panels = (s.k + tile_cols - 1) / tile_cols;
    const Index sums = std::max<Index>(1, taps * s.c * panels * tile_cols);
    WeightGradPlan plan;
    plan.slots = std::min(std::clamp<Index>(sum_floats / sums, 1, most_slots), s.n);
    plan.groups = std::min(panels, (wanted_tasks + plan.slots - 1) / plan.slots);
    plan.group_panels = (panels + plan.groups - 1) / plan.groups;
    const Index image_floats =
        s.in_pixels * pixel_stride(s.c) + pixels * pixel_stride(plan.group_panels * tile_cols);
    plan.images = per_word * std::min(std::max<Index>(1, band_words / pixels),
                                      std::max<Index>(1, block_words / image_floats));
    plan.images = std::min(plan.images, round_up((s.n + plan.slots - 1) / plan.slots, per_word));
    const Index words = plan.images / per_word;
    plan.band = std::clamp<Index>(band_words / (s.out_w * words), 1, s.out_h);
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
// the image get zero. `memory` has turned_floats().
inline void unpack_panel(const WeightGrad& g, const UsedTaps& used, const float* sums,
                         Index first_k, Index valid, Index cols, float* memory, float* gw) {
  const Index taps = g.row->taps() * g.col->taps();
  float* dst = gw + first_k * g.c * taps;
  const auto transpose = tile_table().transpose;
  if (taps == 1 && used.count() == 1) {
    transpose(g.c, valid, sums, cols, dst, g.c);
  } else if (used.count() == taps) {
    // Rows of several channels together, since few taps alone leave vectors half empty.
    for (Index first = 0; first < g.c; first += turned_channels) {
      const Index channels = std::min(turned_channels, g.c - first);
      for (Index t = 0; t < taps; ++t) {
        const float* from = sums + (t * g.c + first) * cols;
        float* to = memory + t * cols;
        for (Index i = 0; i < channels; ++i, from += cols, to += taps * cols)
          copy_row(cols, from, to);
      }
      transpose(channels * taps, valid, memory, cols, dst + first * taps, g.c * taps);
    }
  } else {
    for (Index o = 0; o < valid; ++o, dst += g.c * taps) {
      std::memset(dst, 0, static_cast<std::size_t>(g.c * taps) * sizeof(float));
      for (Index t = 0; t < used.count(); ++t)
        copy_floats(g.c, sums + t * g.c * cols + o, cols, dst + used.tap(t), taps);
    }
  }
}

/// Channel-last words of an image, which hold neighbouring images: the first of `images` at most.
inline void load_images(FloatOperands, Index channels, Index pixels, Index /*images*/,
                        const float* image, Index /*image_floats*/, float* to, Index stride,
                        float* /*memory*/) {
  tile_table().transpose(channels, pixels, image, pixels, to, stride);
}
/// Floats of memory that it needs for an image of so many floats.
inline Index load_images_floats(FloatOperands, Index /*image_floats*/) { return 0; }

/// The sums of every slot, and of every worker a block of x and gy with its runs.
template <class Operands>
class WeightGradWork {
 public:
  WeightGradWork(const WeightGrad& g, const UsedTaps& used)
      : g_(g),
        used_(used),
        tiles_(tile_table()),
        kernels_(conv_kernels(Operands{})),
        cols_(tiles_.cols),
        pixels_(g.row->out() * g.col->out()),
        plan_(WeightGradPlan::make({g.n, g.c, g.h * g.w, g.k, g.row->out(), g.col->out()},
                                   used.count(), cols_, Operands::per_word)),
        panels_((g.k + cols_ - 1) / cols_),
        panel_floats_(used.count() * g.c * cols_),
        x_stride_(pixel_stride(g.c)),
        gy_stride_(pixel_stride(plan_.group_panels * cols_)),
        x_floats_(words(Operands{}, plan_.images) * g.h * g.w * x_stride_),
        block_floats_(x_floats_ + words(Operands{}, plan_.images) * pixels_ * gy_stride_),
        load_floats_(load_images_floats(
            Operands{}, std::max(g.c * g.h * g.w, plan_.group_panels * cols_ * pixels_))),
        float_bytes_(
            round_up(std::max(block_floats_ + load_floats_, turned_floats(used.all(), cols_)) *
                         static_cast<Index>(sizeof(float)),
                     64)),
        worker_bytes_(float_bytes_ + round_up(RunList::bytes(g, plan_), 64)),
        sum_panels_(plan_.slots > 1            ? plan_.slots * panels_
                    : threads() < plan_.groups ? threads() * plan_.group_panels
                                               : panels_),
        sums_memory_(static_cast<std::size_t>(sum_panels_ * panel_floats_) * sizeof(float)),
        scratch_(static_cast<std::size_t>(threads() * worker_bytes_)) {}

  void run(const float* x, const float* gy, float* gw) const {
    const Index work = g_.n * pixels_ * used_.count() * g_.k * g_.c;
    run_tasks(work, plan_.slots * plan_.groups, [&](Index task) {
      const Group group = group_of(task % plan_.groups);
      if (group.channels <= 0) return;
      const Index slot = task / plan_.groups;
      if (plan_.slots > 1) return sum(slot, group, x, gy, sums_of(slot, group.first));
      // Those of a single slot are complete: they are turned before they leave the cache.
      const bool share = sum_panels_ < panels_;  // the worker's groups, one after the other
      float* sums = sums_of(0, share ? worker_index() * plan_.group_panels : group.first);
      sum(slot, group, x, gy, sums);
      for (Index panel = group.first; panel < group.last; ++panel)
        unpack(panel, sums + (panel - group.first) * panel_floats_, gw);
    });
    if (plan_.slots == 1) return;
    run_tasks(plan_.slots * panels_ * panel_floats_ * 8, panels_, [&](Index panel) {
      float* total = sums_of(0, panel);
      for (Index slot = 1; slot < plan_.slots; ++slot)  // in their order
        kernels_.accumulate_into(panel_floats_, sums_of(slot, panel), total);
      unpack(panel, total, gw);
    });
  }

 private:
  /// Panels [first, last), whose output channels begin at first_k.
  struct Group {
    Index first, last, first_k, channels;
  };
  Group group_of(Index number) const {
    const Index first = std::min(panels_, number * plan_.group_panels);
    const Index last = std::min(panels_, first + plan_.group_panels);
    return {first, last, first * cols_, std::min(g_.k, last * cols_) - first * cols_};
  }
  float* sums_of(Index slot, Index panel) const {
    return sums_memory_.as<float>() + (slot * panels_ + panel) * panel_floats_;
  }

  /// Of the calling worker.
  float* worker_memory() const {
    return reinterpret_cast<float*>(scratch_.as<char>() + worker_index() * worker_bytes_);
  }

  /// The sums of one slot in one group of panels.
  void sum(Index slot, const Group& group, const float* x, const float* gy, float* sums) const {
    float* xs = worker_memory();
    float* gs = xs + x_floats_;
    RunList runs(g_, reinterpret_cast<char*>(xs) + float_bytes_);
    const Index begin = g_.n * slot / plan_.slots, end = g_.n * (slot + 1) / plan_.slots;
    for (Index image = begin; image < end; image += plan_.images) {
      const Index images = std::min(plan_.images, end - image);
      load_block(group, x, gy, image, images, xs, gs);
      add_block(group, images, xs, gs, runs, image > begin, sums);
    }
  }

  /// gw of one panel from its sums.
  void unpack(Index panel, const float* sums, float* gw) const {
    unpack_panel(g_, used_, sums, panel * cols_, std::min(cols_, g_.k - panel * cols_), cols_,
                 worker_memory(), gw);
  }

  /// `images` images channel-last: x into xs, the group's part of gy into gs.
  void load_block(const Group& group, const float* x, const float* gy, Index first, Index images,
                  float* xs, float* gs) const {
    const Index lines = words(Operands{}, images);
    float* memory = xs + block_floats_;
    for (Index i = 0; i < lines; ++i) {
      const Index image = i * Operands::per_word, left = images - image;
      load_images(Operands{}, g_.c, g_.h * g_.w, left, x + (first + image) * g_.c * g_.h * g_.w,
                  g_.c * g_.h * g_.w, xs + i * x_stride_, lines * x_stride_, memory);
      load_images(Operands{}, group.channels, pixels_, left,
                  gy + ((first + image) * g_.k + group.first_k) * pixels_, g_.k * pixels_,
                  gs + i * gy_stride_, lines * gy_stride_, memory);
    }
    // Columns beyond the last output channel are computed too: they must at least be numbers.
    for (Index p = 0; group.channels % cols_ != 0 && p < lines * pixels_; ++p)
      for (Index o = group.channels; o < round_up(group.channels, cols_); ++o)
        gs[p * gy_stride_ + o] = 0.0F;
  }

  /// The products of a loaded block become the sums of its group of panels, or are added to them
  /// where it has some; band by band.
  void add_block(const Group& group, Index images, const float* xs, const float* gs, RunList& runs,
                 bool has_sums, float* sums) const {
    const Index lines = words(Operands{}, images);
    const Index out_h = g_.row->out(), x_step = RunList::x_step(g_, lines, x_stride_);
    for (Index begin = 0; begin < out_h; begin += plan_.band) {
      runs.build(lines, begin, std::min(out_h, begin + plan_.band), x_stride_, gy_stride_);
      for (Index panel = group.first; panel < group.last; ++panel)
        for (Index t = 0; t < used_.count(); ++t) {
          const Index tap = used_.tap(t);
          const OuterBlock block{xs,           gs + (panel - group.first) * cols_,
                                 x_step,       gy_stride_,
                                 runs.of(tap), runs.count(tap),
                                 cols_,        has_sums || begin > 0};
          kernels_.outer(block, g_.c,
                         sums + (panel - group.first) * panel_floats_ + t * g_.c * cols_);
        }
    }
  }

  const WeightGrad& g_;
  const UsedTaps& used_;
  const TileTable& tiles_;
  const ConvTable& kernels_;
  Index cols_, pixels_;
  WeightGradPlan plan_;
  Index panels_, panel_floats_;
  Index x_stride_, gy_stride_;  // floats between pixels of a block
  Index x_floats_, block_floats_, load_floats_, float_bytes_, worker_bytes_;
  Index sum_panels_;
  Scratch sums_memory_;  // [slot][panel] or [worker][panel of a group], [used tap][c][cols]
  Scratch scratch_;      // of each worker: x, gy and what loading takes, or turned rows; runs
};

}  // namespace detail

template <class Operands>
void weight_grad(Operands, const WeightGrad& g, const float* x, const float* gy, float* gw) {
  const Index taps = g.row->taps() * g.col->taps(), pixels = g.row->out() * g.col->out();
  if (g.k * g.c * taps == 0) return;
  const UsedTaps used(*g.row, *g.col);
  if (g.n * pixels * used.count() == 0) {
    std::memset(gw, 0, static_cast<std::size_t>(g.k * g.c * taps) * sizeof(float));
    return;
  }
  detail::WeightGradWork<Operands>(g, used).run(x, gy, gw);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
