#include "iotsl/train/trainer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "iotsl/data/glyphs.hpp"
#include "iotsl/nn/layers.hpp"

using namespace iotsl;

namespace trainer_test {

namespace {

Sequential<float> small_net() {
  Sequential<float> net;
  net.add("conv", Conv2d<float>(1, 4, 3, {.stride_h = 2, .stride_w = 2}));
  net.add("relu", Relu<float>{});
  net.add("flatten", Flatten<float>{});
  net.add("dropout", Dropout<float>{0.25});
  net.add("head", Linear<float>(4 * 13 * 13, 10));
  net.initialize(1);
  return net;
}

std::vector<float> weights(const Sequential<float>& net) {
  std::vector<float> out;
  for (const auto& [name, tensor] : net.parameters())
    out.insert(out.end(), tensor.values().begin(), tensor.values().end());
  return out;
}

data::Batch digits(Index count) {
  const data::Dataset set = data::make_glyphs(data::Split::train, count);
  return data::fetch_batch(set, data::count_up(count));
}

const OptimizerOptions adam{.kind = OptimizerKind::adam, .lr = 1e-2};

}  // namespace

TEST_CASE("trainer: a step is forward, loss, gradients and the optimiser's update") {
  const data::Batch batch = digits(24);
  train::Trainer trainer(small_net(), adam, 7);
  Sequential<float> net = small_net();
  Optimizer<float> optimizer(net.parameters(), adam);
  for (std::uint32_t step = 1; step <= 3; ++step) {
    const Result<train::StepOutcome> out = trainer.train(batch, step);
    REQUIRE(out.ok());
    const Tensor<float> logits = net.forward(batch.x, {.training = true, .seed = 7, .step = step});
    const Tensor<float> loss = softmax_cross_entropy<float>(logits, batch.labels);
    Index hits = 0;
    for (std::size_t i = 0; i < batch.labels.size(); ++i)
      hits += argmax(logits)[i] == batch.labels[i];
    backward(loss);
    optimizer.step();
    CHECK(out->loss == static_cast<double>(loss.item()));
    CHECK(out->correct == hits);
    CHECK(weights(trainer.net()) == weights(net));
  }
}

TEST_CASE("trainer: a batch that is seen again and again is learnt") {
  const data::Batch batch = digits(24);
  train::Trainer trainer(small_net(), adam, 7);
  const Result<train::StepOutcome> first = trainer.train(batch, 1);
  Result<train::StepOutcome> last = first;
  for (std::uint64_t step = 2; step <= 60; ++step) last = trainer.train(batch, step);
  REQUIRE(first.ok());
  REQUIRE(last.ok());
  CHECK(last->loss < first->loss / 10);
  CHECK(last->correct > first->correct);
}

TEST_CASE("trainer: NaN is named and never enters the weights") {
  data::Batch batch = digits(4);
  train::Trainer trainer(small_net(), adam, 7);
  const std::vector<float> before = weights(trainer.net());
  batch.x.mutable_data()[5] = std::numeric_limits<float>::quiet_NaN();
  const Result<train::StepOutcome> out = trainer.train(batch, 9);
  REQUIRE_FALSE(out.ok());
  CHECK(out.failure().message ==
        "step 9: the gradient of 'conv.weight' has NaN or Inf; a smaller learning rate may help");
  std::vector<Tensor<float>> zeros;
  for (const Tensor<float>& p : trainer.parameters())
    zeros.push_back(Tensor<float>::zeros(p.shape()));
  const train::StepOutcome infinite{std::numeric_limits<double>::infinity(), 0};
  CHECK(trainer.update(infinite, zeros, 3).failure().message == "step 3: the loss is NaN or Inf");
  CHECK(weights(trainer.net()) == before);
}

TEST_CASE("trainer: a refused step leaves no trace in running statistics") {
  Sequential<float> net;
  net.add("conv", Conv2d<float>(1, 4, 3, {}));
  net.add("norm", BatchNorm2d<float>(4));
  net.add("flatten", Flatten<float>{});
  net.add("head", Linear<float>(4 * 26 * 26, 10));
  net.initialize(1);
  train::Trainer trainer(net, adam, 7);
  data::Batch batch = digits(4);
  REQUIRE(trainer.train(batch, 1).ok());
  const auto state = [&] {
    std::vector<double> out;
    for (const StateEntry<float>& entry : state_entries<float>(trainer.net())) {
      if (entry.kind == StateKind::counter)
        out.push_back(static_cast<double>(entry.counter->value()));
      else
        out.insert(out.end(), entry.tensor.values().begin(), entry.tensor.values().end());
    }
    return out;
  };
  const std::vector<double> before = state();
  const float good = batch.x.values()[5];
  batch.x.mutable_data()[5] = std::numeric_limits<float>::infinity();
  REQUIRE_FALSE(trainer.train(batch, 2).ok());
  CHECK(state() == before);
  batch.x.mutable_data()[5] = good;
  REQUIRE(trainer.train(batch, 2).ok());
  CHECK(state() != before);
}

TEST_CASE("count_correct: of the first rows, one for each label") {
  const Tensor<float> logits = Tensor<float>::from({3, 2}, {1, 2, 2, 1, 0, 5});
  CHECK(train::count_correct(logits, std::vector<std::int32_t>{1, 1}) == 1);
  CHECK(train::count_correct(logits, std::vector<std::int32_t>{1, 0, 1}) == 3);
}

}  // namespace trainer_test
