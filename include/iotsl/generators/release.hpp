#pragma once
// What a private training will release, as the accountants count it, and the card that says so.

#include "iotsl/generators/net_noise.hpp"
#include "iotsl/generators/settings.hpp"
#include "iotsl/privacy/ledger.hpp"
#include "iotsl/privacy/statement.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

/// Sets what follows from the chosen privacy before a device is known: the noise of the published
/// mechanisms where none is given, and that of moments. Usage failure where theirs is not chosen,
/// or out of reach.
IOTSL_SMALL inline Result<void> apply_privacy(GeneratorSettings& s) {
  if (s.privacy.epsilon == 0 && s.privacy.noise_multiplier == 0)
    s.privacy.noise_multiplier = privacy::default_noise_multiplier(s.privacy.mode);
  if (s.kind != GeneratorKind::moments) return {};
  if (const Result<void> good = privacy::check_settings(s.privacy); !good) return good;
  s.moments.noise = s.privacy.is_private();
  if (!s.moments.noise) return {};
  if (s.privacy.noise_multiplier > 0) {
    s.moments.mu = 1 / s.privacy.noise_multiplier;
    return {};
  }
  const Result<double> mu = moments::mu_for(s.privacy.epsilon, s.privacy.delta);
  if (!mu) return mu.failure();
  s.moments.mu = *mu;
  return {};
}

namespace detail {

/// Where a record is replaced by another of its class, its part of the sums moves by
/// sqrt(6 - 2c - 4c^2) <= 2.5, c the cosine between both, instead of sqrt(3); of the features' mean
/// and of the head by twice as much.
inline double replace_one_mu(const moments::Settings& s) {
  const moments::Budget mu = moments::budget(s);
  return moments::stated_mu(scalar_math::sqrt(6.25 / 3 * mu.moments * mu.moments +
                                              4 * (mu.centre * mu.centre + mu.head * mu.head)));
}

inline privacy::Release moments_release(const GeneratorSettings& s) {
  privacy::Release out;
  out.mode = privacy::PrivacyMode::moments;
  out.noise_multiplier = 1 / moments::stated_mu(s.moments.mu);
  out.noise_multiplier_replace_one = 1 / replace_one_mu(s.moments);
  return out;
}

}  // namespace detail

/// The release of a private training on so many records, without its id. Usage failure where an
/// epsilon is out of reach, or some critics would have no record.
IOTSL_SMALL inline Result<privacy::Release> planned_release(const GeneratorSettings& s,
                                                            std::uint64_t records) {
  if (s.kind == GeneratorKind::moments) return detail::moments_release(s);
  const Result<NetNoise> noise = net_noise(s.privacy, s.net, records);
  if (!noise) return noise.failure();
  return noise->release;
}

/// The card of a release, before it is known what the device has released else. Raises an Error
/// where planned_release() fails.
IOTSL_SMALL inline privacy::PrivacyCard privacy_card(const GeneratorSettings& s,
                                                     std::uint64_t records) {
  privacy::PrivacyCard card;
  card.mode = s.privacy.mode;
  if (!s.privacy.is_private()) {
    card.statement = s.kind == GeneratorKind::net
                         ? "no differential privacy: the generator has seen plain gradients"
                         : "no differential privacy: the sums are exact";
    return card;
  }
  const Result<privacy::Release> planned = planned_release(s, records);
  if (!planned) fail(planned.failure().message);
  const privacy::Release& release = *planned;
  card.statement =
      "protects the content of one image; its label, and how many there are, are public";
  card.unit = privacy::unit_of_all_modes;
  card.adjacency = privacy::to_string(privacy::Adjacency::zero_out);
  card.sensitivity = 1;
  card.noise_multiplier = release.noise_multiplier;
  card.records = records;
  card.steps = release.steps;
  card.sampling_rate = release.sampling_rate;
  card.critics = s.privacy.critics;
  card.clip = s.privacy.clip;
  card.delta = s.privacy.delta;
  card.records_times_delta = static_cast<double>(records) * card.delta;
  if (release.sampling_rate == 1) {
    const double mu =
        privacy::detail::gaussian_part(std::vector{release.under(privacy::Adjacency::zero_out)});
    card.zcdp_rho = mu * mu / 2;
  }
  card.release = card.all_releases = privacy::compose({&release, 1}, card.delta);
  card.not_covered = privacy::not_covered_by_any_mode();
  if (s.kind == GeneratorKind::net) {
    describe_net_noise(card, net_noise(s.privacy, s.net, records).value().plan, s.net);
    return card;
  }
  card.mechanism =
      "sums of clipped images and their second moments, of features, and gradients of a linear "
      "head, each with discrete Gaussian noise (Canonne, Kamath, Steinke 2020); the rest is made "
      "of these";
  return card;
}

/// With all that composes with the release of this id in the device's ledger.
inline void add_ledger(privacy::PrivacyCard& card, const privacy::Ledger& ledger,
                       const std::string& id) {
  const std::vector<privacy::Release> all = ledger.composing_with(id);
  card.all_releases = privacy::compose(all, card.delta);
  card.releases = all.size();
  card.new_data_declared = all.size() < ledger.releases.size();
}

}  // namespace generators
IOTSL_NAMESPACE_END
