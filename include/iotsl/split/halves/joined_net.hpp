#pragma once
// A step of the joined net that has to be cut all the same: what is replayed begins there, what
// crosses the cut does not arrive as it was, or the back multiplies in another precision.

#include "iotsl/split/halves/cut.hpp"
#include "iotsl/train/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// In what a step across the cut differs from one of the joined net.
struct CutStep {
  /// How what crosses the cut is coded, and the random numbers of its rounding.
  net::WireFormat format;
  net::StepChance chance;
  /// Of the back's products.
  ProductPrecision precision;
};

/// One step of `joined` on both sides of the cut; `front` and `back` share their parameters with
/// its net. The smashed batch, as the back gets it, is left in `smashed`.
inline Result<train::StepOutcome> train_across_cut(train::Trainer& joined, Sequential<float>& front,
                                                   Sequential<float>& back,
                                                   const ReplayMemory::Samples& replayed,
                                                   const data::Batch& batch, std::uint64_t step,
                                                   const CutStep& cut_step,
                                                   Tensor<float>& smashed) {
  ForwardMode mode = joined.mode(step);
  const Tensor<float> sent = front.forward(batch.x, mode);
  smashed = cut_step.format.arrived_smashed(sent.detach(), cut_step.chance);
  const auto first = joined.parameters().begin(), end = joined.parameters().end();
  const auto cut = first + static_cast<std::ptrdiff_t>(front.parameters().size());
  mode.precision = cut_step.precision;
  BackPass pass(back, smashed, batch.labels, replayed, mode, {cut, end});
  const BackOutcome out = pass.answer();
  std::vector<Tensor<float>> gradients = grad<float>(
      {sent}, {first, cut}, {cut_step.format.arrived_gradient(out.gradient, cut_step.chance)});
  const std::vector<Tensor<float>> of_back = pass.parameter_gradients();
  gradients.insert(gradients.end(), of_back.begin(), of_back.end());
  return joined.update(out.seen, gradients, step);
}

/// The same behind a front that is frozen: `back` alone is trained, on a batch that has arrived.
inline Result<train::StepOutcome> train_behind_cut(train::Trainer& back,
                                                   const Tensor<float>& smashed,
                                                   std::span<const std::int32_t> labels,
                                                   const ReplayMemory::Samples& replayed,
                                                   std::uint64_t step, ProductPrecision precision) {
  ForwardMode mode = back.mode(step);
  mode.precision = precision;
  BackPass pass(back.net(), smashed, labels, replayed, mode, back.parameters(), false);
  const BackOutcome out = pass.answer();
  return back.update(out.seen, pass.parameter_gradients(), step);
}

}  // namespace split
IOTSL_NAMESPACE_END
