#pragma once
// The books of a turn, and the states of a run that it can go back to.

#include "iotsl/net/messages/bulk_messages.hpp"
#include "iotsl/options/turn_order.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// What the server saw of one local epoch.
struct EpochTally {
  double loss_sum = 0;  ///< over samples
  std::uint64_t samples = 0;
  std::uint64_t correct = 0;    ///< before each update
  std::uint64_t server_us = 0;  ///< up to the gradient that the device waits for
  std::uint64_t update_us = 0;  ///< what is left of the steps, while the device works

  /// A step on `step_samples` samples with a mean loss of `loss`.
  void add(double loss, std::uint64_t step_samples, std::uint64_t step_correct,
           std::uint64_t step_us) {
    loss_sum += loss * static_cast<double>(step_samples);
    samples += step_samples;
    correct += step_correct;
    server_us += step_us;
  }
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("loss_sum", self.loss_sum);
    f("samples", self.samples);
    f("correct", self.correct);
    f("server_us", self.server_us);
    f.later("update_us", self.update_us);
  }
};

struct TurnReport {
  std::uint32_t turn = 0, round = 0, device = 0;
  std::string device_name;
  std::uint64_t samples = 0;  ///< of the device
  std::uint64_t first_step = 0;
  std::uint64_t steps = 0;  ///< of the turn; 0: the device has not accepted it yet
  bool skipped = false;     ///< ended early
  std::string skip_reason;  ///< why
  bool cached = false;      ///< nothing was asked of the device
  std::vector<EpochTally> epochs;
  std::vector<net::EpochCost> costs;  ///< the device's

  /// Of a step of the turn, from 0, once it is known how many it has.
  std::size_t epoch_of(std::uint64_t turn_step) const {
    return static_cast<std::size_t>(turn_step / (steps / epochs.size()));
  }

  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("turn", self.turn);
    f("round", self.round);
    f("device", self.device);
    f("device_name", self.device_name);
    f("samples", self.samples);
    f("first_step", self.first_step);
    f("steps", self.steps);
    f("epochs", self.epochs);
    f("costs", self.costs);
    f.later("cached", self.cached);
    f.later("skipped", self.skipped);
    f.later("skip_reason", self.skip_reason);
  }
};

/// The books of turn `turn`, which begins after `first_step` steps of the run, still empty.
inline TurnReport begin_report(const TurnOrder& order, std::uint64_t turn, std::size_t epochs,
                               std::uint64_t first_step) {
  TurnReport out;
  out.turn = static_cast<std::uint32_t>(turn);
  out.round = static_cast<std::uint32_t>(order.round_of(turn));
  out.device = order.device_of(turn);
  out.first_step = first_step;
  out.epochs.resize(epochs);
  out.costs.resize(epochs);
  return out;
}

/// A committed state of the run: what a server that starts again, or a device that has lost its
/// state, goes back to. Barrier 0 is the beginning.
struct BarrierRecord {
  std::uint64_t id = 0;
  std::uint64_t step = 0;  ///< last applied
  TurnReport report;       ///< of the turn that the barrier lies in

  /// A turn that is skipped has a barrier with method fedavg alone, at its end.
  bool turn_complete() const {
    return report.skipped || (report.steps != 0 && step == report.first_step + report.steps);
  }
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("id", self.id);
    f("step", self.step);
    f("turn", self.report);
  }
};

}  // namespace split
IOTSL_NAMESPACE_END
