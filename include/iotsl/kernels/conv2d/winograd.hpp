#pragma once
// Driver of Winograd convolution and of its input gradient, which is a convolution with the turned
// kernel. A block of tiles is transformed, multiplied frequency by frequency with the transformed
// weights of one panel of outputs after the other, and turned back while it is in the cache.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/correlate.hpp"
#include "iotsl/kernels/conv2d/winograd_table.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// How the work is cut: a function of the shape and the width of a panel.
struct WinogradPlan {
  Index images;        ///< per block
  Index band;          ///< tile rows per block
  Index panel_groups;  ///< output channels are cut into so many tasks; each transforms the input

  static WinogradPlan make(const Correlation& c, const WinogradGrid& g, Index tile_cols) {
    // Transformed tiles of 768 KB at most stay in the second cache; fewer than 24 tiles would read
    // the weights too often.
    const Index tile_floats = winograd_frequencies * (pixel_stride(c.in_c) + tile_cols);
    const Index target = std::clamp<Index>(192 * 1024 / tile_floats, 24, 64);
    WinogradPlan plan{1, g.rows(), 1};
    if (g.tiles() <= target) {
      plan.images = std::min(c.n, std::max<Index>(1, target / g.tiles()));
    } else {
      const Index bands = (g.tiles() + target - 1) / target;
      plan.band = (g.rows() + bands - 1) / bands;
    }
    const Index panels = (c.out_c + tile_cols - 1) / tile_cols;
    plan.panel_groups = std::min(panels, std::max<Index>(1, 8 / (plan.blocks(c) * plan.bands(g))));
    return plan;
  }
  Index blocks(const Correlation& c) const { return (c.n + images - 1) / images; }
  Index bands(const WinogradGrid& g) const { return (g.rows() + band - 1) / band; }
  Index tiles(const WinogradGrid& g) const { return images * band * g.cols(); }
};

/// Working memory of one thread, in floats.
struct WinogradMemory {
  Index in, out;  ///< channel-last pixels of a block, and of one panel of its outputs
  Index v, m;     ///< transformed tiles, and their products for one panel
  /// `pixel` and `row`: floats from pixel to pixel, and from one transformed tile to the next.
  WinogradMemory(const WinogradGrid& g, const WinogradPlan& plan, Index pixel, Index row,
                 Index cols) {
    const Index band_rows = plan.band * winograd_edge;
    in = (1 + plan.images * std::min(g.in_h, band_rows + 2) * g.in_w) * pixel;
    out = (plan.images * band_rows * g.out_w + 1) * cols;
    v = winograd_frequencies * plan.tiles(g) * row;
    m = winograd_frequencies * plan.tiles(g) * cols;
  }
  Index total() const { return round_up(in + out + v + m, 16); }
};

/// The transformed weights of some channels of a panel from the packed ones; see
/// winograd_weights().
inline void transform_weights(FloatOperands, Index channels, const float* packed, bool flipped,
                              float* u, Index frequency_stride, float* /*memory*/) {
  winograd_table().weights(channels, packed, flipped, u, frequency_stride);
}
/// Floats of memory that it needs for `channels`.
inline Index transform_weights_floats(FloatOperands, Index /*channels*/) { return 0; }

/// Transforms tiles of inputs to rows of words.
inline void transform_tiles(FloatOperands, Index tiles, const WinogradTile* tile,
                            const float* block, Index channels, const WinogradRows& v,
                            float* /*memory*/) {
  winograd_table().input(tiles, tile, block, channels, v);
}
/// Floats of memory that it needs.
inline Index transform_tiles_floats(FloatOperands, Index /*channels*/) { return 0; }

/// u[panel][frequency][words of in channels][tile_cols] from the weights.
template <class Operands>
void winograd_weights(Operands operands, const Correlation& c, bool flipped, const float* w,
                      float* u) {
  const Index cols = tile_table().cols, panels = (c.out_c + cols - 1) / cols;
  const Index chunk = std::min<Index>(c.in_c, 32), chunks = (c.in_c + chunk - 1) / chunk;
  const Index packed_floats = chunk * 9 * cols, depth = words(operands, c.in_c);
  const Index worker_floats = packed_floats + transform_weights_floats(operands, chunk);
  const Scratch memory(static_cast<std::size_t>(threads() * worker_floats) * sizeof(float));
  run_tasks(panels * c.in_c * cols * winograd_frequencies * 8, panels * chunks, [&](Index task) {
    const Index panel = task / chunks, first = task % chunks * chunk;
    const Index channels = std::min(chunk, c.in_c - first);
    const Index valid = std::min(cols, c.out_c - panel * cols);
    const float* src = w + panel * cols * c.weight_out_stride + first * c.weight_in_stride;
    float* packed = memory.as<float>() + worker_index() * worker_floats;
    if (valid < cols)
      std::memset(packed, 0, static_cast<std::size_t>(packed_floats) * sizeof(float));
    turn_weights(c, 9, channels, valid, src, packed);
    transform_weights(operands, channels, packed, flipped,
                      u + (panel * winograd_frequencies * depth + words(operands, first)) * cols,
                      depth * cols, packed + packed_floats);
  });
}

/// The tiles of every band, one list of plan.tiles() after the other.
inline void list_bands(const Correlation& c, const WinogradGrid& g, const WinogradPlan& plan,
                       Index tile_cols, WinogradTile* tile) {
  for (Index band = 0; band < plan.bands(g); ++band, tile += plan.tiles(g)) {
    const Index begin = band * plan.band, end = std::min(g.rows(), begin + plan.band);
    const Index first = begin * winograd_edge, last = std::min(g.out_h, end * winograd_edge);
    const Index end_in = g.last_in(last);
    const PixelBlock in{
        g.first_in(first), end_in - g.first_in(first), g.in_w, pixel_stride(c.in_c), 1, 0};
    const Index unread = plan.images * plan.band * winograd_edge * g.out_w * tile_cols;
    const PixelBlock out{first, last - first, g.out_w, tile_cols, 0, unread};
    list_tiles(g, plan.images, begin, end, end_in, in, out, tile);
  }
}

}  // namespace detail

/// Runs the correlation, whose kernel is 3x3 at stride 1, with `pad_h` and `pad_w` zeros before the
/// input; `flipped` where the taps are in reverse order. `bias` may be null.
template <class Operands>
void winograd_correlate(Operands operands, const Correlation& c, Index pad_h, Index pad_w,
                        bool flipped, const float* in, const float* w, const float* bias,
                        float* out) {
  const detail::WinogradGrid g{c.in_h, c.in_w, c.row->out(), c.col->out(), pad_h, pad_w};
  const auto transpose = tile_table().transpose;
  const WinogradTable& kernels = winograd_table();
  const auto multiply = gemm_kernels(operands).panel;
  const Index cols = tile_table().cols, panels = (c.out_c + cols - 1) / cols;
  const Index depth = words(operands, c.in_c);
  Correlation transformed = c;
  transformed.in_c = depth;
  const auto plan = detail::WinogradPlan::make(transformed, g, cols);

  const Index panel_floats = winograd_frequencies * depth * cols;
  const Scratch weights(static_cast<std::size_t>(panels * (panel_floats + cols)) * sizeof(float));
  detail::winograd_weights(operands, c, flipped, w, weights.as<float>());
  float* shift = weights.as<float>() + panels * panel_floats;
  for (Index o = 0; o < panels * cols; ++o)
    shift[o] = bias != nullptr && o < c.out_c ? bias[o] : 0.0F;

  const Index tiles = plan.tiles(g), stride = detail::pixel_stride(depth);
  const Scratch lists(static_cast<std::size_t>(plan.bands(g) * tiles) * sizeof(WinogradTile));
  detail::list_bands(c, g, plan, cols, lists.as<WinogradTile>());

  const detail::WinogradMemory size(g, plan, detail::pixel_stride(c.in_c), stride, cols);
  const Index worker_floats = size.total() + round_up(transform_tiles_floats(operands, c.in_c), 16);
  const Scratch scratch(static_cast<std::size_t>(threads() * worker_floats) * sizeof(float));

  const Index out_pixels = g.out_h * g.out_w;
  const Index tasks = plan.blocks(c) * plan.bands(g) * plan.panel_groups;
  run_tasks(c.n * g.tiles() * c.out_c * c.in_c * winograd_frequencies, tasks, [&](Index task) {
    const Index group = task % plan.panel_groups, part = task / plan.panel_groups;
    const Index band = part % plan.bands(g), image = part / plan.bands(g) * plan.images;
    const Index images = std::min(plan.images, c.n - image);
    const Index begin = band * plan.band, end = std::min(g.rows(), begin + plan.band);
    const Index first = begin * winograd_edge, last = std::min(g.out_h, end * winograd_edge);
    const Index count = images * (end - begin) * g.cols(), pixels = (last - first) * g.out_w;

    float* block = scratch.as<float>() + worker_index() * worker_floats;
    float* buffer = block + size.in;
    const WinogradRows v{buffer + size.out, stride, count * stride};
    const WinogradRows m{v.data + size.v, cols, count * cols};
    const WinogradTile* tile = lists.as<WinogradTile>() + band * tiles;
    load_block(detail::FloatOperands{}, c, in, image, images, g.first_in(first), g.last_in(last),
               block, nullptr);
    transform_tiles(operands, count, tile, block, c.in_c, v, block + size.total());
    for (Index panel = panels * group / plan.panel_groups;
         panel < panels * (group + 1) / plan.panel_groups; ++panel) {
      const float* u = weights.as<float>() + panel * panel_floats;
      for (Index f = 0; f < winograd_frequencies; ++f)
        multiply({v.data + f * v.frequency_stride, stride, u + f * depth * cols, depth, count,
                  m.data + f * m.frequency_stride, cols, false});
      kernels.output(count, tile, m, shift + panel * cols, buffer);
      const Index valid = std::min(cols, c.out_c - panel * cols);
      for (Index i = 0; i < images; ++i)
        transpose(pixels, valid, buffer + i * pixels * cols, cols,
                  out + ((image + i) * c.out_c + panel * cols) * out_pixels + first * g.out_w,
                  out_pixels);
    }
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
