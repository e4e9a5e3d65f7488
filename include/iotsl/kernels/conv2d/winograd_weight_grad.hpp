#pragma once
// Driver of the weight gradient after Winograd, the adjoint of winograd.hpp in the weights: tiles
// of inputs and of gradients are transformed, their products summed frequency by frequency over all
// tiles, and the sums turned back once. Blocks of images are transformed by all threads, then
// multiplied by all threads: every sum runs over the images in their order.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/weight_grad.hpp"
#include "iotsl/kernels/conv2d/winograd_table.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// x or gy: images that are turned channel-last and transformed tile by tile.
struct WinogradOperand {
  Index channels, padded;  ///< channels from `channels` to `padded` are zero
  Index pixels;            ///< per image
  const float* images;
  void (*transform)(Index tiles, const WinogradTile* tile, const float* block, Index channels,
                    const WinogradRows& v);

  Index stride() const { return pixel_stride(padded); }
  /// Floats of a channel-last image behind one pixel of zeros.
  Index image_floats() const { return (1 + pixels) * stride(); }
  template <class Operands>
  void run(Operands operands, Index image, Index tiles, const WinogradTile* tile,
           const WinogradRows& rows, float* block) const {
    const Index zeros = channels == padded ? stride() : image_floats();
    std::memset(block, 0, static_cast<std::size_t>(zeros) * sizeof(float));
    tile_table().transpose(channels, pixels, images + image * channels * pixels, pixels,
                           block + stride(), stride());
    transform_image(operands, *this, tiles, tile, block, rows, block + image_floats());
  }
};

/// All tiles of an image to rows of words, which hold neighbouring tiles.
inline void transform_image(FloatOperands, const WinogradOperand& operand, Index tiles,
                            const WinogradTile* tile, const float* block, const WinogradRows& rows,
                            float* /*memory*/) {
  operand.transform(tiles, tile, block, operand.padded, rows);
}
/// Floats of memory that it needs.
inline Index transform_image_floats(FloatOperands, const WinogradOperand&) { return 0; }

/// Images per block: transformed, they take some 2.5 MB, or where that is more as much as the sums,
/// which every block reads and writes once; but no more than the `operands` themselves, all in
/// floats, so that a small layer stays small.
inline Index winograd_block_images(Index n, Index image_tiles, Index strides, Index sums,
                                   Index operands) {
  const Index floats = std::min(std::clamp<Index>(sums, 640 * 1024, 2048 * 1024), operands);
  return std::clamp<Index>(floats / (winograd_frequencies * image_tiles * strides), 1, n);
}

/// gw from the sums [frequency][panel][in channel][tile_cols]; each worker has `worker_floats` of
/// memory for a panel.
inline void winograd_unpack(Index c, Index k, const float* sums, float* memory, Index worker_floats,
                            float* gw) {
  const Index cols = tile_table().cols, panels = (k + cols - 1) / cols;
  const Index panel_floats = c * cols, frequency_floats = panels * panel_floats;
  run_tasks(winograd_frequencies * frequency_floats * 8, panels, [&](Index panel) {
    float* packed = memory + worker_index() * worker_floats;
    winograd_table().weight_sums(c, sums + panel * panel_floats, frequency_floats, packed);
    tile_table().transpose(9 * c, std::min(cols, k - panel * cols), packed, cols,
                           gw + panel * cols * c * 9, 9 * c);
  });
}

}  // namespace detail

/// The weight gradient of a 3x3 convolution of stride 1, whose input is padded by `pad_h`, `pad_w`.
template <class Operands>
void winograd_weight_grad(Operands operand_type, const WeightGrad& g, Index pad_h, Index pad_w,
                          const float* x, const float* gy, float* gw) {
  const detail::WinogradGrid grid{g.h, g.w, g.row->out(), g.col->out(), pad_h, pad_w};
  const auto outer = conv_kernels(operand_type).outer;
  const WinogradTable& transforms = winograd_table();
  const Index cols = tile_table().cols, panels = (g.k + cols - 1) / cols;
  const Index padded_k = panels * cols;
  const Index panel_floats = g.c * cols, frequency_floats = panels * panel_floats;
  const Index sum_floats = winograd_frequencies * frequency_floats;
  const detail::WinogradOperand operands[] = {
      {g.c, g.c, g.h * g.w, x, transforms.input},
      {g.k, padded_k, grid.out_h * grid.out_w, gy, transforms.gradient}};
  const Index x_stride = operands[0].stride(), gy_stride = operands[1].stride();
  const Index image_tiles = grid.tiles(), image_rows = words(operand_type, image_tiles);
  const Index block_images =
      detail::winograd_block_images(g.n, image_rows, x_stride + gy_stride, sum_floats,
                                    g.n * (g.c * g.h * g.w + g.k * grid.out_h * grid.out_w));
  const Index block_rows = winograd_frequencies * block_images * image_rows;

  const Scratch sums_memory(static_cast<std::size_t>(sum_floats) * sizeof(float));
  float* sums = sums_memory.as<float>();
  const Scratch rows(static_cast<std::size_t>(block_rows * (x_stride + gy_stride)) * sizeof(float));
  // For an image of either operand, and in the end for the weights of a panel.
  const auto image_memory = [&](const detail::WinogradOperand& operand) {
    return operand.image_floats() + transform_image_floats(operand_type, operand);
  };
  const Index worker_floats = round_up(
      std::max({image_memory(operands[0]), image_memory(operands[1]), 9 * panel_floats}), 16);
  const Scratch scratch(static_cast<std::size_t>(threads() * worker_floats) * sizeof(float));
  const Scratch list(static_cast<std::size_t>(image_tiles) * sizeof(WinogradTile));
  WinogradTile* tile = list.as<WinogradTile>();
  detail::list_tiles(grid, 1, 0, grid.rows(), g.h, {0, g.h, g.w, x_stride, 1, 0},
                     {0, grid.out_h, grid.out_w, gy_stride, 1, 0}, tile);

  for (Index image = 0; image < g.n; image += block_images) {
    const Index images = std::min(block_images, g.n - image), tiles = images * image_rows;
    const WinogradRows v{rows.as<float>(), x_stride, tiles * x_stride};
    const WinogradRows z{v.data + block_rows * x_stride, gy_stride, tiles * gy_stride};
    run_tasks(tiles * (g.c + padded_k) * winograd_frequencies * 8, 2 * images, [&](Index task) {
      const Index i = task / 2;
      const WinogradRows& all = task % 2 == 0 ? v : z;
      operands[task % 2].run(
          operand_type, image + i, image_tiles, tile,
          {all.data + i * image_rows * all.stride, all.stride, all.frequency_stride},
          scratch.as<float>() + worker_index() * worker_floats);
    });
    run_tasks(tiles * g.c * padded_k * winograd_frequencies, winograd_frequencies, [&](Index f) {
      const OuterRun run{0, 0, static_cast<std::int32_t>(tiles)};
      for (Index panel = 0; panel < panels; ++panel)
        outer({v.data + f * v.frequency_stride, z.data + f * z.frequency_stride + panel * cols,
               v.stride, z.stride, &run, 1, cols, image > 0},
              g.c, sums + f * frequency_floats + panel * panel_floats);
    });
  }

  detail::winograd_unpack(g.c, g.k, sums, scratch.as<float>(), worker_floats, gw);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
