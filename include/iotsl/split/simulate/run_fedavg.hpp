#pragma once
// A run of federated averaging in one process, one device after the other: the order in which
// devices of a round train does not matter, since all of them begin with the same weights.

#include "iotsl/split/records/turn_recorder.hpp"
#include "iotsl/split/server/split_model.hpp"
#include "iotsl/split/simulate/fedavg.hpp"
#include "iotsl/split/simulate/memory_wire.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

namespace detail {

/// Both ends of a device's connection, in memory, as they stand after a handshake.
class FedavgLink {
 public:
  FedavgLink(std::uint64_t run, std::size_t limit) {
    for (net::Link* end : {&server_, &device_}) {
      end->set_transfer_limit(net::MessageType::global_model, limit);
      end->set_transfer_limit(net::MessageType::local_model, limit);
    }
    server_.send_fields(net::JoinOk{run});
  }

  /// Sends `fields` to the other side; what arrives there is valid until the next message.
  template <class M>
  Result<M> pass(const M& fields, bool up) {
    net::Link &from = up ? device_ : server_, &to = up ? server_ : device_;
    from.send_fields(fields);
    for (;;) {
      const Result<std::size_t> moved = move_bytes(from, to);
      if (!moved) return moved.failure();
      if (!to.pop(message_)) return failure(ErrorCode::network, M::name, " did not arrive");
      if (message_.type == M::type) return net::decode<M>(message_.payload);  // else JOIN_OK
    }
  }
  LinkTraffic traffic() const { return {server_.traffic_in(), server_.traffic_out()}; }

 private:
  net::Link server_{net::LinkOptions{.server = true, .timers = false}};
  net::Link device_{net::LinkOptions{.timers = false}};
  net::Message message_;
};

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
        sizes_(wire_sizes(averaged_, no_optimizer_, sample_shape(config.model), 1)),
        mean_(averaged_),
        recorder_(config_, hooks, sets),
        turns_(recorder_, sizes_, config.devices) {
    sizes_.smashed_values = 0;
  }

  Result<RunSummary> run(bool with_messages) {
    Result<BarrierRecord> opened = recorder_.open(state());
    if (!opened) return opened.failure();
    at_ = std::move(opened).value();
    turns_.take_up(at_);
    if (with_messages) connect();
    for (std::uint64_t turn = at_.report.turn; turn < config_.turns(); ++turn) {
      // The turn that the run is taken up in is trained: only its books are still to be closed.
      const bool trained = at_.id != 0 && turn == at_.report.turn;
      Result<void> done = trained ? Result<void>{} : run_turn(turn);
      if (done) done = turns_.end_turn(at_.report, traffic(at_.report.device), averaged_);
      if (!done) return done.failure();
    }
    const LinkTraffic all = traffic();
    return recorder_.finish(averaged_, all.up, all.down, sizes_);
  }

 private:
  void connect() {
    constexpr std::uint64_t fields = 128 + 40 * 1024;  // beside the net: an epoch takes 40 bytes
    const auto limit = static_cast<std::size_t>(sizes_.state_bytes() + fields);
    for (std::size_t d = 0; d < samples_.size(); ++d)
      links_.emplace_back(recorder_.numbers().run, limit);
  }

  /// Trains one device from the averaged weights and adds what it answers to the mean.
  Result<void> run_turn(std::uint64_t turn) {
    const auto device = static_cast<std::size_t>(turn % samples_.size());
    turns_.begin_turn(turn);
    FedavgDevice training(config_, train_, samples_[device], static_cast<Index>(device),
                          of_device_);
    TurnReport report = begin_report(
        turn, samples_.size(), static_cast<std::size_t>(config_.training.local_epochs), at_.step);
    report.device_name = concat("device-", device);
    report.samples = samples_[device].size();
    report.steps = training.steps();
    const net::GlobalModel sent = global_model(report);
    const Result<net::GlobalModel> arrived = pass(device, sent, false);
    if (!arrived) return arrived.failure();
    Result<void> done = training.begin(arrived.value());
    if (done) done = train_device(training, report);
    if (!done) return done;
    const Result<net::LocalModel> answer = pass(device, training.finish(), true);
    if (!answer) return answer.failure();
    done = take_over(answer.value(), sent, report);
    if (!done) return done;
    at_ = {at_.id + 1, report.first_step + report.steps, std::move(report)};
    return turns_.write_barrier(state(), at_, traffic(device), traffic());
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

  Result<void> train_device(FedavgDevice& training, const TurnReport& report) {
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
  Result<void> take_over(const net::LocalModel& answer, const net::GlobalModel& sent,
                         TurnReport& report) {
    const Result<void> good =
        check_local_model(answer, sent, report.samples, report.steps, report.epochs.size());
    if (!good) return good;
    mean_.add(answer.model, answer.samples);
    for (std::size_t e = 0; e < report.epochs.size(); ++e) {
      const net::EpochResult& seen = answer.results[e];
      report.epochs[e] = {seen.loss_sum, seen.samples, seen.correct, 0};
      report.costs[e] = answer.costs[e];
    }
    if (report.device + std::size_t{1} == samples_.size()) mean_.store(averaged_);
    return {};
  }

  /// `fields` as the other side has them, which is in memory at once where there are no messages.
  template <class M>
  Result<M> pass(std::size_t device, const M& fields, bool up) {
    return links_.empty() ? Result<M>(fields) : links_[device].pass(fields, up);
  }
  LinkTraffic traffic(std::size_t device) const {
    return links_.empty() ? LinkTraffic{} : links_[device].traffic();
  }
  LinkTraffic traffic() const {
    LinkTraffic all;
    for (const FedavgLink& link : links_) {
      all.up += link.traffic().up;
      all.down += link.traffic().down;
    }
    return all;
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
  std::vector<FedavgLink> links_;  // of each device; empty: without messages
  BarrierRecord at_;               // the last one
};

}  // namespace detail

/// Runs `config` (method fedavg) with one device for each list of sample numbers in `samples`.
/// Every round all of them train `local_epochs` epochs from the same weights; the next weights are
/// the mean. A round is as many device epochs as with split learning, and the test accuracy is that
/// of the mean. `with_messages`: the nets pass as LOCAL_MODEL and GLOBAL_MODEL, and their bytes are
/// counted; without, the same numbers come from the same functions.
inline Result<RunSummary> run_fedavg(const RunConfig& config, const RunHooks& hooks,
                                     const data::Dataset& train, const EvaluationSets& sets,
                                     const std::vector<std::vector<Index>>& samples,
                                     bool with_messages) {
  if (static_cast<Index>(samples.size()) != config.devices)
    return failure(ErrorCode::usage, "--devices ", config.devices, ", but the partition has ",
                   samples.size());
  RunConfig run = config;
  // Between two means there is nothing to test.
  const Index in_round = run.devices * run.training.local_epochs;
  run.training.eval_every = (run.training.eval_every + in_round - 1) / in_round * in_round;
  Result<SplitModel> averaged = build_split_model(run), of_device = build_split_model(run);
  if (!averaged) return averaged.failure();
  if (!of_device) return of_device.failure();
  return detail::FedavgRun(run, hooks, train, sets, samples, std::move(averaged).value(),
                           std::move(of_device).value())
      .run(with_messages);
}

}  // namespace split
IOTSL_NAMESPACE_END
