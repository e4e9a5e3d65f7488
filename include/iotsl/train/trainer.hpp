#pragma once
// A net and the optimiser of all its parameters, step by step.

#include "iotsl/autograd/grad.hpp"
#include "iotsl/core/scalar_math.hpp"
#include "iotsl/data/batch.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/train/kept_buffers.hpp"
#include "iotsl/train/step.hpp"

IOTSL_NAMESPACE_BEGIN
namespace train {

/// A net that is trained with the cross-entropy of its logits. Batches hold float; a template, so
/// that a program that does not train does not compile what training calls.
template <class T>
class TrainerOf {
 public:
  /// `seed` of dropout.
  TrainerOf(Sequential<T> net, const OptimizerOptions& options, std::uint64_t seed)
      : net_(std::move(net)),
        optimizer_(net_.parameters(), options),
        parameters_(tensors_of(optimizer_.parameters())),
        buffers_(net_),
        seed_(seed) {}

  /// One update with the mean cross-entropy of a batch. `step` addresses the numbers of dropout.
  /// Fails where the loss or a gradient is NaN or Inf; the net stays as it is, running statistics
  /// too.
  Result<StepOutcome> train(const data::Batch& batch, std::uint64_t step) {
    buffers_.keep();
    const Tensor<T> logits = net_.forward(batch.x, mode(step));
    const Tensor<T> loss = softmax_cross_entropy<T>(logits, batch.labels);
    const StepOutcome out{static_cast<double>(loss.item()), count_correct(logits, batch.labels)};
    const Result<StepOutcome> done = update(out, grad<T>({loss}, parameters_), step);
    if (!done) buffers_.restore();
    return done;
  }

  /// The update alone, with gradients of parameters(); gives `out`. Where it fails the weights stay
  /// as they are.
  Result<StepOutcome> update(const StepOutcome& out, const std::vector<Tensor<T>>& gradients,
                             std::uint64_t step) {
    const Result<void> finite = check_gradients(gradients, optimizer_.parameters());
    if (!finite)
      return failure(finite.failure().code, "step ", step, ": ", finite.failure().message);
    if (!scalar_math::isfinite(out.loss))
      return failure(ErrorCode::other, "step ", step, ": the loss is NaN or Inf");
    optimizer_.step(gradients);
    return out;
  }

  ForwardMode mode(std::uint64_t step) const { return training_mode(seed_, step); }
  const std::vector<Tensor<T>>& parameters() const { return parameters_; }
  Optimizer<T>& optimizer() { return optimizer_; }
  Sequential<T>& net() { return net_; }

 private:
  Sequential<T> net_;
  Optimizer<T> optimizer_;
  std::vector<Tensor<T>> parameters_;
  KeptBuffers<T> buffers_;
  std::uint64_t seed_;
};

/// For nets of floats, as they are trained here.
using Trainer = TrainerOf<float>;

}  // namespace train
IOTSL_NAMESPACE_END
