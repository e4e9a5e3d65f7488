// What several releases know together.

#include "iotsl/moments/ensemble.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "moments/small_set.hpp"

namespace ensemble_test {

using namespace moments_test;
using namespace iotsl::moments;

namespace {

Release part(const data::Dataset& set, std::span<const Index> samples, const Settings& s,
             std::uint64_t key) {
  return train(data::select_samples(set, samples), s, key);
}

}  // namespace

TEST_CASE("two halves have the Gaussians of the whole") {
  const data::Dataset set = random_set({1, 8, 8, 3}, 300);
  const std::vector<Index> all = data::count_up(300);
  const std::span<const Index> samples(all);
  Settings s = quick(false);
  MomentSums sums(part(set, samples.first(100), s, 1));
  sums.add(MomentSums(part(set, samples.subspan(100), s, 2)));
  const MomentSums whole(train(set, s));
  CHECK(sums.counts() == whole.counts());
  CHECK(sums.records() == 300);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 36; ++i)
      CHECK(sums.mean(c)[i] == doctest::Approx(whole.mean(c)[i]).epsilon(1e-5));
    const NoisedMatrix a = sums.second(c), b = whole.second(c);
    double worst = 0;
    for (std::size_t i = 0; i < a.values.size(); ++i)
      worst = std::max(worst, std::abs(a.values[i] - b.values[i]));
    CHECK(worst < 1e-5);
  }
  // With noise: variances add, so that the noise on means of twice the images is 1/sqrt 2.
  s.noise = true;
  const Release one = part(set, samples.first(150), s, 1);
  MomentSums noised(one);
  const double before = noised.second(0).noise;
  noised.add(MomentSums(part(set, samples.subspan(150), s, 2)));
  CHECK(noised.second(0).noise == doctest::Approx(before / std::sqrt(2.0)));
  CHECK(noised.pooled_second().noise ==
        doctest::Approx(MomentSums(one).pooled_second().noise / std::sqrt(2.0)));
}

TEST_CASE("an ensemble of one is its head") {
  const data::Dataset set = data::make_glyphs(data::Split::train, 300);
  const Release r = train(set, quick());
  const Ensemble ensemble = Ensemble::of({r}).value();
  const Head head(r);
  data::Dataset drawn = data::empty_like(set);
  CHECK(ensemble.append(drawn, 4, 5, 1));
  CHECK(drawn.size() == 5);
  const std::vector<float> soft = ensemble.soft_labels(drawn);
  REQUIRE(soft.size() == 50);
  for (Index i = 0; i < 5; ++i) {
    const std::vector<double> p = head(drawn.sample(i));
    for (std::size_t c = 0; c < 10; ++c)
      CHECK(static_cast<double>(soft[static_cast<std::size_t>(i) * 10 + c]) ==
            doctest::Approx(p[c]).epsilon(1e-4));
  }
  // Asking for more images changes none.
  data::Dataset more = data::empty_like(set);
  ensemble.append(more, 4, 90, 1);
  CHECK(std::equal(drawn.pixels.begin(), drawn.pixels.end(), more.pixels.begin()));
}

TEST_CASE("devices with different classes: each knows its own") {
  const data::Dataset set = random_set({1, 8, 8, 5}, 200);
  std::vector<Index> first, second, third;
  for (Index i = 0; i < 200; ++i) {
    const Index label = i % 5;
    if (label <= 1) first.push_back(i);
    if (label == 1 || label == 2) second.push_back(i);
    if (label == 3) third.push_back(i);
  }
  const std::vector<Release> releases{part(set, first, quick(), 1), part(set, second, quick(), 2),
                                      part(set, third, quick(), 3)};
  const Ensemble ensemble = Ensemble::of(releases).value();
  const bool expected[] = {true, true, true, true, false};
  for (Index c = 0; c < 5; ++c) CHECK(ensemble.holds(c) == expected[c]);
  CHECK_FALSE(ensemble.holds(5));
  CHECK(ensemble.counts() == std::vector<std::uint64_t>{40, 80, 40, 40, 0});
  data::Dataset drawn = data::empty_like(set);
  for (Index c = 0; c < 4; ++c) ensemble.append(drawn, c, 1, 1);
  const std::vector<float> soft = ensemble.soft_labels(drawn);
  const auto at = [&](std::size_t i, std::size_t c) { return soft[i * 5 + c]; };
  for (std::size_t i = 0; i < 4; ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < 5; ++c) sum += at(i, c);
    CHECK(sum == doctest::Approx(1));
  }
  CHECK(at(0, 2) == 0);  // no head knows 0 and 2
  CHECK(at(0, 1) > 0);
  CHECK(at(1, 0) > 0);
  CHECK(at(1, 2) > 0);
  CHECK(at(1, 3) == 0);
  CHECK(at(3, 3) == 1);  // known to one device that has nothing else
}

TEST_CASE("releases that do not go together") {
  const Release r = train(random_set({1, 8, 8, 3}, 30), quick());
  CHECK_FALSE(Ensemble::of({}).ok());
  CHECK_FALSE(Ensemble::of({r, train(random_set({1, 9, 8, 3}, 30), quick())}).ok());
  Settings other = quick();
  other.side = 5;
  CHECK_FALSE(Ensemble::of({r, train(random_set({1, 8, 8, 3}, 30), other)}).ok());
  other = quick();
  other.mu = 0.5;  // another epsilon is no obstacle
  CHECK(Ensemble::of({r, train(random_set({1, 8, 8, 3}, 30), other)}).ok());
}

}  // namespace ensemble_test
