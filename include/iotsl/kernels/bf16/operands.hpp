#pragma once
// What the drivers of products and convolutions do otherwise where their operands are rounded to
// bfloat16: words hold two numbers that are neighbours in the direction of the sum. That is the
// channel in a convolution and its input gradient, the image or the tile in a weight gradient.

#include <algorithm>

#include "iotsl/kernels/bf16/table.hpp"
#include "iotsl/kernels/conv2d/conv2d.hpp"

IOTSL_NAMESPACE_BEGIN
namespace kernels::detail {

/// Pairs of bfloat16 numbers; needs a bf16_table().
struct Bf16Operands {
  static constexpr Index per_word = 2;
};

inline const GemmTable& gemm_kernels(Bf16Operands) { return *bf16_table()->gemm; }
inline const ConvTable& conv_kernels(Bf16Operands) { return *bf16_table()->conv; }
inline const RoundTable& round_kernels() { return *bf16_table()->round; }

/// words[line] = rows 2 line and 2 line + 1 of x, `count` floats each; steps in floats.
inline void round_row_pairs(Index rows, Index count, const float* x, Index x_step, float* to,
                            Index to_step) {
  const auto round = round_kernels().rows;
  for (Index i = 0; i < rows; i += 2, to += to_step)
    round(count, x + i * x_step, i + 1 < rows ? x + (i + 1) * x_step : nullptr, to);
}

// Matrix product: pairs of the depth.

inline Index gemm_rows_floats(Bf16Operands, const GemmProblem& p) {
  const Index turned = gemm_depth / 2 * std::max(gemm_rows, tile_table().cols);
  return gemm_rows * gemm_row_stride / 2 + (p.rows_transposed || p.cols_transposed ? turned : 0);
}
inline GemmRows gemm_block_rows(Bf16Operands operands, const GemmProblem& p, const GemmBlock& b,
                                float* memory) {
  const Index stride = gemm_row_stride / 2;
  if (p.rows_transposed) {
    float* turned = memory + gemm_rows * stride;
    round_row_pairs(b.depth, b.count, p.rows + b.first_depth * p.m + b.first, p.m, turned, b.count);
    tile_table().transpose(words(operands, b.depth), b.count, turned, b.count, memory, stride);
  } else {
    for (Index i = 0; i < b.count; ++i)
      round_kernels().neighbours(b.depth, p.rows + (b.first + i) * p.k + b.first_depth,
                                 memory + i * stride);
  }
  return {memory, stride};
}
inline void gemm_pack_cols(Bf16Operands operands, const GemmProblem& p, const GemmBlock& b,
                           float* packed, float* memory) {
  const Index cols = tile_table().cols, depth = words(operands, b.depth);
  for (Index j = 0; j < b.count; j += cols, packed += depth * cols) {
    const Index valid = std::min(cols, b.count - j);
    if (valid < cols)
      std::memset(packed, 0, static_cast<std::size_t>(depth * cols) * sizeof(float));
    if (p.cols_transposed) {
      for (Index i = 0; i < valid; ++i)
        round_kernels().neighbours(b.depth, p.cols + (b.first + j + i) * p.k + b.first_depth,
                                   memory + i * depth);
      tile_table().transpose(valid, depth, memory, depth, packed, cols);
    } else {
      round_row_pairs(b.depth, valid, p.cols + b.first_depth * p.n + b.first + j, p.n, packed,
                      cols);
    }
  }
}

// Direct convolution and its input gradient: pairs of input channels.

inline void pack_weights(Bf16Operands operands, const Correlation& c, const UsedTaps& used,
                         const float* w, float* packed) {
  const Index cols = tile_table().cols, panels = (c.out_c + cols - 1) / cols;
  const Index depth = words(operands, c.in_c), panel_words = used.all() * depth * cols;
  const Index memory_floats = turned_floats(used.all(), cols);
  const Scratch memory(static_cast<std::size_t>(threads() * memory_floats) * sizeof(float));
  const auto round = round_kernels().rows;
  run_tasks(panels * panel_words * 16, panels, [&](Index panel) {
    turn_panel(c, used.all(), panel, w, 2, memory.as<float>() + worker_index() * memory_floats,
               [&](Index t, Index i, const float* row, Index step) {
                 round(cols, row, i + 1 < c.in_c ? row + step : nullptr,
                       packed + panel * panel_words + (t * depth + i / 2) * cols);
               });
  });
}
inline Index load_floats(Bf16Operands, const Correlation& stored, Index rows) {
  return stored.in_c * rows * stored.in_w;
}
inline void load_block(Bf16Operands operands, const Correlation& c, const float* in,
                       Index first_image, Index images, Index first_row, Index last_row,
                       float* block, float* memory) {
  const Index depth = words(operands, c.in_c), stride = pixel_stride(depth);
  const Index pixels = (last_row - first_row) * c.in_w, plane = c.in_h * c.in_w;
  std::memset(block, 0, static_cast<std::size_t>(stride) * sizeof(float));
  for (Index i = 0; i < images; ++i) {
    round_row_pairs(c.in_c, pixels, in + (first_image + i) * c.in_c * plane + first_row * c.in_w,
                    plane, memory, pixels);
    tile_table().transpose(depth, pixels, memory, pixels, block + (1 + i * pixels) * stride,
                           stride);
  }
}

// Direct weight gradient: pairs of images.

inline Index load_images_floats(Bf16Operands, Index image_floats) { return image_floats; }
inline void load_images(Bf16Operands, Index channels, Index pixels, Index images,
                        const float* image, Index image_floats, float* to, Index stride,
                        float* memory) {
  round_kernels().rows(channels * pixels, image, images > 1 ? image + image_floats : nullptr,
                       memory);
  tile_table().transpose(channels, pixels, memory, pixels, to, stride);
}

// Winograd: what is transformed in float is rounded. Pairs of input channels, in the weight
// gradient of tiles.

inline Index transform_weights_floats(Bf16Operands, Index channels) {
  return winograd_frequencies * channels * tile_table().cols;
}
inline void transform_weights(Bf16Operands, Index channels, const float* packed, bool flipped,
                              float* u, Index frequency_stride, float* memory) {
  const Index cols = tile_table().cols, step = channels * cols;
  winograd_table().weights(channels, packed, flipped, memory, step);
  for (Index f = 0; f < winograd_frequencies; ++f)
    round_row_pairs(channels, cols, memory + f * step, cols, u + f * frequency_stride, cols);
}
inline Index transform_tiles_floats(Bf16Operands, Index channels) {
  return winograd_frequencies * 2 * pixel_stride(channels);
}
inline void transform_tiles(Bf16Operands, Index tiles, const WinogradTile* tile, const float* block,
                            Index channels, const WinogradRows& v, float* memory) {
  const auto round = round_kernels().neighbours;
  const Index stride = pixel_stride(channels);
  for (Index t = 0; t < tiles; t += 2) {  // so few stay in the first cache
    const Index count = std::min<Index>(2, tiles - t);
    winograd_table().input(count, tile + t, block, channels, {memory, stride, 2 * stride});
    for (Index f = 0; f < winograd_frequencies; ++f)
      for (Index i = 0; i < count; ++i)
        round(channels, memory + (2 * f + i) * stride,
              v.data + f * v.frequency_stride + (t + i) * v.stride);
  }
}
inline Index transform_image_floats(Bf16Operands, const WinogradOperand& operand) {
  return winograd_frequencies * 2 * operand.stride();
}
inline void transform_image(Bf16Operands, const WinogradOperand& operand, Index tiles,
                            const WinogradTile* tile, const float* block, const WinogradRows& rows,
                            float* memory) {
  const Index stride = operand.stride();
  for (Index t = 0; t < tiles; t += 2) {
    const Index count = std::min<Index>(2, tiles - t);
    operand.transform(count, tile + t, block, operand.padded, {memory, stride, 2 * stride});
    for (Index f = 0; f < winograd_frequencies; ++f)
      round_row_pairs(count, operand.padded, memory + 2 * f * stride, stride,
                      rows.data + f * rows.frequency_stride + t / 2 * rows.stride, 0);
  }
}

}  // namespace kernels::detail
IOTSL_NAMESPACE_END
