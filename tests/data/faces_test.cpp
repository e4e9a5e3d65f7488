#include "iotsl/data/drawn/faces.hpp"

#include <doctest/doctest.h>

using iotsl::Index;
using iotsl::data::Dataset;
using iotsl::data::FaceSet;
using iotsl::data::make_faces;
using iotsl::data::Split;
namespace drawn = iotsl::data::detail;

TEST_CASE("faces: the same bytes on every platform") {
  const Dataset set = make_faces(Split::train, {.count = 8});
  CHECK(set.pixels.size() == 8 * 3 * 128 * 128);
  CHECK(iotsl::data::idx_sha256(set) ==
        "23bfca997fc910b076b99800d0f7c4895966a63ea199d9cf44a98266feef5440");
  const Dataset odd = make_faces(Split::test, {.count = 16, .height = 33, .width = 20});
  CHECK(iotsl::data::idx_sha256(odd) ==
        "858b5145fda32cde5a8741b82f3d3904b40ae7fe189acb43b8b0d16e5a774866");
}

TEST_CASE("faces: an image depends on seed, split and number only") {
  const FaceSet small{.count = 40, .height = 24, .width = 24};
  const Dataset set = make_faces(Split::train, small);
  const std::vector<Index> keep = {3, 17, 39};
  const Dataset some = make_faces(Split::train, small, &keep);
  const Dataset expected = iotsl::data::select_samples(set, keep);
  CHECK(some.pixels == expected.pixels);
  CHECK(some.labels == expected.labels);
  CHECK(some.full_size == 40);
  CHECK(make_faces(Split::test, small).pixels != set.pixels);
  FaceSet other = small;
  other.seed = 2;
  CHECK(make_faces(Split::train, other).pixels != set.pixels);
  const std::vector<Index> beyond = {40};
  CHECK_THROWS_WITH_AS(make_faces(Split::train, small, &beyond), "make_faces: image 40 of 40",
                       iotsl::Error);
  CHECK_THROWS_WITH_AS(make_faces(Split::train, {.count = 1, .height = 7}),
                       "make_faces: faces of 7x128; expected 8 to 1024 pixels a side",
                       iotsl::Error);
}

TEST_CASE("faces: another size shows the same faces") {
  // Means over 4x4 pixels of the large picture are the small one's pixels, but for noise and edges.
  const Dataset large = make_faces(Split::train, {.count = 16}),
                small = make_faces(Split::train, {.count = 16, .height = 32, .width = 32});
  CHECK(large.labels == small.labels);
  for (Index i = 0; i < 16; ++i) {
    const auto a = large.sample(i), b = small.sample(i);
    double off = 0;
    for (std::size_t at = 0; at < b.size(); ++at) {
      const std::size_t plane = at / 1024, row = at / 32 % 32, column = at % 32;
      double mean = 0;
      for (std::size_t k = 0; k < 16; ++k)
        mean += a[plane * 16384 + (4 * row + k / 4) * 128 + 4 * column + k % 4] / 16.0;
      off += std::abs(mean - b[at]) / static_cast<double>(b.size());
    }
    CHECK(off < 16);
  }
}

TEST_CASE("faces: eight classes in equal numbers, named by their attributes") {
  const Dataset set = make_faces(Split::train, {.count = 800, .height = 8, .width = 8});
  CHECK(iotsl::data::class_counts(set.labels, 8) == std::vector<Index>(8, 100));
  int repeats = 0;
  for (std::size_t i = 8; i < 800; ++i) repeats += set.labels[i] == set.labels[i - 8] ? 1 : 0;
  CHECK(repeats > 50);
  CHECK(repeats < 200);
  CHECK(iotsl::data::class_name(set, 0) == "none");
  CHECK(iotsl::data::class_name(set, 3) == "smiling+black_hair");
  CHECK(iotsl::data::class_name(set, 7) == "smiling+black_hair+square_jaw");
}

TEST_CASE("faces: every attribute is seen, and the others do not tell it") {
  using namespace drawn;
  const iotsl::Random random(1, iotsl::Stream::faces);
  for (int label = 0; label < 8; ++label)
    for (Index i = 0; i < 200; ++i) {
      const FaceAttributes is(label);
      const FaceLook look(FaceRandom(DrawnRandom(random, i)), is);
      const Fixed middle = (look.mouth.upper + look.mouth.lower) / 2;
      CHECK((middle > fixed(0.08)) == is.smiling);  // below the corners
      CHECK((look.head.jaw > fixed(0.3)) == is.square_jaw);
      CHECK((look.hair.colour.red < 60) == is.black_hair);
      // The rest is drawn alike: the same numbers give the same pose and eyes in every class.
      const FaceLook other(FaceRandom(DrawnRandom(random, i)), FaceAttributes(label ^ 1));
      CHECK(other.pose.x == look.pose.x);
      CHECK(other.head.skin.red == look.head.skin.red);
      CHECK(other.eyes.apart == look.eyes.apart);
    }
  // The hair above the forehead is where black hair shows, whatever the light.
  const Dataset set = make_faces(Split::train, {.count = 400, .height = 32, .width = 32});
  double sum[2] = {};
  for (Index i = 0; i < set.size(); ++i)
    for (const std::size_t plane : {0, 1, 2})
      sum[set.labels[static_cast<std::size_t>(i)] >> 1 & 1] +=
          set.sample(i)[plane * 1024 + 7 * 32 + 16] / 600.0;
  CHECK(sum[1] < 45);
  CHECK(sum[0] > 75);
}
