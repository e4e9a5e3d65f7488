#pragma once
// What the head is a linear function of: an image's features, less their private mean, and a
// constant; scaled to norm 1 and truncated to integers.

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/moments/class_sums.hpp"
#include "iotsl/moments/features.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

/// Units per 1 of an input. No input has a norm above it, and no single value more than a quarter:
/// so that sums of products with error vectors are exact in float (head.hpp).
inline constexpr Index input_bound = 2048, input_value_bound = input_bound / 4;

inline QueryScale centre_scale(const Settings& s) { return query_scale(s.noise, budget(s).centre); }

/// The exact sum of all samples' features, in units: sensitivity is the scale's bound.
inline std::vector<std::int64_t> feature_sums(const data::Dataset& set,
                                              std::span<const Index> samples, const Settings& s) {
  const Features features({set.channels, set.height, set.width, set.classes});
  const QueryScale scale = centre_scale(s);
  const double unit = static_cast<double>(scale.bound) * (1 - 0x1p-20);
  const auto size = static_cast<std::size_t>(features.size());
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(threads()));
  constexpr Index grain = 64;
  parallel_chunks(static_cast<Index>(samples.size()), grain, [&](Index begin, Index end) {
    std::vector<std::int64_t>& own = sums[static_cast<std::size_t>(worker_index())];
    own.resize(size);
    std::vector<float> values(size);
    std::vector<std::int64_t> integers(size);
    for (Index i = begin; i < end; ++i) {
      features(set.sample(samples[static_cast<std::size_t>(i)]), values);
      for (std::size_t j = 0; j < size; ++j)
        integers[j] = truncated(static_cast<double>(values[j]) * unit);
      if (!within_norm(integers, scale.bound)) continue;
      for (std::size_t j = 0; j < size; ++j) own[j] += integers[j];
    }
  });
  std::vector<std::int64_t> out(size);
  for (const auto& own : sums)
    for (std::size_t j = 0; j < own.size(); ++j) out[j] += own[j];
  return out;
}

class HeadInput {
 public:
  /// `centre`: the mean of the features, as released.
  HeadInput(const ImageSpec& images, std::vector<float> centre, double constant)
      : features_(images), centre_(std::move(centre)), constant_(constant) {
    if (static_cast<Index>(centre_.size()) != features_.size())
      fail("HeadInput: a centre of ", centre_.size(), " values, expected ", features_.size());
  }

  Index size() const { return features_.size() + 1; }

  /// Integers for bytes [C, H, W]; all 0 where the norm is against all expectation too large.
  void operator()(std::span<const std::uint8_t> pixels, std::span<std::int16_t> out) const {
    std::vector<float> values(centre_.size());
    features_(pixels, values);
    double squares = constant_ * constant_;
    for (std::size_t j = 0; j < values.size(); ++j) {
      values[j] -= centre_[j];
      squares += static_cast<double>(values[j]) * static_cast<double>(values[j]);
    }
    const double scale = squares > 0 ? (1 - 0x1p-20) * input_bound / scalar_math::sqrt(squares) : 0;
    std::int64_t norm = 0;
    const auto put = [&](std::size_t j, double v) {
      const std::int64_t most = input_value_bound;
      const std::int64_t integer = std::clamp(truncated(v * scale), -most, most);
      norm += integer * integer;
      out[j] = static_cast<std::int16_t>(integer);
    };
    for (std::size_t j = 0; j < values.size(); ++j) put(j, static_cast<double>(values[j]));
    put(values.size(), constant_);
    if (norm > std::int64_t{input_bound} * input_bound) std::fill(out.begin(), out.end(), 0);
  }

 private:
  Features features_;
  std::vector<float> centre_;
  double constant_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
