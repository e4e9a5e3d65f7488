// What the quality check says of images whose worth is known.

#include "iotsl/gan/quality.hpp"

#include <doctest/doctest.h>

#include <cmath>

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
    return gan::check_images(generated, set, samples, seed, {.steps = 60}).value();
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
  CHECK(q.failed().empty());
  CHECK(q.passed() == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(q.accuracy > 0.8);
  CHECK(q.loss < 0.5);
  CHECK(q.classes == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(q.class_held_out == std::vector<std::uint64_t>{30, 30, 30});
  double sum = 0;
  for (const double each : q.class_accuracy) sum += each;
  CHECK(q.accuracy == doctest::Approx(sum / 3));
  // Of three classes guessing knows a third.
  CHECK(q.informedness == doctest::Approx((q.accuracy - 1.0 / 3) / (2.0 / 3)));
  CHECK(q.distinct == 1);
  // They are as far from the training samples as the held-out ones.
  CHECK(q.nearest_generated == doctest::Approx(q.nearest_held_out).epsilon(0.15));
}

TEST_CASE("quality: images under the label of another class fail") {
  const Setting s;
  Dataset swapped = s.others;
  for (data::Label& label : swapped.labels) label = static_cast<data::Label>((label + 1) % classes);
  const Quality q = s.check(swapped);
  CHECK(q.checked);
  CHECK(q.failed() == q.classes);
  CHECK(q.accuracy < 0.2);
  CHECK(q.informedness < 0);
  CHECK(q.loss > std::log(3.0));  // worse than guessing
}

TEST_CASE("quality: two classes in each other's place fail, the third passes") {
  const Setting s;
  Dataset two_swapped = s.others;
  for (data::Label& label : two_swapped.labels)
    if (label > 0) label = static_cast<data::Label>(3 - label);
  const Quality q = s.check(two_swapped);
  REQUIRE(q.class_informedness.size() == 3);
  CHECK(q.class_accuracy[0] >= 0.5);
  CHECK(q.class_accuracy[1] < 0.3);
  CHECK(q.class_accuracy[2] < 0.3);
  CHECK(q.failed() == std::vector<std::uint32_t>{1, 2});
  CHECK(q.passed() == std::vector<std::uint32_t>{0});
}

TEST_CASE("quality: the bar is relative to guessing, with two classes and with three") {
  using gan::detail::judge_classes;
  const auto judged = [](std::vector<std::vector<Index>> named) {
    Quality out;
    out.threshold = gan::default_informedness;
    judge_classes({std::move(named), 0}, out);
    return out;
  };
  // 60 % of two classes is next to guessing, of ten it is not.
  CHECK(judged({{6, 4}, {4, 6}}).informedness == doctest::Approx(0.2));
  CHECK(judged({{6, 4}, {4, 6}}).failed() == std::vector<std::uint32_t>{0, 1});
  std::vector<std::vector<Index>> ten(10, std::vector<Index>(10, 4));
  for (std::size_t c = 0; c < 10; ++c) ten[c][c] = 54;
  CHECK(judged(ten).accuracy == doctest::Approx(0.6));
  CHECK(judged(ten).informedness == doctest::Approx((0.6 - 0.1) / 0.9));
  CHECK(judged(ten).failed().empty());
  // Who always names one class knows all of it, and nothing.
  const Quality one = judged({{10, 0, 0}, {10, 0, 0}, {10, 0, 0}});
  CHECK(one.class_accuracy == std::vector<double>{1, 0, 0});
  CHECK(one.class_informedness == std::vector<double>{0, 0, 0});
  CHECK(one.failed().size() == 3);
  // Exactly the bar passes. A class without held-out samples is not judged.
  const Quality bar = judged({{3, 1, 0}, {1, 3, 0}, {0, 0, 0}});
  CHECK(bar.classes == std::vector<std::uint32_t>{0, 1});
  CHECK(bar.class_informedness == std::vector<double>{0.5, 0.5});
  CHECK(bar.failed().empty());
}

TEST_CASE("quality: a judge looks at 32 pixels a side, at most") {
  Dataset set;
  set.name = "test";
  set.channels = 2;
  set.height = 65;  // blocks of three pixels, the last of two
  set.width = 34;   // of two
  set.classes = 3;
  set.labels = {2, 1};
  for (Index i = 0; i < 2 * 2 * 65 * 34; ++i)
    set.pixels.push_back(static_cast<std::uint8_t>((i * 37 + i / 34) % 251));
  const Dataset small = gan::small_images(set, std::vector<Index>{1, 0});
  CHECK(small.height == 22);
  CHECK(small.width == 17);
  CHECK(small.labels == std::vector<data::Label>{1, 2});
  REQUIRE(small.pixels.size() == 2 * 2 * 22 * 17);
  const auto block_mean = [&](Index image, Index channel, Index y, Index x) {
    double sum = 0, count = 0;
    for (Index v = 3 * y; v < std::min<Index>(65, 3 * y + 3); ++v)
      for (Index u = 2 * x; u < 2 * x + 2; ++u, ++count)
        sum += set.sample(image)[static_cast<std::size_t>((channel * 65 + v) * 34 + u)];
    return sum / count;
  };
  for (const auto& [y, x] : {std::pair<Index, Index>{0, 0}, {3, 16}, {21, 0}, {21, 16}})
    CHECK(std::abs(small.sample(0)[static_cast<std::size_t>((22 + y) * 17 + x)] -
                   block_mean(1, 1, y, x)) <= 0.5);
  // Enlarged, a plane that rises evenly rises evenly, but for the last half of a small pixel.
  Dataset large = data::empty_like(set), ramp = data::empty_like(small);
  ramp.labels = {2};
  for (Index at = 0; at < 2 * 22 * 17; ++at)
    ramp.pixels.push_back(static_cast<std::uint8_t>(6 * (at / 17 % 22) + 4 * (at % 17)));
  gan::append_enlarged(large, ramp);
  CHECK(large.labels == std::vector<data::Label>{2});
  REQUIRE(large.pixels.size() == 2 * 65 * 34);
  for (Index y = 1; y < 64; ++y)
    for (Index x = 1; x < 33; ++x) {
      const double expected = 2.0 * static_cast<double>(y - 1) + static_cast<double>(2 * x - 1);
      CHECK(std::abs(large.sample(0)[static_cast<std::size_t>((65 + y) * 34 + x)] - expected) <=
            0.51);
    }
  CHECK_THROWS_WITH_AS(gan::append_enlarged(large, set),
                       "append_enlarged: images of 2x65x34; expected 2x22x17", Error);
  // What is small enough stays as it is.
  const Dataset same = gan::small_images(digits(20), std::vector<Index>{3, 4});
  CHECK(same.pixels == data::select_samples(digits(20), std::vector<Index>{3, 4}).pixels);

  // Two classes that differ in large things only: a large image takes no longer than a small one.
  const auto halves = [](Index side, std::uint64_t draw, Index count) {
    Dataset out;
    out.name = "halves";
    out.height = out.width = side;
    out.classes = 2;
    const Random random(draw, Stream::user);
    for (Index i = 0; i < count; ++i) {
      out.labels.push_back(static_cast<data::Label>(i % 2));
      for (Index p = 0; p < side * side; ++p)
        out.pixels.push_back(static_cast<std::uint8_t>(
            (p / side < side / 2) == (i % 2 == 0)
                ? 128 + random.below(static_cast<std::uint64_t>(i * side * side + p), 128)
                : 0));
    }
    out.full_size = out.size();
    return out;
  };
  const Dataset real = halves(128, 1, 60);
  const Quality q = gan::check_images(halves(128, 2, 60), real,
                                      {.train = data::count_up(20), .held_out = data::count_up(60)},
                                      seed, {.steps = 40})
                        .value();
  CHECK(q.informedness > 0.9);
  CHECK(q.distinct == 1);
  CHECK(q.nearest_generated > 0);
  CHECK(q.nearest_generated < 32);
}

TEST_CASE("quality: whoever asks to stop is heard at every stage") {
  const Setting s;
  GeneratorNet<float> net({.images = {.classes = classes}, .width = 4});
  net.initialize(1);
  struct Count {
    int asked = 0, most = 0;
    static bool ask(void* self) {
      Count& count = *static_cast<Count*>(self);
      return ++count.asked > count.most;
    }
  };
  const auto check = [&](Count& count) {
    return gan::check_quality(net, s.set, s.samples, {.gaussian = true},
                              {.steps = 20, .stop = {&Count::ask, &count}});
  };
  Count never{.most = 100000};
  REQUIRE(check(never).has_value());
  // 7 batches of each class, 64 neighbours of either kind, 20 steps, 90 samples in two batches.
  CHECK(never.asked == 3 * 7 + 2 * 64 + 20 + 2);
  for (int most = 0; most < never.asked; most += most < 3 ? 1 : 13) {
    Count count{.most = most};
    CHECK_FALSE(check(count).has_value());
    CHECK(count.asked == most + 1);  // not once more
  }
}

TEST_CASE("quality: training samples are found again, repeated images are counted once") {
  const Setting s;
  const Quality memorised = s.check(data::select_samples(s.set, s.samples.train));
  CHECK(memorised.failed().empty());  // that is not what the accuracy tells
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
  const Quality q =
      gan::check_images(generated, set, {.train = {0, 1}, .held_out = {2}}, seed).value();
  CHECK(q.nearest_generated == doctest::Approx(0.5));  // 0.6 and 0.8 from black, and 0
  CHECK(q.nearest_held_out == doctest::Approx(0.2));
  const Quality none = gan::check_images(generated, set, {.train = {0, 1}, .held_out = {2}}, seed,
                                         {.memorisation = false})
                           .value();
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
  const Quality one = gan::check_quality(untrained, set, samples, {.gaussian = true}).value();
  CHECK_FALSE(one.checked);
  CHECK(one.failed().empty());
  CHECK(one.classes.empty());
  CHECK(one.distinct == 1);
  CHECK(one.nearest_held_out > 1);
  CHECK(one.nearest_generated > one.nearest_held_out);

  // It is the held-out samples that count: of the other classes there may have been one each.
  const auto check = [&](Index held_out_classes) {
    return gan::check_images(s.others, s.set, below(s, held_out_classes), seed, {.steps = 60})
        .value();
  };
  CHECK_FALSE(check(0).checked);
  CHECK_FALSE(check(1).checked);
  CHECK(check(2).checked);
  CHECK(check(2).classes == std::vector<std::uint32_t>{0, 1});
}

}  // namespace quality_test
