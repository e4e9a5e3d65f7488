#pragma once
// A model in two halves, each with the optimiser that trains it, and the work of one step on either
// side. The same functions serve every transport, so that they all compute the same numbers.

#include <cmath>
#include <optional>

#include "iotsl/autograd/staged_grad.hpp"
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
    return take(frozen_ ? forward_ahead(x) : front_.forward(x, train::training_mode(seed_, step)),
                step);
  }

  /// The same of a frozen front, which may be computed before its step: see take().
  Tensor<float> forward_ahead(const Tensor<float>& x) { return frozen_forward(front_, x); }
  Result<Tensor<float>> take(Tensor<float> smashed, std::uint64_t step) {
    smashed_ = std::move(smashed);
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
  bool is_frozen() const { return frozen_; }
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

/// A pass of the back on `smashed` [N,...] and N labels, together with what is replayed. What is
/// learned from is the mean over all rows; loss, hits and the gradient of the smashed batch are
/// those of its own rows, as if their mean were all of the loss.
class BackPass {
 public:
  /// Forward and loss. `wants_gradient`: of the smashed batch, too, not of `parameters` only.
  BackPass(const Sequential<float>& back, Tensor<float> smashed,
           std::span<const std::int32_t> labels, const ReplayMemory::Samples& replayed,
           const ForwardMode& mode, std::vector<Tensor<float>> parameters,
           bool wants_gradient = true) {
    smashed.set_requires_grad(wants_gradient);
    std::vector<Tensor<float>> first;
    if (wants_gradient) first.push_back(smashed);
    Tensor<float> loss;
    if (replayed.labels.empty()) {
      const Tensor<float> logits = back.forward(smashed, mode);
      loss = softmax_cross_entropy(logits, labels);
      seen_.loss = static_cast<double>(loss.item());
      seen_.correct = train::count_correct(logits, labels);
    } else {
      std::vector<std::int32_t> all(labels.begin(), labels.end());
      all.insert(all.end(), replayed.labels.begin(), replayed.labels.end());
      const Tensor<float> logits =
          back.forward(concat<float>({smashed, replayed.smashed}, 0), mode);
      const auto own = static_cast<Index>(labels.size());
      seen_.loss = static_cast<double>(
          softmax_cross_entropy(slice(logits.detach(), 0, 0, own), labels).item());
      seen_.correct = train::count_correct(logits, labels);
      loss = softmax_cross_entropy<float>(logits, all);
      share_ = static_cast<float>(all.size()) / static_cast<float>(own);
    }
    gradients_.emplace(loss, std::move(first), std::move(parameters));
  }

  const train::StepOutcome& seen() const { return seen_; }
  /// The backward pass as far as the smashed batch: its gradient, undefined where it is not wanted.
  BackOutcome answer() {
    const std::vector<Tensor<float>> of_smashed = gradients_->first();
    if (of_smashed.empty()) return {seen_, {}};
    return {seen_, share_ == 1 ? of_smashed[0] : scale(of_smashed[0], share_)};
  }
  /// What is left of it, after answer(): the gradients of the parameters.
  std::vector<Tensor<float>> parameter_gradients() { return gradients_->rest(); }

 private:
  train::StepOutcome seen_;
  float share_ = 1;  // of the rows' mean in that of the batch's own rows
  std::optional<StagedGrad<float>> gradients_;
};

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
    Result<BackOutcome> out = answer(std::move(smashed), labels, step, replayed);
    const Result<void> updated = out ? update() : Result<void>{};
    return updated ? std::move(out) : Result<BackOutcome>(updated.failure());
  }

  // The same in two parts: a device waits for the first of them only.

  /// As far as the gradient of the smashed batch.
  Result<BackOutcome> answer(Tensor<float> smashed, std::span<const std::int32_t> labels,
                             std::uint64_t step, const ReplayMemory::Samples& replayed = {}) {
    step_ = step;
    pass_.emplace(back_, std::move(smashed), labels, replayed,
                  train::training_mode(seed_, step, precision_), parameters_, wants_gradient_);
    BackOutcome out = pass_->answer();
    if (std::isfinite(out.seen.loss) && (!wants_gradient_ || all_finite(out.gradient))) return out;
    pass_.reset();
    return failure(ErrorCode::other, "step ", step, ": the loss or its gradient is NaN or Inf");
  }
  /// The gradients of the weights, and the update; after answer().
  Result<void> update() {
    const std::vector<Tensor<float>> gradients = pass_->parameter_gradients();
    pass_.reset();
    const Result<void> finite = train::check_gradients(gradients, optimizer_.parameters());
    if (!finite)
      return failure(finite.failure().code, "step ", step_, ": ", finite.failure().message);
    optimizer_.step(gradients);
    return {};
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
  std::uint64_t step_ = 0;
  std::optional<BackPass> pass_;  // from answer() to update()
};

}  // namespace split
IOTSL_NAMESPACE_END
