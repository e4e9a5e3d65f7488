#pragma once
// Where a run of turns stands: the turn in hand and its books, the last applied step, and the last
// barrier on the disk, which it can go back to.

#include "iotsl/split/protocol/server/server_actions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class TurnProgress {
 public:
  /// Behind the plan's start. `plan` must outlive this.
  explicit TurnProgress(const ServerPlan& plan)
      : plan_(plan),
        committed_(plan.start),
        turn_(std::uint64_t{plan.start.report.turn} + (plan.start.turn_complete() ? 1 : 0)),
        step_(plan.start.step),
        report_(at_barrier()) {}

  std::uint64_t turn() const { return turn_; }
  /// Of the turn in hand.
  TurnReport& report() { return report_; }
  const TurnReport& report() const { return report_; }
  /// The last barrier that is on the disk.
  const BarrierRecord& committed() const { return committed_; }
  /// The last applied step, and how many of the turn are.
  std::uint64_t step() const { return step_; }
  std::uint64_t turn_step() const { return step_ - report_.first_step; }
  /// Steps that were applied since the last barrier.
  std::uint64_t ahead() const { return step_ - committed_.step; }
  bool at_end() const { return report_.steps != 0 && turn_step() == report_.steps; }

  /// The turn is granted to a device with so many samples.
  net::TurnGrant grant(const net::TurnKey& key, const std::string& device_name,
                       std::uint64_t samples) {
    report_.device_name = device_name;
    report_.samples = samples;
    granted_costs_ = report_.costs;
    net::TurnGrant out;
    out.key = key;
    out.round = report_.round;
    out.first_step = report_.first_step;
    out.done_steps = turn_step();
    out.order_seed = plan_.offer.description.seed;
    out.learning_rate = learning_rate();
    return out;
  }
  double learning_rate() const { return plan_.rates.of(turn_); }
  /// One step is applied.
  void add(const TrainedStep& trained, std::uint64_t samples) {
    report_.epochs[report_.epoch_of(turn_step())].add(trained.loss, samples, trained.correct,
                                                      trained.server_us);
    ++step_;
  }
  /// What was left of the last step has taken so long.
  void add_update(std::uint64_t took_us) {
    report_.epochs[report_.epoch_of(turn_step() - 1)].update_us += took_us;
  }
  /// The device stands at `step`, and this is what the turn has cost it since the grant.
  void reach(std::uint64_t step, const std::vector<net::EpochCost>& costs) {
    step_ = step;
    for (std::size_t i = 0; i < report_.costs.size(); ++i)
      report_.costs[i] = net::add_costs(granted_costs_[i], costs[i]);
  }

  /// The barrier at which the run stands.
  BarrierRecord barrier(std::uint64_t id) const { return {id, step_, report_}; }
  /// That barrier is on the disk.
  void commit(std::uint64_t id) { committed_ = barrier(id); }
  void go_back() {
    step_ = committed_.step;
    report_ = at_barrier();
  }

  void skip(std::string why, const std::string& device_name) {
    report_.skipped = true;
    report_.skip_reason = std::move(why);
    report_.device_name = device_name;
  }
  /// Goes on to the next turn; false where there is none.
  bool next() {
    if (++turn_ == plan_.turns) return false;
    report_ = fresh();
    return true;
  }

 private:
  TurnReport fresh() const {
    return begin_report(plan_.order, turn_,
                        static_cast<std::size_t>(plan_.offer.description.training.local_epochs),
                        step_);
  }
  /// The books of turn_ as the last barrier has them.
  TurnReport at_barrier() const {
    const bool lies_in_turn =
        committed_.id != 0 && committed_.report.turn == turn_ && !committed_.turn_complete();
    return lies_in_turn ? committed_.report : fresh();
  }

  const ServerPlan& plan_;
  BarrierRecord committed_;
  std::uint64_t turn_;
  std::uint64_t step_;
  TurnReport report_;
  std::vector<net::EpochCost> granted_costs_;  // of the turn, up to the grant
};

}  // namespace split
IOTSL_NAMESPACE_END
