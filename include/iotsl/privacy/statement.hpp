#pragma once
// What a person is told of a private generator, and what a whole run may claim.

#include <cstdio>
#include <cstdlib>

#include "iotsl/privacy/card.hpp"

IOTSL_NAMESPACE_BEGIN
namespace privacy {

/// At most `digits` digits, never below the value: no promise is made that is not kept.
inline std::string rounded_up(double value, int digits = 4) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*e", digits - 1, value);
  const double rounded = std::strtod(text, nullptr);
  if (rounded < value) {
    const char* exponent = text;
    while (*exponent != 'e') ++exponent;
    double unit = std::strtod(concat("1", exponent).c_str(), nullptr);
    for (int i = 1; i < digits; ++i) unit /= 10;
    std::snprintf(text, sizeof text, "%.*g", digits, rounded + unit);
    return text;
  }
  std::snprintf(text, sizeof text, "%.*g", digits, rounded);
  return text;
}

inline constexpr const char* unit_of_all_modes = "one image; its label is public";

/// The last of what no mode covers: of no concern to a run without turns.
inline constexpr const char* split_training_not_covered =
    "split training afterwards: its features and labels of the same images go to the server "
    "with no privacy";

/// What no mode covers.
inline std::vector<std::string> not_covered_by_any_mode() {
  return {
      "the number of images, their labels and how many each class has: visible to all who get the "
      "file",
      "several images of one person or thing: every further one adds to the loss",
      split_training_not_covered};
}

/// The card as lines of text, each with a name in twelve columns.
inline std::string describe(const PrivacyCard& card) {
  std::string out = concat("privacy     ", card.mode, ": ", card.statement, "\n");
  if (card.mode == PrivacyMode::off) return out;
  const auto line = [&out](const auto&... parts) { out += concat("            ", parts..., "\n"); };
  line("epsilon ", rounded_up(card.release.epsilon), " at delta ", card.delta, " (", card.adjacency,
       "; ", card.release.accountant, "), ", rounded_up(card.release.epsilon_replace_one),
       " where an image is replaced by another, ", rounded_up(card.release.epsilon_small_delta),
       " at delta 1e-06");
  line("unit: ", card.unit, "; to everybody who gets the file");
  line("mechanism: ", card.mechanism);
  line("noise multiplier ", card.noise_multiplier, ", sensitivity ", card.sensitivity, ", ",
       card.records, " images, ", card.steps, " steps, sampling rate ", card.sampling_rate,
       ", N delta ", card.records_times_delta);
  if (card.critics > 1) line(card.critics, " critics");
  if (card.zcdp_rho > 0) line("zero-concentrated: rho ", rounded_up(card.zcdp_rho));
  if (card.mode == PrivacyMode::gswgan)
    line(
        "the count published with GS-WGAN gives ", rounded_up(card.published_count),
        " for these numbers: it takes the rows of a step for independent and the index for secret");
  if (card.releases > 1)
    line("with all ", card.releases, " releases of this device: epsilon ",
         rounded_up(card.all_releases.epsilon), ", replaced ",
         rounded_up(card.all_releases.epsilon_replace_one));
  if (card.new_data_declared)
    line("other releases are left out: the owner declares that no image of it is in them");
  if (card.seeded_noise) line("SEEDED NOISE: for tests only, this file protects nobody");
  for (const std::string& each : card.not_covered) line("not covered: ", each);
  return out;
}

/// The one line that a run without privacy prints.
inline constexpr const char* no_privacy_line =
    "privacy: off; neither the generators nor the run promise anything about single images";

/// What a run may say of itself whose devices' largest epsilon is this. `generator_only`: nothing
/// but generators leaves a device.
inline std::string run_statement(double epsilon, double delta, bool generator_only) {
  if (generator_only)
    return concat("privacy: whole run: epsilon ", rounded_up(epsilon), " at delta ", delta,
                  ", one image, its label public; nothing but the generators leaves a device");
  return concat(
      "privacy: the generators: epsilon ", rounded_up(epsilon), " at delta ", delta,
      "; THE RUN HAS NO DIFFERENTIAL PRIVACY: features and labels of the same images go to "
      "the server");
}

}  // namespace privacy
IOTSL_NAMESPACE_END
