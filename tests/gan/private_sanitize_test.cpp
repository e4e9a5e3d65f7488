// Clipping and noise of private trainings: the bound as a property, what two neighbouring data sets
// can differ by, and the noise that is stated.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "gan/small_training.hpp"
#include "iotsl/gan/private/noised_critic.hpp"
#include "iotsl/gan/private/noised_generator.hpp"

namespace private_sanitize_test {

using namespace small_training;
using gan::NoisePlan;
using privacy::PrivacyMode;

constexpr PrivacyMode generator_modes[] = {PrivacyMode::eq5, PrivacyMode::gswgan,
                                           PrivacyMode::joint};

privacy::SecureRandom seeded(std::uint64_t seed) {
  return privacy::SecureRandom(privacy::seeded_noise_key(seed));
}

double norm(std::span<const float> values) {
  long double sum = 0;
  for (const float v : values) sum += static_cast<long double>(v) * static_cast<long double>(v);
  return static_cast<double>(std::sqrt(sum));
}

/// Values of very different sizes; with `bad` one of them is NaN or infinite.
Tensor<float> random_rows(Index rows, Index cols, std::uint64_t seed, bool bad) {
  const Random random(seed, Stream::user);
  Tensor<float> out = Tensor<float>::uninitialized(Shape{rows, cols});
  const double size = std::pow(10, 76 * random.uniform(1) - 40);
  for (Index i = 0; i < out.size(); ++i)
    out.mutable_data()[i] =
        static_cast<float>(size * random.normal(static_cast<std::uint64_t>(i) + 100));
  constexpr float worst[] = {std::numeric_limits<float>::quiet_NaN(),
                             std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity()};
  if (bad)
    out.mutable_data()[random.below(2, static_cast<std::uint64_t>(out.size()))] = worst[seed % 3];
  return out;
}

TEST_CASE("sanitize: no vector is longer than the bound, whatever it holds") {
  privacy::SecureRandom unused = seeded(1);
  int clipped = 0, kept = 0;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    CAPTURE(seed);
    const bool bad = seed % 4 == 0;
    const double bound = std::pow(10, 8 * Random(seed, Stream::user).uniform(0) - 4);
    const Tensor<float> before = random_rows(3, 1 + static_cast<Index>(seed % 90), seed, bad);
    std::vector<Tensor<float>> whole{random_rows(3, 1 + static_cast<Index>(seed % 90), seed, bad)};
    gan::sanitize_together(whole, bound, 0, unused);
    CHECK(norm(gan::values_of(whole[0])) <= bound * (1 + 1e-6));  // rounded to float afterwards
    const double was = norm(gan::values_of(before));
    if (bad) {
      CHECK(norm(gan::values_of(whole[0])) == 0);
      continue;
    }
    const bool inside = was < bound * (1 - 1e-9);
    ++(inside ? kept : clipped);
    for (Index i = 0; i < before.size(); ++i) {
      const double expected = before.data()[i] * (inside ? 1 : bound / was);
      CHECK(whole[0].data()[i] == doctest::Approx(expected).epsilon(1e-5));
    }
  }
  CHECK(clipped > 50);
  CHECK(kept > 50);
}

TEST_CASE("sanitize: before it is rounded, nothing is longer than the bound at all") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Tensor<float> values = random_rows(1, 200, seed, false);
    std::vector<double> sum(200);
    gan::add_scaled(gan::values_of(values),
                    gan::clip_factor(gan::squared_norm(gan::values_of(values)), 0.1), sum);
    long double squared = 0;
    for (const double v : sum) squared += static_cast<long double>(v) * static_cast<long double>(v);
    CHECK(std::sqrt(squared) <= 0.1L);
  }
}

TEST_CASE("sanitize: rows are clipped one by one, and one with NaN takes no other with it") {
  privacy::SecureRandom unused = seeded(1);
  Tensor<float> rows = Tensor<float>::full(Shape{3, 4}, 1.0F);
  rows.mutable_data()[5] = std::nanf("");
  rows.mutable_data()[8] = 100;
  gan::sanitize_rows(rows, 1, 0, unused);
  const std::span<const float> all = gan::values_of(rows);
  CHECK(all[0] == doctest::Approx(0.5));
  CHECK(norm(all.subspan(4, 4)) == 0);
  CHECK(norm(all.subspan(8, 4)) == doctest::Approx(1));
}

TEST_CASE("noise scale: what is clipped, noised and stated") {
  const auto scale = [](PrivacyMode mode) {
    return gan::noise_scale({.mode = mode, .sigma = 1.5, .clip = 2}, 16);
  };
  const auto check = [&](PrivacyMode mode, double bound, double deviation, double sensitivity,
                         double replaced) {
    CAPTURE(mode);
    CHECK(scale(mode).bound == doctest::Approx(bound));
    CHECK(scale(mode).deviation == doctest::Approx(deviation));
    CHECK(scale(mode).sensitivity == doctest::Approx(sensitivity));
    CHECK(scale(mode).sensitivity_replace_one == doctest::Approx(replaced));
  };
  check(PrivacyMode::eq5, 2, 3, 4, 4);             // multiplier sigma / 2
  check(PrivacyMode::gswgan, 0.125, 0.375, 1, 1);  // sigma / sqrt(16)
  check(PrivacyMode::joint, 2, 6, 4, 4);           // sigma
  check(PrivacyMode::dp_sgd, 2, 3, 2, 4);          // sigma, and half of it
}

/// A generator, and critics that are trained on neighbouring sets: the second has another image in
/// one place.
struct Neighbours {
  data::Dataset set = digits(120, 3), other = set;
  gan::GanSettings s = settings(1);
  GeneratorNet<float> generator{gan::generator_spec(s, gan::image_spec(set))};
  CriticNet<float> first{gan::image_spec(set), s.width}, second{gan::image_spec(set), s.width};
  std::vector<std::int32_t> labels{0, 1, 2, 0, 1, 2, 1, 1};
  Tensor<float> noise = gan::draw_noise(8, s.latent, false, Random(3, Stream::user), 0);

  Neighbours() {
    generator.initialize(1);
    first.initialize(2);
    second.initialize(2);
    for (Index i = 0; i < set.sample_elems(); ++i)
      other.pixels[static_cast<std::size_t>(i)] =
          static_cast<std::uint8_t>(255 - set.pixels[static_cast<std::size_t>(i)]);
    train(first, set);
    train(second, other);
  }
  /// Some steps in which the first image takes part, at a rate that makes the most of it.
  void train(CriticNet<float>& critic, const data::Dataset& on) const {
    Optimizer<float> adam(critic.parameters(), {.kind = OptimizerKind::adam, .lr = 0.02});
    for (int k = 0; k < 6; ++k) {
      const data::Batch batch = data::fetch_batch(on, std::vector<Index>{0, 1, 2, 3});
      Tensor<float> fake;
      {
        const NoRecord values_only;
        fake = generator.forward(gan::draw_noise(4, s.latent, false, Random(4, Stream::user), 0),
                                 batch.labels);
      }
      critic.follow_spectrum();
      const auto loss = gan::critic_loss<float>(critic, batch.x, fake, batch.labels,
                                                Tensor<float>::full(Shape{4}, 0.5F));
      REQUIRE(gan::update_net("critic", loss.total, adam).ok());
    }
  }
  /// What a step gives away of a critic, as one vector.
  std::vector<float> released(const CriticNet<float>& critic, const NoisePlan& plan,
                              std::uint64_t key = 1) const {
    privacy::SecureRandom random = seeded(key);
    const gan::Generated generated{generator.forward(noise, labels), labels};
    std::vector<Tensor<float>> parts{gan::noised_upstream(critic, generated, plan, random)};
    if (plan.mode == PrivacyMode::eq5)
      parts = gan::noised_generator_gradient(generator, critic, generated, plan, random);
    std::vector<float> out;
    for (const Tensor<float>& p : parts) out.insert(out.end(), p.data(), p.data() + p.size());
    return out;
  }
};

std::vector<float> difference(std::vector<float> a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

TEST_CASE("private modes: neighbouring sets move the clipped gradient by the sensitivity at most") {
  const Neighbours two;
  for (const PrivacyMode mode : generator_modes)
    for (const double clip : {1e-4, 1.0}) {
      CAPTURE(mode);
      CAPTURE(clip);
      const NoisePlan plan{.mode = mode, .sigma = 0, .clip = clip};
      const auto a = two.released(two.first, plan), b = two.released(two.second, plan);
      const double moved = norm(difference(a, b));
      CHECK(moved > 0);
      CHECK(moved <= gan::noise_scale(plan, 8).sensitivity * (1 + 1e-6));
    }
}

TEST_CASE("private modes: the sensitivity is reached, by critics that say the opposite") {
  const Neighbours two;
  CriticNet<float> opposite(gan::image_spec(two.set), two.s.width);
  const auto from = collect_state(two.first), to = collect_state(opposite);
  const auto copy = [](const auto& source, const auto& target) {
    for (std::size_t i = 0; i < source.size(); ++i) {
      Tensor<float> values = target[i].tensor;
      const bool sign = source[i].name == "linear.weight" || source[i].name == "embedding.weight" ||
                        source[i].name == "linear.u" || source[i].name == "embedding.u";
      for (Index k = 0; k < values.size(); ++k)
        values.mutable_data()[k] = source[i].tensor.data()[k];
      if (sign && source[i].name.ends_with("weight"))
        for (Index k = 0; k < values.size(); ++k) values.mutable_data()[k] *= -1;
      if (sign && source[i].name.ends_with("u"))
        for (Index k = 0; k < values.size(); ++k) values.mutable_data()[k] *= -1;
    }
  };
  copy(from.parameters, to.parameters);
  copy(from.buffers, to.buffers);
  for (const PrivacyMode mode : generator_modes) {
    CAPTURE(mode);
    const NoisePlan plan{.mode = mode, .sigma = 0, .clip = 1e-3};
    const double moved =
        norm(difference(two.released(two.first, plan), two.released(opposite, plan)));
    CHECK(moved == doctest::Approx(gan::noise_scale(plan, 8).sensitivity).epsilon(1e-3));
  }
}

TEST_CASE("private modes: the noise has the stated deviation, and another key another noise") {
  const Neighbours two;
  for (const PrivacyMode mode : generator_modes) {
    CAPTURE(mode);
    const NoisePlan plan{.mode = mode, .sigma = 1.07, .clip = 0.5};
    NoisePlan quiet = plan;
    quiet.sigma = 0;
    const auto noised = two.released(two.first, plan);
    const auto noise = difference(noised, two.released(two.first, quiet));
    const auto n = static_cast<double>(noise.size());
    const double deviation = gan::noise_scale(plan, 8).deviation;
    CHECK(norm(noise) / std::sqrt(n) == doctest::Approx(deviation).epsilon(4 / std::sqrt(2 * n)));
    double mean = 0;
    for (const float v : noise) mean += v / n;
    CHECK(std::abs(mean) < 4 * deviation / std::sqrt(n));
    CHECK(two.released(two.first, plan) == noised);
    CHECK(two.released(two.first, plan, 2) != noised);
  }
}

/// Of dp-sgd: the summed gradient of all records of `set`, noise as in the plan.
std::vector<double> record_sum(const data::Dataset& set, std::vector<Index> samples,
                               const NoisePlan& plan, std::uint64_t key = 1) {
  gan::PrivateTask task{&set, std::move(samples), settings(1), plan, 1, {0, 1, 2}};
  CriticNet<float> critic(gan::image_spec(set), task.settings.width);
  critic.initialize(5);
  const gan::CriticLeaves leaves(critic.normalized());
  privacy::SecureRandom random = seeded(key);
  return gan::noised_record_gradient(leaves, task, 1, random);
}
double norm_of_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

TEST_CASE("dp-sgd: a record moves the sum by C at most, a replaced one by 2C, noise as stated") {
  const Neighbours two;
  for (const double clip : {1e-3, 0.5, 100.0}) {
    CAPTURE(clip);
    const NoisePlan quiet{.mode = PrivacyMode::dp_sgd, .sigma = 0, .clip = clip};
    const std::vector<Index> all = data::count_up(12), less(all.begin() + 1, all.end());
    const auto with = record_sum(two.set, all, quiet);
    const double removed = norm_of_difference(with, record_sum(two.set, less, quiet));
    const double replaced = norm_of_difference(with, record_sum(two.other, all, quiet));
    CHECK(removed > 0);
    CHECK(removed <= clip * (1 + 1e-12));
    if (clip < 0.01) CHECK(removed == doctest::Approx(clip));
    CHECK(replaced > 0);
    CHECK(replaced <= 2 * clip * (1 + 1e-12));
    NoisePlan loud = quiet;
    loud.sigma = 0.7;
    const auto noised = record_sum(two.set, all, loud);
    const auto n = static_cast<double>(with.size());
    CHECK(norm_of_difference(noised, with) / std::sqrt(n) ==
          doctest::Approx(0.7 * clip).epsilon(4 / std::sqrt(2 * n)));
    CHECK(record_sum(two.set, all, loud) == noised);
    CHECK(record_sum(two.set, all, loud, 2) != noised);
  }
}

}  // namespace private_sanitize_test
