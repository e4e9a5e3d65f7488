#pragma once
// A model in two halves, each with the optimiser that trains it, and the work of one step on either
// side. The same functions serve every transport, so that they all compute the same numbers.

#include <cmath>

#include "iotsl/autograd/grad.hpp"
#include "iotsl/ops/view.hpp"
#include "iotsl/split/halves/front_state.hpp"
#include "iotsl/split/halves/replay.hpp"
#include "iotsl/train/step.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What a front whose weights stay gives for x: as in evaluation, so that its running statistics
/// stay too.
inline Tensor<float> frozen_forward(Sequential<float>& front, const Tensor<float>& x) {
  const NoRecord values_only;
  return front.forward(x, {});
}

/// The device's half: forward, then backward with the gradient that the server sends.
class FrontHalf {
 public:
  /// `frozen`: it keeps its weights and running statistics, and backward() needs no gradient.
  FrontHalf(Sequential<float> front, const OptimizerOptions& options, std::uint64_t seed,
            bool frozen = false)
      : front_(std::move(front)),
        optimizer_(front_.parameters(), options),
        seed_(seed),
        frozen_(frozen) {
    parameters_ = train::tensors_of(optimizer_.parameters());
  }

  /// The smashed batch of x [N,C,H,W]: step 1 of the paper's section II.
  Result<Tensor<float>> forward(const Tensor<float>& x, std::uint64_t step) {
    smashed_ =
        frozen_ ? frozen_forward(front_, x) : front_.forward(x, train::training_mode(seed_, step));
    if (!all_finite(smashed_))
      return failure(ErrorCode::other, "step ", step, ": the smashed batch has NaN or Inf");
    return smashed_.detach();
  }

  /// Backward and update with the gradient with respect to the smashed batch: step 4.
  Result<void> backward(const Tensor<float>& gradient) {
    if (frozen_) {
      smashed_ = {};
      return {};
    }
    const std::vector<Tensor<float>> gradients = grad<float>({smashed_}, parameters_, {gradient});
    smashed_ = {};
    const Result<void> finite = train::check_gradients(gradients, optimizer_.parameters());
    if (!finite) return finite;
    optimizer_.step(gradients);
    return {};
  }
  const Shape& smashed_shape() const { return smashed_.shape(); }
  /// What forward() gave last; until backward().
  Tensor<float> smashed() const { return smashed_.detach(); }

  Sequential<float>& layers() { return front_; }
  const Sequential<float>& layers() const { return front_; }
  Optimizer<float>& optimizer() { return optimizer_; }
  const Optimizer<float>& optimizer() const { return optimizer_; }
  net::FrontState state() const { return front_state(front_, optimizer_); }
  /// `steps` of the run so far: the state's optimiser cannot have taken more.
  Result<void> load(const net::FrontState& state, std::uint64_t steps) {
    return load_front_state(state, front_, optimizer_, steps);
  }

 private:
  Sequential<float> front_;
  Optimizer<float> optimizer_;
  std::vector<Tensor<float>> parameters_;
  std::uint64_t seed_;
  bool frozen_;
  Tensor<float> smashed_;
};

/// What the server has found out about a batch.
struct BackOutcome {
  train::StepOutcome seen;
  Tensor<float> gradient;  ///< with respect to the smashed batch
};

namespace detail {

/// Forward and loss of the back on `smashed` [N,...], together with what is replayed. `gradients`
/// receives those of `parameters`, of the mean over all rows; with `wants_gradient` there is one of
/// the smashed batch, too. Loss, hits and the gradient of the
/// smashed batch are those of its own rows, as if their mean were all of the loss.
inline BackOutcome train_back(Sequential<float>& back, Tensor<float> smashed,
                              std::span<const std::int32_t> labels,
                              const ReplayMemory::Samples& replayed, const ForwardMode& mode,
                              std::vector<Tensor<float>> parameters,
                              std::vector<Tensor<float>>& gradients, bool wants_gradient = true) {
  smashed.set_requires_grad(wants_gradient);
  BackOutcome out;
  if (wants_gradient) parameters.push_back(smashed);
  if (replayed.labels.empty()) {
    const Tensor<float> logits = back.forward(smashed, mode);
    const Tensor<float> loss = softmax_cross_entropy(logits, labels);
    out.seen.loss = static_cast<double>(loss.item());
    out.seen.correct = train::count_correct(logits, labels);
    gradients = grad<float>({loss}, parameters);
    if (wants_gradient) out.gradient = gradients.back();
  } else {
    std::vector<std::int32_t> all(labels.begin(), labels.end());
    all.insert(all.end(), replayed.labels.begin(), replayed.labels.end());
    const Tensor<float> logits = back.forward(concat<float>({smashed, replayed.smashed}, 0), mode);
    const auto own = static_cast<Index>(labels.size());
    out.seen.loss = static_cast<double>(
        softmax_cross_entropy(slice(logits.detach(), 0, 0, own), labels).item());
    out.seen.correct = train::count_correct(logits, labels);
    gradients = grad<float>({softmax_cross_entropy<float>(logits, all)}, parameters);
    if (wants_gradient)
      out.gradient =
          scale(gradients.back(), static_cast<float>(all.size()) / static_cast<float>(own));
  }
  if (wants_gradient) gradients.pop_back();
  return out;
}

}  // namespace detail

/// The server's half: forward, loss, backward, update: steps 2 and 3.
class BackHalf {
 public:
  /// `wants_gradient`: of the smashed batch; a frozen front needs none. `precision`: of training.
  BackHalf(Sequential<float> back, const OptimizerOptions& options, std::uint64_t seed,
           bool wants_gradient = true, ProductPrecision precision = {})
      : back_(std::move(back)),
        optimizer_(back_.parameters(), options),
        parameters_(train::tensors_of(optimizer_.parameters())),
        seed_(seed),
        wants_gradient_(wants_gradient),
        precision_(precision) {}

  /// `smashed` [N,...] and N labels. `replayed`: samples of earlier turns to train on as well.
  Result<BackOutcome> train(Tensor<float> smashed, std::span<const std::int32_t> labels,
                            std::uint64_t step, const ReplayMemory::Samples& replayed = {}) {
    std::vector<Tensor<float>> gradients;
    BackOutcome out = detail::train_back(back_, std::move(smashed), labels, replayed,
                                         train::training_mode(seed_, step, precision_), parameters_,
                                         gradients, wants_gradient_);
    const Result<void> finite = train::check_gradients(gradients, optimizer_.parameters());
    if (!finite)
      return failure(finite.failure().code, "step ", step, ": ", finite.failure().message);
    if (!std::isfinite(out.seen.loss) || (wants_gradient_ && !all_finite(out.gradient)))
      return failure(ErrorCode::other, "step ", step, ": the loss or its gradient is NaN or Inf");
    optimizer_.step(gradients);
    return out;
  }

  Sequential<float>& layers() { return back_; }
  const Sequential<float>& layers() const { return back_; }
  Optimizer<float>& optimizer() { return optimizer_; }
  const Optimizer<float>& optimizer() const { return optimizer_; }

 private:
  Sequential<float> back_;
  Optimizer<float> optimizer_;
  std::vector<Tensor<float>> parameters_;
  std::uint64_t seed_;
  bool wants_gradient_;
  ProductPrecision precision_;
};

}  // namespace split
IOTSL_NAMESPACE_END
