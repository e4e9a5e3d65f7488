#pragma once
// What one face looks like: every number that its picture depends on, drawn at random, three of
// them by the attributes that make its class. All else is drawn alike for every class.
//
// Lengths are in units of half the head's height, x right, y down, (0, 0) the middle of the face.

#include <algorithm>

#include "iotsl/data/drawn/fixed_point.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data::detail {

/// 0 to 255 each, more or less while a colour is being mixed.
struct Colour {
  std::int32_t red = 0, green = 0, blue = 0;
};

/// `a` at 0, `b` at `whole`.
constexpr Colour mix(Colour a, Colour b, Fixed part, Fixed whole) {
  const auto between = [&](std::int32_t from, std::int32_t to) {
    return static_cast<std::int32_t>(from + (to - from) * part / whole);
  };
  return {between(a.red, b.red), between(a.green, b.green), between(a.blue, b.blue)};
}

/// `part` of `whole` of a colour's light.
constexpr Colour dimmed(Colour c, Fixed part, Fixed whole) {
  return mix({0, 0, 0}, c, part, whole);
}

/// The attributes of a face; each is a bit of its class number.
struct FaceAttributes {
  bool smiling = false, black_hair = false, square_jaw = false;

  constexpr explicit FaceAttributes(int label)
      : smiling((label & 1) != 0), black_hair((label & 2) != 0), square_jaw((label & 4) != 0) {}
};

/// Draws lengths, colours and yes or no.
class FaceRandom {
 public:
  explicit FaceRandom(DrawnRandom random) : random_(random) {}

  Fixed between(double low, double high) { return random_.between(low, high); }
  bool one_in(double n) { return random_.between(0, n) < fixed_one; }
  /// Any colour with channels from `low` to `high`.
  Colour colour(double low, double high) {
    const auto channel = [&] {
      return static_cast<std::int32_t>(random_.between(low, high) / fixed_one);
    };
    Colour out;
    out.red = channel();
    out.green = channel();
    out.blue = channel();
    return out;
  }
  /// Somewhere between two colours.
  Colour between(Colour a, Colour b) { return mix(a, b, random_.between(0, 1), fixed_one); }

 private:
  DrawnRandom random_;
};

/// Where the face is in the picture, and how its light falls.
struct FacePose {
  Fixed x, y;                     ///< of its middle, parts of the picture's width and height
  Fixed unit;                     ///< part of the picture's shorter side
  Fixed cosine, sine;             ///< of the angle by which the head is tilted
  Fixed light, light_x, light_y;  ///< light in the middle, and what is added to the right, below
  Colour tint;                    ///< of the light; 256: white
  Fixed noise;                    ///< most that is added to a pixel

  explicit FacePose(FaceRandom& random) {
    x = random.between(0.465, 0.535);
    y = random.between(0.49, 0.535);
    unit = random.between(0.305, 0.345);
    const Fixed angle = random.between(-6, 6);
    cosine = fixed_cos(angle);
    sine = fixed_sin(angle);
    light = random.between(0.6, 1.12);
    light_x = random.between(-0.4, 0.4);
    light_y = random.between(-0.3, 0.2);
    tint = random.colour(232, 276);
    noise = random.between(3, 30) / fixed_one;
  }
};

/// The head without what moves in it.
struct HeadLook {
  Fixed width;  ///< half of it
  Fixed jaw;    ///< 0: an ellipse below the eyes, 1: nearly a square
  Fixed taper;  ///< how much narrower it becomes down to the chin
  Colour skin;
  Fixed nose_width, nose_length;
  bool ears;

  HeadLook(FaceRandom& random, const FaceAttributes& attributes) {
    const bool square = attributes.square_jaw;
    width = square ? random.between(0.76, 0.9) : random.between(0.66, 0.8);
    jaw = square ? random.between(0.6, 0.95) : random.between(0, 0.12);
    taper = square ? random.between(0, 0.08) : random.between(0.12, 0.3);
    skin = random.between(Colour{244, 208, 180}, Colour{112, 74, 52});
    const Colour cast = random.colour(-10, 10);
    skin = {skin.red + cast.red, skin.green + cast.green, skin.blue + cast.blue};
    nose_width = random.between(0.08, 0.15);
    nose_length = random.between(0.26, 0.38);
    ears = !random.one_in(3);
  }
};

struct HairLook {
  Colour colour;
  bool is_long;            ///< down to the shoulders
  Fixed thickness;         ///< over the skull
  Fixed line, bend, side;  ///< where it begins: height in the middle, how much lower at the sides,
                           ///< and to one of them
  Fixed strands;           ///< how many of them are seen
  bool beard;
  Fixed beard_line;  ///< how far up it goes

  HairLook(FaceRandom& random, const FaceAttributes& attributes) {
    if (attributes.black_hair) {
      colour = random.between(Colour{10, 9, 12}, Colour{42, 36, 36});
    } else {
      // Brown, blond, red, grey: something between two of them.
      constexpr Colour kinds[] = {{96, 62, 38}, {222, 186, 112}, {158, 72, 34}, {172, 168, 164}};
      const auto kind = [&] {
        return kinds[static_cast<std::size_t>(random.between(0, 3.999) / fixed_one)];
      };
      const Colour one = kind();
      const Colour other = kind();
      colour = random.between(one, other);
    }
    is_long = random.one_in(2);
    thickness = random.between(0.06, 0.2);
    line = random.between(-0.78, -0.46);
    bend = random.between(0.1, 0.75);
    side = random.between(-0.25, 0.25);
    strands = random.between(14, 34);
    beard = random.one_in(7);
    beard_line = random.between(0.2, 0.45);
  }
};

struct EyeLook {
  Fixed apart, height, width, open;  ///< of one eye: distance from the middle, place, half extents
  Fixed look_x;                      ///< where it looks
  Colour iris;
  Fixed brow_height, brow_width, brow_arch;
  bool glasses;
  Fixed rim;
  Colour rim_colour;

  explicit EyeLook(FaceRandom& random) {
    apart = random.between(0.29, 0.37);
    height = random.between(-0.2, -0.08);
    width = random.between(0.12, 0.165);
    open = random.between(0.045, 0.09);
    look_x = random.between(-0.05, 0.05);
    iris = random.between(Colour{60, 40, 26}, Colour{90, 130, 150});
    brow_height = random.between(0.14, 0.22);
    brow_width = random.between(0.022, 0.045);
    brow_arch = random.between(0.0, 0.07);
    glasses = random.one_in(5);
    rim = random.between(0.022, 0.04);
    rim_colour = random.colour(10, 120);
  }
};

/// Both lips are parabolas between the corners.
struct MouthLook {
  Fixed height, width;  ///< of the corners, half extent
  Fixed upper, lower;   ///< how far the middle of each lip's edge is below the corners
  Fixed lip;            ///< thickness
  Colour lips;
  bool teeth;
  Fixed closed_line;

  MouthLook(FaceRandom& random, const FaceAttributes& attributes) {
    height = random.between(0.43, 0.51);
    width = random.between(0.24, 0.35);
    const Fixed curve =
        attributes.smiling ? random.between(0.1, 0.24) : random.between(-0.12, 0.01);
    const bool opened = random.one_in(2);
    const Fixed opening = random.between(0.08, 0.2);
    // The corners of a smile are pulled up.
    if (attributes.smiling) height -= curve / 2;
    upper = opened ? curve - opening / 3 : curve;
    lower = opened ? curve + opening * 2 / 3 : curve;
    lip = random.between(0.035, 0.075);
    lips = random.between(Colour{190, 84, 88}, Colour{140, 66, 60});
    teeth = random.one_in(1.6);
    closed_line = random.between(0.012, 0.022);
  }
};

/// What is behind the head, in the picture's own coordinates of -1 to 1.
struct BackgroundLook {
  struct Spot {
    Fixed x, y, wide, high;
    Colour colour;
  };
  Colour one, other;  ///< at two ends of the picture
  Fixed along_x, along_y;
  std::array<Spot, 4> spots;
  std::size_t spot_count;
  Colour clothes;

  explicit BackgroundLook(FaceRandom& random) {
    one = random.colour(0, 255);
    other = random.colour(0, 255);
    along_x = random.between(-0.5, 0.5);
    along_y = random.between(-0.5, 0.5);
    spot_count = static_cast<std::size_t>(random.between(0, 4.999) / fixed_one);
    for (Spot& spot : spots) {
      spot.x = random.between(-1, 1);
      spot.y = random.between(-1, 1);
      spot.wide = random.between(0.1, 0.5);
      spot.high = random.between(0.1, 0.5);
      spot.colour = random.colour(0, 255);
    }
    clothes = random.colour(5, 240);
  }
};

struct FaceLook {
  FacePose pose;
  HeadLook head;
  HairLook hair;
  EyeLook eyes;
  MouthLook mouth;
  BackgroundLook background;

  FaceLook(FaceRandom random, const FaceAttributes& attributes)
      : pose(random),
        head(random, attributes),
        hair(random, attributes),
        eyes(random),
        mouth(random, attributes),
        background(random) {}
};

}  // namespace data::detail
IOTSL_NAMESPACE_END
