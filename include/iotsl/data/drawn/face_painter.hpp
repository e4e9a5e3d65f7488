#pragma once
// The colour of every place of a face's picture: layers from the background to the glasses, each
// covering a part of what is below it, with edges as wide as a pixel.

#include "iotsl/data/drawn/face_look.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data::detail {

/// A place in the face, in its units.
struct FacePlace {
  Fixed x, y;
};

/// How much of a pixel something covers, 0 to 256.
using Cover = Fixed;
constexpr Cover full_cover = 256;

constexpr Fixed square(Fixed v) { return fixed_mul(v, v); }
constexpr Fixed magnitude(Fixed v) { return v < 0 ? -v : v; }

inline void put(Colour& below, Colour c, Cover cover) {
  if (cover > 0) below = mix(below, c, cover, full_cover);
}

class FacePainter {
 public:
  /// `unit_pixels`: pixels of a unit of the face, in Fixed.
  FacePainter(const FaceLook& look, Fixed unit_pixels)
      : look_(look),
        sharp_(unit_pixels / 256),
        shade_(dimmed(look.head.skin, 3, 5)),
        brow_(mix(look.hair.colour, Colour{30, 22, 18}, 2, 5)),
        back_(ellipse(0, fixed(-0.1), look.head.width + look.hair.thickness + fixed(0.02),
                      fixed(1.0) + look.hair.thickness)),
        falling_(ellipse(0, fixed(0.5), look.head.width + look.hair.thickness + fixed(0.1),
                         fixed(1.15))),
        neck_(ellipse(0, fixed(1.05), fixed(0.36), fixed(0.75))),
        shoulders_(ellipse(0, fixed(2.35), fixed(1.75), fixed(1.12))),
        skull_(ellipse(0, fixed(-0.06), look.head.width + look.hair.thickness / 2,
                       fixed(1.0) + look.hair.thickness)),
        ear_(ellipse(look.head.width, fixed(-0.04), fixed(0.11), fixed(0.19))),
        nose_(ellipse(0, fixed(-0.08) + look.head.nose_length, look.head.nose_width, fixed(0.055))),
        ridge_(ellipse(fixed(0.03), look.head.nose_length / 2 - fixed(0.08), fixed(0.04),
                       look.head.nose_length * 3 / 5)),
        eye_(ellipse(look.eyes.apart, look.eyes.height, look.eyes.width, look.eyes.open)),
        iris_(ellipse(0, look.eyes.height, fixed(0.062), fixed(0.062))),
        pupil_(ellipse(0, look.eyes.height, fixed(0.028), fixed(0.028))),
        glass_(ellipse(look.eyes.apart, look.eyes.height + fixed(0.02), fixed(0.25), fixed(0.2))),
        rim_(ellipse(look.eyes.apart, look.eyes.height + fixed(0.02), fixed(0.25) - look.eyes.rim,
                     fixed(0.2) - look.eyes.rim)) {}

  /// What covers the background there, over it.
  Colour colour(FacePlace p, Colour background) const {
    Colour out = background;
    if (look_.hair.is_long) put(out, strands(p, 4), cover(falling_, p));
    put(out, strands(p, 4), cover(back_, p));
    if (p.y > fixed(0.3)) {
      put(out, shade_, cover(neck_, p));
      put(out, look_.background.clothes, cover(shoulders_, p));
    }
    const FacePlace side{magnitude(p.x), p.y};  // of what is there twice
    if (look_.head.ears) put(out, mix(look_.head.skin, shade_, 1, 2), cover(ear_, side));
    if (const Fixed inside = depth_in_face(p); inside > 0) paint_face(out, p, side, inside);
    paint_hair(out, p);
    if (look_.eyes.glasses) paint_glasses(out, side);
    return out;
  }

 private:
  struct Ellipse {
    Fixed x, y;
    Fixed per_wide, per_high;  ///< one over its half extents
    Fixed edge;                ///< cover for a unit of what 1 - distance^2 is there
  };
  Ellipse ellipse(Fixed x, Fixed y, Fixed wide, Fixed high) const {
    return {x, y, fixed_one * fixed_one / wide, fixed_one * fixed_one / high,
            fixed_mul(std::min(wide, high), sharp_ / 2)};
  }
  /// 1 in the middle, 0 on the edge, negative outside.
  static Fixed depth(const Ellipse& e, FacePlace p) {
    const Fixed y = fixed_mul(p.y - e.y, e.per_high);
    if (y > fixed_one || y < -fixed_one) return fixed(-1);
    const Fixed x = fixed_mul(p.x - e.x, e.per_wide);
    if (x > fixed_one || x < -fixed_one) return fixed(-1);
    return fixed_one - square(x) - square(y);
  }
  static Cover cover(const Ellipse& e, FacePlace p) {
    const Fixed inside = depth(e, p);
    return inside <= 0 ? 0 : std::min(full_cover, fixed_mul(inside, e.edge));
  }
  /// Of what reaches `inside` units beyond its edge.
  Cover cover_of(Fixed inside) const {
    return std::clamp<Fixed>(fixed_mul(inside, sharp_) + 128, 0, full_cover);
  }

  /// The outline: an ellipse above, below the eyes between an ellipse and a curve of the fourth
  /// order, and narrower towards the chin.
  Fixed depth_in_face(FacePlace p) const {
    if (magnitude(p.y) > fixed_one) return -1;
    Fixed x = fixed_mul(p.x, fixed_one * fixed_one / look_.head.width);
    if (p.y > 0) x = fixed_mul(x, fixed_one + fixed_mul(look_.head.taper, p.y));
    if (magnitude(x) > fixed_one) return -1;
    const Fixed xx = square(x), yy = square(p.y);
    const Fixed round = xx + yy;
    if (p.y <= 0) return fixed_one - round;
    const Fixed angular = square(xx) + square(yy);
    return fixed_one - round - fixed_mul(look_.head.jaw, angular - round);
  }

  /// Hair with lighter and darker strands; `dark` fifths of its light are left.
  Colour strands(FacePlace p, Fixed fifths) const {
    const Fixed wave =
        fixed_mul(p.x + fixed_mul(p.x, p.y) / 2, look_.hair.strands) & (fixed_one - 1);
    const Fixed light = magnitude(wave - fixed_one / 2);  // 0 to 1/2
    return dimmed(look_.hair.colour, fifths * (fixed_one + light / 2), 5 * fixed_one);
  }

  void paint_face(Colour& out, FacePlace p, FacePlace side, Fixed inside) const {
    const HeadLook& head = look_.head;
    // Darker towards the edge, as what is round.
    Colour skin = mix(shade_, head.skin, std::min(fixed_one, inside + fixed(0.35)), fixed_one);
    if (look_.hair.beard && p.y > look_.hair.beard_line) put(skin, strands(p, 5), beard(p));
    paint_eyes(skin, side, p);
    put(skin, shade_, cover(ridge_, p) / 3);
    put(skin, shade_, cover(nose_, p) * 3 / 4);
    paint_mouth(skin, p);
    const Cover edge = fixed_mul(inside, sharp_ * 2 / 5);
    put(out, skin, std::min(full_cover, edge));
  }
  /// Thicker downwards, with a place for the mouth.
  Cover beard(FacePlace p) const {
    const MouthLook& mouth = look_.mouth;
    const Fixed x = fixed_mul(p.x, fixed(2.6)), y = fixed_mul(p.y - mouth.height, fixed(4.5));
    const Fixed off = square(x) + square(y) - fixed_one;
    const Fixed down = p.y - look_.hair.beard_line + fixed_mul(magnitude(p.x), fixed(0.3));
    return std::clamp<Fixed>(std::min(off, down) / 96, 0, 235);
  }

  void paint_eyes(Colour& skin, FacePlace side, FacePlace p) const {
    const EyeLook& eyes = look_.eyes;
    if (const Cover white = cover(eye_, side); white > 0) {
      Colour eye{236, 234, 230};
      const Fixed left = p.x < 0 ? -eyes.apart : eyes.apart;
      const FacePlace in_eye{p.x - left - eyes.look_x, p.y};
      put(eye, eyes.iris, cover(iris_, in_eye));
      put(eye, Colour{12, 10, 10}, cover(pupil_, in_eye));
      put(skin, eye, white);
    }
    // The lid and the brow are arches.
    const Fixed x = fixed_mul(side.x - eyes.apart, eye_.per_wide);
    if (magnitude(x) < fixed_one * 5 / 4) {
      const Fixed arch = fixed_one - fixed_mul(square(x), fixed(0.64));
      const Fixed lid = side.y - (eyes.height - fixed_mul(eyes.open, arch));
      put(skin, Colour{46, 32, 28}, cover_of(fixed_mul(fixed(0.018), arch) - magnitude(lid)));
      const Fixed brow =
          side.y - (eyes.height - eyes.brow_height - fixed_mul(eyes.brow_arch, arch));
      put(skin, brow_, cover_of(fixed_mul(eyes.brow_width, arch) - magnitude(brow)));
    }
  }

  void paint_mouth(Colour& skin, FacePlace p) const {
    const MouthLook& mouth = look_.mouth;
    if (magnitude(p.x) >= mouth.width) return;
    const Fixed x = p.x * fixed_one / mouth.width;
    const Fixed arch = fixed_one - square(x);  // 0 in the corners
    const Fixed upper = mouth.height + fixed_mul(mouth.upper, arch);
    const Fixed lower = mouth.height + fixed_mul(mouth.lower, arch);
    const Fixed lip = fixed_mul(mouth.lip, arch);
    put(skin, mouth.lips, cover_of(std::min(p.y - upper + lip, lower + lip - p.y)));
    const Fixed within = std::min(p.y - upper, lower - p.y) + mouth.closed_line;
    Colour inner{58, 22, 24};
    if (mouth.teeth && p.y < upper + (lower - upper) * 3 / 4) inner = {238, 234, 224};
    if (lower - upper <= 3 * mouth.closed_line) inner = {70, 30, 30};
    put(skin, inner, cover_of(within));
  }

  /// Over the forehead, from the skull down to the hair line.
  void paint_hair(Colour& out, FacePlace p) const {
    const HairLook& hair = look_.hair;
    const Fixed line = hair.line + fixed_mul(hair.bend, square(p.x)) + fixed_mul(hair.side, p.x);
    if (p.y > line + fixed(0.05)) return;
    put(out, strands(p, 5), std::min(cover(skull_, p), cover_of(line - p.y)));
  }

  void paint_glasses(Colour& out, FacePlace side) const {
    put(out, look_.eyes.rim_colour, cover(glass_, side) - cover(rim_, side));
    const Fixed bridge = magnitude(side.y - look_.eyes.height);
    if (side.x < look_.eyes.apart - fixed(0.22))
      put(out, look_.eyes.rim_colour, cover_of(fixed(0.018) - bridge));
  }

  const FaceLook& look_;
  Fixed sharp_;  ///< pixels of a unit, with eight fraction bits
  Colour shade_, brow_;
  Ellipse back_, falling_, neck_, shoulders_, skull_, ear_, nose_, ridge_, eye_, iris_, pupil_,
      glass_, rim_;
};

/// Background at a place of the picture, in -1 to 1.
inline Colour background_colour(const BackgroundLook& look, FacePlace p) {
  const Fixed along = std::clamp<Fixed>(
      fixed_one / 2 + fixed_mul(look.along_x, p.x) + fixed_mul(look.along_y, p.y), 0, fixed_one);
  Colour out = mix(look.one, look.other, along, fixed_one);
  for (std::size_t i = 0; i < look.spot_count; ++i) {
    const BackgroundLook::Spot& spot = look.spots[i];
    const Fixed dx = p.x - spot.x, dy = p.y - spot.y;
    if (magnitude(dx) >= spot.wide || magnitude(dy) >= spot.high) continue;
    const Fixed off = square(dx * fixed_one / spot.wide) + square(dy * fixed_one / spot.high);
    put(out, spot.colour, std::clamp<Fixed>((fixed_one - off) / 64, 0, 220));
  }
  return out;
}

}  // namespace data::detail
IOTSL_NAMESPACE_END
