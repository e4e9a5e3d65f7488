#pragma once
// The two losses of a conditional Wasserstein GAN with gradient penalty (the paper's eq. 6 and 7).

#include "iotsl/autograd/grad.hpp"
#include "iotsl/models/critic.hpp"
#include "iotsl/models/generator.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

struct CriticLossOptions {
  double penalty = 10;  ///< lambda of the gradient penalty
  double drift = 1e-3;  ///< on the squared scores of real images (Karras et al. 2018, appendix A)
  double norm_eps = 1e-12;  ///< inside the root of the gradient's norm
};

template <class T>
struct CriticLoss {
  Tensor<T> total;         ///< scalar, in the graph of the critic's parameters
  double wasserstein = 0;  ///< mean score of real minus mean score of generated images
  double penalty = 0;      ///< mean of (norm - 1)^2, without lambda
};

/// mean D(fake) - mean D(real) + penalty mean (|grad_x D(x)| - 1)^2 + drift mean D(real)^2, where x
/// lies between each pair: x = fake + alpha (real - fake). real and fake [N,C,H,W], N labels that
/// belong to both, alpha [N] in [0,1]; the norm is over all pixels of a sample (eq. 6). The
/// gradient of `total` goes through the gradient in it, which is why the graph of that is recorded;
/// the second derivative of ReLU is zero and costs nothing.
template <class T>
CriticLoss<T> critic_loss(const CriticNet<T>& critic, const Tensor<T>& real, const Tensor<T>& fake,
                          std::span<const std::int32_t> labels, const Tensor<T>& alpha,
                          const CriticLossOptions& options = {}) {
  const Index n = static_cast<Index>(labels.size());
  if (!(real.shape() == fake.shape()) || real.rank() != 4 || real.shape()[0] != n ||
      !(alpha.shape() == Shape{n}))
    fail("critic_loss: ", n, " labels with real ", real.shape(), ", fake ", fake.shape(),
         " and alpha ", alpha.shape(), "; expected [N,C,H,W] twice and [N]");
  const NormalizedCritic<T> normalized = critic.normalized();

  std::vector<std::int32_t> twice(labels.begin(), labels.end());
  twice.insert(twice.end(), labels.begin(), labels.end());
  const Tensor<T> scores = normalized.forward(concat<T>({real.detach(), fake.detach()}, 0), twice);
  const Tensor<T> on_real = slice(scores, 0, 0, n), on_fake = slice(scores, 0, n, 2 * n);
  const Tensor<T> wasserstein = sub(mean(on_real), mean(on_fake));

  Tensor<T> between;
  {
    const NoRecord values_only;
    between = add(fake, mul(reshape(alpha, Shape{n, 1, 1, 1}), sub(real, fake)));
  }
  between.set_requires_grad();
  const Tensor<T> between_scores = normalized.forward(between, labels);
  const Tensor<T> slope = grad(sum(between_scores), between, Tensor<T>(), {.create_graph = true});
  const Tensor<T> penalty = mean(square(add_scalar(row_norm(slope, options.norm_eps), T(-1))));

  CriticLoss<T> out;
  out.total = sub(add(scale(penalty, static_cast<T>(options.penalty)),
                      scale(mean(square(on_real)), static_cast<T>(options.drift))),
                  wasserstein);
  out.wasserstein = static_cast<double>(wasserstein.item());
  out.penalty = static_cast<double>(penalty.item());
  return out;
}

/// -mean D(G(noise, labels)) (eq. 7): a scalar in the graph of the generator's parameters; the
/// critic's are constants. noise [N,latent], N labels.
template <class T>
Tensor<T> generator_loss(const CriticNet<T>& critic, const GeneratorNet<T>& generator,
                         const Tensor<T>& noise, std::span<const std::int32_t> labels) {
  const Tensor<T> images = generator.forward(noise, labels);
  return neg(mean(critic.constant().forward(images, labels)));
}

IOTSL_FLOAT(CriticLoss<float> critic_loss(const CriticNet<float>&, const Tensor<float>&,
                                          const Tensor<float>&, std::span<const std::int32_t>,
                                          const Tensor<float>&, const CriticLossOptions&))
IOTSL_FLOAT(Tensor<float> generator_loss(const CriticNet<float>&, const GeneratorNet<float>&,
                                         const Tensor<float>&, std::span<const std::int32_t>))

}  // namespace gan
IOTSL_NAMESPACE_END
