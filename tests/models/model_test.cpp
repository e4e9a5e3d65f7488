#include "iotsl/models/model.hpp"

#include <cmath>

#include "iotsl/autograd/grad.hpp"
#include "support/adjoint_check.hpp"

namespace {

using namespace check;
using iotsl::build_model;
using iotsl::find_cut;
using iotsl::ForwardMode;
using iotsl::ModelSpec;
using iotsl::Sequential;

std::vector<std::string> state_names(const Sequential<float>& model) {
  std::vector<std::string> names;
  for (const auto& named : model.parameters()) names.push_back(named.name);
  for (const auto& named : model.buffers()) names.push_back(named.name);
  for (const auto& named : model.counters()) names.push_back(named.name);
  return names;
}

Sequential<float> narrow(const char* name, std::uint64_t seed = 1) {
  Sequential<float> model = build_model<float>({.name = name, .width = 4});
  model.initialize(seed);
  return model;
}

Tensor<float> images(Index count) {
  Tensor<float> out = Tensor<float>::zeros({count, 1, 28, 28});
  iotsl::fill_normal(out, 1.0, 3, 0);
  return out;
}

void check_equal(const Tensor<float>& a, const Tensor<float>& b) {
  REQUIRE(a.shape() == b.shape());
  CHECK(std::equal(a.data(), a.data() + a.size(), b.data()));
}

}  // namespace

TEST_CASE("state names are torchvision's") {
  std::vector<std::string> expected;
  const std::vector<int> convolutions{0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40};
  const auto name = [](int place, const char* what) {
    return iotsl::concat("features.", place, ".", what);
  };
  for (int c : convolutions)
    for (int place : {c, c + 1})
      for (const char* what : {"weight", "bias"}) expected.push_back(name(place, what));
  SUBCASE("compact") { expected.insert(expected.end(), {"classifier.weight", "classifier.bias"}); }
  SUBCASE("paper") {
    for (const char* layer : {"classifier.0", "classifier.3", "classifier.6"})
      for (const char* what : {".weight", ".bias"}) expected.push_back(std::string(layer) + what);
  }
  const bool paper = expected.back() == "classifier.6.bias";
  for (int c : convolutions)
    for (const char* what : {"running_mean", "running_var"}) expected.push_back(name(c + 1, what));
  for (int c : convolutions) expected.push_back(name(c + 1, "num_batches_tracked"));
  CHECK(state_names(build_model<float>(
            {.name = paper ? "vgg16bn-paper" : "vgg16bn-compact", .width = 4})) == expected);
}

TEST_CASE("front and back do together what the whole net does, after any cut") {
  for (const char* name : iotsl::model_names) {
    const Tensor<float> x = images(3);
    const std::vector<std::int32_t> labels{1, 7, 3};
    for (std::size_t cut : {std::size_t{1}, std::size_t{5}, std::size_t{8}}) {
      CAPTURE(name);
      CAPTURE(cut);
      const ForwardMode mode{.training = true, .seed = 5, .step = 2};
      Sequential<float> whole = narrow(name), split = narrow(name);
      iotsl::backward(iotsl::softmax_cross_entropy(whole.forward(x, mode), labels));

      Sequential<float> front = split.slice(0, cut), back = split.slice(cut, split.size());
      const Tensor<float> smashed = front.forward(x, mode);
      Tensor<float> received = smashed.clone();
      received.set_requires_grad();
      iotsl::backward(iotsl::softmax_cross_entropy(back.forward(received, mode), labels));
      iotsl::backward(smashed, received.grad());

      const auto a = whole.parameters(), b = split.parameters();
      for (std::size_t i = 0; i < a.size(); ++i) {
        CAPTURE(a[i].name);
        check_equal(a[i].tensor.grad(), b[i].tensor.grad());
      }
      const auto c = whole.buffers(), d = split.buffers();
      for (std::size_t i = 0; i < c.size(); ++i) check_equal(c[i].tensor, d[i].tensor);
      for (const auto& counter : split.counters()) CHECK(counter.counter.value() == 1);
    }
  }
}

TEST_CASE("evaluation changes no state and draws no numbers") {
  for (const char* name : iotsl::model_names) {
    Sequential<float> model = narrow(name);
    const Tensor<float> x = images(2);
    const ForwardMode mode{.training = false};
    const Tensor<float> y = model.forward(x, mode).detach();
    check_equal(model.forward(x, {.training = false, .seed = 9, .step = 9}).detach(), y);
    for (const auto& counter : model.counters()) CHECK(counter.counter.value() == 0);
    for (const auto& buffer : model.buffers())
      for (float v : buffer.tensor.values())
        CHECK(v == (buffer.name.ends_with("running_var") ? 1 : 0));
    model.eval();
    check_equal(model.forward(x).detach(), y);
  }
}

TEST_CASE("dropout in a model is a function of seed and step") {
  const Tensor<float> x = images(4);
  const auto run = [&](std::uint64_t seed, std::uint32_t step) {
    return narrow("vgg16bn-paper")
        .forward(x, {.training = true, .seed = seed, .step = step})
        .detach();
  };
  const Tensor<float> y = run(1, 1);
  check_equal(run(1, 1), y);
  CHECK(run(2, 1).data()[0] != y.data()[0]);
  CHECK(run(1, 2).data()[0] != y.data()[0]);
}

// Slow only where it is emulated, and the same on every target.
TEST_CASE("initial weights: Kaiming normal with fan-out, small normal for linear layers" *
          doctest::test_suite("slow")) {
  Sequential<float> model = build_model<float>({.name = "vgg16bn-compact", .width = 16});
  model.initialize(7);
  for (const auto& named : model.parameters()) {
    const std::string& name = named.name;
    const Tensor<float>& tensor = named.tensor;
    CAPTURE(name);
    double mean = 0, square = 0;
    for (float v : tensor.values()) mean += v;
    mean /= static_cast<double>(tensor.size());
    for (float v : tensor.values()) square += (v - mean) * (v - mean);
    const double deviation = std::sqrt(square / static_cast<double>(tensor.size()));
    if (tensor.rank() == 1) {
      CHECK(mean == (name.starts_with("features") && name.ends_with(".weight") ? 1 : 0));
      CHECK(deviation == 0);
      continue;
    }
    const double fan_out = static_cast<double>(tensor.extent(0) * 9);
    const double expected = tensor.rank() == 4 ? std::sqrt(2 / fan_out) : 0.01;
    // Six standard errors of a standard deviation.
    const double error = 6 / std::sqrt(2.0 * static_cast<double>(tensor.size()));
    CHECK(deviation == doctest::Approx(expected).epsilon(error));
  }
  // A function of the seed, not of what was there before.
  Sequential<float> again = build_model<float>({.name = "vgg16bn-compact", .width = 16});
  again.initialize(8);
  CHECK(again.parameters()[0].tensor.data()[0] != model.parameters()[0].tensor.data()[0]);
  again.initialize(7);
  check_equal(again.parameters()[0].tensor.detach(), model.parameters()[0].tensor.detach());
  check_equal(again.parameters()[4].tensor.detach(), model.parameters()[4].tensor.detach());
}

TEST_CASE("where a model can be cut") {
  const ModelSpec spec{.width = 4};
  const auto model = build_model<float>(spec);
  CHECK(*find_cut(model, spec, "") == 7);
  CHECK(*find_cut(model, spec, "features.6") == 7);
  CHECK(*find_cut(model, spec, "6") == 7);
  CHECK(*find_cut(model, spec, "0") == 1);
  CHECK(*find_cut(model, spec, "flatten") == model.size() - 1);
  for (const char* bad : {"classifier", "features.99", "44", "45", "-1", "x", "9999999999"}) {
    CAPTURE(bad);
    const auto cut = find_cut(model, spec, bad);
    REQUIRE(!cut.ok());
    CHECK(cut.failure().code == iotsl::ErrorCode::usage);
    CHECK(cut.failure().message ==
          iotsl::concat("cut '", bad,
                        "' of vgg16bn-compact; expected a layer's name (features.0 to "
                        "flatten) or an index from 0 to 43"));
  }
  Sequential<float> inner, nested;
  inner.add("0", iotsl::Relu<float>{});
  nested.add("layer1", inner);
  nested.add("layer10", inner);
  nested.add("fc", iotsl::Linear<float>(2, 2));
  CHECK(*find_cut(nested, "layer10") == 2);
  CHECK(find_cut(nested, "layer10.0").failure().message ==
        "cut 'layer10.0' lies inside layer 'layer10'; a cut lies after a layer of the outer chain, "
        "such as 'layer10'");
  CHECK(find_cut(nested, "layer1").ok());
  CHECK(find_cut(nested, "").failure().message ==
        "cut ''; expected a layer's name (layer1 to layer10) or an index from 0 to 1");
  CHECK(find_cut(nested.slice(0, 1), "0").failure().message ==
        "cut '0': a net of 1 layer cannot be cut");
}

TEST_CASE("descriptions that no model has") {
  const auto message = [](const ModelSpec& spec) {
    const auto checked = iotsl::check_model(spec);
    return checked.ok() ? std::string() : checked.failure().message;
  };
  CHECK(message({}) == "");
  CHECK(message({.name = "vgg19"}) ==
        "unknown model 'vgg19'; expected one of vgg16bn-compact, vgg16bn-paper, vanilla5");
  CHECK(message({.width = 1}) == "width 1; expected 2 to 1024");
  CHECK(message({.images = {.classes = 1}}) ==
        "vgg16bn-compact: 1 input channels and 1 classes; expected at least 1 and 2");
  CHECK(message({.images = {.height = 15}}) ==
        "vgg16bn-compact: images of 15x28; expected 16 to 1024");
  CHECK(error_of([] { build_model<float>({.name = "vgg19"}); }) == message({.name = "vgg19"}));
  CHECK(error_of([] { narrow("vanilla5").slice(3, 2); }) == "sequential: layers [3, 2) of 14");
}
