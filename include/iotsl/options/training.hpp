#pragma once
// How a net is trained, by any method: the same structure from the command line to the wire.

#include "iotsl/core/shape.hpp"
#include "iotsl/options/optimizer.hpp"
#include "iotsl/options/schedule.hpp"
#include "iotsl/options/wire_coding.hpp"

IOTSL_NAMESPACE_BEGIN

struct TrainingOptions {
  Index epochs = 5;        ///< device epochs in all; a round is a turn of each device
  Index local_epochs = 1;  ///< of a turn
  Index batch = 64;        ///< samples of a step
  Index replay = 0;        ///< smashed samples that the server keeps and trains on again
  OptimizerOptions optimizer{.kind = OptimizerKind::adam, .lr = 1e-3};
  Schedule schedule = Schedule::constant;
  /// Device epochs over which the rate falls; 0: `epochs`. Runs of other lengths with the same one
  /// have the same rates as far as they go.
  Index schedule_epochs = 0;
  /// The front keeps the weights that it begins with: no gradient comes back to a device, whoever
  /// holds the server cannot steer what it sends, and half of the traffic is saved.
  bool frozen_front = false;
  WireCoding wire = WireCoding::fp32;  ///< of smashed batches
  /// Of their gradients; nothing: default_gradient_coding().
  std::optional<WireCoding> wire_gradients = std::nullopt;
  Index eval_every = 1;  ///< device epochs; the last one is always evaluated
};

/// Device epochs over which the rate of `t` falls.
constexpr Index schedule_length(const TrainingOptions& t) {
  return t.schedule_epochs == 0 ? t.epochs : t.schedule_epochs;
}

struct IndexRange {
  Index least, most;
  constexpr bool has(Index value) const { return value >= least && value <= most; }
};
inline constexpr IndexRange epochs_range{1, 1000000};
inline constexpr IndexRange local_epochs_range{1, 1024};
inline constexpr IndexRange batch_range{2, 4096};

namespace detail {

inline Result<void> check_schedule(const TrainingOptions& t) {
  if (t.schedule_epochs == 0) return {};
  const auto wrong = [&](const auto&... parts) {
    return failure(ErrorCode::usage, "--schedule-epochs ", t.schedule_epochs, ": ", parts...);
  };
  if (t.schedule == Schedule::constant)
    return wrong("with --lr-schedule constant there is nothing to fall; expected linear or cosine");
  if (t.schedule_epochs < t.epochs || t.schedule_epochs > epochs_range.most)
    return wrong("expected --epochs ", t.epochs, " to ", epochs_range.most,
                 ", since behind its end the rate is 0");
  if (t.schedule_epochs % t.local_epochs != 0)
    return wrong("expected a multiple of --local-epochs ", t.local_epochs);
  return {};
}

}  // namespace detail

/// Checks what a user can get wrong; the failure names the option.
inline Result<void> check_training(const TrainingOptions& t) {
  const auto wrong = [](const auto&... parts) { return failure(ErrorCode::usage, parts...); };
  const auto outside = [&](const char* option, Index value, IndexRange range) {
    return wrong(option, " ", value, ": expected ", range.least, " to ", range.most);
  };
  if (!local_epochs_range.has(t.local_epochs))
    return outside("--local-epochs", t.local_epochs, local_epochs_range);
  if (!epochs_range.has(t.epochs) || t.epochs % t.local_epochs != 0)
    return wrong("--epochs ", t.epochs, ": expected ", epochs_range.least, " to ",
                 epochs_range.most, " and a multiple of --local-epochs ", t.local_epochs);
  if (!batch_range.has(t.batch)) return outside("--batch", t.batch, batch_range);
  if (t.eval_every < 1) return wrong("--eval-every ", t.eval_every, ": expected at least 1");
  if (t.replay < 0) return wrong("--replay ", t.replay, ": expected at least 0");
  if (const Result<void> good = detail::check_schedule(t); !good) return good;
  return check_optimizer(t.optimizer);
}

IOTSL_NAMESPACE_END
