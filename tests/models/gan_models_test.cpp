// Generator and critic: the sizes that the paper's architecture has, and those of other images.

#include <doctest/doctest.h>

#include "iotsl/models/critic.hpp"
#include "iotsl/models/generator.hpp"

namespace gan_models {

using namespace iotsl;

template <class Net>
Index count(const Net& net) {
  Index all = 0;
  for (const auto& p : net.parameters()) all += p.tensor.size();
  return all;
}

template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("golden numbers: generator and critic") {
  CHECK(count(GeneratorNet<float>({})) == 1114305);
  CHECK(count(CriticNet<float>({}, 64)) == 1071105);
  const LayerCost cost = lay_out({}).cost();
  CHECK(cost.parameters == 1114305);
  // linear 86,016 + 256*128*25*16 + 128*49 + 128*64*25*49 + 64*121 + 64*64*121 + 784
  CHECK(cost.operations == 86016 + 13107200 + 6272 + 10035200 + 7744 + 495616 + 784);
}

TEST_CASE("the light generator needs at most a quarter of the operations") {
  for (Index width : {16, 32, 64}) {
    GeneratorSpec spec{.images = {}, .width = width};
    const Index full = lay_out(spec).cost().operations;
    spec.light = true;
    const Index light = lay_out(spec).cost().operations;
    CHECK(4 * light <= full);
    const GeneratorNet<float> net(spec);
    CHECK(count(net) == lay_out(spec).cost().parameters);
  }
}

TEST_CASE("images of any size come out as they went in") {
  const NoRecord values_only;
  for (const ImageSpec& images :
       {ImageSpec{}, ImageSpec{.channels = 3, .height = 128, .width = 128, .classes = 8},
        ImageSpec{.channels = 3, .height = 32, .width = 32},
        ImageSpec{.channels = 1, .height = 30, .width = 17, .classes = 2},
        ImageSpec{.channels = 2, .height = 8, .width = 64}})
    for (const bool light : {false, true}) {
      GeneratorNet<float> generator({.images = images, .width = 4, .latent = 6, .light = light});
      CriticNet<float> critic(images, 4);
      generator.initialize(1);
      critic.initialize(1);
      CHECK(count(generator) == lay_out(generator.spec()).cost().parameters);
      CHECK(generator.chain().output_shape({1, 6 + images.classes}).value() ==
            Shape{1, images.channels, images.height, images.width});
      const std::vector<std::int32_t> labels{0, 1, 1};
      const Tensor<float> x = generator.forward(Tensor<float>::full({3, 6}, 1.0F), labels);
      REQUIRE(x.shape() == Shape{3, images.channels, images.height, images.width});
      for (const float value : x.values()) {
        CHECK(value > 0);
        CHECK(value < 1);
      }
      const Tensor<float> score = critic.normalized().forward(x, labels);
      REQUIRE(score.shape() == Shape{3, 1});
      // Same noise and label, same image and score; another label, another image.
      CHECK(score.data()[1] == score.data()[2]);
      CHECK(score.data()[0] != score.data()[1]);
    }
}

TEST_CASE("initial weights are a function of the seed, and sigma is nearly one after it") {
  CriticNet<float> a({}, 8), b({}, 8), c({}, 8);
  a.initialize(1);
  b.initialize(1);
  c.initialize(2);
  const auto pa = a.parameters(), pb = b.parameters(), pc = c.parameters();
  for (std::size_t i = 0; i < pa.size(); ++i) {
    CHECK(std::equal(pa[i].tensor.data(), pa[i].tensor.data() + pa[i].tensor.size(),
                     pb[i].tensor.data()));
    CHECK(pa[i].tensor.data()[0] != pc[i].tensor.data()[0]);
  }
  // Once more through the power iteration: the normalised weight's largest singular value is 1.
  const std::vector<Tensor<float>> weights = a.normalized().weights_then_biases();
  const auto vectors = collect_state(a).buffers;  // u and v of each
  for (std::size_t i = 0; 2 * i < vectors.size(); ++i) {
    Tensor<float> u = vectors[2 * i].tensor.clone(), v = vectors[2 * i + 1].tensor.clone();
    power_iteration(weights[i], u, v, 50);
    const Tensor<float> again = spectral_norm(weights[i], u, v);
    const float sigma = weights[i].data()[0] / again.data()[0];
    CHECK(sigma == doctest::Approx(1).epsilon(0.1));
    CHECK(sigma > 0.999F);
  }
}

TEST_CASE("constant weights keep the critic out of the generator's graph") {
  GeneratorNet<float> generator({.images = {}, .width = 4});
  CriticNet<float> critic({}, 4);
  generator.initialize(1);
  critic.initialize(1);
  for (const auto& t : critic.normalized().weights_then_biases()) CHECK(t.requires_grad());
  for (const auto& t : critic.constant().weights_then_biases()) CHECK(!t.requires_grad());
}

TEST_CASE("descriptions that cannot be built") {
  CHECK(error_of([] { GeneratorNet<float>({.images = {}, .width = 3}); }) ==
        "generator: width 3; expected an even number from 2 to 1024");
  CHECK(error_of([] { GeneratorNet<float>({.images = {}, .width = 4, .latent = 0}); }) ==
        "generator: 0 latent values; expected 1 to 4096");
  CHECK(error_of([] { GeneratorNet<float>({.images = {.height = 4}}); }) ==
        "generator: images of 1x4x28; expected 1 to 16 channels and 8 to 1024 pixels a side");
  CHECK(error_of([] { GeneratorNet<float>({.images = {}, .width = 1024}); }) ==
        "generator: 263588865 parameters at width 1024; limit 16777216");
  CHECK(error_of([] { CriticNet<float>({.classes = 0}, 4); }) ==
        "generator: 0 classes; expected 1 to 4096");
  CHECK(error_of([] { CriticNet<float>({}, 0); }) == "critic: width 0; expected 1 to 1024");
  GeneratorNet<float> net({.images = {}, .width = 2});
  const std::vector<std::int32_t> wrong{10};
  CHECK(error_of([&] {
          net.forward(Tensor<float>::zeros({1, 10}), wrong);
        }) == "generator: label 10 at position 0; expected 0 to 9");
  CHECK(error_of([&] {
          net.forward(Tensor<float>::zeros({2, 10}), wrong);
        }) == "generator: 1 labels expect noise [1,10], given [2,10]");
}

}  // namespace gan_models
