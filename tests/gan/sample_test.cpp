#include "iotsl/gan/sample.hpp"

#include <doctest/doctest.h>

#include <set>

#include "iotsl/core/threads/parallel.hpp"

namespace sample_test {

using namespace iotsl;
using Pixels = std::vector<std::uint8_t>;

GeneratorNet<float> small_net(const ImageSpec& images = {}, Index latent = 6) {
  GeneratorNet<float> net({.images = images, .width = 4, .latent = latent});
  net.initialize(1);
  return net;
}

Pixels make(const GeneratorNet<float>& net, Index label, Index count,
            const gan::SampleSource& source = {}) {
  data::Dataset set = gan::empty_set("test", net.spec().images);
  gan::append_generated(set, net, label, count, source);
  CHECK(set.size() == count);
  CHECK(set.full_size == count);
  for (const data::Label each : set.labels) CHECK(each == label);
  return set.pixels;
}

TEST_CASE("sampling: the same bytes at one and two threads") {
  const GeneratorNet<float> net = small_net();
  const int usual = threads();
  set_threads(1);
  const Pixels one = make(net, 3, 70), gaussian = make(net, 3, 70, {.gaussian = true});
  set_threads(2);
  CHECK(make(net, 3, 70) == one);
  CHECK(make(net, 3, 70, {.gaussian = true}) == gaussian);
  set_threads(usual);
  CHECK(one != gaussian);
}

TEST_CASE("sampling: image i depends on nothing but weights, source, label and i") {
  const GeneratorNet<float> net = small_net();
  const Pixels many = make(net, 3, 70);
  for (const Index count : {0, 1, 31, 32, 33, 64, 69}) {
    const Pixels few = make(net, 3, count);
    CHECK(std::equal(few.begin(), few.end(), many.begin()));
  }
  CHECK(make(net, 3, 40, {.seed = 2}) != make(net, 3, 40));
  CHECK(make(net, 3, 40, {.number = 1}) != make(net, 3, 40));
  CHECK(make(net, 4, 40) != make(net, 3, 40));

  // Appending leaves what is there, whatever it is.
  data::Dataset set = gan::empty_set("test", net.spec().images);
  gan::append_generated(set, net, 9, 2, {});
  gan::append_generated(set, net, 3, 70, {});
  CHECK(set.labels.front() == 9);
  CHECK(set.labels.back() == 3);
  CHECK(Pixels(set.pixels.begin() + 2 * 784, set.pixels.end()) == many);
}

TEST_CASE("sampling: Bernoulli noise has 2^latent images of a class, Gaussian noise more") {
  const GeneratorNet<float> net = small_net({}, 3);
  const auto different = [](const Pixels& pixels) {
    std::set<Pixels> images;
    for (auto at = pixels.begin(); at != pixels.end(); at += 784) images.insert({at, at + 784});
    return images.size();
  };
  CHECK(different(make(net, 0, 200)) == 8);
  CHECK(different(make(net, 0, 200, {.gaussian = true})) > 100);
}

TEST_CASE("sampling: noise is fair bits, or standard normal") {
  const Random random(5, Stream::generated, 0);
  const Tensor<float> bits = gan::draw_noise(500, 10, false, random, 0);
  double sum = 0;
  for (const float value : bits.values()) {
    CHECK((value == 0 || value == 1));
    sum += static_cast<double>(value);
  }
  CHECK(sum / 5000 == doctest::Approx(0.5).epsilon(0.05));
  const Tensor<float> normal = gan::draw_noise(500, 10, true, random, 0);
  double squares = 0;
  for (const float value : normal.values()) squares += static_cast<double>(value * value);
  CHECK(squares / 5000 == doctest::Approx(1).epsilon(0.1));
  // Rows by number: the second half alone is the second half.
  const Tensor<float> half = gan::draw_noise(250, 10, true, random, 250);
  CHECK(std::equal(half.values().begin(), half.values().end(), normal.values().begin() + 2500));
}

TEST_CASE("sampling: a set of other images, and a class that is none") {
  const GeneratorNet<float> net =
      small_net({.channels = 3, .height = 16, .width = 12, .classes = 2});
  CHECK(make(net, 1, 5).size() == 5 * 3 * 16 * 12);
  const auto error_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  data::Dataset set = gan::empty_set("test", net.spec().images);
  CHECK(error_of([&] { gan::append_generated(set, net, 2, 1, {}); }) ==
        "append_generated: 1 images of class 2 of 2");
  CHECK(error_of([&] { gan::append_generated(set, net, 0, -1, {}); }) ==
        "append_generated: -1 images of class 0 of 2");
  set.height = 28;
  CHECK(error_of([&] { gan::append_generated(set, net, 0, 1, {}); }).find("makes 3x16x12") !=
        std::string::npos);
}

}  // namespace sample_test
