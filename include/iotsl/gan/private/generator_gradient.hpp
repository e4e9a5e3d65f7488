#pragma once
// The gradient of the generator's loss, -mean D(G(noise, labels)), with noise where a mode has it:
// on the parameters' gradient (the paper's equation 5), or where it enters the generator, at the
// images. What the generator makes of noised numbers is post-processing.

#include "iotsl/gan/nets.hpp"
#include "iotsl/gan/private/plan.hpp"
#include "iotsl/gan/private/sanitize.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// A batch of generated images [B,C,H,W] in the graph of the generator's parameters.
struct Generated {
  Tensor<float> images;
  std::span<const std::int32_t> labels;
};

/// -f times the gradient of the sum of scores with respect to the images: row i depends on image i
/// alone. f is 1/B, as in the loss, and for `joint` 1/sqrt(B), so that a critic of slope 1 gives a
/// gradient of norm 1 (Adam does not see the factor).
IOTSL_SMALL inline Tensor<float> upstream_gradient(const CriticNet<float>& critic,
                                                   const Generated& generated,
                                                   privacy::PrivacyMode mode) {
  Tensor<float> images = generated.images.detach();
  images.set_requires_grad();
  const auto rows = static_cast<double>(generated.labels.size());
  const double factor = 1 / (mode == privacy::PrivacyMode::joint ? scalar_math::sqrt(rows) : rows);
  const Tensor<float> scores = critic.constant().forward(images, generated.labels);
  return grad(scores, images, Tensor<float>::full(scores.shape(), static_cast<float>(-factor)));
}

/// The same, clipped and noised where the mode does it here; with eq5 it stays as it is.
IOTSL_SMALL inline Tensor<float> noised_upstream(const CriticNet<float>& critic,
                                                 const Generated& generated, const NoisePlan& plan,
                                                 privacy::SecureRandom& random) {
  std::vector<Tensor<float>> out{upstream_gradient(critic, generated, plan.mode)};
  const NoiseScale noise = noise_scale(plan, generated.images.shape()[0]);
  if (plan.mode == privacy::PrivacyMode::gswgan)
    sanitize_rows(out[0], noise.bound, noise.deviation, random);
  else if (plan.mode == privacy::PrivacyMode::joint)
    sanitize_together(out, noise.bound, noise.deviation, random);
  return out[0];
}

/// One gradient per parameter of the generator, clipped and noised as `plan` says.
IOTSL_SMALL inline std::vector<Tensor<float>> noised_generator_gradient(
    const GeneratorNet<float>& generator, const CriticNet<float>& critic,
    const Generated& generated, const NoisePlan& plan, privacy::SecureRandom& random) {
  std::vector<Tensor<float>> parameters;
  for (const NamedTensor<float>& p : generator.parameters()) parameters.push_back(p.tensor);
  const Tensor<float> upstream = noised_upstream(critic, generated, plan, random);
  std::vector<Tensor<float>> out = grad({generated.images}, parameters, {upstream});
  if (plan.mode == privacy::PrivacyMode::eq5) {
    const NoiseScale noise = noise_scale(plan, generated.images.shape()[0]);
    sanitize_together(out, noise.bound, noise.deviation, random);
  }
  return out;
}

/// An update with numbers that are noised already, left out where they have NaN or Inf.
IOTSL_SMALL inline void update_noised(Optimizer<float>& adam,
                                      const std::vector<Tensor<float>>& gradients) {
  for (const Tensor<float>& g : gradients)
    if (!all_finite(g)) return;
  adam.step(gradients);
}

}  // namespace gan
IOTSL_NAMESPACE_END
