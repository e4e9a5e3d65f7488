#pragma once
// What the machine asks for while turns, or rounds of nets, go on: the server's half is trained and
// its barriers are written.

#include <map>
#include <optional>

#include "iotsl/core/failpoint.hpp"
#include "iotsl/net/link/transfer_size.hpp"
#include "iotsl/split/protocol/server/server_machine.hpp"
#include "iotsl/split/records/turn_recorder.hpp"
#include "iotsl/split/server/round_models.hpp"
#include "iotsl/split/server/server_transport.hpp"
#include "iotsl/split/server/split_model.hpp"
#include "iotsl/split/server/step_work.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class TurnWork {
 public:
  /// All that is referred to must outlive this.
  TurnWork(const RunConfig& config, SplitModel model, ReplayMemory replay, RunRecorder& recorder,
           ServerTransport& transport)
      : config_(config),
        transport_(transport),
        recorder_(recorder),
        model_(std::move(model)),
        front_(model_.front, handed_over_optimizer(config), config.seed),
        back_(model_.back, config.training.optimizer, config.seed,
              !config.training_now().frozen_front, products_of(config.server_precision)),
        replay_(std::move(replay)),
        sizes_(wire_sizes_of(config, model_.front, front_.optimizer())),
        steps_(back_, replay_, caches_, sizes_, config.seed),
        turns_(recorder_, sizes_, config.devices) {
    if (averages(config.method))
      rounds_.emplace(model_.joined, static_cast<std::size_t>(config.devices));
  }
  // Its parts hold on to each other.
  TurnWork(const TurnWork&) = delete;
  TurnWork& operator=(const TurnWork&) = delete;

  /// Begins at `start`, which the recorder was opened at.
  Result<void> open(const BarrierRecord& start) {
    turns_.take_up(start);
    if (config_.keeps_cache()) {
      caches_ = SmashedCaches(config_, sizes_, smashed_shape());
      return config_.resume ? caches_.take_up(start) : Result<void>{};
    }
    if (config_.unfrozen) old_caches_.keep();
    return {};
  }

  SplitModel& model() { return model_; }
  SmashedCaches& caches() { return caches_; }
  TurnRecorder& turns() { return turns_; }
  const WireSizes& sizes() const { return sizes_; }
  TrainingState state() {
    return {model_.joined,
            {&front_.optimizer(), &back_.optimizer()},
            rounds_ ? rounds_->parts() : replay_.parts()};
  }

  void carry_out(ServerMachine& machine, server_action::Grant& action) {
    net::TurnGrant& grant = action.grant;
    const Result<void> written = recorder_.on_grant(action.incarnation, grant.key.fence);
    if (!written) return machine.abort(written.failure());
    back_.optimizer().set_learning_rate(grant.learning_rate);
    if (grant.done_steps == 0) {
      // The turn before is a task that has ended. The device gets its part with the front.
      front_.optimizer().consolidate();
      back_.optimizer().consolidate();
      replay_.begin_turn(action.device);
    }
    turns_.begin_turn(grant.key.turn);
    grant.front = front_.state();
    IOTSL_FAILPOINT("server.grant.send");
    transport_.send(action.connection, net::make_message(grant));
  }

  void carry_out(ServerMachine& machine, server_action::Train& action) {
    IOTSL_FAILPOINT("server.step.received");
    const Result<Tensor<float>> smashed = steps_.decode(action.step, smashed_shape());
    if (!smashed) return machine.on_step_refused(smashed.failure());
    machine.on_trained(
        steps_.answer(std::move(action), *smashed, machine.turns()->report().device));
  }
  /// What is left of a step whose device has been sent its gradient, and works on meanwhile. It is
  /// done before the next message is looked at, so that the run's state never lies between the two:
  /// a barrier holds whole steps, and a server that is killed here goes back to its last one. False
  /// where there is none.
  bool finish_step(ServerMachine& machine) {
    if (!steps_.has_rest()) return false;
    IOTSL_FAILPOINT("server.step.answered");
    const TurnReport& turn = machine.turns()->report();
    const Result<StepWork::Finished> done = steps_.finish(turn);
    if (!done) {
      machine.on_step_failed(done.failure());
      return true;
    }
    machine.on_step_finished(done->took_us);
    IOTSL_FAILPOINT("server.step.finished");
    recorder_.on_step(turn, done->batch, done->samples, done->loss);
    return true;
  }

  void carry_out(ServerMachine&, server_action::BeginCached& action) {
    back_.optimizer().set_learning_rate(action.learning_rate);
    if (action.done_steps == 0) back_.optimizer().consolidate();
    turns_.begin_turn(action.turn);
  }
  /// Left for train_cached(), so that events are looked at in between.
  void carry_out(ServerMachine&, server_action::TrainCached& action) { own_step_ = action; }
  bool has_own_step() const { return own_step_.has_value(); }
  void train_cached(ServerMachine& machine) {
    const server_action::TrainCached action = std::exchange(own_step_, std::nullopt).value();
    std::uint64_t samples = 0;
    Result<TrainedStep> out = steps_.train_cached(action, samples);
    if (out) recorder_.on_step(machine.turns()->report(), action.batch, samples, out->loss);
    machine.on_trained(std::move(out));
  }

  void carry_out(ServerMachine& machine, server_action::Store& action) {
    IOTSL_FAILPOINT("server.barrier.received");
    const TurnReport& turn = action.barrier.report;
    const bool keeps = action.ack && caches_.keeps_samples();
    if (action.ack) {
      const Result<void> good = front_.load(action.ack->front, action.barrier.step);
      if (!good) return machine.on_front_refused(good.failure());
    }
    Result<void> done = keeps ? caches_.sync(turn.device) : Result<void>{};
    if (done) done = write_barrier(machine, action.barrier);
    if (done && keeps && action.barrier.turn_complete()) {
      done = caches_.close(turn.device);
      if (done)
        recorder_.hooks().note(concat("all ", turn.samples, " samples of ", turn.device_name,
                                      " are here: it may be switched off",
                                      config_.unfreeze_on_plateau > 0 ? ", until a plateau" : ""));
    }
    IOTSL_FAILPOINT("server.barrier.written");
    if (done) drop_old_caches();
    machine.on_stored(done);
  }

  void carry_out(ServerMachine& machine, server_action::SendModel& action) {
    net::GlobalModel& global = action.global;
    global.model = front_.state();
    net::Message message = net::make_message(global);
    model_traffic_ = net::transfer_traffic(message.type, message.payload.size(), 0);
    if (action.sent != server_action::SentBefore::no)
      return turns_.add_earlier(action.device, model_traffic_,
                                action.sent == server_action::SentBefore::counted);
    ++models_sent_[action.connection];
    const Result<void> written =
        recorder_.on_grant(action.incarnation, global.key.fence, global.round);
    if (!written) return machine.abort(written.failure());
    if (!turns_.in_turn()) turns_.begin_turn(machine.rounds()->turn());
    transport_.send(action.connection, std::move(message));
  }
  void carry_out(ServerMachine& machine, server_action::KeepModel& action) {
    IOTSL_FAILPOINT("server.model.received");
    const Result<void> kept = rounds_->keep(action);
    machine.on_model_kept(action.connection, kept);
  }
  void carry_out(ServerMachine& machine, server_action::AverageModel& action) {
    rounds_->average(action);
    IOTSL_FAILPOINT("server.model.averaged");
    machine.on_stored(write_barrier(machine, action.barrier));
  }

  void carry_out(ServerMachine& machine, server_action::RollBack& action) {
    IOTSL_FAILPOINT("server.roll_back");
    recorder_.hooks().note(concat(action.why, "; back to step ", action.step));
    machine.on_rolled_back(recorder_.roll_back(state(), action.barrier));
  }

  /// Closes the turn's books.
  Result<void> end_turn(const ServerMachine& machine, const TurnReport& turn) {
    return turns_.end_turn(turn, traffic_of(machine, turn.device), model_.joined);
  }
  /// The connection is gone, with what has passed over it.
  void on_lost(ConnectionId connection) {
    turns_.on_lost(connection, transport_.traffic(connection));
    models_sent_.erase(connection);
  }
  /// The devices of a round work at the same time: a turn is what is left behind the one before.
  void go_on_behind(const TurnReport& turn) {
    if (rounds_) turns_.begin_turn(turn.turn + std::uint64_t{1});
  }
  /// Ends what goes on behind a frozen front. The optimisers begin anew, that of the back too, as
  /// one for the whole net would.
  void unfreeze() {
    front_.optimizer().restart();
    back_.optimizer().restart();
    recorder_.on_unfrozen();
  }
  /// Samples that an unfrozen run has no need of once it has a barrier of its own.
  void drop_old_caches() { old_caches_.let_go(config_); }

 private:
  Result<void> write_barrier(const ServerMachine& machine, const BarrierRecord& barrier) {
    LinkTraffic all = transport_.total();
    all.down += uncounted_models();
    return turns_.write_barrier(state(), barrier, traffic_of(machine, barrier.report.device), all);
  }
  /// Nets of the round that were sent and that the transport, which counts up to each device's last
  /// message, has not counted yet: who takes the run up from the barrier sends them no more.
  net::Traffic uncounted_models() {
    net::Traffic out;
    for (const auto& [connection, sent] : models_sent_)
      for (std::uint64_t i =
               transport_.traffic(connection).down.of(net::MessageType::global_model).messages;
           i < sent; ++i)
        out += model_traffic_;
    return out;
  }
  /// What has passed over the device's connection; nothing where it has none.
  LinkTraffic traffic_of(const ServerMachine& machine, std::uint32_t device) {
    const ConnectionId connection = machine.devices()[device].connection;
    return connection == 0 ? LinkTraffic{} : transport_.traffic(connection);
  }
  Shape smashed_shape() const {
    return model_.front.output_shape(sample_shape(config_.model)).value();
  }

  const RunConfig& config_;
  ServerTransport& transport_;
  RunRecorder& recorder_;
  SplitModel model_;
  FrontHalf front_;  // never runs forward: holds what the devices hand over
  BackHalf back_;
  ReplayMemory replay_;
  SmashedCaches caches_;  // of method cache
  OldCaches old_caches_;
  // Of method fedavg.
  std::optional<RoundModels> rounds_;
  std::map<ConnectionId, std::uint64_t> models_sent_;
  net::Traffic model_traffic_;  // of one of them
  std::optional<server_action::TrainCached> own_step_;
  WireSizes sizes_;
  StepWork steps_;
  TurnRecorder turns_;
};

}  // namespace split
IOTSL_NAMESPACE_END
