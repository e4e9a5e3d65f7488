#pragma once
// Driver of direct convolution. A block of the input is turned channel-last into scratch; every
// output pixel of a tile then points to the input pixel of each kernel tap ("indirect" convolution:
// M. Dukhan, The Indirect Convolution Algorithm, 2019), so that stride, padding, dilation and the
// order of the pixels are only pointers. Taps that touch no row of the tile are left out. The sum
// over (tap, channel) runs in registers, always in the same order.

#include <algorithm>
#include <cstring>

#include "iotsl/core/parallel.hpp"
#include "iotsl/kernels/conv2d_geometry.hpp"
#include "iotsl/kernels/conv2d_table.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// out[n,o,oh,ow] = bias[o] + sum over tap (r,s) and i of in[n,i,row(oh,r),col(ow,s)]
/// weight(o,i,tap).
struct Correlation {
  Index n;
  Index in_c, in_h, in_w;
  Index out_c;
  const AxisMap* row;
  const AxisMap* col;
  Index phase_h = 1, phase_w = 1;  ///< outputs equal modulo this use the same taps
  Index weight_out_stride, weight_in_stride;
  const Im2col* im2col = nullptr;  ///< where set, the block is gathered by it instead of transposed
};

namespace detail {

/// Floats from one channel-last pixel to the next: an odd number of cache lines, because rows that
/// are a power of two apart would compete for the same few sets of the cache.
inline Index pixel_stride(Index channels) {
  const Index lines = (channels + 15) / 16;
  return channels <= 8 ? 8 : 16 * (lines + (lines % 2 == 0 ? 1 : 0));
}

/// How the work is cut: a function of the shape alone.
struct CorrelatePlan {
  Index images;        ///< per block
  Index band;          ///< output rows per block
  bool image_minor;    ///< a tile is one pixel of several images, instead of several pixels of one
  Index panel_groups;  ///< the output channels are cut into so many tasks

  static CorrelatePlan make(const Correlation& c, Index tile_cols) {
    const Index out_h = c.row->out(), out_w = c.col->out();
    const Index image_floats = c.in_h * c.in_w * pixel_stride(c.in_c);
    CorrelatePlan plan{1, out_h, false, 1};
    plan.image_minor = c.n >= 4 && image_floats * tile_rows <= 96 * 1024 && out_h * out_w <= 256;
    if (plan.image_minor) {
      const Index groups = std::max<Index>(1, 64 * 1024 / (image_floats * tile_rows));
      const Index fits = std::max<Index>(1, 1024 / (out_h * out_w * tile_rows));
      plan.images = std::min(c.n, std::min(groups, fits) * tile_rows);
    } else {
      // At most 128 K floats of input and 512 pixels of output, in whole phases.
      const Index row_floats = c.in_w * pixel_stride(c.in_c);
      const Index in_rows = std::max<Index>(1, 128 * 1024 / row_floats);
      Index band = std::max<Index>(1, std::min(in_rows * out_h / c.in_h, 512 / out_w));
      band = std::max(c.phase_h, band - band % c.phase_h);
      const Index bands = (out_h + band - 1) / band;
      plan.band = std::min(out_h, round_up((out_h + bands - 1) / bands, c.phase_h));
    }
    const Index blocks = plan.blocks(c);
    const Index panels = (c.out_c + tile_cols - 1) / tile_cols;
    plan.panel_groups = std::min(panels, std::max<Index>(1, 16 / blocks));
    return plan;
  }
  Index image_blocks(const Correlation& c) const { return (c.n + images - 1) / images; }
  Index bands(const Correlation& c) const { return (c.row->out() + band - 1) / band; }
  Index blocks(const Correlation& c) const { return image_blocks(c) * bands(c); }
};

/// Weights as panels: packed[panel][tap][in channel][tile_cols], zero beyond the last output.
inline void pack_weights(const Correlation& c, const float* w, float* packed) {
  const Index cols = tile_table().cols, taps = c.row->taps() * c.col->taps();
  const auto transpose = tile_table().transpose;
  const Index panels = (c.out_c + cols - 1) / cols;
  Index used = 0, last_used = 0;
  for (Index r = 0; r < c.row->taps(); ++r)
    for (Index s = 0; s < c.col->taps(); ++s)
      if (c.row->tap_used(r) && c.col->tap_used(s)) {
        ++used;
        last_used = r * c.col->taps() + s;
      }
  parallel_for(panels, [&](Index panel) {
    float* dst = packed + panel * taps * c.in_c * cols;
    const float* src = w + panel * cols * c.weight_out_stride;
    const Index valid = std::min(cols, c.out_c - panel * cols);
    if (valid < cols)
      std::memset(dst, 0, static_cast<std::size_t>(taps * c.in_c * cols) * sizeof(float));
    if (taps == 1 && c.weight_in_stride == 1) {
      transpose(valid, c.in_c, src, c.weight_out_stride, dst, cols);
      return;
    }
    if (used == 1) {
      for (Index i = 0; i < c.in_c; ++i)
        for (Index o = 0; o < valid; ++o)
          dst[(last_used * c.in_c + i) * cols + o] =
              src[o * c.weight_out_stride + i * c.weight_in_stride + last_used];
      return;
    }
    for (Index i = 0; i < c.in_c; ++i)
      transpose(valid, taps, src + i * c.weight_in_stride, c.weight_out_stride, dst + i * cols,
                c.in_c * cols);
  });
}

/// The tiles of one block of images and output rows.
class TileList {
 public:
  /// Largest number of tiles and of taps of a block.
  static Index tiles_bound(const Correlation& c, const CorrelatePlan& plan) {
    const Index pixels = plan.band * c.col->out();
    return plan.image_minor ? pixels * (plan.images / 4 + 2) : plan.images * pixels / 4 + 2;
  }
  static Index bytes(const Correlation& c, const CorrelatePlan& plan) {
    const Index tiles = tiles_bound(c, plan), taps = c.row->taps() * c.col->taps();
    return round_up(tiles * static_cast<Index>(sizeof(CorrelateTile)), 64) +
           tiles * taps * static_cast<Index>(sizeof(TapRows)) +
           plan.band * c.col->out() * static_cast<Index>(sizeof(std::int32_t));
  }

  TileList(const Correlation& c, const CorrelatePlan& plan, void* memory)
      : c_(c), plan_(plan), tile_(static_cast<CorrelateTile*>(memory)) {
    const Index tiles = tiles_bound(c, plan);
    char* next = static_cast<char*>(memory) +
                 round_up(tiles * static_cast<Index>(sizeof(CorrelateTile)), 64);
    tap_ = reinterpret_cast<TapRows*>(next);
    next += tiles * c.row->taps() * c.col->taps() * static_cast<Index>(sizeof(TapRows));
    pixel_ = reinterpret_cast<std::int32_t*>(next);
  }

  /// Lists the tiles of `images` images and output rows [begin, end). Input rows from `first_row`
  /// on lie at `zeros` floats from the start of the scratch; the `zeros` floats before are zero.
  void build(Index images, Index begin, Index end, Index first_row, Index in_rows, Index zeros) {
    count_ = 0;
    taps_ = 0;
    begin_ = begin;
    first_row_ = first_row;
    zeros_ = zeros;
    in_rows_ = in_rows;
    const Index out_w = c_.col->out(), pixels = (end - begin) * out_w;
    pixels_ = pixels;
    order_pixels(begin, end);
    const Index total = images * pixels;
    if (plan_.image_minor) {
      for (Index p = 0; p < pixels; ++p)
        for (Index i = 0; i < images;) i += add(p * images + i, images - i, images, total);
    } else {
      for (Index i = 0; i < total;) i += add(i, total - i, images, total);
    }
  }

  Index count() const { return count_; }
  const CorrelateTile* tiles() const { return tile_; }
  const TapRows* taps() const { return tap_; }

 private:
  // Pixels of the band, phase by phase.
  void order_pixels(Index begin, Index end) {
    const Index out_w = c_.col->out();
    Index at = 0;
    for (Index ph = 0; ph < c_.phase_h; ++ph)
      for (Index pw = 0; pw < c_.phase_w; ++pw)
        for (Index oh = begin; oh < end; ++oh) {
          if (oh % c_.phase_h != ph) continue;
          for (Index ow = pw; ow < out_w; ow += c_.phase_w)
            pixel_[at++] = static_cast<std::int32_t>((oh - begin) * out_w + ow);
        }
  }

  // Adds the tile whose first row is number `first` of the block's sequence; returns its rows.
  Index add(Index first, Index left, Index images, Index total) {
    const Index out_w = c_.col->out(), stride = pixel_stride(c_.in_c);
    CorrelateTile& tile = tile_[count_++];
    const Index rows = next_tile_rows(left), valid = std::min(rows, left);
    tile.rows = static_cast<std::int32_t>(rows);
    tile.first_tap = static_cast<std::int32_t>(taps_);
    Index image[tile_rows], oh[tile_rows], ow[tile_rows];
    for (Index i = 0; i < rows; ++i) {
      if (i >= valid) {
        tile.out[i] = static_cast<std::int32_t>(total);  // a row that nobody reads
        continue;
      }
      const Index at = first + i;
      image[i] = plan_.image_minor ? at % images : at / pixels_;
      const Index pixel = pixel_[plan_.image_minor ? at / images : at % pixels_];
      oh[i] = begin_ + pixel / out_w;
      ow[i] = pixel % out_w;
      tile.out[i] = static_cast<std::int32_t>(image[i] * pixels_ + pixel);
    }
    for (Index r = 0; r < c_.row->taps(); ++r)
      for (Index s = 0; s < c_.col->taps(); ++s) {
        TapRows& tap = tap_[taps_];
        bool any = false;
        for (Index i = 0; i < rows; ++i) {
          tap.row[i] = 0;
          if (i >= valid) continue;
          const Index h = (*c_.row)(oh[i], r), w = (*c_.col)(ow[i], s);
          if (h < 0 || w < 0) continue;
          any = true;
          tap.row[i] = static_cast<std::int32_t>(
              zeros_ + ((image[i] * in_rows_ + h - first_row_) * c_.in_w + w) * stride);
        }
        if (!any) continue;
        tap.tap = static_cast<std::int32_t>(r * c_.col->taps() + s);
        ++taps_;
      }
    tile.taps = static_cast<std::int32_t>(taps_ - tile.first_tap);
    return rows;
  }

  const Correlation& c_;
  const CorrelatePlan& plan_;
  CorrelateTile* tile_;
  TapRows* tap_;
  std::int32_t* pixel_;
  Index count_ = 0, taps_ = 0, begin_ = 0, first_row_ = 0, zeros_ = 0, in_rows_ = 0, pixels_ = 0;
};

}  // namespace detail

/// Runs the correlation; `bias` may be null. `out` is [n, out_c, out_h, out_w].
inline void correlate(const Correlation& c, const float* in, const float* w, const float* bias,
                      float* out) {
  using detail::pixel_stride;
  const TileTable& tile_kernels = tile_table();
  const ConvTable& kernels = conv_table();
  const Index cols = tile_kernels.cols, taps = c.row->taps() * c.col->taps();
  const Index out_w = c.col->out(), out_pixels = c.row->out() * out_w;
  if (c.n == 0 || c.out_c == 0 || out_pixels == 0) return;
  const detail::CorrelatePlan plan = detail::CorrelatePlan::make(c, cols);
  const Index panels = (c.out_c + cols - 1) / cols, stride = pixel_stride(c.in_c);

  const Index panel_floats = taps * c.in_c * cols;
  const Scratch packed(static_cast<std::size_t>(panels * (panel_floats + cols)) * sizeof(float));
  detail::pack_weights(c, w, packed.as<float>());
  float* shift = packed.as<float>() + panels * panel_floats;
  for (Index o = 0; o < panels * cols; ++o)
    shift[o] = bias != nullptr && o < c.out_c ? bias[o] : 0.0F;

  // Input rows of the largest band.
  const Index bands = plan.bands(c);
  Index most_rows = 1;
  for (Index b = 0; b < bands; ++b) {
    Index first, last;
    c.row->input_range(b * plan.band, std::min(c.row->out(), (b + 1) * plan.band), first, last);
    most_rows = std::max(most_rows, last - first);
  }
  const Index in_floats = stride + plan.images * most_rows * c.in_w * stride;
  const Index buffer_floats = round_up((plan.images * plan.band * out_w + 1) * cols, 16);
  const Index worker_bytes =
      round_up((in_floats + buffer_floats) * static_cast<Index>(sizeof(float)), 64) +
      round_up(detail::TileList::bytes(c, plan), 64);
  const Scratch scratch(static_cast<std::size_t>(threads() * worker_bytes));

  const Index blocks = plan.blocks(c);
  parallel_for(blocks * plan.panel_groups, [&](Index task) {
    const Index group = task % plan.panel_groups, block = task / plan.panel_groups;
    const Index first_image = block / bands * plan.images, band = block % bands;
    const Index images = std::min(plan.images, c.n - first_image);
    const Index begin = band * plan.band, end = std::min(c.row->out(), begin + plan.band);

    char* memory = scratch.as<char>() + worker_index() * worker_bytes;
    float* block_in = reinterpret_cast<float*>(memory);
    float* buffer = block_in + in_floats;
    detail::TileList tiles(
        c, plan,
        memory + round_up((in_floats + buffer_floats) * static_cast<Index>(sizeof(float)), 64));
    Index first_row, last_row;
    c.row->input_range(begin, end, first_row, last_row);
    const Index in_rows = last_row - first_row, in_pixels = in_rows * c.in_w;
    std::memset(block_in, 0, static_cast<std::size_t>(stride) * sizeof(float));
    for (Index i = 0; i < images; ++i) {
      float* dst = block_in + stride + i * in_pixels * stride;
      if (c.im2col != nullptr)
        c.im2col->gather(in, first_image + i, first_row, last_row, dst, stride);
      else
        tile_kernels.transpose(
            c.in_c, in_pixels,
            in + (first_image + i) * c.in_c * c.in_h * c.in_w + first_row * c.in_w, c.in_h * c.in_w,
            dst, stride);
    }
    tiles.build(images, begin, end, first_row, in_rows, stride);

    const Index pixels = (end - begin) * out_w;
    const Index last_panel = panels * (group + 1) / plan.panel_groups;
    for (Index panel = panels * group / plan.panel_groups; panel < last_panel; ++panel) {
      kernels.correlate(tiles.count(), tiles.tiles(), tiles.taps(), block_in, c.in_c,
                        packed.as<float>() + panel * panel_floats, shift + panel * cols, buffer);
      const Index valid = std::min(cols, c.out_c - panel * cols);
      for (Index i = 0; i < images; ++i)
        tile_kernels.transpose(
            pixels, valid, buffer + i * pixels * cols, cols,
            out + ((first_image + i) * c.out_c + panel * cols) * out_pixels + begin * out_w,
            out_pixels);
    }
  });
}

}  // namespace kernels

IOTSL_NAMESPACE_END
