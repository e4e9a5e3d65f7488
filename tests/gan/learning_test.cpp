// Does a generator learn? Its images are compared with real ones, and so are images that it must
// beat.

#include <doctest/doctest.h>

#include <cmath>

#include "gan/small_training.hpp"

namespace learning_test {

using namespace small_training;
using gan::GanProgress;
using gan::GanSettings;
using gan::GanTrainer;

/// Images of one class, pixels in [0,1].
using Images = std::vector<std::vector<float>>;

Images images_of(const data::Dataset& set, data::Label label, std::size_t most) {
  Images out;
  for (Index i = 0; i < set.size() && out.size() < most; ++i) {
    if (set.labels[static_cast<std::size_t>(i)] != label) continue;
    for (std::vector<float>& image = out.emplace_back(); const std::uint8_t value : set.sample(i))
      image.push_back(static_cast<float>(value) / 255);
  }
  return out;
}

/// Mean distance of two different images, one from each set.
double mean_distance(const Images& from, const Images& to) {
  double sum = 0;
  std::size_t pairs = 0;
  for (const std::vector<float>& a : from)
    for (const std::vector<float>& b : to) {
      if (&a == &b) continue;
      float squares = 0;
      for (std::size_t k = 0; k < a.size(); ++k) squares += (a[k] - b[k]) * (a[k] - b[k]);
      sum += std::sqrt(static_cast<double>(squares));
      ++pairs;
    }
  return sum / static_cast<double>(pairs);
}

/// Energy distance (Szekely, Rizzo 2013): 0 for samples of one distribution, on average. A single
/// image, however typical, stays away from 0: it lacks the variety.
double energy_distance(const Images& a, const Images& b) {
  return 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b);
}

TEST_CASE("learning: generated digits come close to real ones of their class" *
          doctest::test_suite("slow")) {
  constexpr Index classes = 3;
  constexpr std::size_t each = 64;
  const data::Dataset set = digits(1500, classes);
  const data::Dataset real = data::make_glyphs(data::Split::test, 1000);
  GanSettings s = settings(200);
  s.width = 8;
  s.batch = 16;
  s.critic_steps = 5;
  s.average = 0.95;
  GanTrainer trainer(set, all_of(set), s, 1, 0);
  const auto make = [&] {
    const gan::TrainedNet made = trainer.finish().value();
    data::Dataset out = gan::empty_set("generated", made.net.spec().images);
    for (Index label = 0; label < classes; ++label)
      gan::append_generated(out, made.net, label, 200, {.seed = 1});
    return out;
  };
  const data::Dataset untrained = make();
  std::vector<double> windows;  // means of ten iterations
  double last_penalty = 0;
  while (!trainer.done()) {
    const GanProgress now = trainer.step().value();
    if (now.iteration % 10 == 1) windows.push_back(0);
    windows.back() += now.wasserstein / 10;
    CHECK(now.iteration == trainer.iteration());
    CHECK(now.quality == -1);
    last_penalty = now.penalty;
  }
  const data::Dataset trained = make();

  // At first the critic learns to tell the images apart and the estimate rises; then the generator
  // learns.
  const double highest = *std::max_element(windows.begin(), windows.end());
  INFO("highest ", highest, ", last ", windows.back());
  CHECK(windows.back() < 0.75 * highest);
  CHECK(windows.back() > 0);
  CHECK(last_penalty < 0.5);  // the critic's slope is not far from 1

  for (data::Label label = 0; label < classes; ++label) {
    CAPTURE(label);
    const Images target = images_of(real, label, each), seen = images_of(set, label, 1000);
    std::vector<float> mean(784);
    for (const std::vector<float>& image : seen)
      for (std::size_t k = 0; k < mean.size(); ++k)
        mean[k] += image[k] / static_cast<float>(seen.size());
    const auto away = [&](const Images& images) { return energy_distance(images, target); };
    const double black = away(Images(each, std::vector<float>(784))),
                 always_mean = away(Images(each, mean)),
                 before = away(images_of(untrained, label, each)),
                 after = away(images_of(trained, label, each)),
                 other_class = away(
                     images_of(trained, static_cast<data::Label>((label + 1) % classes), each));
    INFO("before ", before, ", after ", after, ", black ", black, ", mean ", always_mean,
         ", other class ", other_class);
    CHECK(std::abs(away(images_of(set, label, each))) < 0.2);
    CHECK(after < 0.2 * before);
    CHECK(after < 0.5 * always_mean);
    CHECK(always_mean < black);
    CHECK(after < 0.7 * other_class);
  }

  // Classes are told apart by what was generated. Guessing: 1/3.
  std::vector<Index> tested;
  for (Index i = 0; i < real.size(); ++i)
    if (real.labels[static_cast<std::size_t>(i)] < classes) tested.push_back(i);
  const auto accuracy = [&](const data::Dataset& generated) {
    return gan::check_images(generated, real, {.train = {}, .held_out = tested}, 1,
                             {.steps = 100, .memorisation = false})
        ->accuracy;
  };
  CHECK(accuracy(untrained) < 0.5);
  CHECK(accuracy(trained) > 0.55);
}

}  // namespace learning_test
