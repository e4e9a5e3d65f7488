#pragma once
// Built-in procedural digits: 28 x 28 grey images of ten classes that need no file. Each digit is a
// few lines and arcs, drawn with a random pen through a random affine map, with noise. Integers
// only (fixed point), so that every platform makes the same bytes.

#include <array>
#include <cstdint>
#include <vector>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/data/dataset.hpp"
#include "iotsl/data/drawn/fixed_point.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

/// Pixels of a side.
inline constexpr Index glyph_side = 28;
/// Images of the training set unless others are asked for.
inline constexpr Index glyph_train_count = 12000;
/// Images of the test set unless others are asked for.
inline constexpr Index glyph_test_count = 2000;

/// idx_sha256 of the sets of these sizes with seed 1, so that a device that draws only its own
/// images can name the set. A change of the drawing changes it (a test compares).
inline std::string_view glyph_sha256(Split split) {
  return split == Split::train ? "9714fe74ead3251c134e18e7442974caa71e001d2f1e1958840c723ac97eb21e"
                               : "75b4417f9dd8fa69dc324df8d207f2cd2aeba2ded93a3a3c58d3d1ec89b183ab";
}

namespace detail {

/// x right, y down; a digit fills about [-0.6, 0.6] x [-1, 1].
struct GlyphPoint {
  Fixed x;
  Fixed y;
};

/// A line from (ax, ay) to (bx, by), or an arc around (ax, ay) with radii (bx, by) from `from` to
/// `to` degrees, clockwise from the right.
struct Stroke {
  double ax, ay, bx, by;
  double from = 0, to = 0;
  constexpr bool is_arc() const { return from != to; }
};

inline constexpr std::size_t max_strokes = 4;
/// The ten digits; a stroke of zeros ends the list.
inline constexpr std::array<std::array<Stroke, max_strokes>, 10> glyph_strokes = {{
    {{{0, 0, 0.58, 1, 0, 360}}},
    {{{-0.35, -0.55, 0.05, -1}, {0.05, -1, 0.05, 1}}},
    {{{0, -0.45, 0.55, 0.55, 180, 395}, {0.45, -0.13, -0.6, 1}, {-0.6, 1, 0.6, 1}}},
    {{{0, -0.5, 0.48, 0.5, 200, 450}, {0, 0.5, 0.55, 0.5, 270, 520}}},
    {{{0.25, 1, 0.25, -1}, {0.25, -1, -0.6, 0.35}, {-0.6, 0.35, 0.6, 0.35}}},
    {{{0.5, -1, -0.42, -1}, {-0.42, -1, -0.46, -0.05}, {0, 0.37, 0.58, 0.63, 222, 500}}},
    {{{0, 0.42, 0.55, 0.58, 0, 360}, {0.55, 0.42, 1.1, 1.4, 180, 255}}},
    {{{-0.55, -1, 0.55, -1}, {0.55, -1, -0.15, 1}}},
    {{{0, -0.5, 0.45, 0.5, 0, 360}, {0, 0.5, 0.55, 0.5, 0, 360}}},
    {{{0, -0.42, 0.55, 0.58, 0, 360}, {-0.55, -0.42, 1.1, 1.4, 0, 75}}},
}};

/// The look of one image: where a glyph point goes, how thick the pen is.
struct GlyphPose {
  Fixed xx, xy, yx, yy;  // pixels per glyph unit
  Fixed dx, dy;          // pixels
  Fixed radius;          // pixels

  explicit GlyphPose(DrawnRandom& random) {
    const Fixed angle = random.between(-22, 22);
    const Fixed shear = random.between(-0.35, 0.35);
    const Fixed width = random.between(6.0, 10.5);
    const Fixed height = random.between(6.5, 10.0);
    const Fixed c = fixed_cos(angle);
    const Fixed s = fixed_sin(angle);
    // rotation * shear * scale
    xx = fixed_mul(c, width);
    yx = fixed_mul(s, width);
    xy = fixed_mul(fixed_mul(c, shear) - s, height);
    yy = fixed_mul(fixed_mul(s, shear) + c, height);
    dx = random.between(10.5, 17.5);
    dy = random.between(11.5, 16.5);
    radius = random.between(0.65, 1.7);
  }
  GlyphPoint map(GlyphPoint p) const {
    return {fixed_mul(xx, p.x) + fixed_mul(xy, p.y) + dx,
            fixed_mul(yx, p.x) + fixed_mul(yy, p.y) + dy};
  }
};

/// How much ink each pixel gets, 0 to 256.
class GlyphCanvas {
 public:
  explicit GlyphCanvas(Fixed radius) : radius_(radius >> 8) {}

  /// A straight line with round ends, between two places in pixels.
  void line(GlyphPoint from, GlyphPoint to) {
    // Eight fraction bits are enough here and keep every product within 64 bits.
    const Fixed ax = from.x >> 8, ay = from.y >> 8, bx = to.x >> 8, by = to.y >> 8;
    const Fixed reach = radius_ + 256;
    const Fixed dx = bx - ax, dy = by - ay;
    const Fixed length2 = dx * dx + dy * dy;
    const Fixed last = glyph_side - 1;
    const Fixed x0 = std::max<Fixed>(0, (std::min(ax, bx) - reach) >> 8);
    const Fixed x1 = std::min(last, (std::max(ax, bx) + reach) >> 8);
    const Fixed y0 = std::max<Fixed>(0, (std::min(ay, by) - reach) >> 8);
    const Fixed y1 = std::min(last, (std::max(ay, by) + reach) >> 8);
    for (Fixed y = y0; y <= y1; ++y)
      for (Fixed x = x0; x <= x1; ++x) {
        const Fixed px = x * 256 + 128 - ax, py = y * 256 + 128 - ay;  // pixel centre
        const Fixed along = std::clamp<Fixed>(px * dx + py * dy, 0, length2);
        const Fixed off2 = along == length2 ? (px - dx) * (px - dx) + (py - dy) * (py - dy)
                                            : px * px + py * py - along * along / length2;
        if (off2 >= reach * reach) continue;
        const Fixed ink = radius_ + 128 - integer_sqrt(std::max<Fixed>(off2, 0));
        std::int32_t& pixel = ink_[static_cast<std::size_t>(y * glyph_side + x)];
        pixel = std::max(pixel, static_cast<std::int32_t>(std::clamp<Fixed>(ink, 0, 256)));
      }
  }

  const std::array<std::int32_t, glyph_side * glyph_side>& ink() const { return ink_; }

 private:
  Fixed radius_;  // pixels with 8 fraction bits
  std::array<std::int32_t, glyph_side * glyph_side> ink_{};
};

inline void draw_stroke(GlyphCanvas& canvas, const GlyphPose& pose, const Stroke& stroke,
                        DrawnRandom& random) {
  // The hand is not exact: every end and every arc moves a little.
  const auto shaken = [&](double v) { return fixed(v) + random.between(-0.08, 0.08); };
  const Fixed ax = shaken(stroke.ax), ay = shaken(stroke.ay);
  const Fixed bx = shaken(stroke.bx), by = shaken(stroke.by);
  if (!stroke.is_arc()) {
    canvas.line(pose.map({ax, ay}), pose.map({bx, by}));
    return;
  }
  constexpr Fixed pieces = 20;
  const Fixed from = fixed(stroke.from), to = fixed(stroke.to);
  GlyphPoint last{};
  for (Fixed i = 0; i <= pieces; ++i) {
    const Fixed angle = from + (to - from) * i / pieces;
    const GlyphPoint p =
        pose.map({ax + fixed_mul(bx, fixed_cos(angle)), ay + fixed_mul(by, fixed_sin(angle))});
    if (i != 0) canvas.line(last, p);
    last = p;
  }
}

/// Draws one image into `pixels` [28*28].
inline void draw_glyph(int digit, DrawnRandom random, std::uint8_t* pixels) {
  const GlyphPose pose(random);
  const Fixed ink = random.between(150, 255) / fixed_one;
  const Fixed noise = random.between(4, 60) / fixed_one;
  GlyphCanvas canvas(pose.radius);
  for (const Stroke& stroke : glyph_strokes[static_cast<std::size_t>(digit)])
    if (stroke.bx != 0 || stroke.by != 0) draw_stroke(canvas, pose, stroke, random);
  constexpr Index size = glyph_side * glyph_side;
  for (Index first = 0; first < size; first += 8) {
    const auto words = random.block();  // two bytes for each of eight pixels
    for (Index i = first; i < std::min(first + 8, size); ++i) {
      const std::uint32_t bits = words[static_cast<std::size_t>((i - first) / 2)] >> (i % 2 * 16);
      const Fixed triangle =
          static_cast<Fixed>(bits & 255) + static_cast<Fixed>((bits >> 8) & 255) - 255;
      const Fixed value =
          canvas.ink()[static_cast<std::size_t>(i)] * ink / 256 + triangle * noise / 255;
      pixels[i] = static_cast<std::uint8_t>(std::clamp<Fixed>(value, 0, 255));
    }
  }
}

/// Every ten images in a row hold each digit once, in random order.
inline std::uint8_t glyph_label(const Random& random, Index image) {
  std::array<std::uint8_t, 10> digits{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  shuffle_values(std::span<std::uint8_t>(digits), random,
                 (std::uint64_t{1} << 52) + static_cast<std::uint64_t>(image / 10) * 16);
  return digits[static_cast<std::size_t>(image % 10)];
}

}  // namespace detail

/// Built-in digits: image i is a function of (seed, split, i) alone. `keep`, if not null, lists the
/// samples to make (below `count`); without `pixels` they have labels only, which takes a hundredth
/// of the time.
inline Dataset make_glyphs(Split split, Index count, std::uint64_t seed = 1,
                           const std::vector<Index>* keep = nullptr, bool pixels = true) {
  if (count < 0) fail("make_glyphs: ", count, " images; expected at least 0");
  const Random random(seed, Stream::glyphs, split == Split::train ? 0 : 1);
  Dataset out;
  out.name = "glyphs";
  out.height = out.width = glyph_side;
  out.classes = 10;
  out.full_size = count;
  const Index made = keep == nullptr ? count : static_cast<Index>(keep->size());
  if (keep != nullptr)
    for (const Index i : *keep)
      if (i < 0 || i >= count) fail("make_glyphs: image ", i, " of ", count);
  if (pixels) out.pixels.resize(static_cast<std::size_t>(made * out.sample_elems()));
  out.labels.resize(static_cast<std::size_t>(made));
  parallel_chunks(made, 64, [&](Index begin, Index end) {
    for (Index at = begin; at < end; ++at) {
      const Index i = keep == nullptr ? at : (*keep)[static_cast<std::size_t>(at)];
      const std::uint8_t digit = detail::glyph_label(random, i);
      out.labels[static_cast<std::size_t>(at)] = digit;
      if (pixels)
        detail::draw_glyph(digit, detail::DrawnRandom(random, i),
                           out.pixels.data() + at * out.sample_elems());
    }
  });
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
