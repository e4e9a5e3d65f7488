#pragma once
// Images that are made to be noticed, for an audit: nobody's data.

#include "iotsl/core/random.hpp"
#include "iotsl/data/dataset.hpp"
#include "iotsl/moments/features.hpp"

IOTSL_NAMESPACE_BEGIN
namespace moments {

struct Canaries {
  data::Dataset set;
  std::vector<std::uint8_t> in;  ///< [N], 1: the mechanism gets it; each with chance 1/2

  Index size() const { return set.size(); }
  /// Numbers of those that are in (or not), ascending.
  std::vector<Index> members(bool in_it = true) const {
    std::vector<Index> out;
    for (Index i = 0; i < size(); ++i)
      if ((in[static_cast<std::size_t>(i)] != 0) == in_it) out.push_back(i);
    return out;
  }
};

inline constexpr Index min_canaries = 200, max_canaries = 4000;

namespace detail {
/// Streams of random numbers of an audit, beside those of core/random.hpp.
inline constexpr std::uint32_t canary_stream = 64, canary_label_stream = 65;

/// White cells of one image: half of all, no image more than another, so that all have the same
/// norm, sqrt(pixels / 2) as nearly as whole cells allow: at least twice the norm 1/3
/// sqrt(pixels) that images are clipped to, and a forgotten clip shows.
inline std::vector<std::uint8_t> white_cells(const Random& random, std::uint64_t image,
                                             std::size_t cells) {
  std::vector<std::uint8_t> out(cells);
  std::fill_n(out.begin(), (cells + 1) / 2, std::uint8_t{1});
  for (std::size_t i = cells - 1; i > 0; --i)
    std::swap(out[i], out[static_cast<std::size_t>(random.below(image * cells + i, i + 1))]);
  return out;
}
}  // namespace detail

/// `count` images of random 4x4-pixel cells, black or white, with random labels; of `images` the
/// sides must be feature_side. Two such images share half of their light: without negative values
/// none can be nearer to orthogonal. Raises an Error for other sizes, and where a class has no
/// member: its sums would not be released.
inline Canaries make_canaries(const ImageSpec& images, Index count, std::uint64_t seed) {
  if (count < min_canaries || count > max_canaries)
    fail("audit: ", count, " canaries; expected ", min_canaries, " to ", max_canaries);
  if (images.height != feature_side || images.width != feature_side)
    fail("audit: canaries of ", images.height, "x", images.width, "; expected ", feature_side, "x",
         feature_side);
  constexpr Index cell = 4, cells = feature_side / cell;
  Canaries out;
  data::Dataset& set = out.set;
  set.name = "canaries";
  set.channels = images.channels;
  set.height = set.width = feature_side;
  set.classes = images.classes;
  set.full_size = count;
  const Random random(seed, detail::canary_stream), labels(seed, detail::canary_label_stream);
  std::vector<Index> members(static_cast<std::size_t>(images.classes));
  for (Index i = 0; i < count; ++i) {
    const auto number = static_cast<std::uint64_t>(i);
    const std::vector<std::uint8_t> white = detail::white_cells(
        random, number, static_cast<std::size_t>(images.channels * cells * cells));
    for (Index c = 0; c < images.channels; ++c)
      for (Index y = 0; y < feature_side; ++y)
        for (Index x = 0; x < feature_side; ++x) {
          const Index at = (c * cells + y / cell) * cells + x / cell;
          set.pixels.push_back(white[static_cast<std::size_t>(at)] != 0 ? 255 : 0);
        }
    const std::uint64_t label =
        labels.below(2 * number, static_cast<std::uint64_t>(images.classes));
    set.labels.push_back(static_cast<data::Label>(label));
    out.in.push_back(static_cast<std::uint8_t>(labels.below(2 * number + 1, 2)));
    members[static_cast<std::size_t>(label)] += out.in.back();
  }
  for (Index c = 0; c < images.classes; ++c)
    if (members[static_cast<std::size_t>(c)] == 0)
      fail("audit: of ", count, " canaries no member has class ", c, " of ", images.classes,
           "; expected at least one: more canaries, or another seed");
  return out;
}

}  // namespace moments
IOTSL_NAMESPACE_END
