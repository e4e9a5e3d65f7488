#pragma once
// What the server does with a step: with a device's in two parts, since the device waits for the
// first only, and with one on samples that it keeps.

#include "iotsl/net/clock.hpp"
#include "iotsl/split/halves/cut.hpp"
#include "iotsl/split/records/smashed_caches.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// No front gives such a value unless it explodes: the squares of a batch of them, weighed by a
/// layer, would still be finite, and so the running statistics behind it are.
inline constexpr float largest_smashed = 1e9f;

class StepWork {
 public:
  /// A step that is done, for the books.
  struct Finished {
    std::uint64_t batch = 0;  ///< of the turn, from 0
    std::uint64_t samples = 0;
    double loss = 0;
    std::uint64_t took_us = 0;  ///< of what was left
  };

  /// All must outlive this. `seed` of the run.
  StepWork(BackHalf& back, ReplayMemory& replay, SmashedCaches& caches, const WireSizes& sizes,
           std::uint64_t seed)
      : back_(back), replay_(replay), caches_(caches), sizes_(sizes), seed_(seed) {}

  /// The smashed batch of a step, of samples [1,C,H,W]; refused with NaN, Inf or what explodes.
  /// Nothing has changed.
  Result<Tensor<float>> decode(const net::Step& step, const Shape& sample) const {
    Shape shape{static_cast<Index>(step.labels.size())};
    for (int d = 1; d < sample.rank(); ++d) shape.push_back(sample[d]);
    Tensor<float> out = sizes_.format.decode_smashed(step.smashed, shape);
    if (all_within(out, largest_smashed)) return out;
    return failure(
        ErrorCode::network, "STEP ", step.step,
        all_finite(out) ? concat(" has values beyond ", largest_smashed) : " has NaN or Inf");
  }
  /// As far as the gradient that the device waits for, which stays until the next step. Where it
  /// fails, the back may have changed.
  Result<TrainedStep> answer(server_action::Train action, const Tensor<float>& smashed,
                             std::uint32_t device) {
    const net::Microseconds start = net::thread_time();
    const net::Step& step = action.step;
    const Result<BackOutcome> out =
        back_.answer(smashed, step.labels, step.step,
                     replay_.draw(device, static_cast<Index>(step.labels.size()), step.step));
    if (!out) return out.failure();
    gradient_ = sizes_.format.encode_gradient(out->gradient, {seed_, step.step});
    TrainedStep trained{
        .loss = out->seen.loss,
        .correct = static_cast<std::uint32_t>(out->seen.correct),
        .gradient = gradient_.bytes(),
        .form = {wire_shape(smashed.shape()), sizes_.format.type_of(net::MessageType::grad)},
        .server_us = static_cast<std::uint64_t>(net::thread_time() - start)};
    answered_ = {std::move(action), smashed, out->seen.loss};
    return trained;
  }
  /// Whether something is left of a step that was answered.
  bool has_rest() const { return answered_.has_value(); }
  /// Does it. Where it fails, the back may have changed.
  Result<Finished> finish(const TurnReport& turn) {
    const net::Microseconds start = net::thread_time();
    const Answered answered = std::exchange(answered_, std::nullopt).value();
    const net::Step& step = answered.action.step;
    const Result<void> updated = back_.update();
    if (!updated) return updated.failure();
    const std::uint64_t batch = step.step - turn.first_step - 1;
    replay_.keep(turn.device, turn.turn, answered.smashed, step.labels);
    if (caches_.keeps_samples())
      caches_.keep(turn.device, Index{turn.round}, static_cast<Index>(batch), step.smashed,
                   step.labels);
    return Finished{batch, step.labels.size(), answered.loss,
                    static_cast<std::uint64_t>(net::thread_time() - start)};
  }

  /// A whole step on samples that are kept of a device; their number goes to `samples`.
  Result<TrainedStep> train_cached(const server_action::TrainCached& action,
                                   std::uint64_t& samples) {
    const net::Microseconds start = net::thread_time();
    const SmashedCaches::Batch batch =
        caches_.take(action.device, Index{action.round}, static_cast<Index>(action.batch));
    samples = batch.labels.size();
    const Result<BackOutcome> out = back_.train(batch.smashed, batch.labels, action.step);
    if (!out) return out.failure();
    return TrainedStep{.loss = out->seen.loss,
                       .correct = static_cast<std::uint32_t>(out->seen.correct),
                       .gradient = {},
                       .form = {},
                       .server_us = static_cast<std::uint64_t>(net::thread_time() - start)};
  }

 private:
  /// A step whose gradient is sent.
  struct Answered {
    server_action::Train action;
    Tensor<float> smashed;
    double loss = 0;
  };

  BackHalf& back_;
  ReplayMemory& replay_;
  SmashedCaches& caches_;
  const WireSizes& sizes_;
  std::uint64_t seed_;
  net::EncodedBatch gradient_;
  std::optional<Answered> answered_;  // of which the update is left
};

}  // namespace split
IOTSL_NAMESPACE_END
