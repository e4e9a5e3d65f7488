#pragma once
// Everything that decides how a generator is trained, and the presets.

#include <string>
#include <string_view>

#include "iotsl/gan/small_images.hpp"
#include "iotsl/models/generator_spec.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

/// Defaults are GS-WGAN's (Chen, Orekondy, Fritz 2020), from which the paper's GAN is taken.
struct GanSettings {
  std::string preset = "paper";  ///< where the numbers come from, for reports
  /// full; light: about a sixth of the operations; coarse: of small_images(), whose images are
  /// enlarged
  std::string generator = "full";
  std::string noise = "bernoulli";  ///< bernoulli: bits, at most 2^latent images a class; gaussian
  Index width = 64;                 ///< of both nets
  Index latent = 10;                ///< values of noise
  Index iterations = 20000;         ///< generator steps; of `auto` the most
  Index critic_steps = 5;           ///< for each generator step
  Index batch = 32;
  double lr = 1e-4;  ///< Adam, both nets
  double beta1 = 0.5, beta2 = 0.9;
  double penalty = 10;  ///< lambda of the gradient penalty
  double drift = 1e-3;
  double average = 0.999;  ///< of the weights that are used for sampling
  /// Iterations between two checks of the quality, which stop the training when it has not risen in
  /// `patience` of them; 0: no checks.
  Index check_every = 0;
  Index patience = 3;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("preset", self.preset);
    f("generator", self.generator);
    f("noise", self.noise);
    f("width", self.width);
    f("latent", self.latent);
    f("iterations", self.iterations);
    f("critic_steps", self.critic_steps);
    f("batch", self.batch);
    f("lr", self.lr);
    f("beta1", self.beta1);
    f("beta2", self.beta2);
    f("penalty", self.penalty);
    f("drift", self.drift);
    f("average", self.average);
    f("check_every", self.check_every);
    f("patience", self.patience);
  }
};

inline constexpr std::string_view preset_names[] = {"tiny", "fast", "paper", "auto"};

/// tiny: seconds; fast: minutes; paper: the paper's scale, hours; auto: until the quality on
/// held-out samples no longer rises. Short trainings want a higher rate and a shorter average. With
/// 500 iterations and 0.99 in place of `fast`, imputed Fashion-MNIST (two classes on a device,
/// width 16) came to 74 instead of 82 % test accuracy.
inline Result<GanSettings> gan_preset(std::string_view name) {
  GanSettings s;
  s.preset = std::string(name);
  if (name == "paper") return s;
  s.lr = 5e-4;
  s.average = 0.99;
  s.width = 32;
  if (name == "tiny") {
    s.width = 16;
    s.iterations = 150;
    return s;
  }
  if (name == "fast") {
    s.iterations = 1500;
    s.average = 0.997;
    return s;
  }
  if (name == "auto") {
    s.iterations = 20000;
    s.check_every = 100;
    return s;
  }
  std::string names;
  for (const std::string_view each : preset_names) names += concat(names.empty() ? "" : ", ", each);
  return failure(ErrorCode::usage, "GAN preset '", name, "'; expected one of ", names);
}

/// Checks what a user or a peer can get wrong.
inline Result<void> check_settings(const GanSettings& s) {
  const auto wrong = [](const auto&... parts) {
    return failure(ErrorCode::usage, "GAN: ", parts...);
  };
  if (s.generator != "full" && s.generator != "light" && s.generator != "coarse")
    return wrong("generator '", s.generator, "'; expected full, light or coarse");
  if (s.noise != "bernoulli" && s.noise != "gaussian")
    return wrong("noise '", s.noise, "'; expected bernoulli or gaussian");
  if (s.iterations < 1 || s.iterations > 10000000)
    return wrong(s.iterations, " iterations; expected 1 to 10000000");
  if (s.critic_steps < 1 || s.critic_steps > 100)
    return wrong(s.critic_steps, " critic steps; expected 1 to 100");
  if (s.batch < 1 || s.batch > 1024) return wrong("batch ", s.batch, "; expected 1 to 1024");
  if (!(s.lr >= 0 && s.lr < 1))
    return wrong("learning rate ", s.lr, "; expected 0 or more and below 1");
  if (!(s.beta1 >= 0 && s.beta1 < 1 && s.beta2 >= 0 && s.beta2 < 1))
    return wrong("betas ", s.beta1, " and ", s.beta2, "; expected 0 <= beta < 1");
  if (!(s.penalty >= 0 && s.penalty < 1e6 && s.drift >= 0 && s.drift < 1e6))
    return wrong("penalty ", s.penalty, " and drift ", s.drift,
                 "; expected at least 0 and below 1000000");
  if (!(s.average >= 0 && s.average < 1))
    return wrong("average of weights ", s.average, "; expected 0 <= a < 1");
  if (s.check_every < 0 || s.patience < 1)
    return wrong("a check every ", s.check_every, " iterations with patience ", s.patience,
                 "; expected at least 0 and 1");
  return {};
}

/// The settings; raises an Error where they are wrong.
inline GanSettings checked(GanSettings s) {
  if (const Result<void> good = check_settings(s); !good) fail(good.failure().message);
  return s;
}

/// The generator that these settings train for such images.
inline GeneratorSpec generator_spec(const GanSettings& s, const ImageSpec& images) {
  return {.images = s.generator == "coarse" ? small_spec(images) : images,
          .width = s.width,
          .latent = s.latent,
          .light = s.generator == "light"};
}

}  // namespace gan
IOTSL_NAMESPACE_END
