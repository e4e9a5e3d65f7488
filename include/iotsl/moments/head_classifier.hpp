#pragma once
// The released head as a classifier of images.

#include "iotsl/moments/release.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

class Head {
 public:
  /// `r` with weights.
  explicit Head(const Release& r)
      : input_(r.images, r.centre, r.settings.head_constant), weights_(r.weights) {
    for (std::size_t c = 0; c < r.counts.size(); ++c)
      if (r.counts[c] > 0) classes_.push_back(static_cast<Index>(c));
  }
  /// The classes that it knows, ascending.
  const std::vector<Index>& classes() const { return classes_; }

  /// Chances of classes() for bytes [C, H, W].
  std::vector<double> operator()(std::span<const std::uint8_t> pixels) const {
    std::vector<std::int16_t> x(static_cast<std::size_t>(input_.size()));
    input_(pixels, x);
    std::vector<double> out;
    const float* w = weights_.data();
    for (std::size_t c = 0; c < classes_.size(); ++c) {
      float sums[8] = {};  // apart, so that the additions need not wait for each other
      std::size_t j = 0;
      for (; j + 8 <= x.size(); j += 8)
        for (std::size_t k = 0; k < 8; ++k) sums[k] += w[j + k] * static_cast<float>(x[j + k]);
      for (; j < x.size(); ++j) sums[0] += w[j] * static_cast<float>(x[j]);
      double sum = 0;
      for (const float part : sums) sum += static_cast<double>(part);
      out.push_back(sum / input_bound);
      w += x.size();
    }
    softmax(out);
    return out;
  }

 private:
  HeadInput input_;
  std::vector<float> weights_;
  std::vector<Index> classes_;
};

}  // namespace moments
IOTSL_NAMESPACE_END
