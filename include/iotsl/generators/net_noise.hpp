#pragma once
// The noise of a private training of a net: found from its target, counted, and put in words.

#include "iotsl/gan/private/plan.hpp"
#include "iotsl/privacy/calibrate.hpp"
#include "iotsl/privacy/ledger.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

/// What the trainer adds, and the same as the accountants count it.
struct NetNoise {
  gan::NoisePlan plan;
  privacy::Release release;  ///< without its id
};

namespace detail {

/// The release of noise whose standard deviation is `multiplier` times the zero-out sensitivity.
IOTSL_SMALL inline privacy::Release net_release(const privacy::PrivacySettings& p,
                                                const gan::GanSettings& net, std::uint64_t records,
                                                double multiplier) {
  const gan::NoiseScale scale = gan::noise_scale({.mode = p.mode, .clip = p.clip}, net.batch);
  privacy::Release out;
  out.mode = p.mode;
  out.noise_multiplier = multiplier;
  out.noise_multiplier_replace_one =
      multiplier * (scale.sensitivity / scale.sensitivity_replace_one);
  out.sampling_rate = gan::sampling_rate(p.mode, p.critics, net, records);
  out.steps = gan::noised_steps(p.mode, net);
  out.sample_revealed = p.mode == privacy::PrivacyMode::gswgan;
  return out;
}

}  // namespace detail

/// Where an epsilon is given, the least noise of five digits that keeps it (zero-out). Usage
/// failure where none does, or some critics would have no record.
IOTSL_SMALL inline Result<NetNoise> net_noise(const privacy::PrivacySettings& p,
                                              const gan::GanSettings& net, std::uint64_t records) {
  if (records == 0) return failure(ErrorCode::usage, "GAN: no samples to train on");
  if (const Result<void> good = gan::check_shards(p.critics, records); !good) return good.failure();
  const gan::NoiseScale unit =
      gan::noise_scale({.mode = p.mode, .sigma = 1, .clip = p.clip}, net.batch);
  const double per_sigma = unit.deviation / unit.sensitivity;
  NetNoise out;
  out.plan = {.mode = p.mode, .sigma = p.noise_multiplier, .clip = p.clip, .critics = p.critics};
  if (p.noise_multiplier > 0) {
    out.release = detail::net_release(p, net, records, p.noise_multiplier * per_sigma);
    for (const auto adjacency : {privacy::Adjacency::zero_out, privacy::Adjacency::replace_one})
      if (const Result<void> good = privacy::check(out.release.under(adjacency)); !good)
        return failure(ErrorCode::usage, "--noise-multiplier ", p.noise_multiplier, ": ",
                       good.failure().message);
    return out;
  }
  const auto epsilon_of = [&](double multiplier) {
    const privacy::Release release = detail::net_release(p, net, records, multiplier);
    return privacy::composed_epsilon({&release, 1}, privacy::Adjacency::zero_out, p.delta);
  };
  const auto found = privacy::noise_multiplier_for(p.epsilon, 1, epsilon_of);
  if (!found) return found.failure();
  out.release = detail::net_release(p, net, records, found->setting);
  // No less than was counted, whatever is rounded.
  out.plan.sigma = found->setting / per_sigma * (1 + 1e-12);
  return out;
}

namespace detail {

/// The epsilon that GS-WGAN's authors count: each of a step's rows as a Gaussian mechanism of its
/// own on a secret shard, by Wang, Balle, Kasiviswanathan (2019) at integer orders and the
/// conversion of Mironov (2017). It takes neither into account that the rows share their shard, nor
/// that the critics' states tell which one it was.
IOTSL_SMALL inline double gswgan_published_epsilon(double sigma, std::uint64_t critics,
                                                   double queries, double delta) {
  const privacy::Mechanism row{.noise_multiplier = sigma,
                               .sampling_rate = 1 / static_cast<double>(critics)};
  double best = privacy::detail::infinity;
  for (double order = 2; order <= 256; ++order) {
    const double moment =
        queries * privacy::renyi_log_moment(row, privacy::Adjacency::replace_one, order);
    const double epsilon = (moment - scalar_math::log(delta)) / (order - 1);
    if (epsilon < best) best = epsilon;
  }
  return best;
}

}  // namespace detail

/// What the card says of a net's noise beside its numbers.
IOTSL_SMALL inline void describe_net_noise(privacy::PrivacyCard& card, const gan::NoisePlan& plan,
                                           const gan::GanSettings& net) {
  using privacy::PrivacyMode;
  card.sensitivity = gan::noise_scale(plan, net.batch).sensitivity;
  const std::string sigma = concat("sigma ", plan.sigma), clip = concat("C = ", plan.clip);
  switch (plan.mode) {
    case PrivacyMode::eq5:
      card.mechanism = concat(
          "the gradient of all the generator's parameters, clipped to ", clip, ", noise sigma C, ",
          sigma,
          " (the paper's equation 5); the critic sees all images without noise, so two "
          "gradients are up to 2C apart, batches hide nothing, and the multiplier is sigma/2");
      break;
    case PrivacyMode::gswgan:
      card.mechanism = concat(
          "each of the B = ", net.batch,
          " rows of the gradient at the generated images, clipped "
          "to C/B, ",
          clip, ", noise 2 sigma C/B, ", sigma,
          " (Chen, Orekondy, Fritz 2020); the "
          "rows of a step are one query, so the multiplier is sigma/sqrt(B); the critic of a step is "
          "drawn, but only it is trained, so the draws are counted as known");
      break;
    case PrivacyMode::joint:
      card.mechanism =
          concat("the gradient at a batch of generated images, clipped as a whole to ", clip,
                 ", noise "
                 "2 sigma C, ",
                 sigma,
                 ", which is the multiplier; the critic of a step is drawn in secret, "
                 "all are trained in turn; counted as sampling without replacement (Wang, Balle, "
                 "Kasiviswanathan 2019)");
      break;
    default:
      card.mechanism = concat(
          "the critic's gradient, each image's clipped to ", clip, ", noise sigma C on the sum, ",
          sigma, ", which is the multiplier; Poisson batches of ", net.batch,
          " expected images; the generator is made from the critic (Bie, Kamath, Zhang 2023)");
  }
  if (plan.mode == PrivacyMode::gswgan)
    card.published_count = detail::gswgan_published_epsilon(
        plan.sigma, plan.critics, static_cast<double>(card.steps) * static_cast<double>(net.batch),
        card.delta);
  card.not_covered.push_back(
      "attacks on the last digits of floating-point noise (Mironov 2012): the noise of gradients is "
      "in double");
}

}  // namespace generators
IOTSL_NAMESPACE_END
