#pragma once
// What the head sees of an image: histograms of oriented gradients (Dalal and Triggs, "Histograms
// of oriented gradients for human detection", CVPR 2005) with signed directions, and a small copy.
// Fixed and public: nothing here is learned.

#include <span>
#include <vector>

#include "iotsl/core/image_spec.hpp"
#include "iotsl/core/scalar_math.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// Images of every size are brought to this many pixels a side by averaging over areas, so that a
/// setting means the same for all.
inline constexpr Index feature_side = 28;

/// Means over areas: output i of `out` covers [i n / out, (i + 1) n / out) of n inputs.
class AreaMean {
 public:
  AreaMean(Index from, Index to) : from_(from), to_(to) {}

  /// in[i * stride], out[i * stride].
  void operator()(const float* in, float* out, Index in_stride, Index out_stride) const {
    const double step = static_cast<double>(from_) / static_cast<double>(to_);
    for (Index i = 0; i < to_; ++i) {
      const double begin = static_cast<double>(i) * step, end = begin + step;
      double sum = 0;
      for (auto at = static_cast<Index>(begin); at < from_ && static_cast<double>(at) < end; ++at) {
        const auto left = static_cast<double>(at);
        const double overlap = std::min(left + 1, end) - std::max(left, begin);
        sum += overlap * static_cast<double>(in[at * in_stride]);
      }
      out[i * out_stride] = static_cast<float>(sum / step);
    }
  }

 private:
  Index from_, to_;
};

class Features {
 public:
  explicit Features(const ImageSpec& images)
      : channels_(images.channels),
        height_(images.height),
        width_(images.width),
        down_(height_, feature_side),
        across_(width_, feature_side) {}

  /// Numbers of an image: blocks of 2x2 cells, then means over 2x2 pixels of every channel.
  Index size() const { return blocks * blocks * 4 * bins + channels_ * small * small; }

  /// The features of bytes [C, H, W], with norm 1; all 0 for an image that has none.
  void operator()(std::span<const std::uint8_t> pixels, std::span<float> out) const {
    std::vector<float> image = resized(pixels);
    add_blocks(histograms(image), out.data());
    float* means = out.data() + blocks * blocks * 4 * bins;
    for (Index c = 0; c < channels_; ++c)
      for (Index y = 0; y < small; ++y)
        for (Index x = 0; x < small; ++x) {
          const float* at = image.data() + (c * feature_side + 2 * y) * feature_side + 2 * x;
          *means++ = (at[0] + at[1] + at[feature_side] + at[feature_side + 1]) / 4;
        }
    double squares = 0;
    for (const float v : out) squares += static_cast<double>(v) * static_cast<double>(v);
    const double scale = squares > 0 ? 1 / scalar_math::sqrt(squares) : 0;
    for (float& v : out) v = static_cast<float>(static_cast<double>(v) * scale);
  }

 private:
  static constexpr Index side = feature_side, cell = 4, cells = side / cell, bins = 8;
  static constexpr Index blocks = cells - 1, small = side / 2;

  /// [C, side, side] in [0,1].
  std::vector<float> resized(std::span<const std::uint8_t> pixels) const {
    std::vector<float> full(pixels.size());
    for (std::size_t i = 0; i < full.size(); ++i) full[i] = static_cast<float>(pixels[i]) / 255;
    if (height_ == side && width_ == side) return full;
    std::vector<float> rows(static_cast<std::size_t>(channels_ * height_ * side));
    for (Index y = 0; y < channels_ * height_; ++y)
      across_(full.data() + y * width_, rows.data() + y * side, 1, 1);
    std::vector<float> out(static_cast<std::size_t>(channels_ * side * side));
    for (Index c = 0; c < channels_; ++c)
      for (Index x = 0; x < side; ++x)
        down_(rows.data() + c * height_ * side + x, out.data() + c * side * side + x, side, side);
    return out;
  }

  /// [cells, cells, bins]: each pixel's gradient, of the channel where it is longest, split between
  /// the two nearest directions.
  std::vector<float> histograms(const std::vector<float>& image) const {
    std::vector<float> out(static_cast<std::size_t>(cells * cells * bins));
    for (Index y = 0; y < side; ++y)
      for (Index x = 0; x < side; ++x) {
        const Index left = x > 0 ? x - 1 : 0, right = x + 1 < side ? x + 1 : x;
        const Index up = y > 0 ? y - 1 : 0, low = y + 1 < side ? y + 1 : y;
        double gx = 0, gy = 0, longest = 0;
        for (Index c = 0; c < channels_; ++c) {
          const float* plane = image.data() + c * side * side;
          const auto dx = static_cast<double>(plane[y * side + right] - plane[y * side + left]);
          const auto dy = static_cast<double>(plane[low * side + x] - plane[up * side + x]);
          if (dx * dx + dy * dy <= longest) continue;
          longest = dx * dx + dy * dy;
          gx = dx;
          gy = dy;
        }
        if (longest == 0) continue;
        const double turn = scalar_math::atan2(gy, gx) * (bins / 6.283185307179586) + bins;
        const double low_bin = scalar_math::floor(turn), share = turn - low_bin;
        const double length = scalar_math::sqrt(longest);
        const auto bin = static_cast<Index>(low_bin);
        float* own = out.data() + (y / cell * cells + x / cell) * bins;
        own[bin % bins] += static_cast<float>(length * (1 - share));
        own[(bin + 1) % bins] += static_cast<float>(length * share);
      }
    return out;
  }

  /// Every 2x2 cells with the norm v / sqrt(|v|^2 + 1).
  static void add_blocks(const std::vector<float>& histogram, float* out) {
    for (Index y = 0; y < blocks; ++y)
      for (Index x = 0; x < blocks; ++x) {
        float* block = out;
        double squares = 1;
        for (Index part = 0; part < 4; ++part) {
          const float* own = histogram.data() + ((y + part / 2) * cells + x + part % 2) * bins;
          for (Index b = 0; b < bins; ++b, ++out) {
            *out = own[b];
            squares += static_cast<double>(own[b]) * static_cast<double>(own[b]);
          }
        }
        const auto scale = static_cast<float>(1 / scalar_math::sqrt(squares));
        for (; block < out; ++block) *block *= scale;
      }
  }

  Index channels_, height_, width_;
  AreaMean down_, across_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
