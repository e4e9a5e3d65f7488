#include "iotsl/split/audit/reconstruction.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "iotsl/data/glyphs.hpp"
#include "iotsl/models/model.hpp"

using namespace iotsl;
using namespace iotsl::split;

namespace reconstruction_test {

namespace {

/// Values that a float holds exactly.
std::vector<float> pattern(Index height, Index width, bool other) {
  std::vector<float> out;
  for (Index y = 0; y < height; ++y)
    for (Index x = 0; x < width; ++x)
      out.push_back(static_cast<float>((7 * x + 13 * y + (other ? 5 * (x * y % 3) : 0)) % 32) / 32);
  return out;
}

/// The first layers of a small net with its initial weights.
Sequential<float> front(const ImageSpec& images, std::string_view cut) {
  const ModelSpec spec{.width = 8, .images = images};
  Sequential<float> net = build_model<float>(spec);
  net.initialize(1);
  return net.slice(0, find_cut(net, spec, cut).value());
}

ImageLikeness attack(WireCoding coding, const data::Dataset& known, const data::Dataset& targets) {
  Result<ReconstructionAttack> attack = ReconstructionAttack::begin(
      front({}, ""), {}, coding, {.width = 8, .epochs = 4, .batch = 32, .lr = 5e-3});
  REQUIRE(attack.ok());
  REQUIRE(attack->train(known).value());
  return attack->likeness(targets);
}

}  // namespace

TEST_CASE("structural similarity is that of an implementation on PyTorch's convolution") {
  const auto similarity = [](Index height, Index width) {
    return measure::ssim(pattern(height, width, false).data(), pattern(height, width, true).data(),
                         1, height, width);
  };
  CHECK(similarity(28, 28) == doctest::Approx(0.560376328074457).epsilon(1e-9));
  CHECK(similarity(8, 17) == doctest::Approx(0.6350063537238427).epsilon(1e-9));
  const std::vector<float> image = pattern(28, 28, false);
  std::vector<float> negative = image;
  for (float& v : negative) v = 1 - v;
  CHECK(measure::ssim(image.data(), image.data(), 1, 28, 28) == doctest::Approx(1.0));
  CHECK(measure::ssim(image.data(), negative.data(), 1, 28, 28) ==
        doctest::Approx(-0.9788143881811553).epsilon(1e-9));
  // Channels count alike.
  std::vector<float> two = image, other = image;
  two.insert(two.end(), image.begin(), image.end());
  other.insert(other.end(), negative.begin(), negative.end());
  CHECK(measure::ssim(two.data(), other.data(), 2, 28, 28) ==
        doctest::Approx((1 - 0.9788143881811553) / 2).epsilon(1e-9));
}

TEST_CASE("a decoder gives images of the size for every cut and for shapes that no pool makes") {
  for (const ImageSpec& images : {ImageSpec{}, ImageSpec{3, 48, 40, 10}}) {
    const ModelSpec spec{.width = 2, .images = images};
    const Sequential<float> net = build_model<float>(spec);
    Shape x = sample_shape(spec);
    for (std::size_t i = 0; i + 1 < net.size(); ++i) {
      x = net[i].output_shape(x).value();
      const Result<Sequential<float>> decoder = build_decoder(x, images, 4);
      REQUIRE_MESSAGE(decoder.ok(), net[i].name);
      CHECK(decoder->output_shape(x).value() == sample_shape(spec));
    }
  }
  for (const Shape& map : {Shape{1, 3, 24, 24}, Shape{1, 3, 11, 5}, Shape{1, 3, 1, 28}})
    CHECK(build_decoder(map, {}, 4)->output_shape(map).value() == Shape{1, 1, 28, 28});
  CHECK(build_decoder({1, 3, 29, 28}, {}, 4).failure().message ==
        "decoder: smashed maps of 29x28 are larger than the images of 28x28");
  CHECK(build_decoder({1, 3, 4}, {}, 4).failure().message.find("expected [N,C,H,W] or [N,F]") !=
        std::string::npos);
}

TEST_CASE(
    "smashed data of a shallow cut give images away, and coarse coding hides a part of them") {
  const data::Dataset known = data::make_glyphs(data::Split::train, 256),
                      targets = data::make_glyphs(data::Split::test, 64);
  const ImageLikeness exact = attack(WireCoding::fp32, known, targets),
                      coarse = attack(WireCoding::int4, known, targets);
  Tensor<float> guess = Tensor<float>::uninitialized({64, 1, 28, 28});
  const Tensor<float> mean = mean_image(known);
  for (Index n = 0; n < 64; ++n)
    std::copy(mean.data(), mean.data() + mean.size(), guess.mutable_data() + n * mean.size());
  const data::Batch real = data::fetch_batch(targets, data::count_up(64));
  const ImageLikeness blind = compare_images(guess, real.x);
  INFO("ssim " << exact.ssim << ", in int4 " << coarse.ssim << ", blind " << blind.ssim);
  CHECK(exact.ssim > blind.ssim + 0.2);
  CHECK(exact.mse < 0.5 * blind.mse);
  CHECK(coarse.mse > exact.mse);
  // The same seed gives the same decoder.
  CHECK(attack(WireCoding::fp32, known, targets).mse == exact.mse);
}

TEST_CASE("an attack says what it cannot take, and stops when asked") {
  CHECK_FALSE(
      ReconstructionAttack::begin(front({}, ""), {3, 28, 28, 10}, WireCoding::fp32, {}).ok());
  const data::Dataset known = data::make_glyphs(data::Split::train, 64);
  Result<ReconstructionAttack> attack =
      ReconstructionAttack::begin(front({}, ""), {}, WireCoding::fp32, {.width = 4});
  int asked = 0;
  auto second = [&] { return ++asked == 2; };
  CHECK_FALSE(attack->train(known, StopCheck::of(second)).value());
  CHECK(asked == 2);
}

}  // namespace reconstruction_test
