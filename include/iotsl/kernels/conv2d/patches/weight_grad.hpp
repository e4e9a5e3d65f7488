#pragma once
// The weight gradient of convolutions of few channels, in two forms. Where patches are large or
// maps small, patches of a band of output rows are multiplied by its gradients, which are turned
// channel-last for it; the few taps stay rows of pixels. Else see pixel_sums.hpp.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/patches/pixel_sums.hpp"
#include "iotsl/kernels/conv2d/patches/window.hpp"
#include "iotsl/kernels/conv2d/table.hpp"
#include "iotsl/kernels/conv2d/weight_grad.hpp"
#include "iotsl/kernels/gemm/gemm.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

namespace detail {

/// The sums of the weight gradient, cut as weight_grad.hpp cuts those of a kernel with one tap
/// whose channels are the taps of a patch.
class PatchSums {
 public:
  explicit PatchSums(const ConvShape& s)
      : s_(s),
        depth_(patch_depth(s)),
        cols_(tile_table().cols),
        plan_(WeightGradPlan::make({s.n, depth_, s.p * s.q, s.k, s.p, s.q}, 1, cols_)),
        stride_(round_up(s.k, cols_)),
        group_filters_(plan_.group_panels * cols_),
        groups_((s.k + group_filters_ - 1) / group_filters_),
        sums_(static_cast<std::size_t>(plan_.slots * depth_ * stride_) * sizeof(float)),
        patch_floats_(round_up(PatchWindow(s, plan_.band, plan_.images).floats(), 16)),
        turned_floats_(plan_.images * plan_.band * s.q * cols_),
        worker_floats_(patch_floats_ + turned_floats_),
        memory_(static_cast<std::size_t>(threads() * worker_floats_) * sizeof(float)) {}

  Index tasks() const { return plan_.slots * groups_; }

  /// The sums of one slot for one group of filters.
  void sum(Index task, const float* x, const float* gy) const {
    const Index slot = task / groups_, first = task % groups_ * group_filters_;
    const Index filters = std::min(group_filters_, s_.k - first);
    float* patches = memory_.as<float>() + worker_index() * worker_floats_;
    float* turned = patches + patch_floats_;
    // Lanes without a filter are summed too, and nobody reads them: let them be numbers.
    std::memset(turned, 0, static_cast<std::size_t>(turned_floats_) * sizeof(float));
    float* sums = sums_of(slot) + first;
    for (Index tap = 0; tap < depth_; ++tap)
      std::memset(sums + tap * stride_, 0,
                  static_cast<std::size_t>(round_up(filters, cols_)) * sizeof(float));
    const Index end = s_.n * (slot + 1) / plan_.slots;
    for (Index image = s_.n * slot / plan_.slots; image < end; image += plan_.images) {
      const Index images = std::min(plan_.images, end - image);
      const PatchWindow window(s_, plan_.band, images);
      for (Index begin = 0; begin < s_.p; begin += plan_.band) {
        const Band band{image, images, begin, std::min(plan_.band, s_.p - begin)};
        for (Index i = 0; i < images; ++i)
          window.load(x + (image + i) * s_.c * s_.h * s_.w, begin, band.rows, i, patches);
        for (Index k = 0; k < filters; k += cols_) {
          const Index cols = turn(band, first + k, std::min(cols_, filters - k), gy, turned);
          const GemmTable& kernels = gemm_table();
          const auto multiply = cols == cols_ ? kernels.panel : kernels.narrow_panel;
          multiply({patches, 0, turned, band.rows * s_.q * images, depth_, sums + k, stride_, true,
                    window.taps()});
        }
      }
    }
  }

  /// gw from the sums of all slots, in their order.
  void merge(float* gw) const {
    for (Index slot = 1; slot < plan_.slots; ++slot)
      conv_table().accumulate_into(depth_ * stride_, sums_of(slot), sums_of(0));
    tile_table().transpose(depth_, s_.k, sums_of(0), stride_, gw, depth_);
  }

 private:
  struct Band {
    Index image, images;
    Index begin, rows;
  };

  /// [tap][filter], rows of stride_ floats.
  float* sums_of(Index slot) const { return sums_.as<float>() + slot * depth_ * stride_; }

  /// Gradients of some filters as turned[pixel][image][columns]; returns the columns, those of a
  /// tile or of a narrow one.
  Index turn(const Band& band, Index first, Index filters, const float* gy, float* turned) const {
    const Index pixels = band.rows * s_.q, plane = s_.p * s_.q;
    const Index narrow = tile_table().narrow_cols, cols = filters <= narrow ? narrow : cols_;
    for (Index i = 0; i < band.images; ++i)
      tile_table().transpose(filters, pixels,
                             gy + ((band.image + i) * s_.k + first) * plane + band.begin * s_.q,
                             plane, turned + i * cols, band.images * cols);
    return cols;
  }

  const ConvShape& s_;
  Index depth_, cols_;
  WeightGradPlan plan_;
  Index stride_;  // of the sums: filters in whole panels
  Index group_filters_, groups_;
  Scratch sums_;
  Index patch_floats_, turned_floats_, worker_floats_;
  Scratch memory_;  // of each worker: patches, gradients of a panel channel-last
};

}  // namespace detail

/// gw[k,c,r,s] from x[n,c,h,w] and gy[n,k,p,q].
inline void patch_weight_grad(const ConvShape& s, const float* x, const float* gy, float* gw) {
  const Index weights = s.k * detail::patch_depth(s), products = s.n * s.p * s.q * weights;
  if (products == 0) {
    std::fill_n(gw, weights, 0.0F);
    return;
  }
  if (detail::sums_by_pixel(s)) {
    const detail::PixelSums work(s);
    run_tasks(products, work.tasks(), [&](Index task) { work.sum(task, x, gy); });
    run_tasks(work.sum_floats() * 8, work.groups(), [&](Index group) { work.merge(group, gw); });
  } else {
    const detail::PatchSums work(s);
    run_tasks(products, work.tasks(), [&](Index task) { work.sum(task, x, gy); });
    work.merge(gw);
  }
}

}  // namespace kernels

IOTSL_NAMESPACE_END
