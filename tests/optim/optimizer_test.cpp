// What PyTorch's traces (tests/golden/optim) do not cover: state that travels, errors.

#include "iotsl/optim/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "iotsl/autograd/grad.hpp"
#include "support/adjoint_check.hpp"

namespace {

using namespace check;
using iotsl::NamedTensor;
using iotsl::Optimizer;
using iotsl::OptimizerKind;
using iotsl::OptimizerOptions;

std::vector<NamedTensor<double>> two_parameters() {
  std::vector<NamedTensor<double>> out{{"a", normal({5}, 1)}, {"b", normal({2, 3}, 2)}};
  for (auto& named : out) named.tensor.set_requires_grad();
  return out;
}

void step(Optimizer<double>& optimizer, std::uint64_t number) {
  optimizer.step({normal({5}, 10 + number), normal({2, 3}, 20 + number)});
}

bool equal(const Tensor<double>& a, const Tensor<double>& b) {
  return std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size());
}

const OptimizerOptions all_options[] = {
    {.kind = OptimizerKind::sgd, .lr = 0.1},
    {.kind = OptimizerKind::sgd, .lr = 0.1, .weight_decay = 0.01, .momentum = 0.9},
    {.kind = OptimizerKind::sgd, .lr = 0.1, .momentum = 0.9, .nesterov = true},
    {.kind = OptimizerKind::adam, .lr = 0.01, .weight_decay = 0.01},
    {.kind = OptimizerKind::sgd, .lr = 0.1, .ewc = 0.5},
    {.kind = OptimizerKind::sgd, .lr = 0.1, .momentum = 0.9, .ewc = 0.5},
    {.kind = OptimizerKind::adam, .lr = 0.01, .ewc = 0.5},
};

}  // namespace

TEST_CASE("an optimiser whose state has travelled goes on with the same bits") {
  for (const OptimizerOptions& options : all_options) {
    const auto parameters = two_parameters();
    Optimizer<double> whole(parameters, options);
    for (std::uint64_t i = 0; i < 5; ++i) {
      if (i == 1 || i == 3) whole.consolidate();
      step(whole, i);
    }

    const auto first = two_parameters(), second = two_parameters();
    Optimizer<double> before(first, options), after(second, options);
    for (std::uint64_t i = 0; i < 2; ++i) {
      if (i == 1) before.consolidate();
      step(before, i);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      Tensor<double> to = second[i].tensor;
      std::copy_n(first[i].tensor.data(), to.size(), to.mutable_data());
    }
    REQUIRE(after.set_state(before.state(), before.steps()).ok());
    for (std::uint64_t i = 2; i < 5; ++i) {
      if (i == 3) after.consolidate();
      step(after, i);
    }
    CHECK(after.steps() == whole.steps());
    for (std::size_t i = 0; i < 2; ++i) CHECK(equal(second[i].tensor, parameters[i].tensor));
  }
}

TEST_CASE("state is named after the parameter and the slot") {
  const auto names = [](const OptimizerOptions& options) {
    std::vector<std::string> out;
    const Optimizer<double> optimizer(two_parameters(), options);
    for (const auto& named : optimizer.state()) out.push_back(named.name);
    return out;
  };
  CHECK(names(all_options[0]).empty());
  CHECK(names(all_options[1]) ==
        std::vector<std::string>{"a.momentum_buffer", "b.momentum_buffer"});
  CHECK(names(all_options[3]) ==
        std::vector<std::string>{"a.exp_avg", "a.exp_avg_sq", "b.exp_avg", "b.exp_avg_sq"});
  CHECK(names(all_options[4]) == std::vector<std::string>{"a.ewc_fisher", "a.ewc_anchor",
                                                          "a.ewc_seen", "b.ewc_fisher",
                                                          "b.ewc_anchor", "b.ewc_seen"});
  CHECK(names(all_options[5])[1] == "a.ewc_fisher");
  CHECK(names(all_options[6])[2] == "a.ewc_fisher");
}

TEST_CASE("elastic weight consolidation holds on to what earlier tasks needed") {
  // Two weights; the first task's gradients are 2 and 0, so only the first weight matters to it.
  const auto scalars = [](double a, double b) { return Tensor<double>::from({2}, {a, b}); };
  const Tensor<double> w = scalars(1, 1);
  Optimizer<double> optimizer({{"w", w}}, {.kind = OptimizerKind::sgd, .lr = 0.125, .ewc = 0.5});
  const auto is = [](const Tensor<double>& t, double a, double b) {
    CHECK(t.data()[0] == a);
    CHECK(t.data()[1] == b);
  };
  const auto slot = [&](std::size_t i) { return optimizer.state()[i].tensor; };
  optimizer.step({scalars(2, 0)});
  optimizer.step({scalars(-2, 0)});
  is(w, 1, 1);  // nothing pulls during the first task
  is(slot(0), 0, 0);
  is(slot(2), 8, 0);
  optimizer.consolidate();
  is(slot(0), 8, 0);
  is(slot(1), 1, 1);
  is(slot(2), 0, 0);
  optimizer.consolidate();  // no step between: no change
  is(slot(0), 8, 0);
  is(slot(1), 1, 1);

  optimizer.step({scalars(4, 4)});
  is(w, 0.5, 0.5);  // still at the anchor before the step
  optimizer.step({scalars(4, 4)});
  // 4 + 0.5 * 8 * (0.5 - 1) = 2 for the first weight, 4 for the other.
  is(w, 0.25, 0);
  is(slot(2), 32, 32);  // of the gradients without the pull
  optimizer.consolidate();
  is(slot(0), 40, 32);
  is(slot(1), 0.25, 0);
}

TEST_CASE("a step takes what backward has left and clears it") {
  const auto parameters = two_parameters();
  const Tensor<double> a = parameters[0].tensor, b = parameters[1].tensor;
  const double a0 = a.data()[0], b0 = b.data()[0];
  Optimizer<double> optimizer(parameters, {.lr = 0.5});
  iotsl::backward(iotsl::sum(iotsl::scale(a, 2.0)));
  optimizer.step();
  CHECK(a.data()[0] == a0 - 1);
  CHECK(b.data()[0] == b0);  // no gradient: untouched
  CHECK(!a.grad().defined());
  optimizer.set_learning_rate(0);
  iotsl::backward(iotsl::sum(a));
  optimizer.step();
  CHECK(a.data()[0] == a0 - 1);
}

TEST_CASE("a step raises the version of the parameters") {
  const auto parameters = two_parameters();
  const Tensor<double> a = parameters[0].tensor;
  Optimizer<double> optimizer(parameters, {});
  const Tensor<double> loss = iotsl::sum(iotsl::square(a));
  step(optimizer, 0);
  CHECK(error_of([&] { iotsl::backward(loss); }).find("was changed in place") != std::string::npos);
}

TEST_CASE("optimisers: errors") {
  const auto message = [](const OptimizerOptions& options) {
    return error_of([&] { Optimizer<double>(two_parameters(), options); });
  };
  CHECK(message({.lr = -1}) == "optimizer: learning rate -1; expected at least 0");
  CHECK(message({.lr = std::nan("")}) == "optimizer: learning rate nan; expected at least 0");
  CHECK(message({.weight_decay = -1}) == "optimizer: weight decay -1; expected at least 0");
  CHECK(message({.momentum = 1}) == "optimizer: momentum 1; expected 0 <= m < 1");
  CHECK(message({.ewc = -1}) == "optimizer: ewc -1; expected at least 0");
  CHECK(message({.nesterov = true}) == "optimizer: Nesterov needs a momentum above 0");
  CHECK(message({.kind = OptimizerKind::adam, .beta1 = 1}) ==
        "optimizer: betas 1 and 0.999; expected 0 <= beta < 1");
  Optimizer<double> optimizer(two_parameters(), all_options[1]);
  CHECK(error_of([&] { optimizer.set_learning_rate(-1); }) ==
        "optimizer: learning rate -1; expected at least 0");
  CHECK(error_of([&] { optimizer.step(Tensors{normal({5}, 1)}); }) ==
        "optimizer: 1 gradients for 2 parameters");
  CHECK(error_of([&] {
          optimizer.step({normal({5}, 1), normal({3, 2}, 1)});
        }) == "optimizer: gradient [3,2] for b [2,3]");
  CHECK(optimizer.set_state(optimizer.state(), -1).failure().message ==
        "optimizer state: -1 steps, expected at least 0");
  const auto short_state = optimizer.set_state({}, 1);
  CHECK(short_state.failure().message == "optimizer state: 0 tensors, expected 2");
  const auto bad_state = optimizer.set_state(
      {{"a.momentum_buffer", normal({5}, 1)}, {"b.momentum_buffer", normal({6}, 1)}}, 1);
  CHECK(bad_state.failure().message ==
        "optimizer state: tensor 1 is b.momentum_buffer [6], expected b.momentum_buffer [2,3]");
}
