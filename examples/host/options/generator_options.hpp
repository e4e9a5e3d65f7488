#pragma once
// The options that choose which kind of generator is made and how private it is.

#include "host/options/option_list.hpp"
#include "iotsl/generators/release.hpp"

namespace iotsl::tool {

/// What the user gives; empty and 0: not given.
struct GeneratorOptions {
  std::string kind, privacy;
  double epsilon = 0, delta = 1e-5, noise_multiplier = 0, clip = 0;
  std::uint64_t critics = 0;
};

/// The privacy that is asked for by an epsilon or a noise without a mode.
inline constexpr privacy::PrivacyMode default_private_mode = privacy::PrivacyMode::moments;

/// The names of an enumeration as a check of a text.
template <NamedEnum E>
CLI::Validator is_name_of() {
  std::vector<std::string> names;
  for (const auto& row : names_of(E{})) names.emplace_back(row.name);
  return CLI::IsMember(names);
}

template <class Options, class List>
void list_generator_options(Options& o, List& list) {
  list.given(
      "generator", o.kind,
      "What a device shares: net, or moments (means and covariances, seconds); default: what "
      "the privacy needs, else net",
      is_name_of<generators::GeneratorKind>());
  list.given(
      "privacy", o.privacy,
      "off; moments, one noised release, the default where an epsilon is given; gswgan, eq5, "
      "joint or dp-sgd: noise while a net is trained",
      is_name_of<privacy::PrivacyMode>());
  list.given("epsilon", o.epsilon, "Privacy of one image that is not to be exceeded", above_zero());
  list.option("delta", o.delta, "Chance with which the promise may fail", above_zero());
  list.given("noise-multiplier", o.noise_multiplier,
             "Standard deviation of the noise in the mode's own unit, instead of --epsilon",
             above_zero());
  list.given("clip", o.clip, "Bound of what is clipped, for modes with a net", above_zero());
  list.given("critics", o.critics, "gswgan, joint: critics, each on images of its own",
             above_zero());
}

/// The privacy that the options ask for, and the kind of generator that goes with it.
inline privacy::PrivacyMode chosen_mode(const GeneratorOptions& o) {
  if (!o.privacy.empty()) return find_named<privacy::PrivacyMode>(o.privacy).value();
  return o.epsilon > 0 || o.noise_multiplier > 0 ? default_private_mode : privacy::PrivacyMode::off;
}
inline generators::GeneratorKind chosen_kind(const GeneratorOptions& o) {
  using generators::GeneratorKind;
  if (!o.kind.empty()) return find_named<GeneratorKind>(o.kind).value();
  return chosen_mode(o) == privacy::PrivacyMode::moments ? GeneratorKind::moments
                                                         : GeneratorKind::net;
}

/// Ends the command where an option of a net's training is given for a generator that has none.
inline void check_net_options(const CLI::App& command, const GeneratorOptions& o) {
  if (chosen_kind(o) == generators::GeneratorKind::net) return;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_single_name();
    const bool of_net = name == "gan" || name.starts_with("gan-") || name == "latent" ||
                        name == "noise" || name == "critic-steps" || name == "clip" ||
                        name == "critics";
    if (of_net && option->count() > 0)
      fail_command(ErrorCode::usage, as_given(command, "--" + name),
                   ": only for --generator net, not for moments");
  }
}

/// The settings of a generator whose net, where it is one, is trained by `net`. Ends the command
/// where they do not go together.
inline generators::GeneratorSettings generator_settings(const GeneratorOptions& o,
                                                        gan::GanSettings net) {
  generators::GeneratorSettings out;
  out.net = std::move(net);
  privacy::PrivacySettings& chosen = out.privacy;
  chosen.mode = chosen_mode(o);
  if (!chosen.is_private())
    for (const auto& [name, given] : {std::pair{"--epsilon ", o.epsilon},
                                      {"--noise-multiplier ", o.noise_multiplier},
                                      {"--clip ", o.clip},
                                      {"--critics ", static_cast<double>(o.critics)}})
      if (given > 0) fail_command(ErrorCode::usage, name, given, ": needs --privacy, which is off");
  out.kind = chosen_kind(o);
  chosen.epsilon = o.epsilon;
  chosen.delta = o.delta;
  chosen.noise_multiplier = o.noise_multiplier;
  if (o.clip > 0) chosen.clip = o.clip;
  if (o.critics > 0) chosen.critics = o.critics;
  expect(generators::apply_privacy(out));
  return out;
}

}  // namespace iotsl::tool
