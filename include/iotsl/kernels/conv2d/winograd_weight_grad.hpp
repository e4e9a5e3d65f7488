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

/// Transformed tiles of one block of images, and the scratch of the threads that make them.
struct WinogradBlock {
  Index images, tiles;  ///< per block
  Index x_stride, gy_stride;
  Index x_pixels, gy_pixels;

  WinogradBlock(const WeightGrad& g, const WinogradGrid& grid, Index padded_k)
      : x_stride(pixel_stride(g.c)),
        gy_stride(pixel_stride(padded_k)),
        x_pixels(g.h * g.w),
        gy_pixels(grid.out_h * grid.out_w) {
    const Index image_floats = winograd_frequencies * grid.tiles() * (x_stride + gy_stride);
    images = std::clamp<Index>(1024 * 1024 / image_floats, 1, g.n);
    tiles = images * grid.tiles();
  }
  Index floats() const { return winograd_frequencies * tiles * (x_stride + gy_stride); }
  Index worker_floats() const { return (1 + x_pixels) * x_stride + (1 + gy_pixels) * gy_stride; }
};

/// The tiles of one image of x and gy, transformed to the rows `v` and `z`.
inline void winograd_image(const WeightGrad& g, const WinogradBlock& block, Index padded_k,
                           const WinogradTile* tile, Index tiles, const float* x, const float* gy,
                           const WinogradRows& v, const WinogradRows& z, float* memory) {
  const auto transpose = tile_table().transpose;
  float* xs = memory;
  float* gs = xs + (1 + block.x_pixels) * block.x_stride;
  std::memset(xs, 0, static_cast<std::size_t>(block.x_stride) * sizeof(float));
  transpose(g.c, block.x_pixels, x, block.x_pixels, xs + block.x_stride, block.x_stride);
  // Columns beyond the last output channel are computed too: they must at least be numbers.
  const Index zeros = g.k == padded_k ? 1 : 1 + block.gy_pixels;
  std::memset(gs, 0, static_cast<std::size_t>(zeros * block.gy_stride) * sizeof(float));
  transpose(g.k, block.gy_pixels, gy, block.gy_pixels, gs + block.gy_stride, block.gy_stride);
  winograd_table().input(tiles, tile, xs, g.c, v);
  winograd_table().gradient(tiles, tile, gs, padded_k, z);
}

}  // namespace detail

/// The weight gradient of a 3x3 convolution of stride 1, whose input is padded by `pad_h`, `pad_w`.
inline void winograd_weight_grad(const WeightGrad& g, Index pad_h, Index pad_w, const float* x,
                                 const float* gy, float* gw) {
  const detail::WinogradGrid grid{g.h, g.w, g.row->out(), g.col->out(), pad_h, pad_w};
  const TileTable& tile_kernels = tile_table();
  const ConvTable& kernels = conv_table();
  const Index cols = tile_kernels.cols, panels = (g.k + cols - 1) / cols;
  const Index padded_k = panels * cols;
  const detail::WinogradBlock block(g, grid, padded_k);

  const Index panel_floats = g.c * cols, frequency_floats = panels * panel_floats;
  const Scratch sums_memory(static_cast<std::size_t>(winograd_frequencies * frequency_floats) *
                            sizeof(float));
  float* sums = sums_memory.as<float>();
  std::memset(sums, 0,
              static_cast<std::size_t>(winograd_frequencies * frequency_floats) * sizeof(float));
  const Scratch rows(static_cast<std::size_t>(block.floats()) * sizeof(float));
  const Index worker_floats = round_up(std::max(block.worker_floats(), 9 * panel_floats),
                                       16);  // the latter to unpack a panel
  const Scratch scratch(static_cast<std::size_t>(threads() * worker_floats) * sizeof(float));
  const Index image_tiles = grid.tiles();
  const Scratch list(static_cast<std::size_t>(image_tiles) * sizeof(WinogradTile));
  detail::list_tiles(grid, 1, 0, grid.rows(), {0, g.h, g.w, block.x_stride, 1, 0},
                     {0, grid.out_h, grid.out_w, block.gy_stride, 1, 0}, list.as<WinogradTile>());

  for (Index image = 0; image < g.n; image += block.images) {
    const Index images = std::min(block.images, g.n - image), tiles = images * image_tiles;
    const WinogradRows v{rows.as<float>(), block.x_stride, tiles * block.x_stride};
    const WinogradRows z{v.data + winograd_frequencies * tiles * block.x_stride, block.gy_stride,
                         tiles * block.gy_stride};
    const Index moved = tiles * (g.c + padded_k) * winograd_frequencies;
    run_tasks(moved * 8, images, [&](Index i) {
      const Index at = i * image_tiles;
      detail::winograd_image(g, block, padded_k, list.as<WinogradTile>(), image_tiles,
                             x + (image + i) * g.c * block.x_pixels,
                             gy + (image + i) * g.k * block.gy_pixels,
                             {v.data + at * v.stride, v.stride, v.frequency_stride},
                             {z.data + at * z.stride, z.stride, z.frequency_stride},
                             scratch.as<float>() + worker_index() * worker_floats);
    });
    run_tasks(tiles * g.c * padded_k * winograd_frequencies, winograd_frequencies * panels,
              [&](Index task) {
                const Index f = task / panels, panel = task % panels;
                const OuterRun run{0, 0, static_cast<std::int32_t>(tiles)};
                kernels.outer({v.data + f * v.frequency_stride,
                               z.data + f * z.frequency_stride + panel * cols, v.stride, z.stride,
                               &run, 1, cols},
                              g.c, sums + f * frequency_floats + panel * panel_floats);
              });
  }

  run_tasks(winograd_frequencies * frequency_floats * 8, panels, [&](Index panel) {
    float* packed = scratch.as<float>() + worker_index() * worker_floats;
    winograd_table().weight_sums(g.c, sums + panel * panel_floats, frequency_floats, packed);
    tile_kernels.transpose(9 * g.c, std::min(cols, g.k - panel * cols), packed, cols,
                           gw + panel * cols * g.c * 9, 9 * g.c);
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
