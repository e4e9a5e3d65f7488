#pragma once
// Gradients of the critic for one image at a time, each clipped before it is added: what DP-SGD
// (Abadi et al. 2016) needs. One is in memory at a time, however many were drawn.

#include "iotsl/gan/nets.hpp"
#include "iotsl/gan/private/sanitize.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Where a critic's gradients are taken: its weights over their spectral norms, and its biases, as
/// leaves. Their norms depend on the weights alone, so the way back to the weights themselves is
/// post-processing.
class CriticLeaves {
 public:
  /// `critic` in the graph of its parameters.
  IOTSL_SMALL explicit CriticLeaves(const NormalizedCritic<float>& critic)
      : recorded_(critic), leaves_(critic.detached()), all_(leaves_.weights_then_biases()) {
    for (Tensor<float>& leaf : all_) leaf.set_requires_grad();
  }

  const NormalizedCritic<float>& critic() const { return leaves_; }
  const std::vector<Tensor<float>>& all() const { return all_; }
  /// Numbers of a gradient.
  std::size_t size() const {
    std::size_t out = 0;
    for (const Tensor<float>& t : all_) out += static_cast<std::size_t>(t.size());
    return out;
  }

  /// From a gradient with respect to the leaves, times `factor`, to that of `parameters`.
  IOTSL_SMALL std::vector<Tensor<float>> to_parameters(
      std::span<const double> gradient, double factor,
      const std::vector<NamedTensor<float>>& parameters) const {
    const std::vector<Tensor<float>> outputs = recorded_.weights_then_biases();
    std::vector<Tensor<float>> seeds, inputs;
    for (const Tensor<float>& t : outputs) {
      Tensor<float> seed = Tensor<float>::uninitialized(t.shape());
      const std::span<float> values = mutable_values_of(seed);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(factor * gradient[i]);
      gradient = gradient.subspan(values.size());
      seeds.push_back(std::move(seed));
    }
    for (const NamedTensor<float>& p : parameters) inputs.push_back(p.tensor);
    return grad(outputs, inputs, seeds);
  }

 private:
  NormalizedCritic<float> recorded_, leaves_;
  std::vector<Tensor<float>> all_;  // those of leaves_
};

/// The logistic loss of a GAN (Goodfellow et al. 2014): softplus(-score) for a real image,
/// softplus(score) for a generated one. Its derivative with respect to the score.
inline double logistic_slope(double score, bool real) {
  const double towards = real ? -score : score;
  const double chance = 1 / (1 + scalar_math::exp(-towards));
  return real ? -chance : chance;
}

/// The gradient of one image's logistic loss: x [1,C,H,W]; one tensor per leaf.
IOTSL_SMALL inline std::vector<Tensor<float>> sample_gradient(const CriticLeaves& leaves,
                                                              const Tensor<float>& x,
                                                              std::int32_t label, bool real) {
  const Tensor<float> score = leaves.critic().forward(x, {&label, 1});
  const double slope = logistic_slope(static_cast<double>(score.item()), real);
  return grad({score}, leaves.all(),
              {Tensor<float>::full(score.shape(), static_cast<float>(slope))});
}

/// Adds each image's gradient, clipped to `bound`, to `sum` (as many numbers as leaves.size()). One
/// with NaN or Inf counts as zero. x [N,C,H,W], N >= 0.
inline void add_clipped_gradients(const CriticLeaves& leaves, const Tensor<float>& x,
                                  std::span<const std::int32_t> labels, bool real, double bound,
                                  std::span<double> sum) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto at = static_cast<Index>(i);
    const std::vector<Tensor<float>> gradient =
        sample_gradient(leaves, slice(x, 0, at, at + 1), labels[i], real);
    double squared = 0;
    for (const Tensor<float>& part : gradient) squared += squared_norm(values_of(part));
    std::size_t offset = 0;
    for (const Tensor<float>& part : gradient) {
      const std::span<const float> values = values_of(part);
      add_scaled(values, clip_factor(squared, bound), sum.subspan(offset, values.size()));
      offset += values.size();
    }
  }
}

}  // namespace gan
IOTSL_NAMESPACE_END
