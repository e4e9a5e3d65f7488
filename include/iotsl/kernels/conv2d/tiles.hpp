#pragma once
// How a convolution is cut into blocks and tiles, and the tiles of a block. Everything here is a
// function of the shape alone.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/geometry.hpp"
#include "iotsl/kernels/conv2d/table.hpp"

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
};

namespace detail {

/// Floats from one channel-last pixel to the next: an odd number of cache lines, because rows that
/// are a power of two apart would compete for the same few sets of the cache.
inline Index pixel_stride(Index channels) {
  const Index lines = (channels + 15) / 16;
  return channels <= 8 ? 8 : 16 * (lines + (lines % 2 == 0 ? 1 : 0));
}

/// One row of tile_cols, a multiple of 8 on every target; calls of memcpy would cost more.
inline void copy_row(Index cols, const float* from, float* to) {
  for (auto left = static_cast<std::ptrdiff_t>(cols); left > 0; left -= 8, from += 8, to += 8)
    std::memcpy(to, from, 8 * sizeof(float));
}

/// Channels whose taps are turned at once: even, and so few that the first cache holds them.
inline constexpr Index turned_channels = 16;
/// Floats of their taps, each a row of tile_cols.
inline Index turned_floats(Index taps, Index tile_cols) {
  return turned_channels * taps * tile_cols;
}

/// How the work is cut: a function of the shape alone. None of the sizes decides bits: the sum of
/// an output runs in registers from its first to its last term, whatever block it is in (a tap that
/// is left out would have added zeros).
struct CorrelatePlan {
  // A tile is one pixel of several images where these fill it (4 rows at least), and a tile's
  // images have at most so many floats, an image so many pixels of output. Limits of a block of
  // them:
  static constexpr Index minor_images = 4, minor_floats = 96 * 1024, minor_pixels = 256;
  static constexpr Index minor_block_floats = 64 * 1024, minor_block_pixels = 1024;
  // Else of a block: floats of its input, and pixels of its output.
  static constexpr Index block_floats = 128 * 1024, block_pixels = 512;
  // Enough for the cores of a small machine to finish together.
  static constexpr Index wanted_tasks = 16;

  Index images;        ///< per block
  Index band;          ///< output rows per block
  bool image_minor;    ///< a tile is one pixel of several images, instead of several pixels of one
  Index panel_groups;  ///< the output channels are cut into so many tasks

  static CorrelatePlan make(const Correlation& c, Index tile_cols) {
    const Index out_h = c.row->out(), out_w = c.col->out();
    const Index image_floats = c.in_h * c.in_w * pixel_stride(c.in_c);
    CorrelatePlan plan{1, out_h, false, 1};
    plan.image_minor = c.n >= minor_images && image_floats * tile_rows <= minor_floats &&
                       out_h * out_w <= minor_pixels;
    if (plan.image_minor) {
      const Index groups = std::max<Index>(1, minor_block_floats / (image_floats * tile_rows));
      const Index fits = std::max<Index>(1, minor_block_pixels / (out_h * out_w * tile_rows));
      plan.images = std::min(c.n, std::min(groups, fits) * tile_rows);
    } else {
      // In whole phases.
      const Index row_floats = c.in_w * pixel_stride(c.in_c);
      const Index in_rows = std::max<Index>(1, block_floats / row_floats);
      Index band = std::max<Index>(1, std::min(in_rows * out_h / c.in_h, block_pixels / out_w));
      band = std::max(c.phase_h, band - band % c.phase_h);
      const Index bands = (out_h + band - 1) / band;
      plan.band = std::min(out_h, round_up((out_h + bands - 1) / bands, c.phase_h));
    }
    const Index blocks = plan.image_blocks(c) * plan.bands(c);
    const Index panels = (c.out_c + tile_cols - 1) / tile_cols;
    plan.panel_groups = std::min(panels, std::max<Index>(1, wanted_tasks / blocks));
    return plan;
  }
  Index image_blocks(const Correlation& c) const { return (c.n + images - 1) / images; }
  Index bands(const Correlation& c) const { return (c.row->out() + band - 1) / band; }
  Index tasks(const Correlation& c) const { return image_blocks(c) * bands(c) * panel_groups; }
};

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

  TileList(const Correlation& c, const CorrelatePlan& plan, const UsedTaps& used, void* memory)
      : c_(c), plan_(plan), used_(used), tile_(static_cast<CorrelateTile*>(memory)) {
    const Index tiles = tiles_bound(c, plan);
    char* next = static_cast<char*>(memory) +
                 round_up(tiles * static_cast<Index>(sizeof(CorrelateTile)), 64);
    tap_ = reinterpret_cast<TapRows*>(next);
    next += tiles * c.row->taps() * c.col->taps() * static_cast<Index>(sizeof(TapRows));
    pixel_ = reinterpret_cast<std::int32_t*>(next);
  }

  /// Lists the tiles of `images` images and output rows [begin, end), unless that is what the list
  /// holds: most blocks of a convolution have the same. Input rows from `first_row`
  /// on lie at `zeros` floats from the start of the scratch; the `zeros` floats before are zero.
  void build(Index images, Index begin, Index end, Index first_row, Index in_rows, Index zeros) {
    if (images == images_ && begin == begin_ && end == end_) return;
    count_ = 0;
    taps_ = 0;
    images_ = images;
    begin_ = begin;
    end_ = end;
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
    CorrelateTile& tile = tile_[count_++];
    const Index rows = next_tile_rows(left), valid = std::min(rows, left);
    tile.rows = static_cast<std::int32_t>(rows);
    tile.first_tap = static_cast<std::int32_t>(taps_);
    if (plan_.image_minor)
      add_images(tile, first / images, first % images, valid);
    else
      add_pixels(tile, first, valid);
    for (Index i = valid; i < rows; ++i)
      tile.out[i] = static_cast<std::int32_t>(total);  // a row that nobody reads
    tile.taps = static_cast<std::int32_t>(taps_ - tile.first_tap);
    return rows;
  }

  // Where the input pixel (h, w) of an image begins.
  std::int32_t place(Index image, Index h, Index w) const {
    return static_cast<std::int32_t>(zeros_ + ((image * in_rows_ + h - first_row_) * c_.in_w + w) *
                                                  pixel_stride(c_.in_c));
  }
  void add_tap(Index r, Index s) {
    tap_[taps_++].tap = static_cast<std::int32_t>(used_.rank(r * c_.col->taps() + s));
  }

  // One pixel of several images: a tap touches all of them or none, at a constant distance.
  void add_images(CorrelateTile& tile, Index at, Index image, Index valid) {
    const Index pixel = pixel_[at], oh = begin_ + pixel / c_.col->out(), ow = pixel % c_.col->out();
    const std::int32_t step = place(1, 0, 0) - place(0, 0, 0);
    for (Index i = 0; i < valid; ++i)
      tile.out[i] = static_cast<std::int32_t>((image + i) * pixels_ + pixel);
    for (Index r = 0; r < c_.row->taps(); ++r) {
      const Index h = (*c_.row)(oh, r);
      if (h < 0) continue;
      for (Index s = 0; s < c_.col->taps(); ++s) {
        const Index w = (*c_.col)(ow, s);
        if (w < 0) continue;
        std::int32_t* row = tap_[taps_].row;
        std::int32_t from = place(image, h, w);
        for (Index i = 0; i < tile_rows; ++i, from += step) row[i] = i < valid ? from : 0;
        add_tap(r, s);
      }
    }
  }

  // Several pixels of one image.
  void add_pixels(CorrelateTile& tile, Index first, Index valid) {
    const Index out_w = c_.col->out(), row_taps = c_.row->taps(), col_taps = c_.col->taps();
    const auto stride = static_cast<std::int32_t>(pixel_stride(c_.in_c));
    const auto line_floats = static_cast<std::int32_t>(c_.in_w) * stride;
    const std::int32_t *h[tile_rows], *w[tile_rows];
    std::int32_t image[tile_rows], line[tile_rows];  // where they begin
    for (Index i = 0; i < valid; ++i) {
      const Index number = (first + i) / pixels_, pixel = pixel_[(first + i) % pixels_];
      h[i] = c_.row->of(begin_ + pixel / out_w);
      w[i] = c_.col->of(pixel % out_w);
      image[i] = place(number, 0, 0);
      tile.out[i] = static_cast<std::int32_t>(number * pixels_ + pixel);
    }
    for (Index r = 0; r < row_taps; ++r) {
      bool any_line = false;
      for (Index i = 0; i < valid; ++i) {
        line[i] = h[i][r] < 0 ? -1 : image[i] + h[i][r] * line_floats;
        any_line |= line[i] >= 0;
      }
      for (Index s = 0; any_line && s < col_taps; ++s) {
        std::int32_t* row = tap_[taps_].row;
        bool any = false;
        for (Index i = 0; i < valid; ++i) {
          const bool inside = line[i] >= 0 && w[i][s] >= 0;
          row[i] = inside ? line[i] + w[i][s] * stride : 0;
          any |= inside;
        }
        for (Index i = valid; i < tile_rows; ++i) row[i] = 0;
        if (any) add_tap(r, s);
      }
    }
  }

  const Correlation& c_;
  const CorrelatePlan& plan_;
  const UsedTaps& used_;
  CorrelateTile* tile_;
  TapRows* tap_;
  std::int32_t* pixel_;
  Index count_ = 0, taps_ = 0, images_ = 0, begin_ = 0, end_ = 0, first_row_ = 0, zeros_ = 0,
        in_rows_ = 0, pixels_ = 0;
};

}  // namespace detail

}  // namespace kernels

IOTSL_NAMESPACE_END
