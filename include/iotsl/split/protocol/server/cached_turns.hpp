#pragma once
// What method cache adds to the server's turns: which devices are needed no more, and how their
// samples are cut into batches, so that the server can go on without them.

#include "iotsl/data/loader.hpp"
#include "iotsl/split/protocol/server/server_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class CachedTurns {
 public:
  /// `devices` of ServerPlan: empty for any other method. `batch`: samples of a step.
  CachedTurns(std::vector<std::optional<CachedDevice>> devices, Index batch)
      : devices_(std::move(devices)), batch_(batch) {}

  /// Whether the run is of method cache.
  bool active() const { return !devices_.empty(); }
  /// Whether a turn of the device asks nothing of it.
  bool has(std::uint32_t device) const { return active() && devices_[device].has_value(); }
  /// A turn is done that brought all samples of its device, or was one of the server's own.
  void enter(const TurnReport& turn) {
    if (active()) devices_[turn.device] = CachedDevice{turn.device_name, turn.samples};
  }

  /// Fills in what is known of a turn that its device is not needed for.
  void describe(TurnReport& turn) {
    const CachedDevice& device = *devices_[turn.device];
    turn.device_name = device.name;
    turn.samples = device.samples;
    cut(turn.samples);
    turn.steps = batches_.size();
  }
  std::uint64_t batch_size(std::uint64_t batch) const {
    return static_cast<std::uint64_t>(batches_[static_cast<std::size_t>(batch)].size());
  }

  /// Of a device that is to send its samples: whether a turn of so many steps is an epoch of them.
  Result<void> check_steps(const TurnReport& turn, std::uint64_t steps) {
    if (!active()) return {};
    cut(turn.samples);
    if (steps == batches_.size()) return {};
    return failure(ErrorCode::network, "TURN_ACCEPT of turn ", turn.turn, " with ", steps,
                   " steps, expected ", batches_.size());
  }
  /// Whether a step of the turn has the samples of its batch.
  Result<void> check_step(const TurnReport& turn, const net::Step& step) const {
    if (!active()) return {};
    const std::uint64_t expected = batch_size(step.step - turn.first_step - 1);
    if (step.labels.size() == expected) return {};
    return failure(ErrorCode::network, "STEP ", step.step, " with ", step.labels.size(),
                   " samples, expected ", expected);
  }

 private:
  void cut(std::uint64_t samples) {
    batches_ = data::batch_ranges(static_cast<Index>(samples), batch_);
  }

  std::vector<std::optional<CachedDevice>> devices_;
  Index batch_;
  std::vector<data::BatchRange> batches_;  // of the turn in hand
};

}  // namespace split
IOTSL_NAMESPACE_END
