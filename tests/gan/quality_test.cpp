// What the quality check says of images whose worth is known.

#include "iotsl/gan/quality.hpp"

#include <doctest/doctest.h>

#include "gan/small_training.hpp"

namespace quality_test {

using namespace iotsl;
using data::Dataset;
using gan::Quality;
using small_training::digits;

constexpr Index classes = 3;
constexpr std::uint64_t seed = 1;

/// Real samples, a part of which is held out, and others that a generator could have made.
struct Setting {
  Dataset set = digits(900, classes);
  // More than gan::hold_out takes, so that one sample makes less difference.
  data::HeldOutSplit samples = data::hold_out(set, data::count_up(set.size()), Random(seed, 0),
                                              [](Index members) { return members / 3; });
  Dataset others = data::make_glyphs(data::Split::test, 600);

  Setting() {
    std::vector<Index> kept;
    for (Index i = 0; i < others.size(); ++i)
      if (label(others, i) < classes) kept.push_back(i);
    others = data::select_samples(others, kept);
  }
  static Index label(const Dataset& from, Index i) {
    return from.labels[static_cast<std::size_t>(i)];
  }
  Quality check(const Dataset& generated) const {
    return gan::check_images(generated, set, samples, seed, {.steps = 60});
  }
};

/// The samples of these classes only.
data::HeldOutSplit below(const Setting& s, Index held_out_classes) {
  data::HeldOutSplit out = s.samples;
  std::erase_if(out.held_out,
                [&](Index i) { return Setting::label(s.set, i) >= held_out_classes; });
  return out;
}

TEST_CASE("quality: real images pass, each class of them") {
  const Setting s;
  const Quality q = s.check(s.others);
  CHECK(q.checked);
  CHECK_FALSE(q.flagged);
  CHECK(q.accuracy > 0.8);
  CHECK(q.loss < 0.5);
  CHECK(q.classes == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(q.class_held_out == std::vector<std::uint64_t>{30, 30, 30});
  double sum = 0;
  for (const double each : q.class_accuracy) sum += each;
  CHECK(q.accuracy == doctest::Approx(sum / 3));
  CHECK(q.distinct == 1);
  // They are as far from the training samples as the held-out ones.
  CHECK(q.nearest_generated == doctest::Approx(q.nearest_held_out).epsilon(0.15));
}

TEST_CASE("quality: images under the label of another class are flagged") {
  const Setting s;
  Dataset swapped = s.others;
  for (data::Label& label : swapped.labels) label = static_cast<data::Label>((label + 1) % classes);
  const Quality q = s.check(swapped);
  CHECK(q.checked);
  CHECK(q.flagged);
  CHECK(q.accuracy < 0.2);
  CHECK(q.loss > std::log(3.0));  // worse than guessing
}

TEST_CASE("quality: two classes in each other's place cost the accuracy of these") {
  const Setting s;
  Dataset two_swapped = s.others;
  for (data::Label& label : two_swapped.labels)
    if (label > 0) label = static_cast<data::Label>(3 - label);
  const Quality q = s.check(two_swapped);
  REQUIRE(q.class_accuracy.size() == 3);
  CHECK(q.class_accuracy[0] >= 0.5);
  CHECK(q.class_accuracy[1] < 0.3);
  CHECK(q.class_accuracy[2] < 0.3);
  CHECK(q.flagged);
}

TEST_CASE("quality: training samples are found again, repeated images are counted once") {
  const Setting s;
  const Quality memorised = s.check(data::select_samples(s.set, s.samples.train));
  CHECK_FALSE(memorised.flagged);  // that is not what the accuracy tells
  CHECK(memorised.nearest_generated == 0);
  CHECK(memorised.nearest_held_out > 1);

  std::vector<Index> one_each, repeated;
  for (Index label = 0; label < classes; ++label)
    for (Index i = 0; i < s.others.size(); ++i)
      if (Setting::label(s.others, i) == label) {
        one_each.push_back(i);
        break;
      }
  for (int i = 0; i < 20; ++i) repeated.insert(repeated.end(), one_each.begin(), one_each.end());
  CHECK(s.check(data::select_samples(s.others, repeated)).distinct == doctest::Approx(3.0 / 60));
}

TEST_CASE("quality: distances are Euclidean over pixels in [0,1]") {
  Dataset set;
  set.name = "test";
  set.height = set.width = 2;
  set.classes = 1;
  set.pixels = {0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 51};
  set.labels = {0, 0, 0};
  set.full_size = 3;
  Dataset generated = set;
  generated.pixels = {153, 204, 0, 0, 255, 255, 255, 255};
  generated.labels = {0, 0};
  const Quality q = gan::check_images(generated, set, {.train = {0, 1}, .held_out = {2}}, seed);
  CHECK(q.nearest_generated == doctest::Approx(0.5));  // 0.6 and 0.8 from black, and 0
  CHECK(q.nearest_held_out == doctest::Approx(0.2));
  const Quality none = gan::check_images(generated, set, {.train = {0, 1}, .held_out = {2}}, seed,
                                         {.memorisation = false});
  CHECK(none.nearest_generated == 0);
}

TEST_CASE("quality: with one class there is nothing to tell apart") {
  const Setting s;
  // Of one class a judge is always right, even about images of noise.
  const Dataset set = digits(200, 1);
  const data::HeldOutSplit samples = gan::hold_out(set, data::count_up(set.size()), seed);
  REQUIRE(samples.held_out.size() == 10);
  GeneratorNet<float> untrained({.images = {.classes = set.classes}, .width = 4});
  untrained.initialize(1);
  const Quality one = gan::check_quality(untrained, set, samples, {.gaussian = true});
  CHECK_FALSE(one.checked);
  CHECK_FALSE(one.flagged);
  CHECK(one.classes.empty());
  CHECK(one.distinct == 1);
  CHECK(one.nearest_held_out > 1);
  CHECK(one.nearest_generated > one.nearest_held_out);

  // It is the held-out samples that count: of the other classes there may have been one each.
  const auto check = [&](Index held_out_classes) {
    return gan::check_images(s.others, s.set, below(s, held_out_classes), seed, {.steps = 60});
  };
  CHECK_FALSE(check(0).checked);
  CHECK_FALSE(check(1).checked);
  CHECK(check(2).checked);
  CHECK(check(2).classes == std::vector<std::uint32_t>{0, 1});
}

}  // namespace quality_test
