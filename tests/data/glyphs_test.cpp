#include "iotsl/data/glyphs.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

using iotsl::Index;
using iotsl::data::Dataset;
using iotsl::data::make_glyphs;
using iotsl::data::Split;

TEST_CASE("glyphs: the same bytes on every platform") {
  const Dataset set = make_glyphs(Split::train, 500);
  CHECK(set.size() == 500);
  CHECK(set.pixels.size() == 500 * 28 * 28);
  CHECK(iotsl::data::idx_sha256(set) ==
        "c6b527500416a919c3d794c3684cde8a7b4d2ea3700fe75523ae1cd7d373db51");
}

TEST_CASE("glyphs: the hashes of the whole sets are the stated ones" *
          doctest::test_suite("slow")) {
  CHECK(iotsl::data::idx_sha256(make_glyphs(Split::train, iotsl::data::glyph_train_count)) ==
        iotsl::data::glyph_sha256(Split::train));
  CHECK(iotsl::data::idx_sha256(make_glyphs(Split::test, iotsl::data::glyph_test_count)) ==
        iotsl::data::glyph_sha256(Split::test));
}

TEST_CASE("glyphs: an image depends on seed, split and number only") {
  const Dataset set = make_glyphs(Split::train, 100);
  const std::vector<Index> keep = {3, 42, 99};
  const Dataset some = make_glyphs(Split::train, 100, 1, &keep);
  const Dataset expected = iotsl::data::select_samples(set, keep);
  CHECK(some.pixels == expected.pixels);
  CHECK(some.labels == expected.labels);
  CHECK(make_glyphs(Split::test, 100).pixels != set.pixels);
  CHECK(make_glyphs(Split::train, 100, 2).pixels != set.pixels);
  const std::vector<Index> beyond = {100};
  CHECK_THROWS_WITH_AS(make_glyphs(Split::train, 100, 1, &beyond), "make_glyphs: image 100 of 100",
                       iotsl::Error);
  CHECK_THROWS_WITH_AS(iotsl::data::make_glyphs(iotsl::data::Split::train, -1),
                       "make_glyphs: -1 images; expected at least 0", iotsl::Error);
}

TEST_CASE("glyphs: classes are balanced and their order is not a pattern") {
  const Dataset set = make_glyphs(Split::train, 1000);
  CHECK(iotsl::data::class_counts(set.labels, 10) == std::vector<Index>(10, 100));
  int repeats = 0;
  for (std::size_t i = 10; i < 1000; ++i) repeats += set.labels[i] == set.labels[i - 10] ? 1 : 0;
  CHECK(repeats > 50);
  CHECK(repeats < 200);
}

TEST_CASE("glyphs: digits lie inside the image and have ink") {
  const Dataset set = make_glyphs(Split::train, 300);
  for (Index i = 0; i < set.size(); ++i) {
    const auto pixels = set.sample(i);
    const int bright = static_cast<int>(
        std::count_if(pixels.begin(), pixels.end(), [](std::uint8_t v) { return v > 100; }));
    CHECK(bright > 10);
    CHECK(bright < 300);
    int border = 0;
    for (std::size_t k = 0; k < 28; ++k) {
      border += pixels[k] > 100 ? 1 : 0;
      border += pixels[27 * 28 + k] > 100 ? 1 : 0;
      border += pixels[28 * k] > 100 ? 1 : 0;
      border += pixels[28 * k + 27] > 100 ? 1 : 0;
    }
    CHECK(border <= 12);
  }
}

TEST_CASE("glyphs: the sine is right to 2e-4 in every quarter") {
  using iotsl::data::detail::fixed_sin;
  for (int degrees = -720; degrees <= 720; ++degrees) {
    const double expected = std::sin(degrees * 3.14159265358979 / 180);
    const double given = static_cast<double>(fixed_sin(degrees * 65536)) / 65536;
    CHECK(std::abs(given - expected) < 2e-4);
  }
}

TEST_CASE("glyphs: the integer square root is the floor") {
  for (iotsl::data::detail::Fixed v = 0; v < 70000; v += 7) {
    const auto root = iotsl::data::detail::integer_sqrt(v);
    CHECK(root * root <= v);
    CHECK((root + 1) * (root + 1) > v);
  }
}
