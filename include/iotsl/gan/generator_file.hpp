#pragma once
// The generator file: what a device shares. A container of kind "generator" with a card (JSON:
// model, settings, label histogram, quality, privacy) and the averaged weights (safetensors).

#include "iotsl/core/container.hpp"
#include "iotsl/core/finite.hpp"
#include "iotsl/core/json_fields.hpp"
#include "iotsl/gan/quality.hpp"
#include "iotsl/gan/settings.hpp"
#include "iotsl/nn/state.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {

inline constexpr const char* generator_kind = "generator";
inline constexpr std::uint32_t generator_version = 2;

/// What may be claimed about the privacy of the training samples.
struct PrivacyCard {
  std::string mode = "off";
  std::string statement = "no differential privacy: the generator has seen plain gradients";

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("mode", self.mode);
    f("statement", self.statement);
  }
};

/// Says nothing of clocks or machines: the same training gives the same bytes.
struct GeneratorCard {
  std::uint32_t version = generator_version;
  GeneratorSpec model;
  GanSettings settings;
  std::string dataset;
  std::vector<std::string> class_names;     ///< empty where the set's name says them
  std::vector<std::uint64_t> label_counts;  ///< of the device, held-out samples included
  std::uint64_t seed = 1;
  std::uint32_t device = 0;
  std::uint64_t iterations = 0;  ///< generator steps done
  Quality quality;
  PrivacyCard privacy;

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("version", self.version);
    f("model", self.model);
    f("settings", self.settings);
    f("dataset", self.dataset);
    f("class_names", self.class_names);
    f("label_counts", self.label_counts);
    f("seed", self.seed);
    f("device", self.device);
    f("iterations", self.iterations);
    f("quality", self.quality);
    f("privacy", self.privacy);
  }
};

struct GeneratorFile {
  GeneratorCard card;
  GeneratorNet<float> net;  ///< averaged weights

  /// Where images that stand for this device's come from.
  SampleSource source(std::uint64_t seed) const {
    return {.gaussian = card.settings.noise == "gaussian", .seed = seed, .number = card.device};
  }
};

/// More bytes than any generator file has.
inline constexpr std::uint64_t max_generator_bytes = max_generator_parameters * 4 + (1u << 20);

namespace detail {

inline Result<void> check_finite(const GeneratorNet<float>& net) {
  for (const NamedTensor<float>& p : net.parameters())
    if (!all_finite(p.tensor))
      return failure(ErrorCode::data, "generator file: tensor '", p.name, "' has NaN or Inf");
  return {};
}

}  // namespace detail

/// Fails where the weights have NaN or Inf, as a file that nobody would take.
inline Result<std::vector<std::uint8_t>> serialize_generator(const GeneratorFile& file) {
  if (const Result<void> good = detail::check_finite(file.net); !good) return good.failure();
  const std::string card = to_text(to_json_fields(file.card));
  const auto weights = serialize_safetensors(state_views(file.net));
  if (!weights) return weights.failure();
  return serialize_container(generator_kind, {{"card", iotsl::bytes_of(std::string_view(card))},
                                              {"weights", ByteSpan(*weights)}});
}

namespace detail {

inline Result<GeneratorFile> read_generator(const Container& container) {
  const auto wrong = [](const auto&... parts) {
    return failure(ErrorCode::data, "generator file: ", parts...);
  };
  if (container.sections.size() != 2)
    return wrong(container.sections.size(), " sections, expected card and weights");
  const Result<ByteSpan> text = container.section("card"), weights = container.section("weights");
  if (!text) return wrong(text.failure().message);
  if (!weights) return wrong(weights.failure().message);
  const Result<Json> json = parse_json(text_of(*text));
  if (!json) return wrong("card: ", json.failure().message);
  const Result<std::int64_t> version = get_int(*json, "version");
  if (!version) return wrong("card: ", version.failure().message);
  if (*version != generator_version)
    return wrong("version ", *version, ", expected ", generator_version);
  Result<GeneratorCard> card = parse_json_fields<GeneratorCard>(*json);
  if (!card) return wrong("card: ", card.failure().message);
  if (to_text(to_json_fields(*card)) != text_of(*text))
    return wrong("card: has members or a form that version ", generator_version, " does not write");
  if (const Result<void> good = check_generator(card->model); !good)
    return wrong(good.failure().message);
  if (const Result<void> good = check_settings(card->settings); !good)
    return wrong(good.failure().message);
  if (!(generator_spec(card->settings, card->model.images) == card->model))
    return wrong("model and settings do not agree");
  if (card->label_counts.size() != static_cast<std::size_t>(card->model.images.classes))
    return wrong("label_counts has ", card->label_counts.size(), " classes, the model ",
                 card->model.images.classes);
  if (!card->class_names.empty() && card->class_names.size() != card->label_counts.size())
    return wrong("class_names has ", card->class_names.size(), " classes, the model ",
                 card->model.images.classes);
  if (const Result<void> good = check_quality_record(card->quality, card->label_counts.size());
      !good)
    return wrong(good.failure().message);
  const auto tensors = parse_safetensors(*weights);
  if (!tensors) return wrong(tensors.failure().message);
  GeneratorFile out{std::move(*card), GeneratorNet<float>(card->model)};
  if (const Result<void> loaded = load_state(out.net, *tensors); !loaded)
    return wrong(loaded.failure().message);
  if (const Result<void> good = check_finite(out.net); !good) return good.failure();
  return out;
}

}  // namespace detail

/// Reads a generator from bytes of a peer or a file; everything is checked before memory is taken.
inline Result<GeneratorFile> parse_generator(ByteSpan bytes) {
  const Result<Container> container =
      parse_container(bytes, generator_kind, {.max_file_bytes = max_generator_bytes});
  if (!container) return container.failure();
  return detail::read_generator(*container);
}
inline Result<GeneratorFile> load_generator(const std::string& path) {
  const auto bytes = read_file(path, max_generator_bytes);
  if (!bytes) return bytes.failure();
  Result<GeneratorFile> file = parse_generator(*bytes);
  if (!file) return failure(file.failure().code, path, ": ", file.failure().message);
  return file;
}
/// Written atomically.
inline Result<void> save_generator(const std::string& path, const GeneratorFile& file) {
  const auto bytes = serialize_generator(file);
  if (!bytes) return failure(bytes.failure().code, path, ": ", bytes.failure().message);
  return write_file_atomic(path, ByteSpan(*bytes));
}

}  // namespace gan
IOTSL_NAMESPACE_END
