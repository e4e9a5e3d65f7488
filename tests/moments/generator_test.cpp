// Images from a release.

#include "iotsl/moments/generator.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "moments/small_set.hpp"

namespace moments_generator_test {

using namespace moments_test;
using namespace iotsl::moments;

TEST_CASE("image i depends on nothing but release, seed, number, label and i") {
  const Generator generator(train(data::make_glyphs(data::Split::train, 200), quick()));
  const std::vector<std::uint8_t> many = draw(generator, 3, 150);
  for (const Index count : {0, 1, 63, 64, 65, 149}) {
    const std::vector<std::uint8_t> few = draw(generator, 3, count);
    CHECK(static_cast<Index>(few.size()) == count * 784);
    CHECK(std::equal(few.begin(), few.end(), many.begin()));
  }
  const int usual = threads();
  set_threads(1);
  CHECK(draw(generator, 3, 150) == many);
  set_threads(2);
  CHECK(draw(generator, 3, 150) == many);
  set_threads(usual);
  CHECK(draw(generator, 3, 150, 2) != many);
  CHECK(draw(generator, 3, 150, 1, 1) != many);
  CHECK(draw(generator, 4, 150) != many);
  // Appending leaves what is there.
  data::Dataset set = data::empty_like(data::make_glyphs(data::Split::test, 1));
  CHECK(generator.append(set, 9, 2, 1));
  CHECK(generator.append(set, 3, 150, 1));
  CHECK(set.labels.front() == 9);
  CHECK(set.labels.back() == 3);
  CHECK(set.full_size == 152);
  CHECK(std::equal(many.begin(), many.end(), set.pixels.begin() + 2 * 784));
  // Stopped after the second batch.
  int asked = 0;
  auto stop = [&] { return ++asked > 2; };
  CHECK_FALSE(generator.append(set, 3, 1000, 1, 0, StopCheck::of(stop)));
  CHECK(set.size() == 152 + 128);
  CHECK(set.pixels.size() == set.labels.size() * 784);
}

TEST_CASE("without noise the Gaussians are the classes' means and covariances") {
  const ImageSpec images{1, 8, 8, 2};
  data::Dataset set = random_set(images, 400, 3);
  for (std::uint8_t& v : set.pixels) v /= 4;  // below the clip norm
  Settings s = quick(false);
  s.side = 8;
  s.norm = 1;
  const Release r = train(set, s);
  const std::vector<ClassGaussian> gaussians = class_gaussians(MomentSums(r));
  const CosineTransform transform(coef_shape(s, images), images);
  for (Index label = 0; label < 2; ++label) {
    // Plain doubles, image by image.
    std::vector<double> mean(64), square(64 * 64), x(64);
    for (Index i = label; i < 400; i += 2) {
      transform.forward(set.sample(i), x);
      for (std::size_t a = 0; a < 64; ++a) {
        mean[a] += x[a] / 200;
        for (std::size_t b = 0; b < 64; ++b) square[a * 64 + b] += x[a] * x[b] / 200;
      }
    }
    const ClassGaussian& own = gaussians[static_cast<std::size_t>(label)];
    CHECK(own.rank() == 64);
    double worst_mean = 0, worst = 0;
    for (std::size_t a = 0; a < 64; ++a) {
      worst_mean = std::max(worst_mean, std::abs(own.mean[a] - mean[a]));
      for (std::size_t b = 0; b < 64; ++b) {
        double covariance = 0;
        for (std::size_t k = 0; k < 64; ++k)
          covariance += own.factors[k * 64 + a] * own.factors[k * 64 + b];
        worst = std::max(worst, std::abs(covariance - square[a * 64 + b] + mean[a] * mean[b]));
      }
    }
    CHECK(worst_mean < 1e-4);
    CHECK(worst < 1e-3);
  }
}

TEST_CASE("noise shrinks: to no directions at all where there is nothing but noise") {
  const data::Dataset set = data::make_glyphs(data::Split::train, 100);
  Settings s = quick();
  s.mu = 0.02;
  for (const ClassGaussian& g : class_gaussians(MomentSums(train(set, s)))) CHECK(g.rank() <= 2);
  s.mu = 40;
  for (const ClassGaussian& g : class_gaussians(MomentSums(train(set, s)))) CHECK(g.rank() >= 3);
}

TEST_CASE("what few directions leave of the variance is spread over the coefficients") {
  const data::Dataset set = data::make_glyphs(data::Split::train, 6000);
  const std::vector<ClassGaussian> exact = class_gaussians(MomentSums(train(set, quick(false))));
  const std::vector<ClassGaussian> noised = class_gaussians(MomentSums(train(set, quick())));
  for (std::size_t c = 0; c < 10; ++c) {
    double all = 0, known = 0, spread = 0;
    for (const double v : exact[c].factors) all += v * v;
    for (const double v : noised[c].factors) known += v * v;
    for (const double v : noised[c].spread) spread += v * v;
    CHECK(noised[c].rank() < exact[c].rank());
    CHECK(known + spread == doctest::Approx(all).epsilon(0.25));
  }
}

TEST_CASE("images vary in contrast, brightness and noise as the settings say") {
  Release r = train(data::make_glyphs(data::Split::train, 300), quick());
  r.settings.contrast_share = 0;
  r.settings.brightness = 1;
  r.settings.pixel_noise = 0;
  const auto plain = draw(Generator(r), 2, 40);
  const auto mean = [](const std::vector<std::uint8_t>& pixels) {
    double sum = 0;
    for (const std::uint8_t v : pixels) sum += v;
    return sum / static_cast<double>(pixels.size());
  };
  const auto rough = [](const std::vector<std::uint8_t>& pixels) {
    double sum = 0;
    for (std::size_t i = 1; i < pixels.size(); ++i) sum += std::abs(pixels[i] - pixels[i - 1]);
    return sum / static_cast<double>(pixels.size());
  };
  Release other = r;
  other.settings.brightness = 3;
  const auto bright = draw(Generator(other), 2, 40);
  CHECK(mean(bright) > 1.2 * mean(plain));
  CHECK(draw(Generator(other), 2, 40) == bright);
  other = r;
  other.settings.pixel_noise = 0.5;
  CHECK(rough(draw(Generator(other), 2, 40)) > 2 * rough(plain));
  other = r;
  other.settings.contrast_share = 1;
  CHECK(rough(draw(Generator(other), 2, 40)) > 1.2 * rough(plain));
}

TEST_CASE("the head knows the digits that it was trained on, and picks the images") {
  const data::Dataset train_set = data::make_glyphs(data::Split::train, 3000);
  const data::Dataset test = data::make_glyphs(data::Split::test, 500);
  Settings s;
  s.head_steps = 30;
  const auto accuracy = [&](bool noise) {
    s.noise = noise;
    const Release r = round_trip(train(train_set, s)).value();
    const Head head(r);
    int right = 0;
    for (Index i = 0; i < test.size(); ++i) {
      const std::vector<double> chances = head(test.sample(i));
      right += std::max_element(chances.begin(), chances.end()) - chances.begin() ==
               test.labels[static_cast<std::size_t>(i)];
    }
    // Images that the generator keeps are those on which the head agrees, if it does in time.
    const auto agreed = [&](Index redraws) {
      Release own = r;
      own.settings.max_redraws = redraws;
      own.settings.brightness = 1;  // what varies images after the head has agreed
      own.settings.pixel_noise = 0;
      const Generator generator(own);
      data::Dataset drawn = data::empty_like(test);
      for (Index label = 0; label < 10; ++label) generator.append(drawn, label, 20, 1);
      int out = 0;
      for (Index i = 0; i < drawn.size(); ++i) {
        const std::vector<double> chances = head(drawn.sample(i));
        out += std::max_element(chances.begin(), chances.end()) - chances.begin() ==
               drawn.labels[static_cast<std::size_t>(i)];
      }
      return out;
    };
    const int at_once = agreed(0);
    CHECK(at_once < 190);
    CHECK(agreed(8) > at_once);
    CHECK(agreed(100) >= 195);
    return right / 5.0;
  };
  CHECK(accuracy(false) > 90);
  CHECK(accuracy(true) > 60);
}

}  // namespace moments_generator_test
