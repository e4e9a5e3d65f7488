#pragma once
// A run of federated averaging in one process and without messages, one device after the other: the
// order in which devices of a round train does not matter, since all of them begin with the same
// weights.

#include "iotsl/split/device/local_training.hpp"
#include "iotsl/split/records/turn_recorder.hpp"
#include "iotsl/split/server/split_model.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

namespace detail {

/// A run whose averaged net and devices are all here.
class FedavgRun {
 public:
  /// The net of `of_device` is every device's in turn. The sets must outlive the run.
  FedavgRun(const RunConfig& config, const RunHooks& hooks, const data::Dataset& train,
            const EvaluationSets& sets, const std::vector<std::vector<Index>>& samples,
            SplitModel averaged, SplitModel of_device)
      : config_(config),
        hooks_(hooks),
        train_(train),
        samples_(samples),
        averaged_(std::move(averaged.joined)),
        of_device_(std::move(of_device.joined)),
        sizes_(whole_net_sizes(averaged_, sample_shape(config.model))),
        mean_(averaged_),
        recorder_(config_, hooks, sets),
        turns_(recorder_, sizes_, config.devices) {}

  Result<RunSummary> run() {
    Result<BarrierRecord> opened = recorder_.open(state());
    if (!opened) return opened.failure();
    at_ = std::move(opened).value();
    turns_.take_up(at_);
    for (std::uint64_t turn = at_.report.turn; turn < config_.turns(); ++turn) {
      // The turn that the run is taken up in is trained: only its books are still to be closed.
      const bool trained = at_.id != 0 && turn == at_.report.turn;
      Result<void> done = trained ? Result<void>{} : run_turn(turn);
      if (done) done = turns_.end_turn(at_.report, {}, averaged_);
      if (!done) return done.failure();
    }
    return recorder_.finish(averaged_, {}, {}, sizes_);
  }

 private:
  /// Trains one device from the averaged weights and adds what it answers to the mean.
  Result<void> run_turn(std::uint64_t turn) {
    TurnReport report =
        begin_report(config_.turn_order(), turn,
                     static_cast<std::size_t>(config_.training.local_epochs), at_.step);
    const std::size_t device = report.device;
    turns_.begin_turn(turn);
    LocalTraining training(config_.training, config_.seed, train_, samples_[device],
                           static_cast<Index>(device), of_device_);
    report.device_name = concat("device-", device);
    report.samples = samples_[device].size();
    report.steps = training.steps();
    Result<void> done = training.begin(global_model(report));
    if (done) done = train_device(training, report);
    if (!done) return done;
    take_over(training.finish(), report);
    at_ = {at_.id + 1, report.first_step + report.steps, std::move(report)};
    return turns_.write_barrier(state(), at_, {}, {});
  }

  net::GlobalModel global_model(const TurnReport& report) const {
    net::GlobalModel out;
    out.key = {recorder_.numbers().run, report.turn, 0};
    out.round = report.round;
    out.first_step = report.first_step;
    out.order_seed = config_.seed;
    out.learning_rate = config_.turn_rate(report.turn);
    out.model = model_state(averaged_);
    return out;
  }

  Result<void> train_device(LocalTraining& training, const TurnReport& report) {
    while (!training.done()) {
      const Result<train::StepOutcome> step = training.step();
      if (!step) return step.failure();
      recorder_.on_step(report, training.steps_done() - 1, training.last_batch(), step->loss);
      // What this device has done is lost: its training is no part of a barrier.
      if (hooks_.stop_requested()) return recorder_.stopped(at_.step);
    }
    return {};
  }

  /// Adds a device's answer to the mean, which is the averaged net's after the last of a round.
  void take_over(const net::LocalModel& answer, TurnReport& report) {
    mean_.add(answer.model, answer.samples);
    for (std::size_t e = 0; e < report.epochs.size(); ++e) {
      const net::EpochResult& seen = answer.results[e];
      report.epochs[e] = {seen.loss_sum, seen.samples, seen.correct, 0};
      report.costs[e] = answer.costs[e];
    }
    if (config_.turn_order().ends_round(report.turn)) mean_.store(averaged_);
  }

  TrainingState state() { return {averaged_, {&no_optimizer_}, mean_.parts()}; }

  RunConfig config_;
  RunHooks hooks_;
  const data::Dataset& train_;
  const std::vector<std::vector<Index>>& samples_;
  Sequential<float> averaged_, of_device_;
  Optimizer<float> no_optimizer_;  // the devices' begin anew in every round
  WireSizes sizes_;
  ModelMean mean_;
  RunRecorder recorder_;
  TurnRecorder turns_;
  BarrierRecord at_;  // the last one
};

}  // namespace detail

/// Runs `config` (method fedavg) with one device for each list of sample numbers in `samples`.
/// Every round those that take part train `local_epochs` epochs from the same weights; the next
/// weights are the mean. A round is as many device epochs as with split learning, and the test
/// accuracy is that of the mean.
inline Result<RunSummary> run_fedavg(const RunConfig& config, const RunHooks& hooks,
                                     const data::Dataset& train, const EvaluationSets& sets,
                                     const std::vector<std::vector<Index>>& samples) {
  if (static_cast<Index>(samples.size()) != config.devices)
    return failure(ErrorCode::usage, "--devices ", config.devices, ", but the partition has ",
                   samples.size());
  Result<SplitModel> averaged = build_split_model(config), of_device = build_split_model(config);
  if (!averaged) return averaged.failure();
  if (!of_device) return of_device.failure();
  return detail::FedavgRun(config, hooks, train, sets, samples, std::move(averaged).value(),
                           std::move(of_device).value())
      .run();
}

}  // namespace split
IOTSL_NAMESPACE_END
