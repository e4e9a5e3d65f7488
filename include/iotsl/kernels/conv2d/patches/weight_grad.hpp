#pragma once
// The weight gradient of convolutions of few channels. Gradients of the many outputs stay as they
// lie: a sum has a lane for every so-manieth pixel, and its lanes are added at the end.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/patches/window.hpp"
#include "iotsl/kernels/conv2d/table.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// The sums of the weight gradient, and how the work is cut: a function of the shape and the target
/// alone. Slots, bands and images decide bits: the bands of some images are summed in registers and
/// then added to the sums of their slot.
class PatchSums {
  static constexpr Index most_sums = 1024 * 1024;  // floats, of all slots together
  static constexpr Index most_slots = 8;
  static constexpr Index wanted_tasks = 8;
  static constexpr Index wanted_pixels = 1024;  // in registers

 public:
  explicit PatchSums(const ConvShape& s)
      : s_(s),
        depth_(patch_depth(s)),
        filter_floats_(depth_ * patch_table().lanes),
        slots_(std::min(std::clamp<Index>(most_sums / (s.k * filter_floats_), 1, most_slots), s.n)),
        groups_(std::min(s.k, (wanted_tasks + slots_ - 1) / slots_)),
        band_(patch_band(s, 1)),
        images_(std::clamp<Index>(wanted_pixels / (band_ * s.q), 1, (s.n + slots_ - 1) / slots_)),
        window_(s, band_),
        sums_(static_cast<std::size_t>(slots_ * s.k * filter_floats_) * sizeof(float)),
        patches_(static_cast<std::size_t>(threads() * images_ * window_.floats()) * sizeof(float)) {
  }

  Index tasks() const { return slots_ * groups_; }

  /// The sums of one slot, a part of the batch, for one group of filters.
  void sum(Index task, const float* x, const float* gy) const {
    const Index slot = task / groups_, group = task % groups_;
    const Index first = s_.k * group / groups_, filters = s_.k * (group + 1) / groups_ - first;
    const Index plane = s_.p * s_.q, image_floats = s_.c * s_.h * s_.w;
    float* const patches = patches_.as<float>() + worker_index() * images_ * window_.floats();
    float* const sums = sums_of(slot) + first * filter_floats_;
    std::memset(sums, 0, static_cast<std::size_t>(filters * filter_floats_) * sizeof(float));
    const Index end = s_.n * (slot + 1) / slots_;
    for (Index image = s_.n * slot / slots_; image < end; image += images_)
      for (Index begin = 0; begin < s_.p; begin += band_) {
        const Index images = std::min(images_, end - image), rows = std::min(band_, s_.p - begin);
        for (Index i = 0; i < images; ++i)
          window_.load(x + (image + i) * image_floats, begin, rows, patches + i * window_.floats());
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

  /// gw from the sums of all slots, in their order.
  void merge(float* gw) const {
    for (Index slot = 1; slot < slots_; ++slot)
      conv_table().accumulate_into(s_.k * filter_floats_, sums_of(slot), sums_of(0));
    patch_table().sum_lanes(s_.k * depth_, sums_of(0), gw);
  }

 private:
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

}  // namespace detail

/// gw[k,c,r,s] from x[n,c,h,w] and gy[n,k,p,q].
inline void patch_weight_grad(const ConvShape& s, const float* x, const float* gy, float* gw) {
  const Index weights = s.k * detail::patch_depth(s), products = s.n * s.p * s.q * weights;
  if (products == 0) {
    std::fill_n(gw, weights, 0.0F);
    return;
  }
  const detail::PatchSums work(s);
  run_tasks(products, work.tasks(), [&](Index task) { work.sum(task, x, gy); });
  work.merge(gw);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
