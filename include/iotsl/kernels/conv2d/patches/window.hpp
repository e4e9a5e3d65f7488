#pragma once
// Patches of a band of output rows. Neighbouring taps of a column meet the same rows of the image,
// one after the other: so the part of the image that the band meets is copied once for each column
// of the kernel, shifted, in the width of the output; a tap is only where its row of patches
// begins.

#include <algorithm>
#include <cstring>

#include "iotsl/core/memory.hpp"
#include "iotsl/kernels/conv2d/patches/table.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::detail {

inline Index patch_depth(const ConvShape& s) { return s.c * s.r * s.s; }

/// Output rows of a band: `least` bands at least, if there are so many rows, and patches of an
/// image that stay in the first cache.
inline Index patch_band(const ConvShape& s, Index least) {
  const Index row_floats = s.c * s.s * std::min(s.stride_h, s.r) * s.q;
  const Index fits = std::max<Index>(1, 6 * 1024 / row_floats);
  const Index bands = std::max((s.p + fits - 1) / fits, std::min(s.p, least));
  return (s.p + bands - 1) / bands;
}

/// Where patches of bands of at most `rows` output rows of `images` images lie: as
/// [channel][column of the kernel][phase of the row][row][Q][image].
class PatchWindow {
 public:
  PatchWindow(const ConvShape& s, Index rows, Index images = 1)
      : s_(s),
        images_(images),
        width_((s.q - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1),
        phase_rows_(rows + (s.r - 1) * s.dilation_h / s.stride_h),
        phases_(std::min(s.stride_h, (s.r - 1) * s.dilation_h + 1)),
        phase_floats_(phase_rows_ * s.q * images),
        patch_floats_(round_up(s.c * s.s * phases_ * phase_floats_ + slack, 16)),
        image_floats_(round_up(s.c * phase_rows_ * s.stride_h * width_ + slack, 16)),
        tap_(static_cast<std::size_t>(patch_depth(s)) * sizeof(Index)) {
    Index* tap = tap_.as<Index>();
    for (Index c = 0; c < s.c; ++c)
      for (Index r = 0; r < s.r; ++r)
        for (Index t = 0; t < s.s; ++t) {
          const Index row = r * s.dilation_h, phase = row % s.stride_h;
          *tap++ =
              ((c * s.s + t) * phases_ + phase) * phase_floats_ + row / s.stride_h * s.q * images;
        }
  }

  /// Floats of memory that load() needs.
  Index floats() const {
    return patch_floats_ + image_floats_ + (images_ == 1 ? 0 : round_up(phase_floats_ + slack, 16));
  }
  const Index* taps() const { return tap_.as<Index>(); }

  /// What the taps find at the output rows [begin, begin + rows) of image number i of the block:
  /// memory[taps()[d] + (row * Q + column) * images + i], zeros outside the image.
  void load(const float* image, Index begin, Index rows, Index i, float* memory) const {
    float *const window = memory + patch_floats_, *const turned = window + image_floats_;
    const Index height = (rows - 1) * s_.stride_h + (s_.r - 1) * s_.dilation_h + 1;
    copy_image(image, begin * s_.stride_h - s_.pad_h, height, window);
    const auto gather = patch_table().gather_rows;
    for (Index c = 0; c < s_.c; ++c)
      for (Index t = 0; t < s_.s; ++t)
        for (Index phase = 0; phase < phases_; ++phase, memory += phase_floats_) {
          const Index count = (height - phase + s_.stride_h - 1) / s_.stride_h;
          float* to = images_ == 1 ? memory : turned;
          gather(count, s_.q, s_.stride_w,
                 window + (c * height + phase) * width_ + t * s_.dilation_w, width_ * s_.stride_h,
                 to);
          if (images_ > 1)
            for (Index p = 0; p < count * s_.q; ++p) memory[p * images_ + i] = turned[p];
        }
  }

 private:
  /// Vectors and tiles of 16 lanes may go so far beyond the last pixel.
  static constexpr Index slack = 64;

  // window[c][height][width] from row `first` of the image on, which may be outside.
  void copy_image(const float* image, Index first, Index height, float* window) const {
    std::memset(window, 0,
                static_cast<std::size_t>(s_.c * height * width_ + slack) * sizeof(float));
    const Index left = std::max<Index>(0, s_.pad_w), right = std::min(width_, s_.w + s_.pad_w);
    const Index top = std::max<Index>(0, -first), bottom = std::min(height, s_.h - first);
    if (left >= right) return;
    for (Index c = 0; c < s_.c; ++c)
      for (Index row = top; row < bottom; ++row)
        std::memcpy(window + (c * height + row) * width_ + left,
                    image + (c * s_.h + first + row) * s_.w + left - s_.pad_w,
                    static_cast<std::size_t>(right - left) * sizeof(float));
  }

  const ConvShape& s_;
  Index images_;
  Index width_;  // of what the taps meet
  Index phase_rows_, phases_, phase_floats_, patch_floats_, image_floats_;
  Scratch tap_;
};

}  // namespace kernels::detail

IOTSL_NAMESPACE_END
