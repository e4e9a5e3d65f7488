#pragma once
// What leaves a device: noised integers, coarsened far below the noise, and a head that is made of
// noised numbers. With images' form, settings and label counts, which the card has, it is all that
// a generator is made from.

#include "iotsl/core/bytes.hpp"
#include "iotsl/moments/head.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

struct Release {
  ImageSpec images;
  Settings settings;
  std::vector<std::uint64_t> counts;  ///< images per class, public
  /// Noised sums as in class_sums(), in units of 2^sum_shift(settings).
  std::vector<std::int64_t> sums;
  std::vector<float> centre;   ///< mean of the features
  std::vector<float> weights;  ///< of the head, [held classes, inputs]; none where one is held

  Index held() const {
    return static_cast<Index>(counts.size()) -
           static_cast<Index>(std::count(counts.begin(), counts.end(), std::uint64_t{0}));
  }
  /// Images of all classes.
  std::uint64_t records() const {
    std::uint64_t out = 0;
    for (const std::uint64_t n : counts) out += n;
    return out;
  }
  /// Numbers that leave, for the card.
  Index values() const { return static_cast<Index>(sums.size() + centre.size() + weights.size()); }
};

/// Bits of the sums that do not leave: with noise its standard deviation stays 16 to 32 units.
inline int sum_shift(const Settings& s) {
  const QueryScale scale = moments_scale(s);
  if (scale.variance == 0) return 10;
  return (63 - std::countl_zero(scale.variance)) / 2 - 4;
}
inline constexpr int centre_bits = 15;  ///< of the centre's fraction

/// Numbers of a head's input for such images.
inline Index head_inputs(const ImageSpec& images) { return Features(images).size() + 1; }

/// Numbers of centre and head where `held` classes have images: none where it is one.
inline Index head_values(const ImageSpec& images, Index held) {
  const Index inputs = head_inputs(images);
  return held > 1 ? inputs - 1 + held * inputs : 0;
}
/// Release::values() of such a release.
inline Index released_values(const Settings& s, const ImageSpec& images, Index held) {
  return moment_count(coef_shape(s, images), held) + head_values(images, held);
}

/// Sections of the generator file, beside its card. How long the first is depends on the sums; the
/// second has head_bytes().
inline constexpr const char* sums_section = "moments";
inline constexpr const char* head_section = "head";

inline std::size_t head_bytes(const ImageSpec& images, Index held) {
  return held > 1 ? static_cast<std::size_t>(4 + 2 * head_values(images, held)) : 0;
}

namespace detail {

/// Seven bits a byte, the lowest first, the sign in the lowest bit: small numbers are one byte.
inline void append_number(std::vector<std::uint8_t>& out, std::int64_t v) {
  auto bits = (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
  for (; bits >= 128; bits >>= 7) out.push_back(static_cast<std::uint8_t>(bits | 128));
  out.push_back(static_cast<std::uint8_t>(bits));
}

/// Takes a number off the front of `bytes`; false where there is none of at most 63 bits, or not in
/// its shortest form.
inline bool take_number(ByteSpan& bytes, std::int64_t& out) {
  std::uint64_t bits = 0;
  for (unsigned shift = 0; shift < 63 && !bytes.empty(); shift += 7) {
    const std::uint8_t byte = bytes.front();
    bytes = bytes.subspan(1);
    bits |= static_cast<std::uint64_t>(byte & 127) << shift;
    if (byte >= 128) continue;
    out = static_cast<std::int64_t>(bits >> 1) ^ -static_cast<std::int64_t>(bits & 1);
    return byte != 0 || shift == 0;
  }
  return false;
}

/// Weights as 16-bit numbers of this step.
inline float weight_step(std::span<const float> weights) {
  float most = 0;
  for (const float w : weights) most = std::max(most, w < 0 ? -w : w);
  return most / 32767;
}
inline std::int16_t nearest(float v) {
  return static_cast<std::int16_t>(v < 0 ? v - 0.5F : v + 0.5F);
}

inline void append_halves(std::vector<std::uint8_t>& out, std::span<const float> values,
                          float step) {
  for (const float v : values)
    append_le(out, static_cast<std::uint16_t>(step > 0 ? nearest(v / step) : std::int16_t{0}));
}
inline std::vector<float> take_halves(ByteSpan& bytes, Index count, float step) {
  std::vector<float> out;
  for (Index i = 0; i < count; ++i)
    out.push_back(step * static_cast<float>(static_cast<std::int16_t>(
                             load_le<std::uint16_t>(bytes.data() + 2 * i))));
  bytes = bytes.subspan(static_cast<std::size_t>(2 * count));
  return out;
}

}  // namespace detail

inline std::vector<std::uint8_t> serialize_sums(const Release& r) {
  std::vector<std::uint8_t> out;
  for (const std::int64_t v : r.sums) detail::append_number(out, v);
  return out;
}
/// Step of the weights (float32), the centre and the weights as 16-bit numbers. Empty without head.
inline std::vector<std::uint8_t> serialize_head(const Release& r) {
  std::vector<std::uint8_t> out;
  if (r.weights.empty()) return out;
  out.reserve(head_bytes(r.images, r.held()));
  const float step = detail::weight_step(r.weights);
  append_le(out, std::bit_cast<std::uint32_t>(step));
  detail::append_halves(out, r.centre, 1.0F / (1 << centre_bits));
  detail::append_halves(out, r.weights, step);
  return out;
}

namespace detail {

template <class... Parts>
IOTSL_COLD Failure bad_release(const Parts&... parts) {
  return failure(ErrorCode::data, "moments: ", parts...);
}

inline Result<void> parse_sums(ByteSpan bytes, Release& out) {
  const auto count =
      static_cast<std::size_t>(moment_count(coef_shape(out.settings, out.images), out.held()));
  if (bytes.size() < count || bytes.size() > 9 * count)
    return bad_release("sums of ", bytes.size(), " bytes, expected ", count, " numbers");
  // What as many records as 2^32 could add up to, and a margin for noise.
  const QueryScale scale = moments_scale(out.settings);
  const double most = (static_cast<double>(scale.bound) * static_cast<double>(out.records()) +
                       100 * scale.sigma()) /
                          static_cast<double>(std::int64_t{1} << sum_shift(out.settings)) +
                      1;
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t v = 0;
    if (!take_number(bytes, v)) return bad_release("sum ", i, " is no number");
    if (scalar_math::abs(static_cast<double>(v)) > most)
      return bad_release("sum ", i, " is ", v, ", which ", out.records(), " images do not give");
    out.sums.push_back(v);
  }
  if (!bytes.empty()) return bad_release(bytes.size(), " bytes after the last sum");
  return {};
}

inline Result<void> parse_head(ByteSpan bytes, Release& out) {
  const Index inputs = head_inputs(out.images), rows = out.held() > 1 ? out.held() : 0;
  const std::size_t expected = head_bytes(out.images, out.held());
  if (bytes.size() != expected)
    return bad_release("head of ", bytes.size(), " bytes, expected ", expected);
  if (rows == 0) return {};
  const float step = std::bit_cast<float>(load_le<std::uint32_t>(bytes.data()));
  if (!(step >= 0 && step < 1e6F)) return bad_release("the head's step is ", step);
  bytes = bytes.subspan(4);
  out.centre = take_halves(bytes, inputs - 1, 1.0F / (1 << centre_bits));
  out.weights = take_halves(bytes, rows * inputs, step);
  return {};
}

}  // namespace detail

/// What a peer or a file gives: `images`, `settings` and `counts` of its card, the bytes of its two
/// sections. Everything is checked before memory is taken.
inline Result<Release> parse_release(const ImageSpec& images, const Settings& settings,
                                     std::vector<std::uint64_t> counts, ByteSpan sums,
                                     ByteSpan head) {
  if (const Result<void> good = check_settings(settings); !good)
    return failure(ErrorCode::data, good.failure().message);
  Release out{images, settings, std::move(counts), {}, {}, {}};
  std::uint64_t records = 0;
  for (const std::uint64_t n : out.counts) {
    if (n > max_records || (records += n) > max_records)
      return detail::bad_release("more than ", max_records, " images");
  }
  if (records == 0) return detail::bad_release("no images");
  if (const Result<void> good = check_release_size(settings, images, out.held()); !good)
    return failure(ErrorCode::data, good.failure().message);
  if (static_cast<Index>(out.counts.size()) != images.classes)
    return detail::bad_release("counts of ", out.counts.size(), " classes, expected ",
                               images.classes);
  Result<void> good = detail::parse_sums(sums, out);
  if (good) good = detail::parse_head(head, out);
  if (!good) return good.failure();
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
