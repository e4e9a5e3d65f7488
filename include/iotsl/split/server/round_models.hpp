#pragma once
// What the server of federated averaging does with nets: it keeps those that devices have trained
// until their turn is in hand, and averages them.

#include <optional>

#include "iotsl/split/halves/model_mean.hpp"
#include "iotsl/split/protocol/server/server_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class RoundModels {
 public:
  /// `averaged` is the run's net, which gets the mean of each round.
  RoundModels(const Sequential<float>& averaged, std::size_t devices)
      : averaged_(averaged), mean_(averaged), kept_(devices) {}

  /// A net that is none like the run's, or that has NaN, is refused and not kept.
  Result<void> keep(server_action::KeepModel& action) {
    // No optimiser travels.
    const Result<void> good = check_front_state(action.model.model, model_state(averaged_), 0);
    if (good) kept_[action.device] = {std::move(action.model), std::move(action.message)};
    return good;
  }

  /// Takes what is kept of the barrier's device into the mean, and ends the round where it is told
  /// to. Where nobody has answered, the net stays as it is.
  void average(const server_action::AverageModel& action) {
    const TurnReport& turn = action.barrier.report;
    std::optional<Kept>& kept = kept_[turn.device];
    if (!turn.skipped && !kept) fail("fedavg: no net of device ", turn.device);
    if (!turn.skipped) mean_.add(kept->model.model, kept->model.samples);
    kept.reset();
    if (action.ends_round && !mean_.empty()) mean_.store(averaged_);
  }

  /// Of the round in hand, for barriers.
  std::vector<StatePart> parts() { return mean_.parts(); }

 private:
  struct Kept {
    net::LocalModel model;
    net::Message message;  // what `model` looks into
  };

  Sequential<float> averaged_;
  ModelMean mean_;
  std::vector<std::optional<Kept>> kept_;  // of each device
};

}  // namespace split
IOTSL_NAMESPACE_END
