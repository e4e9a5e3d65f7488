// Parts of mode dp-sgd: gradients of single images, Poisson batches, the ladder of critic steps.

#include <doctest/doctest.h>

#include <cmath>

#include "gan/small_training.hpp"
#include "iotsl/data/batch.hpp"
#include "iotsl/gan/private/ladder.hpp"
#include "iotsl/gan/private/per_sample.hpp"
#include "iotsl/gan/private/poisson.hpp"
#include "iotsl/privacy/noise_key.hpp"

namespace private_critic_test {

using namespace small_training;

struct Case {
  data::Dataset set = digits(60, 4);
  CriticNet<float> critic{gan::image_spec(set), 4};
  data::Batch batch = data::fetch_batch(set, data::count_up(7));
  Case() { critic.initialize(3); }

  /// The logistic loss of the whole batch as a graph: -log sigmoid(+-score), summed.
  std::vector<Tensor<float>> batch_gradient(bool real) const {
    const Tensor<float> scores = critic.normalized().forward(batch.x, batch.labels);
    const Tensor<float> loss = neg(sum(log(sigmoid(real ? scores : neg(scores)))));
    std::vector<Tensor<float>> parameters;
    for (const auto& p : critic.parameters()) parameters.push_back(p.tensor);
    return grad({loss}, parameters);
  }
};

TEST_CASE("per-sample gradients: without clipping they add up to that of the batch") {
  const Case c;
  for (const bool real : {true, false}) {
    const gan::CriticLeaves leaves(c.critic.normalized());
    std::vector<double> sum(leaves.size());
    gan::add_clipped_gradients(leaves, c.batch.x, c.batch.labels, real, 1e9, sum);
    const auto found = leaves.to_parameters(sum, 1, c.critic.parameters());
    const auto expected = c.batch_gradient(real);
    REQUIRE(found.size() == expected.size());
    double largest = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      double scale = 1e-3;
      for (Index k = 0; k < expected[i].size(); ++k)
        scale = std::max(scale, std::abs(static_cast<double>(expected[i].data()[k])));
      for (Index k = 0; k < expected[i].size(); ++k)
        CHECK(std::abs(found[i].data()[k] - expected[i].data()[k]) < 1e-4 * scale);
      largest = std::max(largest, scale);
    }
    CHECK(largest > 0.01);
  }
}

TEST_CASE("per-sample gradients: each is clipped by itself, and one with NaN counts as nothing") {
  Case c;
  const auto sum_of = [&](const Tensor<float>& x, std::span<const std::int32_t> labels,
                          double bound) {
    const gan::CriticLeaves leaves(c.critic.normalized());
    std::vector<double> sum(leaves.size());
    gan::add_clipped_gradients(leaves, x, labels, true, bound, sum);
    return sum;
  };
  const double bound = 0.01;
  std::vector<double> expected(sum_of(c.batch.x, {}, bound).size());
  for (Index i = 0; i < 7; ++i) {
    const auto one =
        sum_of(slice(c.batch.x, 0, i, i + 1),
               std::span(c.batch.labels).subspan(static_cast<std::size_t>(i), 1), bound);
    double squared = 0;
    for (std::size_t k = 0; k < one.size(); ++k) {
      squared += one[k] * one[k];
      expected[k] += i == 3 ? 0 : one[k];
    }
    CHECK(std::sqrt(squared) == doctest::Approx(bound));
    CHECK(std::sqrt(squared) <= bound);
  }
  c.batch.x.mutable_data()[3 * c.set.sample_elems() + 300] = std::nanf("");
  const auto found = sum_of(c.batch.x, c.batch.labels, bound);
  for (std::size_t k = 0; k < found.size(); ++k)
    CHECK(found[k] == doctest::Approx(expected[k]).epsilon(1e-9));
}

TEST_CASE("logistic slope: the derivative of softplus, and finite far out") {
  for (const double score : {-3.0, 0.0, 0.7}) {
    const auto softplus = [](double v) { return std::log1p(std::exp(v)); };
    constexpr double h = 1e-5;
    CHECK(gan::logistic_slope(score, true) ==
          doctest::Approx((softplus(-score - h) - softplus(-score + h)) / (2 * h)).epsilon(1e-6));
    CHECK(gan::logistic_slope(score, false) ==
          doctest::Approx((softplus(score + h) - softplus(score - h)) / (2 * h)).epsilon(1e-6));
  }
  CHECK(gan::logistic_slope(-1e4, true) == -1);
  CHECK(gan::logistic_slope(1e4, true) == 0);
}

TEST_CASE("Poisson batches: sizes as the binomial says, every record as often as the others") {
  privacy::SecureRandom random(privacy::seeded_noise_key(9));
  constexpr int draws = 4000;
  constexpr double records = 60, rate = 0.05;
  const std::vector<Index> all = data::count_up(60);
  std::vector<double> sizes(61), times(60);
  double mean = 0, squares = 0;
  for (int i = 0; i < draws; ++i) {
    const std::vector<Index> batch = gan::poisson_sample(all, rate, random);
    for (const Index r : batch) ++times[static_cast<std::size_t>(r)];
    const auto size = static_cast<double>(batch.size());
    ++sizes[batch.size()];
    mean += size / draws;
    squares += size * size / draws;
  }
  const double variance = records * rate * (1 - rate);
  CHECK(std::abs(mean - records * rate) < 4 * std::sqrt(variance / draws));
  CHECK(squares - mean * mean == doctest::Approx(variance).epsilon(4 * std::sqrt(2.3 / draws)));
  double chance = std::pow(1 - rate, records), chi = 0;  // of an empty batch: 0.046
  for (int k = 0; k <= 8; ++k) {
    const double expected = draws * chance;
    chi += (sizes[static_cast<std::size_t>(k)] - expected) *
           (sizes[static_cast<std::size_t>(k)] - expected) / expected;
    chance *= (records - k) / (k + 1) * rate / (1 - rate);
  }
  CHECK(chi < 29.6);  // nine classes: exceeded with chance 0.0005
  for (const double t : times)
    CHECK(std::abs(t - draws * rate) < 4.5 * std::sqrt(draws * rate * (1 - rate)));
  CHECK(gan::poisson_sample(all, 1, random) == all);
  CHECK(gan::poisson_sample(all, 0, random).empty());
}

TEST_CASE("ladder: up when generated images pass for real, one rung in 200 steps at most") {
  gan::Ladder ladder(7);
  CHECK(ladder.critic_steps() == 5);
  for (int k = 0; k < 4; ++k) CHECK_FALSE(ladder.critic_stepped());
  CHECK(ladder.critic_stepped());
  for (int k = 0; k < 199; ++k) ladder.generator_stepped(0.5);
  CHECK(ladder.critic_steps() == 5);
  ladder.generator_stepped(0.5);
  CHECK(ladder.critic_steps() == 10);
  for (int k = 0; k < 1000; ++k) ladder.generator_stepped(0.9);
  CHECK(ladder.critic_steps() == 10);
  for (int k = 0; k < 100000; ++k) ladder.generator_stepped(0);
  CHECK(ladder.critic_steps() == 500);
  CHECK(ladder.sound());
  CHECK(gan::Ladder(1).critic_steps() == 1);
}

}  // namespace private_critic_test
