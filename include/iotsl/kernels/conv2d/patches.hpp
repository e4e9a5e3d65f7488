#pragma once
// Drivers of convolutions of few channels, such as a first layer: one tap is too short a sum there,
// and turning the many outputs channel-last would cost more than the products. The vectors are
// pixels of a row of the output, read from a padded copy of the image, or of the gradient; in the
// weight gradient they are the taps of a patch. No array is transposed.

#include <algorithm>
#include <cstring>

#include "iotsl/kernels/conv2d/weight_grad.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// y[filter][row][0 .. width) = bias[filter] + sum over d < taps of w[filter][d] x[row * row_step +
/// tap[d] + (0 .. width)].
struct PatchForward {
  const float* x;
  Index row_step;
  const Index* tap;
  Index taps;
  const float* w;
  Index filters;
  const float* bias;  ///< may be null
  float* y;
  Index plane;  ///< floats from filter to filter of y
  Index rows, width;
};

/// sums[filter][0 .. stride) += sum over the pixels of gy[filter][pixel] patches[pixel][0 ..
/// stride).
struct PatchSums {
  const float* gy;
  Index plane;  ///< floats from filter to filter of gy
  const float* patches;
  Index stride, pixels, filters;
  float* sums;
};

/// out[tap][pixel] = sum over the filters of w[tap][filter] gy[filter][pixel], for as many pixels
/// as a plane has, at least the columns of a tile.
struct PatchPlanes {
  const float* w;
  Index taps, filters;
  const float* gy;
  Index plane;
  float* out;
};

/// Lines of padded images of which the patches of a row of pixels consist, `taps` floats of each.
struct PatchLines {
  const float* first;        ///< of the first image
  const Index* line;         ///< where each begins behind `first`
  Index lines, taps, step;   ///< `step` floats from pixel to pixel
  Index images, image_step;  ///< pixels of several images take turns
};

struct PatchTable {
  Index lanes;
  Index sum_cols;  ///< taps that are summed together at the end of a patch; before it tile_cols
  void (*forward)(const PatchForward& f);
  void (*sum)(const PatchSums& s);
  /// patch[pixel][0 .. lines * taps), and something in the rest of the `stride` floats.
  void (*gather)(Index pixels, const PatchLines& from, float* patch, Index stride);
  void (*planes)(const PatchPlanes& p);
};

}  // namespace kernels

IOTSL_NAMESPACE_END

#define IOTSL_TARGET_INCLUDE "iotsl/kernels/conv2d/patches-inl.hpp"
#include "iotsl/kernels/foreach_target.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

IOTSL_TABLE(PatchTable, patch_table)

namespace detail {

/// The rows of an image that a band of output rows needs, with zeros around it: [channel][row],
/// each row cut into `phases` parts of every phases-th column, so that the pixels of one tap in a
/// row of outputs follow each other.
class PaddedImage {
 public:
  PaddedImage(const ConvShape& s, Index phases, Index band)
      : s_(s),
        phases_(phases),
        rows_((band - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1),
        columns_((s.q - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1),
        part_((columns_ + phases - 1) / phases) {}

  Index row_floats() const { return phases_ * part_; }
  Index floats() const { return s_.c * rows_ * row_floats(); }
  /// Where the first pixel of the band finds a tap.
  Index tap(Index c, Index r, Index s) const {
    const Index column = s * s_.dilation_w;
    return (c * rows_ + r * s_.dilation_h) * row_floats() + column % phases_ * part_ +
           column / phases_;
  }
  /// `image` is [c][h][w]; the band begins with output row `begin`.
  void fill(const float* image, Index begin, float* to) const {
    std::memset(to, 0, static_cast<std::size_t>(floats()) * sizeof(float));
    const Index first_h = begin * s_.stride_h - s_.pad_h;
    const Index last_column = std::min(columns_, s_.w + s_.pad_w);
    for (Index c = 0; c < s_.c; ++c)
      for (Index row = std::max<Index>(0, -first_h); row < std::min(rows_, s_.h - first_h); ++row) {
        const float* from = image + (c * s_.h + first_h + row) * s_.w - s_.pad_w;
        float* dst = to + (c * rows_ + row) * row_floats();
        if (phases_ == 1)
          std::copy(from + s_.pad_w, from + last_column, dst + s_.pad_w);
        else
          for (Index column = s_.pad_w; column < last_column; ++column)
            dst[column % phases_ * part_ + column / phases_] = from[column];
      }
  }

 private:
  const ConvShape& s_;
  Index phases_, rows_, columns_, part_;
};

inline Index patch_depth(const ConvShape& s) { return s.c * s.r * s.s; }

/// Output rows per task of the forward pass: eight tasks at least, if there are so many rows, and
/// no more than 64 KB of padded image. Decides no bits.
inline Index patch_band(const ConvShape& s) {
  const Index row_floats = PaddedImage(s, s.stride_w, 1).row_floats() * s.c * s.stride_h;
  const Index fits = std::max<Index>(1, 16 * 1024 / row_floats);
  const Index bands = s.n >= 8 ? 1 : std::min(s.p, (8 + s.n - 1) / s.n);
  return std::min(fits, (s.p + bands - 1) / bands);
}

/// The sums of the weight gradient, cut as weight_grad.hpp cuts those of a kernel with one tap
/// whose channels are the taps of a patch.
class PatchSumsWork {
 public:
  explicit PatchSumsWork(const ConvShape& s)
      : s_(s),
        kernels_(patch_table()),
        row_(s.p),
        col_(s.q),
        plan_(WeightGradPlan::make({s.n, patch_depth(s), s.p, s.q, s.k, &row_, &col_, 1}, 1,
                                   tile_table().cols)),
        image_(s, 1, plan_.band),
        stride_(sum_stride(patch_depth(s))),
        group_filters_(round_up((s.k + plan_.groups - 1) / plan_.groups, 24)),
        groups_((s.k + group_filters_ - 1) / group_filters_),
        line_taps_(s.dilation_w == 1 ? s.s : 1),
        lines_(static_cast<std::size_t>(patch_depth(s) / line_taps_) * sizeof(Index)),
        sums_(static_cast<std::size_t>(plan_.slots * s.k * stride_) * sizeof(float)),
        image_floats_(round_up(plan_.images * image_.floats() + kernels_.lanes, 16)),
        patch_floats_(round_up(pixels() * stride_, 16)),
        gy_floats_(plan_.images == 1 ? 0 : round_up(group_filters_ * pixels(), 16)),
        memory_(static_cast<std::size_t>(threads() * worker_floats()) * sizeof(float)) {
    Index* line = lines_.as<Index>();
    for (Index c = 0; c < s.c; ++c)
      for (Index r = 0; r < s.r; ++r)
        for (Index t = 0; t < s.s; t += line_taps_) *line++ = image_.tap(c, r, t);
  }

  Index tasks() const { return plan_.slots * groups_; }

  /// The sums of one slot for one group of filters.
  void sum(Index task, const float* x, const float* gy) const {
    const Index slot = task / groups_, k = task % groups_ * group_filters_;
    const Index filters = std::min(group_filters_, s_.k - k);
    float* images = memory_.as<float>() + worker_index() * worker_floats();
    float* patches = images + image_floats_;
    // Beyond the last tap something is summed that nobody reads: let it be numbers.
    std::memset(images, 0, static_cast<std::size_t>(worker_floats()) * sizeof(float));
    float* sums = sums_of(slot) + k * stride_;
    std::memset(sums, 0, static_cast<std::size_t>(filters * stride_) * sizeof(float));
    const Index end = s_.n * (slot + 1) / plan_.slots;
    for (Index image = s_.n * slot / plan_.slots; image < end; image += plan_.images) {
      const Index count = std::min(plan_.images, end - image);
      for (Index begin = 0; begin < s_.p; begin += plan_.band) {
        const Index rows = std::min(plan_.band, s_.p - begin), band_pixels = rows * s_.q;
        load_patches(x, image, count, begin, rows, images, patches);
        const Index plane = s_.p * s_.q;
        const float* from = gy + (image * s_.k + k) * plane + begin * s_.q;
        if (count == 1) {
          kernels_.sum({from, plane, patches, stride_, band_pixels, filters, sums});
        } else {
          float* turns = patches + patch_floats_;
          take_turns(from, count, filters, band_pixels, turns);
          kernels_.sum(
              {turns, band_pixels * count, patches, stride_, band_pixels * count, filters, sums});
        }
      }
    }
  }

  /// gw from the sums of all slots, in their order.
  void merge(float* gw) const {
    const Index depth = patch_depth(s_);
    for (Index slot = 1; slot < plan_.slots; ++slot)
      conv_table().accumulate_into(s_.k * stride_, sums_of(slot), sums_of(0));
    for (Index k = 0; k < s_.k; ++k) std::copy_n(sums_of(0) + k * stride_, depth, gw + k * depth);
  }

 private:
  Index pixels() const { return plan_.images * plan_.band * s_.q; }
  Index worker_floats() const { return image_floats_ + patch_floats_ + gy_floats_; }
  float* sums_of(Index slot) const { return sums_.as<float>() + slot * s_.k * stride_; }

  // Floats from patch to patch: what is summed together, and at least the taps.
  Index sum_stride(Index depth) const {
    const Index cols = tile_table().cols, rest = depth % cols;
    if (rest == 0) return depth;
    return depth - rest + (rest <= kernels_.sum_cols ? kernels_.sum_cols : cols);
  }

  void load_patches(const float* x, Index image, Index count, Index begin, Index rows,
                    float* images, float* patches) const {
    const Index x_floats = s_.c * s_.h * s_.w;
    for (Index i = 0; i < count; ++i)
      image_.fill(x + (image + i) * x_floats, begin, images + i * image_.floats());
    for (Index p = 0; p < rows; ++p)
      kernels_.gather(
          s_.q,
          {images + p * s_.stride_h * image_.row_floats(), lines_.as<Index>(),
           patch_depth(s_) / line_taps_, line_taps_, s_.stride_w, count, image_.floats()},
          patches + p * s_.q * count * stride_, stride_);
  }

  // [filter][pixel][image] from [image][filter][pixel].
  void take_turns(const float* gy, Index images, Index filters, Index pixels, float* to) const {
    const Index plane = s_.p * s_.q;
    for (Index k = 0; k < filters; ++k)
      for (Index p = 0; p < pixels; ++p)
        for (Index i = 0; i < images; ++i) *to++ = gy[(i * s_.k + k) * plane + p];
  }

  const ConvShape& s_;
  const PatchTable& kernels_;
  AxisMap row_, col_;
  WeightGradPlan plan_;
  PaddedImage image_;
  Index stride_;  // floats from patch to patch
  Index group_filters_, groups_;
  Index line_taps_;
  Scratch lines_;
  Scratch sums_;  // [slot][filter][stride]
  Index image_floats_, patch_floats_, gy_floats_;
  Scratch memory_;  // of each worker: padded images, patches, gradients
};

/// The adjoint of taking patches: adds planes [c*R*S][plane] of one image into gx[c][h][w].
inline void scatter_planes(const ConvShape& s, const float* planes, Index plane, float* gx) {
  const auto add = conv_table().accumulate_into;
  for (Index c = 0; c < s.c; ++c)
    for (Index r = 0; r < s.r; ++r)
      for (Index t = 0; t < s.s; ++t, planes += plane) {
        const Index shift = t * s.dilation_w - s.pad_w;  // column q meets column q * stride + shift
        const Index first = shift < 0 ? (-shift + s.stride_w - 1) / s.stride_w : 0;
        const Index last =
            shift < s.w ? std::min(s.q, (s.w - 1 - shift) / s.stride_w + 1) : Index{0};
        for (Index p = 0; p < s.p; ++p) {
          const Index h = p * s.stride_h + r * s.dilation_h - s.pad_h;
          if (h < 0 || h >= s.h) continue;
          float* row = gx + (c * s.h + h) * s.w + shift;
          const float* from = planes + p * s.q;
          if (s.stride_w == 1)
            add(std::max<Index>(0, last - first), from + first, row + first);
          else
            for (Index q = first; q < last; ++q) row[q * s.stride_w] += from[q];
        }
      }
}

}  // namespace detail

/// y[n,k,p,q] = bias[k] + sum over c,r,s, in this order; `bias` may be null.
inline void patch_forward(const ConvShape& s, const float* x, const float* w, const float* bias,
                          float* y) {
  if (s.n * s.k * s.p * s.q == 0) return;
  const PatchTable& kernels = patch_table();
  const Index band = detail::patch_band(s), bands = (s.p + band - 1) / band;
  const detail::PaddedImage padded(s, s.stride_w, band);
  const Index depth = detail::patch_depth(s), plane = s.p * s.q;
  const Scratch taps(static_cast<std::size_t>(depth) * sizeof(Index));
  for (Index d = 0; d < depth; ++d)
    taps.as<Index>()[d] = padded.tap(d / (s.r * s.s), d / s.s % s.r, d % s.s);
  const Index floats = round_up(padded.floats() + kernels.lanes, 16);
  const Scratch scratch(static_cast<std::size_t>(threads() * floats) * sizeof(float));
  run_tasks(s.n * s.k * plane * depth, s.n * bands, [&](Index task) {
    const Index image = task / bands, begin = task % bands * band;
    float* rows = scratch.as<float>() + worker_index() * floats;
    padded.fill(x + image * s.c * s.h * s.w, begin, rows);
    kernels.forward({rows, s.stride_h * padded.row_floats(), taps.as<Index>(), depth, w, s.k, bias,
                     y + image * s.k * plane + begin * s.q, plane, std::min(band, s.p - begin),
                     s.q});
  });
}

/// gx[n,c,h,w] from gy[n,k,p,q]: the gradient of every patch, of which pixels are then the sums, in
/// the order of the taps.
inline void patch_input_grad(const ConvShape& s, const float* gy, const float* w, float* gx) {
  const PatchTable& kernels = patch_table();
  const Index depth = detail::patch_depth(s), plane = s.p * s.q, image_floats = s.c * s.h * s.w;
  const Index padded_plane = std::max(plane, tile_table().cols);
  const Scratch turned(static_cast<std::size_t>(depth * s.k) * sizeof(float));
  tile_table().transpose(s.k, depth, w, depth, turned.as<float>(), s.k);
  const Index gy_floats = plane < padded_plane ? s.k * padded_plane : 0;
  const Index floats = round_up(depth * padded_plane + gy_floats, 16);
  const Scratch scratch(static_cast<std::size_t>(threads() * floats) * sizeof(float));
  run_tasks(s.n * s.k * padded_plane * depth, s.n, [&](Index image) {
    float* dst = gx + image * image_floats;
    std::memset(dst, 0, static_cast<std::size_t>(image_floats) * sizeof(float));
    if (plane == 0) return;
    float* planes = scratch.as<float>() + worker_index() * floats;
    const float* from = gy + image * s.k * plane;
    if (gy_floats > 0) {
      float* padded = planes + depth * padded_plane;
      std::memset(padded, 0, static_cast<std::size_t>(gy_floats) * sizeof(float));
      for (Index k = 0; k < s.k; ++k)
        std::copy_n(from + k * plane, plane, padded + k * padded_plane);
      from = padded;
    }
    kernels.planes({turned.as<float>(), depth, s.k, from, padded_plane, planes});
    detail::scatter_planes(s, planes, padded_plane, dst);
  });
}

/// gw[k,c,r,s] from x[n,c,h,w] and gy[n,k,p,q].
inline void patch_weight_grad(const ConvShape& s, const float* x, const float* gy, float* gw) {
  if (s.k * detail::patch_depth(s) == 0) return;
  const Index products = s.n * s.k * s.p * s.q * detail::patch_depth(s);
  if (products == 0) {
    std::memset(gw, 0, static_cast<std::size_t>(s.k * detail::patch_depth(s)) * sizeof(float));
    return;
  }
  const detail::PatchSumsWork work(s);
  run_tasks(products, work.tasks(), [&](Index task) { work.sum(task, x, gy); });
  work.merge(gw);
}

}  // namespace kernels

IOTSL_NAMESPACE_END
