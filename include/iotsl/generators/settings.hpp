#pragma once
// Everything that decides what generator a device makes.

#include "iotsl/core/named_enum.hpp"
#include "iotsl/gan/settings.hpp"
#include "iotsl/moments/settings.hpp"
#include "iotsl/privacy/settings.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

using iotsl::to_string;  // so that messages can name its enumerations

enum class GeneratorKind {
  net,      ///< a conditional net, trained against a critic (WGAN-GP)
  moments,  ///< no net: means and covariances of every class
};

namespace detail {
inline constexpr NamedValue<GeneratorKind> generator_kinds[] = {
    {GeneratorKind::net, "net"},
    {GeneratorKind::moments, "moments"},
};
}  // namespace detail
constexpr const auto& names_of(GeneratorKind) { return detail::generator_kinds; }

/// Only the chosen kind's own settings are written and read.
struct GeneratorSettings {
  GeneratorKind kind = GeneratorKind::net;
  privacy::PrivacySettings privacy;
  gan::GanSettings net;
  moments::Settings moments;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("kind", self.kind);
    f("privacy", self.privacy);
    if (self.kind == GeneratorKind::net)
      f("net", self.net);
    else
      f("moments", self.moments);
  }
};

/// Whether a mode of privacy is one of this kind of generator.
constexpr bool belongs_to(privacy::PrivacyMode mode, GeneratorKind kind) {
  return mode == privacy::PrivacyMode::off ||
         (mode == privacy::PrivacyMode::moments) == (kind == GeneratorKind::moments);
}

/// Checks what a user or a peer can get wrong, for generators of such images.
inline Result<void> check_settings(const GeneratorSettings& s, const ImageSpec& images) {
  if (!belongs_to(s.privacy.mode, s.kind))
    return failure(ErrorCode::usage, "--privacy ", s.privacy.mode, " --generator ", s.kind,
                   ": that mode is one of --generator ",
                   s.kind == GeneratorKind::net ? GeneratorKind::moments : GeneratorKind::net);
  Result<void> good = privacy::check_settings(s.privacy);
  if (!good) return good;
  if (s.kind == GeneratorKind::moments) {
    good = check_images(images);
    return good ? moments::check_settings(s.moments) : good;
  }
  good = gan::check_settings(s.net);
  if (good && s.privacy.is_private() && s.net.check_every > 0)
    good = failure(ErrorCode::usage, "--privacy ", s.privacy.mode, ": a check every ",
                   s.net.check_every,
                   " iterations; expected 0 (as in every preset but auto): what is learned of the "
                   "quality must not stop a private training");
  return good ? check_generator(gan::generator_spec(s.net, images)) : good;
}

}  // namespace generators
IOTSL_NAMESPACE_END
