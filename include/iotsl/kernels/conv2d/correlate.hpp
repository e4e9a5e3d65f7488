#pragma once
// Driver of direct convolution. A block of the input is turned channel-last
// into scratch; every output pixel of a tile then points to the input pixel of
// each kernel tap ("indirect" convolution: M. Dukhan, The Indirect Convolution
// Algorithm, 2019), so that stride, padding, dilation and the order of the
// pixels are only pointers. Taps that touch no row of the tile are left out.
// The sum over (tap, channel) runs in registers, always in the same order.

#include <algorithm>
#include <cstring>
#include <new>

#include "iotsl/kernels/conv2d/tiles.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// The weights of the used taps where some are left out, [panel][used tap][in channel][tile_cols]:
/// few of many floats are taken, so that reading them in the order of memory is what counts.
inline void pack_used_taps(const Correlation& c, const UsedTaps& used, const float* w,
                           float* packed) {
  const Index cols = tile_table().cols, panels = (c.out_c + cols - 1) / cols;
  const Index tap_floats = c.in_c * cols, panel_floats = used.count() * tap_floats;
  // A task is a panel, output by output, or a channel, panel by panel: whichever lies together.
  const bool by_panel = c.weight_in_stride < c.weight_out_stride;
  const Index step = by_panel ? c.weight_in_stride : c.weight_out_stride;
  const Index packed_step = by_panel ? cols : 1;
  run_tasks(c.out_c * c.in_c * used.all() * 8, by_panel ? panels : c.in_c, [&](Index task) {
    const Index lines = by_panel ? std::min(cols, c.out_c - task * cols) : panels;
    for (Index t = 0; t < used.count(); ++t)
      for (Index line = 0; line < lines; ++line) {
        const Index panel = by_panel ? task : line, column = by_panel ? line : 0;
        const Index o = panel * cols + column, i = by_panel ? 0 : task;
        const Index count = by_panel ? c.in_c : std::min(cols, c.out_c - o);
        copy_floats(count, w + o * c.weight_out_stride + i * c.weight_in_stride + used.tap(t), step,
                    packed + panel * panel_floats + t * tap_floats + i * cols + column,
                    packed_step);
      }
  });
}

/// rows[in channel][tap][tile_cols] of some input channels, all taps: `w` is the first weight, and
/// columns beyond `valid` outputs stay as they are.
inline void turn_weights(const Correlation& c, Index taps, Index channels, Index valid,
                         const float* w, float* rows) {
  const Index cols = tile_table().cols;
  const auto transpose = tile_table().transpose;
  if (c.weight_in_stride == taps)  // at once, since few taps alone leave vectors half empty
    return transpose(valid, channels * taps, w, c.weight_out_stride, rows, cols);
  for (Index i = 0; i < channels; ++i)
    transpose(valid, taps, w + i * c.weight_in_stride, c.weight_out_stride, rows + i * taps * cols,
              cols);
}

/// One panel where all taps are used, zero beyond the last output. Of every tap and every
/// `together` channels put(tap, in channel, row, step) gets the rows of tile_cols, `step` floats
/// from each other, which lie in the memory `rows` of turned_floats().
template <class Put>
void turn_panel(const Correlation& c, Index taps, Index number, const float* w, Index together,
                float* rows, const Put& put) {
  const Index cols = tile_table().cols, valid = std::min(cols, c.out_c - number * cols);
  if (valid < cols)
    std::memset(rows, 0, static_cast<std::size_t>(turned_floats(taps, cols)) * sizeof(float));
  for (Index first = 0; first < c.in_c; first += turned_channels) {
    const Index channels = std::min(turned_channels, c.in_c - first);
    turn_weights(c, taps, channels, valid,
                 w + number * cols * c.weight_out_stride + first * c.weight_in_stride, rows);
    for (Index t = 0; t < taps; ++t)  // so that what follows each other is written together
      for (Index i = 0; i < channels; i += together)
        put(t, first + i, rows + (i * taps + t) * cols, taps * cols);
  }
}

/// Weights as panels: packed[panel][used tap][in channel][tile_cols], zero beyond the last output.
inline void pack_weights(FloatOperands, const Correlation& c, const UsedTaps& used, const float* w,
                         float* packed) {
  const Index cols = tile_table().cols, panels = (c.out_c + cols - 1) / cols;
  const Index panel_floats = used.count() * c.in_c * cols;
  if (used.count() < used.all()) {
    if (c.out_c % cols != 0)
      std::memset(packed + (panels - 1) * panel_floats, 0,
                  static_cast<std::size_t>(panel_floats) * sizeof(float));
    return pack_used_taps(c, used, w, packed);
  }
  const Index memory_floats = turned_floats(used.all(), cols);
  const Scratch memory(static_cast<std::size_t>(threads() * memory_floats) * sizeof(float));
  run_tasks(panels * panel_floats * 8, panels, [&](Index panel) {
    turn_panel(c, used.all(), panel, w, 1, memory.as<float>() + worker_index() * memory_floats,
               [&](Index t, Index i, const float* row, Index) {
                 copy_row(cols, row, packed + panel * panel_floats + (t * c.in_c + i) * cols);
               });
  });
}

/// Input rows that the largest band needs.
inline Index band_input_rows(const Correlation& c, const CorrelatePlan& plan) {
  Index most = 1;
  for (Index begin = 0; begin < c.row->out(); begin += plan.band) {
    Index first, last;
    c.row->input_range(begin, std::min(c.row->out(), begin + plan.band), first, last);
    most = std::max(most, last - first);
  }
  return most;
}

/// Floats of one image that load_block() needs beside the block.
inline Index load_floats(FloatOperands, const Correlation&, Index /*rows*/) { return 0; }

/// What a worker keeps: a block of the input, the outputs of one panel, what loading takes, and
/// behind these floats the tiles.
struct CorrelateMemory {
  Index block_floats, output_floats, float_bytes, bytes;

  template <class Operands>
  static CorrelateMemory make(Operands operands, const Correlation& c, const CorrelatePlan& plan,
                              Index cols) {
    const Index rows = band_input_rows(c, plan), pixels = plan.images * rows * c.in_w;
    CorrelateMemory out;
    out.block_floats = pixel_stride(c.in_c) * (1 + pixels);
    out.output_floats = (plan.images * plan.band * c.col->out() + 1) * cols;
    out.float_bytes =
        round_up((out.block_floats + out.output_floats + load_floats(operands, c, rows)) *
                     static_cast<Index>(sizeof(float)),
                 64);
    out.bytes = out.float_bytes + round_up(TileList::bytes(c, plan), 64);
    return out;
  }
};

/// One block of images and output rows: its input as
/// [image][row][column][channel], behind one pixel of zeros that stands for
/// everything outside.
inline void load_block(FloatOperands, const Correlation& c, const float* in, Index first_image,
                       Index images, Index first_row, Index last_row, float* block,
                       float* /*memory*/) {
  const Index stride = pixel_stride(c.in_c), pixels = (last_row - first_row) * c.in_w;
  std::memset(block, 0, static_cast<std::size_t>(stride) * sizeof(float));
  for (Index i = 0; i < images; ++i) {
    float* dst = block + stride + i * pixels * stride;
    const float* image = in + (first_image + i) * c.in_c * c.in_h * c.in_w;
    tile_table().transpose(c.in_c, pixels, image + first_row * c.in_w, c.in_h * c.in_w, dst,
                           stride);
  }
}

}  // namespace detail

/// Runs the correlation; `bias` may be null. `out` is [n, out_c, out_h, out_w].
template <class Operands>
void correlate(Operands operands, const Correlation& c, const float* in, const float* w,
               const float* bias, float* out) {
  const auto transpose = tile_table().transpose;
  const ConvTable& kernels = conv_kernels(operands);
  const Index cols = tile_table().cols, panels = (c.out_c + cols - 1) / cols;
  const Index out_w = c.col->out(), out_pixels = c.row->out() * out_w;
  if (c.n == 0 || c.out_c == 0 || out_pixels == 0) return;
  Correlation stored = c;  // as its input lies in a block
  stored.in_c = words(operands, c.in_c);
  const detail::CorrelatePlan plan = detail::CorrelatePlan::make(stored, cols);
  const UsedTaps used(*c.row, *c.col);

  const Index panel_floats = used.count() * stored.in_c * cols;
  const Scratch packed(static_cast<std::size_t>(panels * (panel_floats + cols)) * sizeof(float));
  pack_weights(operands, c, used, w, packed.as<float>());
  float* shift = packed.as<float>() + panels * panel_floats;
  for (Index o = 0; o < panels * cols; ++o)
    shift[o] = bias != nullptr && o < c.out_c ? bias[o] : 0.0F;

  const Index stride = detail::pixel_stride(stored.in_c);
  const auto worker = detail::CorrelateMemory::make(operands, stored, plan, cols);
  const Scratch scratch(static_cast<std::size_t>(threads() * worker.bytes));

  const auto memory_of = [&](Index thread) { return scratch.as<char>() + thread * worker.bytes; };
  const Scratch lists(static_cast<std::size_t>(threads()) * sizeof(detail::TileList));
  auto* list = lists.as<detail::TileList>();
  for (Index thread = 0; thread < threads(); ++thread)
    new (list + thread)
        detail::TileList(stored, plan, used, memory_of(thread) + worker.float_bytes);

  const Index work = c.n * c.out_c * out_pixels * c.in_c * used.count();
  const Index blocks = plan.image_blocks(c);
  run_tasks(work, plan.tasks(c), [&](Index task) {
    const Index group = task % plan.panel_groups, part = task / plan.panel_groups;
    const Index image = part % blocks * plan.images, band = part / blocks;
    const Index images = std::min(plan.images, c.n - image);
    const Index begin = band * plan.band, end = std::min(c.row->out(), begin + plan.band);
    const Index pixels = (end - begin) * out_w;
    Index first_row, last_row;
    c.row->input_range(begin, end, first_row, last_row);

    float* block = reinterpret_cast<float*>(memory_of(worker_index()));
    float* buffer = block + worker.block_floats;
    detail::TileList& tiles = list[worker_index()];
    tiles.build(images, begin, end, first_row, last_row - first_row, stride);
    load_block(operands, c, in, image, images, first_row, last_row, block,
               buffer + worker.output_floats);
    for (Index panel = panels * group / plan.panel_groups;
         panel < panels * (group + 1) / plan.panel_groups; ++panel) {
      kernels.correlate(tiles.count(), tiles.tiles(), tiles.taps(), block, stored.in_c,
                        packed.as<float>() + panel * panel_floats, shift + panel * cols, buffer);
      const Index valid = std::min(cols, c.out_c - panel * cols);
      for (Index i = 0; i < images; ++i)
        transpose(pixels, valid, buffer + i * pixels * cols, cols,
                  out + ((image + i) * c.out_c + panel * cols) * out_pixels + begin * out_w,
                  out_pixels);
    }
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
