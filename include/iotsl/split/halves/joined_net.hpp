#pragma once
// Front and back as one net with one optimiser: training without a split.

#include "iotsl/data/loader.hpp"
#include "iotsl/split/halves/cut.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// A batch as a net takes it.
struct LabelledBatch {
  Tensor<float> x;  ///< [N,C,H,W]
  std::vector<std::int32_t> labels;
};

/// Batch `b` of a loader of `set`.
inline LabelledBatch fetch_batch(const data::Dataset& set, const data::Loader& loader, Index b) {
  const Index n = loader.batch_size(b);
  LabelledBatch out{Tensor<float>::uninitialized(Shape{n, set.channels, set.height, set.width}),
                    std::vector<std::int32_t>(static_cast<std::size_t>(n))};
  loader.fill(b, out.x.mutable_data(), out.labels.data());
  return out;
}

/// The joined net and the optimiser of all its parameters.
class JoinedNet {
 public:
  /// `seed` of dropout.
  JoinedNet(Sequential<float> net, const OptimizerOptions& options, std::uint64_t seed)
      : net_(std::move(net)),
        optimizer_(net_.parameters(), options),
        parameters_(detail::tensors_of(optimizer_.parameters())),
        seed_(seed) {}

  /// One step of plain training on x [N,C,H,W].
  Result<StepOutcome> train(const Tensor<float>& x, std::span<const std::int32_t> labels,
                            std::uint64_t step) {
    const Tensor<float> logits = net_.forward(x, detail::training_mode(seed_, step));
    const Tensor<float> loss = softmax_cross_entropy(logits, labels);
    StepOutcome out;
    out.loss = static_cast<double>(loss.item());
    out.correct = detail::count_correct(logits, labels);
    return update(std::move(out), grad<float>({loss}, parameters_), step);
  }

  /// The same on both sides of the cut (`front` and `back` share their parameters with the net),
  /// since what is replayed begins there. The smashed batch is left in `smashed`.
  Result<StepOutcome> train_with(Sequential<float>& front, Sequential<float>& back,
                                 const ReplayMemory::Samples& replayed, const LabelledBatch& batch,
                                 std::uint64_t step, Tensor<float>& smashed) {
    const ForwardMode mode = detail::training_mode(seed_, step);
    const Tensor<float> sent = front.forward(batch.x, mode);
    smashed = sent.detach();
    const auto first = parameters_.begin();
    const auto cut = first + static_cast<std::ptrdiff_t>(front.parameters().size());
    std::vector<Tensor<float>> of_back;
    StepOutcome out = detail::train_back(back, smashed, batch.labels, replayed, mode,
                                         {cut, parameters_.end()}, of_back);
    std::vector<Tensor<float>> gradients = grad<float>({sent}, {first, cut}, {out.gradient});
    gradients.insert(gradients.end(), of_back.begin(), of_back.end());
    return update(std::move(out), gradients, step);
  }

  Optimizer<float>& optimizer() { return optimizer_; }
  Sequential<float>& layers() { return net_; }

 private:
  Result<StepOutcome> update(StepOutcome out, const std::vector<Tensor<float>>& gradients,
                             std::uint64_t step) {
    const Result<void> finite = detail::check_gradients(gradients, optimizer_.parameters());
    if (!finite)
      return failure(finite.failure().code, "step ", step, ": ", finite.failure().message);
    if (!std::isfinite(out.loss))
      return failure(ErrorCode::other, "step ", step, ": the loss is NaN or Inf");
    optimizer_.step(gradients);
    return out;
  }

  Sequential<float> net_;
  Optimizer<float> optimizer_;
  std::vector<Tensor<float>> parameters_;
  std::uint64_t seed_;
};

}  // namespace split
IOTSL_NAMESPACE_END
