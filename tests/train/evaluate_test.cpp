#include "iotsl/train/evaluate.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "iotsl/nn/layers.hpp"

using namespace iotsl;

namespace evaluate_test {

namespace {

/// Samples of one pixel; sample i has the brightness i and label i % 3.
data::Dataset ramp(Index count) {
  data::Dataset set;
  set.name = "ramp";
  set.height = set.width = 1;
  set.classes = 4;
  for (Index i = 0; i < count; ++i) {
    set.pixels.push_back(static_cast<std::uint8_t>(i));
    set.labels.push_back(static_cast<data::Label>(i % 3));
  }
  return set;
}

/// Logits that say class 0 for samples 0, 1, class 1 for 2, 3 and so on, by a margin of `sure`.
Tensor<float> by_pairs(const Tensor<float>& x, float sure) {
  const Index n = x.shape()[0];
  Tensor<float> out = Tensor<float>::zeros({n, 4});
  for (Index i = 0; i < n; ++i)
    out.mutable_data()[4 * i + std::lround(255 * x.data()[i]) / 2 % 4] = sure;
  return out;
}

}  // namespace

TEST_CASE("evaluate: counts by class, and the mean loss, whatever the batches are") {
  // Labels 0 1 2 0 1 2 0; said is 0 0 1 1 2 2 3.
  const data::Dataset set = ramp(7);
  const double right = std::log(1 + 3 * std::exp(-2.0)), wrong = right + 2;
  for (const Index batch : {1, 3, 7, 200}) {
    const train::Evaluation result = train::evaluate(
        set, [](const Tensor<float>& x) { return by_pairs(x, 2); }, batch);
    CHECK(result.samples == std::vector<Index>{3, 2, 2, 0});
    CHECK(result.correct == std::vector<Index>{1, 0, 1, 0});
    CHECK(result.total() == 7);
    CHECK(result.accuracy() == 2.0 / 7);
    CHECK(result.class_accuracy() == std::vector<double>{1.0 / 3, 0, 0.5, 0});
    CHECK(result.loss == doctest::Approx((2 * right + 5 * wrong) / 7).epsilon(1e-6));
  }
}

TEST_CASE("evaluate: a net is asked in evaluation mode and stays as it was") {
  const data::Dataset set = ramp(20);
  Sequential<float> net;
  net.add("flatten", Flatten<float>{});
  net.add("dropout", Dropout<float>{0.5});
  net.add("linear", Linear<float>(1, 4));
  net.initialize(1);
  const train::Evaluation one = train::evaluate(net, set), again = train::evaluate(net, set);
  CHECK(one.loss == again.loss);
  CHECK(one.correct == again.correct);
  const train::Evaluation direct =
      train::evaluate(set, [&](const Tensor<float>& x) { return net.forward(x, {}); });
  CHECK(direct.loss == one.loss);
}

TEST_CASE("evaluate: without samples there is nothing to say") {
  CHECK_THROWS_WITH_AS(train::evaluate(ramp(0), [](const Tensor<float>& x) { return x; }),
                       "evaluate: the set 'ramp' has no samples", Error);
  CHECK_THROWS_WITH_AS(train::evaluate(
                           ramp(3), [](const Tensor<float>& x) { return x; }, 0),
                       "evaluate: batches of 0 samples, expected at least 1", Error);
}

}  // namespace evaluate_test
