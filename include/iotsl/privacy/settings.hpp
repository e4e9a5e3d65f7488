#pragma once
// How a generator is made private, as its user chooses it.

#include "iotsl/core/named_enum.hpp"
#include "iotsl/privacy/mechanism.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

using iotsl::to_string;  // so that messages can name its enumerations

/// The mechanism that stands between a device's samples and what it shares.
enum class PrivacyMode {
  off,      ///< none
  moments,  ///< one noised release of sums over all samples
  eq5,      ///< the paper's equation 5: noise on the gradient of the generator's parameters
  gswgan,   ///< noise on rows of the gradient that reaches the generator (Chen et al. 2020)
  joint,    ///< noise on that gradient as a whole, from one of many critics
  dp_sgd,   ///< noise on the critic's gradient, sample by sample (Bie et al. 2023)
};

namespace detail {
inline constexpr NamedValue<PrivacyMode> privacy_modes[] = {
    {PrivacyMode::off, "off"},     {PrivacyMode::moments, "moments"},
    {PrivacyMode::eq5, "eq5"},     {PrivacyMode::gswgan, "gswgan"},
    {PrivacyMode::joint, "joint"}, {PrivacyMode::dp_sgd, "dp-sgd"},
};
}  // namespace detail
constexpr const auto& names_of(PrivacyMode) { return detail::privacy_modes; }

struct PrivacySettings {
  PrivacyMode mode = PrivacyMode::off;
  double epsilon = 0;  ///< not to be exceeded under zero-out; 0: the noise multiplier is given
  double delta = 1e-5;
  /// Standard deviation of the noise in the mode's own unit (see its row in README.md).
  double noise_multiplier = 0;
  double clip = 1;            ///< bound of what is clipped
  std::uint64_t critics = 1;  ///< of gswgan and joint: each sees a shard of its own

  bool is_private() const { return mode != PrivacyMode::off; }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("mode", self.mode);
    if (!self.is_private()) return;
    f("epsilon", self.epsilon);
    f("delta", self.delta);
    f("noise_multiplier", self.noise_multiplier);
    f("clip", self.clip);
    f("critics", self.critics);
  }
};

/// The noise of the two modes that have a published one (Chen et al. 2020); of others 0, since it
/// has to be chosen.
constexpr double default_noise_multiplier(PrivacyMode mode) {
  return mode == PrivacyMode::eq5 || mode == PrivacyMode::gswgan ? 1.07 : 0;
}

/// Whether a mode has critics on shards of their own.
constexpr bool has_shards(PrivacyMode mode) {
  return mode == PrivacyMode::gswgan || mode == PrivacyMode::joint;
}

/// Whether the mode's noise is on a gradient that reaches the generator from critics which are
/// trained without a bound: only the gradient's own norm is bounded, by clipping.
constexpr bool noises_generator(PrivacyMode mode) {
  return mode == PrivacyMode::eq5 || has_shards(mode);
}

/// Checks what a user or a peer can get wrong; the failure names the option.
inline Result<void> check_settings(const PrivacySettings& s) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  if (!s.is_private()) return {};
  if (const Result<void> good = check_delta(s.delta); !good)
    return wrong("--delta: ", good.failure().message);
  if ((s.epsilon > 0) == (s.noise_multiplier > 0))
    return wrong("--privacy ", s.mode, ": expected either --epsilon or --noise-multiplier, got ",
                 s.epsilon > 0 ? "both" : "neither");
  if (s.epsilon != 0 && !epsilon_range.contains(s.epsilon))
    return wrong("--epsilon ", s.epsilon, ": expected ", epsilon_range);
  if (s.noise_multiplier != 0 && !noise_multiplier_range.contains(s.noise_multiplier))
    return wrong("--noise-multiplier ", s.noise_multiplier, ": expected ", noise_multiplier_range);
  if (!(s.clip >= 1e-6 && s.clip <= 1e6))
    return wrong("--clip ", s.clip, ": expected a number from 1e-06 to 1000000");
  if (s.critics < 1 || s.critics > 100000)
    return wrong("--critics ", s.critics, ": expected 1 to 100000");
  if (s.critics > 1 && !has_shards(s.mode))
    return wrong("--critics ", s.critics, ": only for --privacy gswgan and joint, not for ",
                 s.mode);
  return {};
}

}  // namespace privacy
IOTSL_NAMESPACE_END
