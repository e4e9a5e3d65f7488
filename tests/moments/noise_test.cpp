// Whether the noise in what is released is as stated.

#include <doctest/doctest.h>

#include <cmath>

#include "moments/small_set.hpp"

namespace moments_noise_test {

using namespace moments_test;
using namespace iotsl::moments;

namespace {

/// rms((with - without) / sigma), and how many numbers.
double spread(const std::vector<std::int64_t>& with, const std::vector<std::int64_t>& without,
              std::uint64_t variance) {
  double squares = 0;
  for (std::size_t i = 0; i < with.size(); ++i) {
    const auto off = static_cast<double>(with[i] - without[i]);
    squares += off * off / static_cast<double>(variance);
  }
  return std::sqrt(squares / static_cast<double>(with.size()));
}
double tolerance(std::size_t numbers) { return 4 / std::sqrt(2 * static_cast<double>(numbers)); }

}  // namespace

TEST_CASE("every step's noise has the standard deviation that its mu asks for") {
  const data::Dataset set = random_set({}, 30);
  const std::vector<Index> all = data::count_up(set.size());
  Settings s = quick();
  s.mu = 1.5;
  Trainer trainer(set, all, s, privacy::seeded_noise_key(8));

  // The whole release: mu^2 is the sum of all steps' bound^2 / variance.
  double mu_squared = 0;
  const auto spend = [&](const Disclosure& d) {
    mu_squared += static_cast<double>(d.bound) * static_cast<double>(d.bound) /
                  static_cast<double>(d.variance);
    CHECK(d.variance >= std::uint64_t{1} << 40);
  };
  const Disclosure moments = trainer.step();
  spend(moments);
  CHECK(std::abs(spread(moments.sums, class_sums(set, all, s), moments.variance) - 1) <
        tolerance(moments.sums.size()));
  const Disclosure centre = trainer.step();
  spend(centre);
  CHECK(std::abs(spread(centre.sums, feature_sums(set, all, s), centre.variance) - 1) <
        tolerance(centre.sums.size()));

  // The first step of the head begins at weights 0, so that its exact sums can be computed here.
  const Disclosure first = trainer.step();
  spend(first);
  std::vector<float> mean;
  const double unit = 1 / (static_cast<double>(centre.bound) * static_cast<double>(set.size()));
  for (const std::int64_t v : centre.sums)
    mean.push_back(static_cast<float>(
        std::floor(std::clamp(static_cast<double>(v) * unit * 32768, -32767.0, 32767.0) + 0.5) /
        32768));
  const HeadInput input({}, mean, s.head_constant);
  const HeadData data = head_data(set, all, input, data::count_up(10), 10);
  const std::vector<float> zero(static_cast<std::size_t>(10 * input.size()));
  CHECK(std::abs(spread(first.sums, gradient_sums(data, zero, s.head_clip, head_scale(s)),
                        first.variance) -
                 1) < tolerance(first.sums.size()));
  while (!trainer.done()) spend(trainer.step());
  CHECK(std::sqrt(mu_squared) <= s.mu);
  CHECK(std::sqrt(mu_squared) == doctest::Approx(s.mu).epsilon(1e-5));
}

TEST_CASE("a private release is never the same twice, a plain one always") {
  const data::Dataset set = random_set({}, 20);
  const auto release = [&](bool noise) {
    const Result<privacy::ChaChaKey> key = privacy::new_noise_key();
    REQUIRE(key.ok());
    Trainer trainer(set, data::count_up(set.size()), quick(noise), *key);
    while (!trainer.done()) trainer.step();
    return std::pair(serialize_sums(trainer.release()), serialize_head(trainer.release()));
  };
  const auto a = release(true), b = release(true);
  CHECK(a.first != b.first);
  CHECK(a.second != b.second);
  CHECK(release(false) == release(false));
  // Seeded noise, for tests.
  CHECK(serialize_sums(train(set, quick(), 3)) == serialize_sums(train(set, quick(), 3)));
  CHECK(serialize_sums(train(set, quick(), 3)) != serialize_sums(train(set, quick(), 4)));
}

TEST_CASE("steps use different noise") {
  const privacy::ChaChaKey key = privacy::seeded_noise_key(1);
  std::vector<std::int64_t> a(100), b(100), again(100);
  const auto fill = [&](std::vector<std::int64_t>& sums, std::uint32_t step) {
    privacy::SecureRandom random = privacy::step_random(key, step);
    add_noise(sums, std::uint64_t{1} << 48, random);
  };
  fill(a, 0);
  fill(b, 1);
  fill(again, 0);
  CHECK(a == again);
  int equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  CHECK(equal < 2);
}

TEST_CASE("budgets: shares of mu^2, epsilon never above what was asked for") {
  for (const double epsilon : {0.5, 1.0, 3.0, 10.0, 50.0}) {
    const Result<double> mu = mu_for(epsilon, 1e-5);
    REQUIRE(mu.ok());
    Settings s;
    s.mu = *mu;
    CHECK(stated_epsilon(s, 1e-5) <= epsilon);
    CHECK(stated_epsilon(s, 1e-5) == doctest::Approx(epsilon).epsilon(1e-4));
    const Budget parts = budget(s);
    CHECK(parts.moments * parts.moments + parts.centre * parts.centre + parts.head * parts.head ==
          doctest::Approx(s.mu * s.mu));
    CHECK(head_scale(s).variance <= privacy::DiscreteGaussian::max_variance);
    CHECK(head_scale(s).variance >= std::uint64_t{1} << 40);
  }
  CHECK(*mu_for(10, 1e-5) == doctest::Approx(2.0).epsilon(1e-3));
  CHECK_FALSE(mu_for(1e9, 1e-5).ok());
  CHECK_FALSE(mu_for(1, 2).ok());
  CHECK_FALSE(mu_for(std::nan(""), 1e-5).ok());
}

}  // namespace moments_noise_test
