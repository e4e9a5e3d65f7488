#pragma once
// Which input pixel meets which output pixel under which kernel tap. Convolution and its input
// gradient differ only in this map, so both run on the same driver (correlate.hpp).

#include <cstdint>

#include "iotsl/core/memory.hpp"
#include "iotsl/kernels/types.hpp"

IOTSL_NAMESPACE_BEGIN

namespace kernels {

/// For one axis: the input position of every (output position, tap), or -1 outside the input.
class AxisMap {
 public:
  enum class Kind {
    forward,  ///< input position = out * stride + tap * dilation - pad
    adjoint   ///< the same map read backwards: `out` positions are those of x
  };

  AxisMap(Kind kind, Index out, Index taps, Index in, Index stride, Index pad, Index dilation)
      : out_(out),
        taps_(taps),
        table_(static_cast<std::size_t>(out * taps) * sizeof(std::int32_t)) {
    std::int32_t* entry = table_.as<std::int32_t>();
    for (Index o = 0; o < out; ++o)
      for (Index t = 0; t < taps; ++t) {
        Index i = o * stride + t * dilation - pad;
        bool valid = true;
        if (kind == Kind::adjoint) {
          const Index scaled = o + pad - t * dilation;
          valid = scaled % stride == 0;
          i = scaled / stride;
        }
        *entry++ = static_cast<std::int32_t>(valid && i >= 0 && i < in ? i : -1);
      }
  }
  /// Every output position meets the input position of the same number.
  explicit AxisMap(Index size) : AxisMap(Kind::forward, size, 1, size, 1, 0, 1) {}

  Index operator()(Index out, Index tap) const { return of(out)[tap]; }
  /// The input positions of all taps.
  const std::int32_t* of(Index out) const { return table_.as<std::int32_t>() + out * taps_; }
  Index out() const { return out_; }
  Index taps() const { return taps_; }

  bool tap_used(Index tap) const {
    for (Index o = 0; o < out_; ++o)
      if ((*this)(o, tap) >= 0) return true;
    return false;
  }
  /// First and one past the last input position that the outputs [begin, end) need.
  void input_range(Index begin, Index end, Index& first, Index& last) const {
    first = 0;
    last = 0;
    for (Index o = begin; o < end; ++o)
      for (Index t = 0; t < taps_; ++t) {
        const Index i = (*this)(o, t);
        if (i < 0) continue;
        if (last == 0 || i < first) first = i;
        if (i + 1 > last) last = i + 1;
      }
  }

 private:
  Index out_, taps_;
  Scratch table_;
};

/// The taps that meet the image at some output position; on small maps, few do. Only they are
/// packed and summed.
class UsedTaps {
 public:
  UsedTaps(const AxisMap& row, const AxisMap& col)
      : all_(row.taps() * col.taps()),
        table_(static_cast<std::size_t>(2 * all_) * sizeof(std::int32_t)) {
    std::int32_t* rank = table_.as<std::int32_t>();
    std::int32_t* tap = rank + all_;
    for (Index t = 0; t < all_; ++t) {
      const bool used = row.tap_used(t / col.taps()) && col.tap_used(t % col.taps());
      rank[t] = static_cast<std::int32_t>(count_);
      if (used) tap[count_++] = static_cast<std::int32_t>(t);
    }
  }
  Index count() const { return count_; }
  Index all() const { return all_; }
  /// The number of a used tap among the used ones, and back.
  Index rank(Index tap) const { return table_.as<std::int32_t>()[tap]; }
  Index tap(Index rank) const { return table_.as<std::int32_t>()[all_ + rank]; }

 private:
  Index all_, count_ = 0;
  Scratch table_;
};

}  // namespace kernels

IOTSL_NAMESPACE_END
