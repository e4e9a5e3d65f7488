#pragma once
// The Gaussian mechanism on gradients (the paper's equation 5): a vector is scaled down to a norm
// of at most the bound, then gets noise. All of it in double, so that nothing is rounded before
// the noise is in; what is rounded afterwards is post-processing.

#include <limits>
#include <span>

#include "iotsl/core/tensor.hpp"
#include "iotsl/privacy/secure_normal.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Sum of squares; Inf or NaN where a value is, and only there: the square of any float fits.
inline double squared_norm(std::span<const float> values) {
  double sum[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= values.size(); i += 4)
    for (std::size_t lane = 0; lane < 4; ++lane)
      sum[lane] += static_cast<double>(values[i + lane]) * static_cast<double>(values[i + lane]);
  for (; i < values.size(); ++i)
    sum[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// What a vector of this squared norm is to be multiplied with: min(1, bound / norm), a little less
/// for the rounding; 0 where it has NaN or Inf, so that it counts as nothing.
inline double clip_factor(double squared, double bound) {
  if (!(squared < std::numeric_limits<double>::infinity())) return 0;
  const double norm = scalar_math::sqrt(squared) * (1 + 1e-12);
  return norm <= bound ? 1 : bound / norm;
}

/// Standard normal numbers that nobody can guess, one at a time.
class SecureNormal {
 public:
  explicit SecureNormal(privacy::SecureRandom& random) : random_(&random) {}
  double operator()() {
    if (left_ == 0) draw();
    return pair_[--left_];
  }

 private:
  // Apart, so that the loops around it stay small: a device's program is counted in kilobytes.
  [[gnu::noinline]] void draw() {
    pair_ = privacy::secure_normal(*random_);
    left_ = 2;
  }

  privacy::SecureRandom* random_;
  std::array<double, 2> pair_{};
  std::size_t left_ = 0;
};

/// value = factor * value + deviation * N(0,1) for each; with factor 0 the value does not matter.
inline void scale_and_noise(std::span<float> values, double factor, double deviation,
                            SecureNormal& normal) {
  for (float& v : values) {
    const double kept = factor == 0 ? 0 : factor * static_cast<double>(v);
    v = static_cast<float>(deviation == 0 ? kept : kept + deviation * normal());
  }
}
/// sum += factor * value, in double; with factor 0 nothing.
inline void add_scaled(std::span<const float> values, double factor, std::span<double> sum) {
  if (factor == 0) return;
  for (std::size_t i = 0; i < values.size(); ++i) sum[i] += factor * static_cast<double>(values[i]);
}

inline std::span<const float> values_of(const Tensor<float>& t) {
  return {t.data(), static_cast<std::size_t>(t.size())};
}
inline std::span<float> mutable_values_of(Tensor<float>& t) {
  return {t.mutable_data(), static_cast<std::size_t>(t.size())};
}

/// Clips all `parts` together, as one vector, to `bound` and adds noise to each number.
inline void sanitize_together(std::vector<Tensor<float>>& parts, double bound, double deviation,
                              privacy::SecureRandom& random) {
  double squared = 0;
  for (const Tensor<float>& part : parts) squared += squared_norm(values_of(part));
  SecureNormal normal(random);
  for (Tensor<float>& part : parts)
    scale_and_noise(mutable_values_of(part), clip_factor(squared, bound), deviation, normal);
}

/// Clips each row of `rows` [N,...] to `bound` and adds noise to each number.
inline void sanitize_rows(Tensor<float>& rows, double bound, double deviation,
                          privacy::SecureRandom& random) {
  const auto count = static_cast<std::size_t>(rows.shape()[0]);
  const std::span<float> all = mutable_values_of(rows);
  SecureNormal normal(random);
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<float> row = all.subspan(i * (all.size() / count), all.size() / count);
    scale_and_noise(row, clip_factor(squared_norm(row), bound), deviation, normal);
  }
}

}  // namespace gan
IOTSL_NAMESPACE_END
