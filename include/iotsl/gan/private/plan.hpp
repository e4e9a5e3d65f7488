#pragma once
// What a private training of a net clips, how much noise it adds, and how often: everything that
// its guarantee follows from, fixed before the first step.

#include "iotsl/gan/settings.hpp"
#include "iotsl/privacy/settings.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// The chosen privacy with its noise found.
struct NoisePlan {
  privacy::PrivacyMode mode = privacy::PrivacyMode::eq5;
  double sigma = 1.07;  ///< noise multiplier in the mode's own unit, see noise_scale()
  double clip = 1;
  std::uint64_t critics = 1;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("mode", self.mode);
    f("sigma", self.sigma);
    f("clip", self.clip);
    f("critics", self.critics);
  }
};

struct NoiseScale {
  double bound = 0;        ///< L2 norm of what is clipped
  double deviation = 0;    ///< standard deviation of the noise on each number
  double sensitivity = 0;  ///< L2, of all that one step releases, where a record counts as nothing
  double sensitivity_replace_one = 0;
};

/// With C = clip, s = sigma, B = batch:
///   eq5     the gradient of all the generator's parameters is clipped to C, noise s C (the paper's
///           equation 5);
///   gswgan  each row of the gradient with respect to the generated images is clipped to C/B, noise
///           2 s C/B (Chen, Orekondy, Fritz 2020); the B rows of a step come from one critic and so
///           are one query;
///   joint   that gradient is clipped as a whole to C, noise 2 s C;
///   dp-sgd  each record's gradient of the critic is clipped to C, noise s C on their sum (Bie,
///           Kamath, Zhang 2023).
/// But for dp-sgd only the output is bounded, and two clipped outputs are up to twice the bound
/// apart under either adjacency.
IOTSL_SMALL inline NoiseScale noise_scale(const NoisePlan& plan, Index batch) {
  using privacy::PrivacyMode;
  const auto rows = static_cast<double>(batch);
  NoiseScale out{plan.clip, plan.sigma * plan.clip, 2 * plan.clip, 2 * plan.clip};
  if (plan.mode == PrivacyMode::gswgan) {
    out.bound /= rows;
    out.deviation *= 2 / rows;
    out.sensitivity = out.sensitivity_replace_one = 2 * plan.clip / scalar_math::sqrt(rows);
  } else if (plan.mode == PrivacyMode::joint) {
    out.deviation *= 2;
  } else if (plan.mode == PrivacyMode::dp_sgd) {
    out.sensitivity = plan.clip;
  }
  return out;
}

/// Steps that spend: of the generator, or with dp-sgd of the critic.
inline std::uint64_t noised_steps(privacy::PrivacyMode mode, const GanSettings& s) {
  const auto iterations = static_cast<std::uint64_t>(s.iterations);
  return mode == privacy::PrivacyMode::dp_sgd
             ? iterations * static_cast<std::uint64_t>(s.critic_steps)
             : iterations;
}

/// Chance that a given one of `records` takes part in a step.
inline double sampling_rate(privacy::PrivacyMode mode, std::uint64_t critics, const GanSettings& s,
                            std::uint64_t records) {
  if (mode != privacy::PrivacyMode::dp_sgd) return 1 / static_cast<double>(critics);
  const double rate = static_cast<double>(s.batch) / static_cast<double>(records);
  return rate < 1 ? rate : 1;
}

/// Checks what only the device knows: usage failure where a critic would see no record.
IOTSL_SMALL inline Result<void> check_shards(std::uint64_t critics, std::uint64_t records) {
  if (records >= critics) return {};
  return failure(ErrorCode::usage, "--critics ", critics, ": the device has ", records,
                 " images, expected at least one for each critic");
}

}  // namespace gan
IOTSL_NAMESPACE_END
