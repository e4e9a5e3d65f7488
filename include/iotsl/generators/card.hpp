#pragma once
// What a generator file says about itself.

#include "iotsl/gan/quality.hpp"
#include "iotsl/generators/settings.hpp"
#include "iotsl/privacy/card.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

inline constexpr std::uint32_t generator_version = 3;

/// Says nothing of clocks or machines: the same training gives the same bytes. That of a private
/// generator has nothing that depends on pixels, so no quality either. A member that is not known
/// is passed over by a reader, so that a later version may say more; one that is missing is an
/// error.
struct GeneratorCard {
  std::uint32_t version = generator_version;
  ImageSpec images;
  std::string dataset;
  std::vector<std::string> class_names;       ///< empty where the set's name says them
  std::vector<std::uint64_t> label_counts;    ///< of the device, held-out samples included
  std::vector<std::uint64_t> trained_counts;  ///< of moments: without those held out
  std::uint64_t seed = 1;
  std::uint32_t device = 0;
  std::uint64_t iterations = 0;  ///< steps done
  GeneratorSettings settings;
  privacy::PrivacyCard privacy;
  gan::Quality quality;  ///< unchecked where the generator is private

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("version", self.version);
    f("images", self.images);
    f("dataset", self.dataset);
    f("class_names", self.class_names);
    f("label_counts", self.label_counts);
    f("seed", self.seed);
    f("device", self.device);
    f("iterations", self.iterations);
    f("settings", self.settings);
    f("privacy", self.privacy);
    if (self.settings.kind == GeneratorKind::moments) f("trained_counts", self.trained_counts);
    if (!self.settings.privacy.is_private()) f("quality", self.quality);
  }
};

/// Whether all that a card says goes together; text without its place.
inline Result<void> check_card(const GeneratorCard& card) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::data, parts...); };
  if (card.version != generator_version)
    return wrong("version ", card.version, ", expected ", generator_version);
  if (const Result<void> good = check_settings(card.settings, card.images); !good)
    return wrong(good.failure().message);
  const auto classes = static_cast<std::size_t>(card.images.classes);
  if (card.label_counts.size() != classes)
    return wrong("label_counts has ", card.label_counts.size(), " classes, the images ", classes);
  if (!card.class_names.empty() && card.class_names.size() != classes)
    return wrong("class_names has ", card.class_names.size(), " classes, the images ", classes);
  if (card.privacy.mode != card.settings.privacy.mode)
    return wrong("privacy is of mode ", card.privacy.mode, ", the settings of ",
                 card.settings.privacy.mode);
  return gan::check_quality_record(card.quality, classes);
}

}  // namespace generators
IOTSL_NAMESPACE_END
