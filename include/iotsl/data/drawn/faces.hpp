#pragma once
// Built-in drawn faces: colour images of any size with three attributes as in CelebA, which make
// eight classes: whether the face smiles, whether its hair is black, whether its jaw is square.
// Place, size, tilt, light, skin, hair, eyes, background and noise vary alike in all classes.
// Integers only, so that every platform makes the same bytes.

#include <string>
#include <vector>

#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/data/dataset.hpp"
#include "iotsl/data/drawn/face_painter.hpp"

IOTSL_NAMESPACE_BEGIN
namespace data {

inline constexpr Index face_classes = 8;
/// Pixels of a side unless others are asked for: CelebA's in the paper.
inline constexpr Index face_side = 128;
/// Images of each class unless others are asked for, a tenth of them to test.
inline constexpr Index faces_per_class = 1000;

/// "none", "smiling", "black_hair", "smiling+black_hair", ...: bit 0, 1 and 2 of the class number.
inline std::vector<std::string> face_class_names() {
  constexpr std::array<std::string_view, 3> attributes = {"smiling", "black_hair", "square_jaw"};
  std::vector<std::string> out;
  for (std::size_t c = 0; c < face_classes; ++c) {
    std::string name;
    for (std::size_t bit = 0; bit < attributes.size(); ++bit)
      if ((c >> bit & 1) != 0) name += concat(name.empty() ? "" : "+", attributes[bit]);
    out.push_back(name.empty() ? "none" : name);
  }
  return out;
}

namespace detail {

/// Adds the light of the place and noise, and writes the planes.
class FaceDevelopment {
 public:
  FaceDevelopment(const FacePose& pose, const Random& random, Index image, Index pixels,
                  std::uint8_t* planes)
      : pose_(pose),
        noise_(random),
        first_(static_cast<std::uint64_t>(image) << 24),
        pixels_(pixels),
        planes_(planes) {}

  /// Pixel `at` of the picture, which is at `p`, in -1 to 1.
  void put(Index at, FacePlace p, Colour c) {
    const Fixed light = std::clamp<Fixed>(pose_.light + fixed_mul(pose_.light_x, p.x) +
                                              fixed_mul(pose_.light_y, p.y),
                                          fixed(0.25), fixed(1.5)) >>
                        8;
    // Two bytes a channel make a triangle; two pixels share a block of four words.
    if (at % 2 == 0) words_ = noise_.block(first_ + static_cast<std::uint64_t>(at / 2));
    const std::size_t half = at % 2 == 0 ? 0 : 2;
    const std::uint32_t low = words_[half], high = words_[half + 1];
    write(at, 0, c.red, pose_.tint.red, light, low);
    write(at, 1, c.green, pose_.tint.green, light, low >> 16);
    write(at, 2, c.blue, pose_.tint.blue, light, high);
  }

 private:
  void write(Index at, Index channel, Fixed value, Fixed tint, Fixed light, std::uint32_t bits) {
    const Fixed triangle =
        static_cast<Fixed>(bits & 255) + static_cast<Fixed>((bits >> 8) & 255) - 255;
    const Fixed lit = value * tint * light / 65536 + triangle * pose_.noise / 255;
    planes_[channel * pixels_ + at] = static_cast<std::uint8_t>(std::clamp<Fixed>(lit, 0, 255));
  }

  const FacePose& pose_;
  const Random& noise_;
  std::uint64_t first_;
  std::array<std::uint32_t, 4> words_{};
  Index pixels_;
  std::uint8_t* planes_;
};

/// Draws image number `image` into `planes` [3,height,width].
inline void draw_face(const FaceLook& look, Index height, Index width, const Random& noise,
                      Index image, std::uint8_t* planes) {
  const FacePose& pose = look.pose;
  const Fixed unit = pose.unit * std::min(height, width);  // pixels
  const FacePainter painter(look, unit);
  FaceDevelopment development(pose, noise, image, height * width, planes);
  // Units of the face for a pixel, with 32 fraction bits: errors do not add up over the picture.
  const Fixed step_x = (pose.cosine << 32) / unit, step_y = (pose.sine << 32) / unit;
  const auto halves = [](Index at) { return 2 * at + 1; };  // of a pixel, to its middle
  for (Index row = 0; row < height; ++row) {
    const Fixed y = halves(row) * fixed_one / 2 - pose.y * height;
    for (Index column = 0; column < width; ++column) {
      const Fixed x = halves(column) * fixed_one / 2 - pose.x * width;
      const FacePlace in_picture{halves(column) * fixed_one / width - fixed_one,
                                 halves(row) * fixed_one / height - fixed_one};
      const auto turned = [&](Fixed a, Fixed b) { return ((x >> 4) * a + (y >> 4) * b) >> 28; };
      const FacePlace in_face{turned(step_x, step_y), turned(-step_y, step_x)};
      development.put(row * width + column, in_picture,
                      painter.colour(in_face, background_colour(look.background, in_picture)));
    }
  }
}

/// Every eight images in a row hold each class once, in random order.
inline std::uint8_t face_label(const Random& random, Index image) {
  std::array<std::uint8_t, face_classes> labels{0, 1, 2, 3, 4, 5, 6, 7};
  shuffle_values(std::span<std::uint8_t>(labels), random,
                 (std::uint64_t{1} << 52) + static_cast<std::uint64_t>(image / face_classes) * 16);
  return labels[static_cast<std::size_t>(image % face_classes)];
}

}  // namespace detail

/// What is drawn.
struct FaceSet {
  Index count = 0;
  Index height = face_side, width = face_side;
  std::uint64_t seed = 1;
};

/// The failure names a size that cannot be drawn.
inline Result<void> check_face_set(const FaceSet& set) {
  if (set.height < 8 || set.height > 1024 || set.width < 8 || set.width > 1024)
    return failure(ErrorCode::usage, "faces of ", set.height, "x", set.width,
                   "; expected 8 to 1024 pixels a side");
  return {};
}

/// Built-in faces: image i is a function of (seed, split, i) and the size alone, and at another
/// size the same face with other noise. `keep`, if not null, lists the samples to make (below
/// `count`).  Raises an Error where
/// check_face_set fails.
inline Dataset make_faces(Split split, const FaceSet& set,
                          const std::vector<Index>* keep = nullptr) {
  if (const Result<void> good = check_face_set(set); !good)
    fail("make_faces: ", good.failure().message);
  const std::uint32_t part = split == Split::train ? 0 : 2;
  const Random random(set.seed, Stream::faces, part), noise(set.seed, Stream::faces, part + 1);
  Dataset out;
  out.name = "faces";
  out.channels = 3;
  out.height = set.height;
  out.width = set.width;
  out.classes = face_classes;
  out.class_names = face_class_names();
  out.full_size = set.count;
  const Index made = keep == nullptr ? set.count : static_cast<Index>(keep->size());
  if (keep != nullptr)
    for (const Index i : *keep)
      if (i < 0 || i >= set.count) fail("make_faces: image ", i, " of ", set.count);
  out.pixels.resize(static_cast<std::size_t>(made * out.sample_elems()));
  out.labels.resize(static_cast<std::size_t>(made));
  parallel_chunks(made, 8, [&](Index begin, Index end) {
    for (Index at = begin; at < end; ++at) {
      const Index i = keep == nullptr ? at : (*keep)[static_cast<std::size_t>(at)];
      const std::uint8_t label = detail::face_label(random, i);
      out.labels[static_cast<std::size_t>(at)] = label;
      const detail::FaceLook look(detail::FaceRandom(detail::DrawnRandom(random, i)),
                                  detail::FaceAttributes(label));
      detail::draw_face(look, set.height, set.width, noise, i,
                        out.pixels.data() + at * out.sample_elems());
    }
  });
  return out;
}

}  // namespace data
IOTSL_NAMESPACE_END
