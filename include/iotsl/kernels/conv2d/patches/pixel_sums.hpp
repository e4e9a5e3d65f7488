#pragma once
// The weight gradient of convolutions of few channels and small kernels. Gradients of the many
// outputs stay as they lie: lane l of a sum is that of the pixels l, l + lanes and so on, and the
// lanes are added at the end.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/patches/window.hpp"
#include "iotsl/kernels/conv2d/table.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels::detail {

/// Whether that is the faster form. Decides bits. A gradient is read once for every three taps of a
/// patch, where the other form turns it once; and lanes beyond the last pixel of a map are idle.
/// Measured: bench/README.md.
constexpr bool sums_by_pixel(const ConvShape& s) {
  return s.c * s.r * s.s <= 27 && s.p * s.q >= 256;
}

/// The sums of the weight gradient, and how the work is cut: a function of the shape and the target
/// alone. Slots, bands and images decide bits: the bands of some images are summed in registers and
/// then added to the sums of their slot.
class PixelSums {
  static constexpr Index most_sums = 1024 * 1024;  // floats, of all slots together
  static constexpr Index most_slots = 8;
  static constexpr Index wanted_tasks = 8;
  static constexpr Index wanted_pixels = 1024;  // in registers

 public:
  explicit PixelSums(const ConvShape& s)
      : s_(s),
        depth_(patch_depth(s)),
        filter_floats_(depth_ * patch_table().lanes),
        slots_(std::min(std::clamp<Index>(most_sums / (s.k * filter_floats_), 1, most_slots), s.n)),
        groups_(std::min((s.k + patch_table().product_filters - 1) / patch_table().product_filters,
                         (wanted_tasks + slots_ - 1) / slots_)),
        band_(patch_band(s, 1)),
        images_(std::clamp<Index>(wanted_pixels / (band_ * s.q), 1, (s.n + slots_ - 1) / slots_)),
        window_(s, band_),
        sums_(static_cast<std::size_t>(slots_ * s.k * filter_floats_) * sizeof(float)),
        patches_(static_cast<std::size_t>(threads() * images_ * window_.floats()) * sizeof(float)) {
  }

  Index tasks() const { return slots_ * groups_; }
  Index groups() const { return groups_; }
  /// Floats that merge() reads over all groups.
  Index sum_floats() const { return slots_ * s_.k * filter_floats_; }

  /// The sums of one slot, a part of the batch, for one group of filters.
  void sum(Index task, const float* x, const float* gy) const {
    const Index slot = task / groups_;
    const auto [first, filters] = filters_of(task % groups_);
    const Index plane = s_.p * s_.q, image_floats = s_.c * s_.h * s_.w;
    float* const patches = patches_.as<float>() + worker_index() * images_ * window_.floats();
    float* const sums = sums_of(slot) + first * filter_floats_;
    std::memset(sums, 0, static_cast<std::size_t>(filters * filter_floats_) * sizeof(float));
    const Index end = s_.n * (slot + 1) / slots_;
    for (Index image = s_.n * slot / slots_; image < end; image += images_)
      for (Index begin = 0; begin < s_.p; begin += band_) {
        const Index images = std::min(images_, end - image), rows = std::min(band_, s_.p - begin);
        for (Index i = 0; i < images; ++i)
          window_.load(x + (image + i) * image_floats, begin, rows, 0,
                       patches + i * window_.floats());
        patch_table().add_products({.images = images,
                                    .filters = filters,
                                    .depth = depth_,
                                    .pixels = rows * s_.q,
                                    .gy = gy + (image * s_.k + first) * plane + begin * s_.q,
                                    .gy_image = s_.k * plane,
                                    .gy_stride = plane,
                                    .patches = patches,
                                    .patch_image = window_.floats(),
                                    .tap = window_.taps(),
                                    .sums = sums});
      }
  }

  /// gw of one group of filters from the sums of all slots, in their order.
  void merge(Index group, float* gw) const {
    const auto [first, filters] = filters_of(group);
    float* const total = sums_of(0) + first * filter_floats_;
    for (Index slot = 1; slot < slots_; ++slot)
      conv_table().accumulate_into(filters * filter_floats_, sums_of(slot) + first * filter_floats_,
                                   total);
    patch_table().sum_lanes(filters * depth_, total, gw + first * depth_);
  }

 private:
  struct Filters {
    Index first, count;
  };
  /// Whole tiles, but for the last.
  Filters filters_of(Index group) const {
    const Index tile = patch_table().product_filters, tiles = (s_.k + tile - 1) / tile;
    const Index first = tiles * group / groups_ * tile;
    return {first, std::min(s_.k, tiles * (group + 1) / groups_ * tile) - first};
  }
  /// [filter][tap][lane].
  float* sums_of(Index slot) const { return sums_.as<float>() + slot * s_.k * filter_floats_; }

  const ConvShape& s_;
  Index depth_, filter_floats_;
  Index slots_, groups_;  // parts of the batch and of the filters
  Index band_, images_;   // output rows, and images, at a time
  PatchWindow window_;
  Scratch sums_;
  Scratch patches_;  // of each worker
};

}  // namespace kernels::detail

IOTSL_NAMESPACE_END
