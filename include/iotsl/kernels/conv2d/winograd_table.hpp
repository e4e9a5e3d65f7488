#pragma once
// Winograd convolution, F(4x4, 3x3): a tile of 4x4 outputs from 6x6 inputs costs 36 products for
// each pair of channels instead of 144. What the drivers hand to the transforms of a target, and
// the tiles of an image.

#include <algorithm>
#include <cstdint>

#include "iotsl/kernels/conv2d/geometry.hpp"
#include "iotsl/kernels/gemm/gemm_tile.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// Products per tile and pair of channels; each is one entry of every transformed square.
inline constexpr Index winograd_frequencies = 36;
/// Edge of a tile of outputs.
inline constexpr Index winograd_edge = 4;

/// Where the pixels of a tile lie in blocks of channel-last pixels; offsets in bytes, column by
/// column.
struct WinogradTile {
  std::int32_t in[36];
  std::int32_t out[16];
};

/// Transformed tiles, [frequency][tile][channel].
struct WinogradRows {
  float* data;
  Index stride;            ///< floats from tile to tile
  Index frequency_stride;  ///< floats from frequency to frequency
};

struct WinogradTable {
  /// Tiles of inputs, and of the gradients of outputs. `channels` is rounded up to whole vectors.
  void (*input)(Index tiles, const WinogradTile* tile, const float* block, Index channels,
                const WinogradRows& v);
  /// One panel of tile_cols output channels.
  void (*output)(Index tiles, const WinogradTile* tile, const WinogradRows& m, const float* bias,
                 float* block);
  void (*gradient)(Index tiles, const WinogradTile* tile, const float* block, Index channels,
                   const WinogradRows& v);
  /// packed[channel][tap][tile_cols] to u[frequency][channel][tile_cols], and the adjoint.
  void (*weights)(Index channels, const float* packed, bool flipped, float* u,
                  Index frequency_stride);
  void (*weight_sums)(Index channels, const float* s, Index frequency_stride, float* packed);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/conv2d/winograd-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(WinogradTable, winograd_table)

namespace detail {

/// One convolution of stride 1 with a 3x3 kernel, cut into tiles of 4x4 outputs.
struct WinogradGrid {
  Index in_h, in_w, out_h, out_w, pad_h, pad_w;

  Index rows() const { return (out_h + winograd_edge - 1) / winograd_edge; }
  Index cols() const { return (out_w + winograd_edge - 1) / winograd_edge; }
  Index tiles() const { return rows() * cols(); }
  /// First and one past the last input row that the output rows [begin, end) need.
  Index first_in(Index begin) const { return std::clamp<Index>(begin - pad_h, 0, in_h); }
  Index last_in(Index end) const { return std::clamp<Index>(end + 2 - pad_h, 0, in_h); }
};

/// A block of channel-last pixels [image][row][column][stride] that begins `base` pixels after its
/// start. Pixels outside are all at `outside`. Lengths in floats.
struct PixelBlock {
  Index first_row, rows, width, stride, base;
  Index outside;
  /// Where a pixel begins, in bytes.
  std::int32_t at(Index image, Index row, Index col, Index height) const {
    const bool inside = row >= 0 && row < height && col >= 0 && col < width;
    const Index pixel = base + (image * rows + row - first_row) * width + col;
    return static_cast<std::int32_t>((inside ? pixel * stride : outside) *
                                     static_cast<Index>(sizeof(float)));
  }
};

/// Lists the tiles of some images and of the tile rows [begin, end), image by image. Rows of the
/// input from `end_in` on are not in its block and pass for zeros: no output needs them.
inline void list_tiles(const WinogradGrid& g, Index images, Index begin, Index end, Index end_in,
                       const PixelBlock& in, const PixelBlock& out, WinogradTile* tile) {
  for (Index image = 0; image < images; ++image)
    for (Index row = begin * winograd_edge; row < end * winograd_edge; row += winograd_edge)
      for (Index col = 0; col < g.out_w; col += winograd_edge, ++tile) {
        for (Index i = 0; i < 6; ++i)
          for (Index j = 0; j < 6; ++j)
            tile->in[j * 6 + i] = in.at(image, row + i - g.pad_h, col + j - g.pad_w, end_in);
        for (Index i = 0; i < 4; ++i)
          for (Index j = 0; j < 4; ++j)
            tile->out[j * 4 + i] = out.at(image, row + i, col + j, g.out_h);
      }
}

}  // namespace detail

}  // namespace kernels

IOTSL_NAMESPACE_END
