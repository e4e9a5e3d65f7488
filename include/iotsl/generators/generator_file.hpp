#pragma once
// The generator file: what a device shares. A container of kind "generator" with a card (JSON) and
// the numbers that images are made from: a net's averaged weights (safetensors), or moments.

#include "iotsl/core/files/container.hpp"
#include "iotsl/core/finite.hpp"
#include "iotsl/generators/card.hpp"
#include "iotsl/generators/generator.hpp"
#include "iotsl/nn/state.hpp"

IOTSL_NAMESPACE_BEGIN
namespace generators {

inline constexpr const char* container_kind = "generator";

struct GeneratorFile {
  GeneratorCard card;
  Generator generator;

  /// Images that stand for this device's; see Generator::append().
  bool append(data::Dataset& set, Index label, Index count, std::uint64_t seed,
              const StopCheck& stop = {}) const {
    return generator.append(set, label, count, seed, card.device, stop);
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

/// A generator's numbers, section by section; a net has one of weights.
struct Content {
  std::vector<std::pair<const char*, std::vector<std::uint8_t>>> sections;
};

inline Result<Content> serialize_content(const Generator& generator) {
  Content out;
  if (const moments::Generator* moments = generator.moments()) {
    out.sections.emplace_back(moments::sums_section, serialize_sums(moments->release()));
    out.sections.emplace_back(moments::head_section, serialize_head(moments->release()));
    return out;
  }
  if (const Result<void> good = check_finite(generator.net()->net); !good) return good.failure();
  auto weights = serialize_safetensors(state_views(generator.net()->net));
  if (!weights) return weights.failure();
  out.sections.emplace_back("weights", std::move(weights).value());
  return out;
}

inline Result<Generator> parse_moments(const GeneratorCard& card, const Container& container) {
  const Result<ByteSpan> sums = container.section(moments::sums_section);
  const Result<ByteSpan> head = container.section(moments::head_section);
  if (!sums) return sums.failure();
  if (!head) return head.failure();
  Result<moments::Release> release =
      moments::parse_release(card.images, card.settings.moments, card.trained_counts, *sums, *head);
  if (!release) return release.failure();
  return Generator(moments::Generator(std::move(release).value()));
}

inline Result<Generator> parse_net(const GeneratorCard& card, const Container& container) {
  const Result<ByteSpan> bytes = container.section("weights");
  if (!bytes) return bytes.failure();
  const auto tensors = parse_safetensors(*bytes);
  if (!tensors) return tensors.failure();
  const GeneratorSpec spec = gan::generator_spec(card.settings.net, card.images);
  // A short file cannot ask for memory that it does not fill.
  if (const auto parameters = static_cast<std::uint64_t>(lay_out(spec).cost().parameters);
      bytes->size() < sizeof(float) * parameters)
    return failure(ErrorCode::data, "weights of ", bytes->size(), " bytes, a net of the card's ",
                   "settings has ", parameters, " parameters");
  GeneratorNet<float> net(spec);
  if (const Result<void> loaded = load_state(net, *tensors); !loaded) return loaded.failure();
  if (const Result<void> good = check_finite(net); !good) return good.failure();
  return Generator(net_generator(std::move(net), card.settings.net, card.images));
}

}  // namespace detail

/// Fails where the numbers have NaN or Inf, as a file that nobody would take.
inline Result<std::vector<std::uint8_t>> serialize_generator(const GeneratorFile& file) {
  const std::string card = to_text(to_json_fields(file.card));
  const Result<detail::Content> content = detail::serialize_content(file.generator);
  if (!content) return content.failure();
  std::vector<Section> sections{{"card", iotsl::bytes_of(std::string_view(card))}};
  for (const auto& [name, bytes] : content->sections) sections.push_back({name, ByteSpan(bytes)});
  return serialize_container(container_kind, sections);
}

/// Bytes of a file of moments with this card and sums of so many bytes
/// (moments::Trainer::sums_bytes()): as many as serialize_generator() will give.
inline std::uint64_t moments_file_bytes(const GeneratorCard& card, std::size_t sums_bytes) {
  const auto& counts = card.trained_counts;
  const auto held = static_cast<Index>(
      std::count_if(counts.begin(), counts.end(), [](std::uint64_t n) { return n > 0; }));
  return container_bytes(
      std::vector<SectionSize>{{"card", to_text(to_json_fields(card)).size()},
                               {moments::sums_section, sums_bytes},
                               {moments::head_section, moments::head_bytes(card.images, held)}});
}

namespace detail {

inline Result<GeneratorFile> read_generator(const Container& container) {
  const auto wrong = [](const auto&... parts) {
    return failure(ErrorCode::data, "generator file: ", parts...);
  };
  const Result<ByteSpan> text = container.section("card");
  if (!text) return wrong(text.failure().message);
  const Result<Json> json = parse_json(text_of(*text));
  if (!json) return wrong("card: ", json.failure().message);
  const Result<std::int64_t> version = get_int(*json, "version");
  if (!version) return wrong("card: ", version.failure().message);
  if (*version != generator_version)
    return wrong("version ", *version, ", expected ", generator_version);
  Result<GeneratorCard> card = parse_json_fields<GeneratorCard>(*json);
  if (!card) return wrong("card: ", card.failure().message);
  if (const Result<void> good = check_card(*card); !good) return wrong(good.failure().message);
  const bool net = card->settings.kind == GeneratorKind::net;
  if (const std::size_t expected = net ? 2 : 3; container.sections.size() != expected)
    return wrong(container.sections.size(), " sections, expected ",
                 net ? "card and weights" : "card, moments and head");
  Result<Generator> generator = net ? parse_net(*card, container) : parse_moments(*card, container);
  if (!generator) return wrong(generator.failure().message);
  return GeneratorFile{std::move(*card), std::move(generator).value()};
}

}  // namespace detail

/// Reads a generator from bytes of a peer or a file; everything is checked before memory is taken.
inline Result<GeneratorFile> parse_generator(ByteSpan bytes) {
  const Result<Container> container =
      parse_container(bytes, container_kind, {.max_file_bytes = max_generator_bytes});
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

}  // namespace generators
IOTSL_NAMESPACE_END
