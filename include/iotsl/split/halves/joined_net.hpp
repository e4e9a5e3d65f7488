#pragma once
// A step of the joined net that has to be cut all the same, since what is replayed begins there, or
// since what crosses the cut does not arrive as it was.

#include "iotsl/split/halves/cut.hpp"
#include "iotsl/train/trainer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What lies between the halves.
struct CutWire {
  net::WireFormat format;
  net::StepChance chance;
};

/// One step of `joined` on both sides of the cut; `front` and `back` share their parameters with
/// its net. The smashed batch, as the back gets it, is left in `smashed`.
inline Result<train::StepOutcome> train_across_cut(train::Trainer& joined, Sequential<float>& front,
                                                   Sequential<float>& back,
                                                   const ReplayMemory::Samples& replayed,
                                                   const data::Batch& batch, std::uint64_t step,
                                                   const CutWire& wire, Tensor<float>& smashed) {
  const ForwardMode mode = joined.mode(step);
  const Tensor<float> sent = front.forward(batch.x, mode);
  smashed = wire.format.arrived_smashed(sent.detach(), wire.chance);
  const auto first = joined.parameters().begin(), end = joined.parameters().end();
  const auto cut = first + static_cast<std::ptrdiff_t>(front.parameters().size());
  std::vector<Tensor<float>> of_back;
  const BackOutcome out =
      detail::train_back(back, smashed, batch.labels, replayed, mode, {cut, end}, of_back);
  std::vector<Tensor<float>> gradients =
      grad<float>({sent}, {first, cut}, {wire.format.arrived_gradient(out.gradient, wire.chance)});
  gradients.insert(gradients.end(), of_back.begin(), of_back.end());
  return joined.update(out.seen, gradients, step);
}

/// The same behind a front that is frozen: `back` alone is trained.
inline Result<train::StepOutcome> train_behind_cut(train::Trainer& back, Sequential<float>& front,
                                                   const ReplayMemory::Samples& replayed,
                                                   const data::Batch& batch, std::uint64_t step,
                                                   const CutWire& wire, Tensor<float>& smashed) {
  smashed = wire.format.arrived_smashed(frozen_forward(front, batch.x), wire.chance);
  std::vector<Tensor<float>> gradients;
  const BackOutcome out = detail::train_back(back.net(), smashed, batch.labels, replayed,
                                             back.mode(step), back.parameters(), gradients, false);
  return back.update(out.seen, gradients, step);
}

}  // namespace split
IOTSL_NAMESPACE_END
