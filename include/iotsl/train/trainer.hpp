#pragma once
// A net and the optimiser of all its parameters, step by step.

#include "iotsl/autograd/grad.hpp"
#include "iotsl/data/batch.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/train/step.hpp"

IOTSL_NAMESPACE_BEGIN
namespace train {

/// A net that is trained with the cross-entropy of its logits.
class Trainer {
 public:
  /// `seed` of dropout.
  Trainer(Sequential<float> net, const OptimizerOptions& options, std::uint64_t seed)
      : net_(std::move(net)),
        optimizer_(net_.parameters(), options),
        parameters_(tensors_of(optimizer_.parameters())),
        seed_(seed) {}

  /// One update with the mean cross-entropy of a batch. `step` addresses the numbers of dropout.
  /// Fails where the loss or a gradient is NaN or Inf; the weights stay as they are.
  Result<StepOutcome> train(const data::Batch& batch, std::uint64_t step) {
    const Tensor<float> logits = net_.forward(batch.x, mode(step));
    const Tensor<float> loss = softmax_cross_entropy<float>(logits, batch.labels);
    const StepOutcome out{static_cast<double>(loss.item()), count_correct(logits, batch.labels)};
    return update(out, grad<float>({loss}, parameters_), step);
  }

  /// The update alone, with gradients of parameters(); gives `out`. Fails as train() does.
  Result<StepOutcome> update(const StepOutcome& out, const std::vector<Tensor<float>>& gradients,
                             std::uint64_t step) {
    const Result<void> finite = check_gradients(gradients, optimizer_.parameters());
    if (!finite)
      return failure(finite.failure().code, "step ", step, ": ", finite.failure().message);
    if (!std::isfinite(out.loss))
      return failure(ErrorCode::other, "step ", step, ": the loss is NaN or Inf");
    optimizer_.step(gradients);
    return out;
  }

  ForwardMode mode(std::uint64_t step) const { return training_mode(seed_, step); }
  const std::vector<Tensor<float>>& parameters() const { return parameters_; }
  Optimizer<float>& optimizer() { return optimizer_; }
  Sequential<float>& net() { return net_; }

 private:
  Sequential<float> net_;
  Optimizer<float> optimizer_;
  std::vector<Tensor<float>> parameters_;
  std::uint64_t seed_;
};

}  // namespace train
IOTSL_NAMESPACE_END
