// The two losses against finite differences, parameter by parameter. PyTorch's values for the same
// are in tests/golden/gan.

#include <cmath>

#include "iotsl/gan/wgan_gp.hpp"

#include "support/adjoint_check.hpp"

namespace wgan_gp_test {

using namespace iotsl;
using check::normal;

struct Case {
  ImageSpec images;
  bool light = false;
  std::vector<std::int32_t> labels;
};

struct Networks {
  CriticNet<double> critic;
  GeneratorNet<double> generator;

  explicit Networks(const Case& c)
      : critic(c.images, 2),
        // The light one has half of its width, and pixel norm over one map would leave its sign
        // only.
        generator({.images = c.images, .width = c.light ? 4 : 2, .latent = 3, .light = c.light}) {
    critic.initialize(1);
    generator.initialize(1);
  }
};

Tensor<double> images_of(const Case& c, std::uint64_t seed) {
  const Index n = static_cast<Index>(c.labels.size());
  return sigmoid(normal({n, c.images.channels, c.images.height, c.images.width}, seed));
}

/// The slope of `loss()` while one parameter moves along a random direction, and what the gradient
/// says about it. The steps are so short that no value crosses a kink of ReLU, where the penalty
/// jumps.
template <class Loss>
void check_every_parameter(const std::vector<NamedTensor<double>>& parameters, const Loss& loss,
                           double tolerance) {
  std::vector<Tensor<double>> leaves;
  for (const auto& parameter : parameters) leaves.push_back(parameter.tensor);
  const std::vector<Tensor<double>> grads = grad<double>({loss()}, leaves);
  REQUIRE(grads.size() == parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    CAPTURE(parameters[i].name);
    Tensor<double> moving = parameters[i].tensor;
    const Tensor<double> start = moving.clone(), direction = normal(moving.shape(), 50 + i);
    constexpr double reach = 1e-3;
    const double measured = check::slope_at_zero([&](double t) {
      double* values = moving.mutable_data();
      for (Index k = 0; k < moving.size(); ++k)
        values[k] = start.data()[k] + t * reach * direction.data()[k];
      return loss().item();
    });
    std::copy_n(start.data(), start.size(), moving.mutable_data());
    const double expected = reach * check::dot(grads[i], direction);
    CHECK(std::abs(expected) > 1e-8);   // else nothing would be compared
    constexpr double rounding = 2e-12;  // of a loss of about 10, over the difference's step
    CHECK(std::abs(measured - expected) < tolerance * std::abs(expected) + rounding);
  }
}

const std::vector<Case> cases{
    {.images = {.classes = 4}, .labels = {3, 0}},
    {.images = {.channels = 3, .classes = 2}, .labels = {1, 1}},
    {.images = {.height = 16, .width = 18, .classes = 3}, .light = true, .labels = {2, 0, 1}},
};

TEST_CASE("critic loss: finite differences along a random direction of every parameter") {
  for (const Case& c : cases) {
    Networks nets(c);
    const Tensor<double> real = images_of(c, 1), fake = scale(images_of(c, 2), 0.5);
    const Tensor<double> alpha = sigmoid(normal({real.extent(0)}, 3));
    CHECK(nets.critic.parameters().size() == 9);
    check_every_parameter(
        nets.critic.parameters(),
        [&] { return gan::critic_loss<double>(nets.critic, real, fake, c.labels, alpha).total; },
        1e-5);
  }
}

TEST_CASE("generator loss: finite differences along a random direction of every parameter") {
  for (const Case& c : cases) {
    Networks nets(c);
    const Tensor<double> noise = normal({static_cast<Index>(c.labels.size()), 3}, 4);
    check_every_parameter(
        nets.generator.parameters(),
        [&] { return gan::generator_loss<double>(nets.critic, nets.generator, noise, c.labels); },
        1e-5);
  }
}

TEST_CASE("critic loss: the parts are what the formula says") {
  const Case c = cases[0];
  Networks nets(c);
  const Tensor<double> real = images_of(c, 1), fake = images_of(c, 2);
  const Tensor<double> alpha = Tensor<double>::from({2}, {0.0, 1.0});
  const auto score = [&](const Tensor<double>& x) {
    return nets.critic.normalized().forward(x, c.labels).detach();
  };
  const Tensor<double> on_real = score(real), on_fake = score(fake);
  const auto loss = gan::critic_loss<double>(nets.critic, real, fake, c.labels, alpha);
  const double gap = mean(on_real).item() - mean(on_fake).item();
  CHECK(loss.wasserstein == doctest::Approx(gap).epsilon(1e-12));
  const double drift = 1e-3 * mean(square(on_real)).item();
  CHECK(loss.total.item() == doctest::Approx(-gap + drift + 10 * loss.penalty).epsilon(1e-12));

  // alpha 0 is the generated image, alpha 1 the real one: alpha real + (1 - alpha) fake.
  Tensor<double> x = concat<double>({slice(fake, 0, 0, 1), slice(real, 0, 1, 2)}, 0).clone();
  x.set_requires_grad();
  const Tensor<double> scores = nets.critic.normalized().forward(x, c.labels);
  const Tensor<double> slope = grad(sum(scores), x);
  double penalty = 0;
  for (Index i = 0; i < 2; ++i) {
    const Tensor<double> one = slice(slope, 0, i, i + 1);
    penalty += std::pow(std::sqrt(check::dot(one, one)) - 1, 2) / 2;
  }
  CHECK(loss.penalty == doctest::Approx(penalty).epsilon(1e-9));
}

TEST_CASE("critic loss: wrong shapes are named") {
  const Case c = cases[0];
  Networks nets(c);
  const Tensor<double> real = images_of(c, 1), alpha = Tensor<double>::zeros({2});
  CHECK(check::error_of([&] {
          gan::critic_loss<double>(nets.critic, real, slice(real, 0, 0, 1), c.labels, alpha);
        }) ==
        "critic_loss: 2 labels with real [2,1,28,28], fake [1,1,28,28] and alpha [2]; expected "
        "[N,C,H,W] twice and [N]");
  CHECK(
      check::error_of([&] {
        gan::critic_loss<double>(nets.critic, real, real, c.labels, Tensor<double>::zeros({2, 1}));
      }).find("alpha [2,1]") != std::string::npos);
  const std::vector<std::int32_t> bad{0, 4};
  CHECK(check::error_of([&] { gan::critic_loss<double>(nets.critic, real, real, bad, alpha); }) ==
        "embedding: label 4 at position 1; expected 0 to 3");
}

}  // namespace wgan_gp_test
