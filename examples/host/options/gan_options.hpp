#pragma once
// The options that choose how a generator is trained.

#include <optional>

#include "host/commands/command.hpp"
#include "host/options/ranges.hpp"
#include "iotsl/gan/settings.hpp"

namespace iotsl::tool {

/// What the user gives; the rest is the preset's.
struct GanOptions {
  std::string preset = "fast";
  std::optional<std::string> generator, noise;
  std::optional<Index> width, latent, iterations, critic_steps, batch, check_every, patience;
  std::optional<double> lr, beta1, beta2, penalty, drift, average;
};

inline void add_gan_options(CLI::App& app, GanOptions& o) {
  const auto option = [&app](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->group("Generator");
  };
  option("--gan-preset", o.preset,
         "tiny: seconds; fast: minutes; paper: 20000 iterations of full width, hours; auto: until "
         "the quality on held-out samples no longer rises")
      ->capture_default_str();
  option("--gan-width", o.width,
         "Base width of generator and critic; 64 is the published size; 0: the preset's")
      ->check(gan_width());
  option("--gan-iterations", o.iterations,
         "Generator steps; with auto at most so many; 0: the preset's");
  option(
      "--gan", o.generator,
      "full; light: about a sixth of the operations; coarse: learns images of at most 32 pixels a "
      "side, and what it makes is enlarged");
  option("--latent", o.latent, "Values of noise for one image");
  option("--noise", o.noise, "bernoulli: bits, at most 2^latent images of a class; or gaussian");
  option("--critic-steps", o.critic_steps, "Critic steps for each generator step");
  option("--gan-batch", o.batch, "Samples per step");
  option("--gan-lr", o.lr, "Learning rate of both nets");
  option("--gan-beta1", o.beta1, "Adam's average of gradients");
  option("--gan-beta2", o.beta2, "Adam's average of squared gradients");
  option("--gan-penalty", o.penalty, "Factor of the gradient penalty");
  option("--gan-drift", o.drift, "Factor of the penalty on the scores of real images");
  option("--gan-average", o.average, "Moving average of the weights that images are made with");
  option("--gan-check-every", o.check_every, "Iterations between two quality checks; 0: none");
  option("--gan-patience", o.patience, "Quality checks without a rise before training stops");
}

/// The preset with what was given. Ends the command where a setting is wrong.
inline gan::GanSettings gan_settings(const GanOptions& o) {
  gan::GanSettings s = expect(gan::gan_preset(o.preset));
  const auto take = [](const auto& given, auto& setting) {
    if (given) setting = *given;
  };
  const auto take_size = [](const std::optional<Index>& given, Index& setting) {
    if (given && *given != 0) setting = *given;  // 0 is the preset's, as in a run
  };
  take(o.generator, s.generator);
  take(o.noise, s.noise);
  take_size(o.width, s.width);
  take(o.latent, s.latent);
  take_size(o.iterations, s.iterations);
  take(o.critic_steps, s.critic_steps);
  take(o.batch, s.batch);
  take(o.lr, s.lr);
  take(o.beta1, s.beta1);
  take(o.beta2, s.beta2);
  take(o.penalty, s.penalty);
  take(o.drift, s.drift);
  take(o.average, s.average);
  take(o.check_every, s.check_every);
  take(o.patience, s.patience);
  expect(gan::check_settings(s));
  return s;
}

}  // namespace iotsl::tool
