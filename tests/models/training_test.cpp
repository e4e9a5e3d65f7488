// Training steps of whole nets: independent of the number of threads, bounded in memory, and whole
// again after any allocation has failed.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "iotsl/autograd/grad.hpp"
#include "iotsl/core/threads/parallel.hpp"
#include "iotsl/models/model.hpp"
#include "iotsl/optim/optimizer.hpp"

namespace {

using iotsl::Index;
using iotsl::memory_statistics;
using iotsl::ModelSpec;
using iotsl::Optimizer;
using iotsl::OptimizerKind;
using iotsl::Sequential;
using iotsl::Shape;
using iotsl::Tensor;

Tensor<float> noise(const Shape& shape, std::uint32_t number) {
  Tensor<float> out = Tensor<float>::zeros(shape);
  iotsl::fill_normal(out, 1.0, 3, number);
  return out;
}

struct Training {
  Sequential<float> model;
  Optimizer<float> optimizer;
  Tensor<float> x;
  std::vector<std::int32_t> labels;

  Training(const ModelSpec& spec, Index batch, OptimizerKind kind)
      : model(iotsl::build_model<float>(spec)), x(noise({batch, 1, 28, 28}, 0)) {
    model.initialize(1);
    optimizer = Optimizer<float>(
        model.parameters(),
        {.kind = kind, .lr = 0.01, .momentum = kind == OptimizerKind::sgd ? 0.9 : 0.0});
    for (Index i = 0; i < batch; ++i) labels.push_back(static_cast<std::int32_t>(i % 10));
  }
  void step(std::uint32_t number) {
    const Tensor<float> y = model.forward(x, {.training = true, .seed = 5, .step = number});
    iotsl::backward(iotsl::softmax_cross_entropy(y, labels));
    optimizer.step();
  }
  std::vector<float> state() const {
    std::vector<float> out;
    const auto append = [&](const auto& named) {
      for (const auto& [name, tensor] : named)
        out.insert(out.end(), tensor.values().begin(), tensor.values().end());
    };
    append(model.parameters());
    append(model.buffers());
    append(optimizer.state());
    return out;
  }
};

}  // namespace

TEST_CASE("three training steps give the same bits with any number of threads") {
  const int before = iotsl::threads();
  for (const char* name : {"vgg16bn-compact", "vanilla5"}) {
    CAPTURE(name);
    std::vector<float> expected;
    for (int threads : {1, 2, 3}) {
      CAPTURE(threads);
      iotsl::set_threads(threads);
      Training training({.name = name, .width = 8}, 5, OptimizerKind::adam);
      for (std::uint32_t i = 0; i < 3; ++i) training.step(i);
      if (expected.empty()) expected = training.state();
      const bool same_bits = training.state() == expected;
      CHECK(same_bits);
    }
  }
  iotsl::set_threads(before);
}

TEST_CASE("after an allocation has failed nothing is lost and training goes on") {
  Training training({.name = "vgg16bn-compact", .width = 4}, 3, OptimizerKind::sgd);
  training.step(0);
  training.step(1);
  const std::size_t resting = memory_statistics().in_use_bytes;
  long failures = 0;
  // Every allocation of a step in turn, further apart towards the end.
  for (long at = 0;; at += 1 + at / 20) {
    iotsl::fail_allocation_after(at);
    bool failed = false;
    try {
      training.step(2);
    } catch (const iotsl::OutOfMemory&) {
      failed = true;
    }
    iotsl::fail_allocation_after(-1);
    for (auto& named : training.model.parameters()) named.tensor.clear_grad();
    REQUIRE(memory_statistics().in_use_bytes == resting);
    if (!failed) break;
    ++failures;
  }
  CHECK(failures > 50);
  CHECK(iotsl::is_recording());
  training.step(3);
  const std::vector<float> state = training.state();
  CHECK(std::all_of(state.begin(), state.end(), [](float v) { return std::isfinite(v); }));
}

// Slow only where it is emulated, and the same on every target.
TEST_CASE("the peak memory of a training step is bounded" * doctest::test_suite("slow")) {
  // The front of the default model at batch 32: what the graph must keep is the output of every
  // layer but the ReLUs, which write over their input. They are less than all activations,
  // which leaves room for one gradient.
  const Index batch = 32;
  const ModelSpec spec{};
  Sequential<float> front = iotsl::build_model<float>(spec).slice(0, 7);
  front.initialize(1);
  const Tensor<float> x = noise({batch, 1, 28, 28}, 0), gy = noise({batch, 64, 14, 14}, 1);
  const auto step = [&] {
    iotsl::backward(front.forward(x, {.training = true}), gy);
    for (auto& named : front.parameters()) named.tensor.clear_grad();
  };
  step();
  iotsl::reset_memory_peak();
  const std::size_t resting = memory_statistics().in_use_bytes;
  step();
  const std::size_t peak = memory_statistics().peak_bytes - resting;
  const std::size_t activations = static_cast<std::size_t>(batch) * 1254400;
  MESSAGE("peak ", peak >> 10, " KiB, activations ", activations >> 10, " KiB");
  CHECK(peak < activations);
  CHECK(memory_statistics().in_use_bytes == resting);
}
