#pragma once
// The judge of a quality check: a small classifier that is trained on generated images and tested
// on real ones.

#include <optional>

#include "iotsl/core/threads/stop_check.hpp"
#include "iotsl/data/batch.hpp"
#include "iotsl/nn/layers/standard.hpp"
#include "iotsl/nn/sequential.hpp"
#include "iotsl/ops/loss.hpp"
#include "iotsl/optim/optimizer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace gan {
namespace detail {

/// Two convolutions and a linear layer: enough for digits, trained in a second.
inline Sequential<float> judge_net(const data::Dataset& set) {
  const Index h = set.height / 2 / 2, w = set.width / 2 / 2;
  const Pool2dOptions half{.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2};
  Sequential<float> net;
  net.add("conv1", Conv2d<float>(set.channels, 16, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("relu1", Relu<float>{});
  net.add("pool1", MaxPool2d<float>{half});
  net.add("conv2", Conv2d<float>(16, 32, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("relu2", Relu<float>{});
  net.add("pool2", MaxPool2d<float>{half});
  net.add("flatten", Flatten<float>{});
  net.add("linear", Linear<float>(32 * h * w, set.classes));
  return net;
}

/// Nothing where it was stopped.
inline std::optional<Sequential<float>> train_judge(const data::Dataset& generated,
                                                    std::uint64_t seed, Index steps,
                                                    const StopCheck& stop) {
  Sequential<float> net = judge_net(generated);
  net.initialize(seed);
  Optimizer<float> adam(net.parameters(), {.kind = OptimizerKind::adam, .lr = 2e-3});
  const Index batch = std::min<Index>(64, generated.size());
  std::vector<Index> chosen(static_cast<std::size_t>(batch));
  for (Index step = 0; step < steps; ++step) {
    if (stop()) return std::nullopt;
    const Random random(seed, Stream::quality, static_cast<std::uint32_t>(step) + 1);
    for (std::size_t i = 0; i < chosen.size(); ++i)
      chosen[i] = static_cast<Index>(random.below(i, static_cast<std::uint64_t>(generated.size())));
    const data::Batch b = data::fetch_batch(generated, chosen);
    backward(softmax_cross_entropy<float>(net.forward(b.x, {.training = true}), b.labels));
    adam.step();
  }
  return net;
}

/// What the judge takes real samples for.
struct Verdicts {
  std::vector<std::vector<Index>> named;  ///< [class][class that the judge names]: samples
  double loss = 0;                        ///< mean cross-entropy

  Index samples(std::size_t label) const {
    Index sum = 0;
    for (const Index n : named[label]) sum += n;
    return sum;
  }
  /// The part of a class's samples that are taken for `as`; 0 where it has none.
  double share(std::size_t label, std::size_t as) const {
    const Index all = samples(label);
    return all == 0 ? 0.0 : static_cast<double>(named[label][as]) / static_cast<double>(all);
  }
};

/// The judge looks at the samples of `test`, at least one. Nothing where it was stopped.
inline std::optional<Verdicts> ask_judge(Sequential<float>& judge, const data::Dataset& test,
                                         const StopCheck& stop) {
  const auto classes = static_cast<std::size_t>(test.classes);
  Verdicts out{std::vector(classes, std::vector<Index>(classes, 0)), 0};
  const std::vector<Index> all = data::count_up(test.size());
  const NoRecord values_only;
  double loss = 0;
  for (std::size_t begin = 0; begin < all.size(); begin += 64) {
    if (stop()) return std::nullopt;
    const std::size_t count = std::min<std::size_t>(64, all.size() - begin);
    const data::Batch b = data::fetch_batch(test, std::span(all).subspan(begin, count));
    const Tensor<float> logits = judge.forward(b.x, {});
    loss += static_cast<double>(softmax_cross_entropy<float>(logits, b.labels).item()) *
            static_cast<double>(b.labels.size());
    for (std::size_t i = 0; i < b.labels.size(); ++i) {
      const float* row = logits.data() + static_cast<Index>(i) * test.classes;
      const auto said = std::max_element(row, row + test.classes) - row;
      ++out.named[static_cast<std::size_t>(b.labels[i])][static_cast<std::size_t>(said)];
    }
  }
  out.loss = loss / static_cast<double>(all.size());
  return out;
}

}  // namespace detail
}  // namespace gan
IOTSL_NAMESPACE_END
