#pragma once
// A server's run: the back or the averaged net, the books, and the actions of ServerMachine. How
// bytes move is the transport's affair.

#include <unistd.h>

#include <memory>
#include <optional>

#include "iotsl/core/failpoint.hpp"
#include "iotsl/split/records/turn_recorder.hpp"
#include "iotsl/split/server/attendance.hpp"
#include "iotsl/split/server/farewells.hpp"
#include "iotsl/split/server/preparation_work.hpp"
#include "iotsl/split/server/quarantine_work.hpp"
#include "iotsl/split/server/round_models.hpp"
#include "iotsl/split/server/server_transport.hpp"
#include "iotsl/split/server/split_model.hpp"
#include "iotsl/split/server/step_work.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

class ServerRun {
 public:
  /// `expected`: what the devices' data must be, or nothing. `sets` and `transport` must outlive
  /// the run.
  static Result<std::unique_ptr<ServerRun>> create(const RunConfig& of_run, const RunHooks& hooks,
                                                   const EvaluationSets& sets,
                                                   ExpectedData expected,
                                                   ServerTransport& transport) {
    const Result<RunConfig> now = taken_up(of_run);
    if (!now) return now.failure();
    const RunConfig& config = *now;
    Result<SplitModel> model = build_split_model(config);
    if (!model) return model.failure();
    if (pools_data(config.method))
      return failure(ErrorCode::usage,
                     "--method central has no devices and needs --transport none");
    Result<ReplayMemory> replay = make_replay(config, model->front);
    if (!replay) return replay.failure();
    std::unique_ptr<ServerRun> run(
        new ServerRun(config, hooks, sets, std::move(model).value(), transport));
    run->replay_ = std::move(replay).value();
    const Result<void> opened = run->open(std::move(expected));
    if (!opened) return opened.failure();
    return run;
  }

  const WireSizes& sizes() const { return sizes_; }
  bool done() const { return done_; }
  /// Done, but only so far: the devices have been told to come back, and the run goes on where it
  /// is taken up again behind hand_on(), now with a front that is trained.
  bool goes_on_unfrozen() const { return handed_on_.has_value(); }
  /// There is a step to take that waits for no event: work() takes it.
  bool has_work() const { return !done_ && own_step_.has_value(); }
  void work() {
    const server_action::TrainCached step = *own_step_;
    own_step_.reset();
    train_cached(step);
    carry_out_all();
  }

  /// `proven`: the name that goes with the key of the peer; empty where it has shown none.
  void on_open(ConnectionId connection, std::string proven = {}) {
    IOTSL_FAILPOINT("server.connection.open");
    machine_->on_open(connection, std::move(proven));
  }
  void on_message(ConnectionId connection, net::Message message) {
    IOTSL_FAILPOINT("server.message");
    machine_->on_message(connection, std::move(message));
    carry_out_all();
  }
  void on_lost(ConnectionId connection) {
    turns_.on_lost(connection, transport_.traffic(connection));
    machine_->on_lost(connection);
    carry_out_all();
  }
  /// Looks at the clock: regular barriers, and devices that stay away. Call it often.
  void on_time(net::Microseconds now) {
    if (done_) return;
    if (turns_.seconds_since_barrier(now) >= config_.barriers.seconds) machine_->on_barrier_due();
    if (quarantine_.on_time(*machine_, recorder_, now)) carry_out_all();
    if (done_ || !attendance_.on_time(*machine_, now)) return;
    machine_->skip_turn();
    carry_out_all();
  }
  // After done(), for devices that the end of the run has not reached.

  /// A server that was started again may come to the end before the devices have found it: the run
  /// was complete, or goes on without them behind a cache.
  Farewells begin_farewells(net::Microseconds now) const {
    const bool may_be_unknown = config_.resume && !problem_ && machine_->farewell();
    const net::Microseconds found_by = began_at_ + Farewells::long_patience;
    Farewells out(now, std::max(Farewells::patience, may_be_unknown ? found_by - now : 0));
    if (!machine_->farewell()) return out;
    if (may_be_unknown && found_by > now) {
      const std::vector<std::string>& places = recorder_.numbers().places;
      for (std::size_t d = 0; d < places.size(); ++d)
        if (!places[d].empty() && !attendance_.was_here(d) && !is_put_aside(d))
          out.on_away(places[d]);
    }
    for (const DeviceRecord& device : machine_->devices())
      if (device.connection != 0) out.on_told(device.connection, device.name);
    for (std::string& name : attendance_.lost_since(*machine_, now - Farewells::patience))
      out.on_away(std::move(name));
    return out;
  }
  /// Says the farewell again to a device that comes back.
  void on_late_message(ConnectionId connection, const net::Message& message, Farewells& farewells) {
    const bool comes =
        message.type == net::MessageType::hello || message.type == net::MessageType::leave;
    if (!comes || !machine_->farewell()) return;
    const Result<net::Hello> hello = net::decode<net::Hello>(message.payload);
    transport_.send_last(connection, *machine_->farewell());
    transport_.close(connection);
    farewells.on_told(connection, hello ? hello->device : std::string());
  }

  /// Ends with an error.
  void abort(Failure why) {
    machine_->abort(std::move(why));
    carry_out_all();
  }
  /// The run has not begun within `limit`: ends with an error that names whoever came in vain.
  void give_up_gathering(net::Microseconds limit) {
    const Quarantine& quarantine = machine_->quarantine();
    abort(failure(
        ErrorCode::network, "only ", ready_devices(), " of ", wanted_devices(),
        " devices came within ", limit / net::second_us, " s", attendance_.failed_before_the_run(),
        quarantine.count() > 0 ? concat("; put aside: ", quarantine.text(), with_more_devices())
                               : std::string()));
  }
  /// Ends at the next barrier, so that the run can go on another time.
  void request_pause() {
    machine_->request_pause();
    carry_out_all();
  }
  /// The name of the device at the other end, empty where it has not joined.
  std::string_view name_of(ConnectionId connection) const {
    for (const DeviceRecord& device : machine_->devices())
      if (device.connection == connection) return device.name;
    return {};
  }
  bool gathering() const { return machine_->phase() == ServerMachine::Phase::gathering; }
  std::uint32_t ready_devices() const { return machine_->ready_devices(); }
  /// Whether the device is in quarantine.
  bool is_put_aside(std::uint64_t device) const {
    return machine_->quarantine().has(static_cast<std::uint32_t>(device));
  }
  /// Devices that the run begins with.
  std::uint32_t wanted_devices() const { return machine_->wanted_devices(); }

  /// After goes_on_unfrozen(): writes the barrier that the next session takes up, once nothing more
  /// passes, so that no byte is in neither's books. `all` as for finish(). A server that is killed
  /// ahead of it closes the books of the turn once more and comes here again.
  Result<void> hand_on(const LinkTraffic& all) {
    return recorder_.write_barrier(state(), *handed_on_, all.up, all.down, sizes_);
  }
  /// After done(): the summary, or why the run failed. `all` is the traffic of every connection.
  Result<RunSummary> finish(const LinkTraffic& all) {
    if (problem_) return *problem_;
    Result<RunSummary> summary = recorder_.finish(model_.joined, all.up, all.down, sizes_);
    if (summary && preparation_) summary->add(preparation_->preparation().record());
    if (summary) summary->quarantined = quarantine_.book().devices();
    if (summary) old_caches_.let_go(config_);
    return summary;
  }

 private:
  ServerRun(const RunConfig& config, const RunHooks& hooks, const EvaluationSets& sets,
            SplitModel model, ServerTransport& transport)
      : config_(config),
        transport_(transport),
        model_(std::move(model)),
        front_(model_.front, handed_over_optimizer(config), config.seed),
        back_(model_.back, config.training.optimizer, config.seed,
              !config.training_now().frozen_front, products_of(config.server_precision)),
        sizes_(wire_sizes_of(config, model_.front, front_.optimizer())),
        steps_(back_, replay_, caches_, sizes_, config.seed),
        recorder_(config, hooks, sets),
        quarantine_(config, hooks),
        sets_(sets),
        attendance_(config, hooks),
        turns_(recorder_, sizes_, config.devices) {
    if (averages(config.method))
      rounds_.emplace(model_.joined, static_cast<std::size_t>(config.devices));
  }

  Result<void> open(ExpectedData expected) {
    // Another number for every run, so that a message of an older one is told apart.
    const std::uint64_t number = (static_cast<std::uint64_t>(net::steady_now()) ^
                                  (static_cast<std::uint64_t>(::getpid()) << 44)) >>
                                 1;
    Result<BarrierRecord> start = recorder_.open(state(), number);
    if (!start) return start.failure();
    turns_.take_up(*start);
    const Result<void> taken_up = quarantine_.open();
    if (!taken_up) return taken_up.failure();
    if (config_.resume)
      recorder_.hooks().note(concat("going on after step ", start->step, ", barrier ", start->id));
    GeneratorsOnHand generators;
    if (has_generators(config_.method)) {
      sizes_.generator_bytes =
          generator_file_limit(config_.preparation.generator, config_.model.images);
      preparation_.emplace(config_, recorder_.hooks());
      Result<GeneratorsOnHand> opened =
          preparation_->open(quarantine_.book(), expected.fingerprints);
      if (!opened) return opened.failure();
      generators = std::move(opened).value();
    }
    if (config_.keeps_cache()) {
      caches_ = SmashedCaches(config_, sizes_, smashed_shape());
      const Result<void> kept = config_.resume ? caches_.take_up(*start) : Result<void>{};
      if (!kept) return kept.failure();
    } else if (config_.unfrozen) {
      old_caches_.keep();
    }
    Result<net::Message> front_init = describe_front(model_.front);
    if (!front_init) return front_init.failure();
    ServerPlan plan = make_plan(config_, model_.front, sizes_, recorder_.numbers());
    plan.front_init = std::move(front_init).value();
    plan.expected = std::move(expected);
    plan.keeps_barriers = recorder_.keeps_barriers();
    plan.start = std::move(start).value();
    plan.quarantined = quarantine_.book().devices();
    if (caches_.keeps_samples())
      for (std::size_t d = 0; d < static_cast<std::size_t>(config_.devices); ++d)
        plan.cached.push_back(caches_.known(d));
    machine_.emplace(std::move(plan), std::move(generators));
    machine_->start();
    carry_out_all();
    return {};
  }

  TrainingState state() {
    return {model_.joined,
            {&front_.optimizer(), &back_.optimizer()},
            rounds_ ? rounds_->parts() : replay_.parts()};
  }

  void carry_out_all() {
    const net::Microseconds now = net::steady_now();
    turns_.set_waiting(machine_->missing_holder().has_value(), now);
    attendance_.on_event(*machine_, now);
    if (!gathering()) keep_places();
    for (std::uint32_t i = 0; i < machine_->devices().size(); ++i)
      if (const ConnectionId connection = machine_->devices()[i].connection; connection != 0)
        turns_.on_connected(connection, i);
    do carry_out_actions();
    while (finish_step());
  }
  /// So that a server that starts again gives every device the place that it had.
  void keep_places() {
    std::vector<std::string> names;
    for (const DeviceRecord& device : machine_->devices()) names.push_back(device.name);
    const Result<void> written = recorder_.keep_places(std::move(names));
    if (!written) machine_->abort(written.failure());
  }
  void carry_out_actions() {
    ServerAction action;
    while (!done_ && machine_->pop(action))
      std::visit([this](auto& each) { carry_out(each); }, action);
  }

  void carry_out(server_action::Send& action) {
    if (action.is_last)
      transport_.send_last(action.connection, std::move(action.message));
    else
      transport_.send(action.connection, std::move(action.message));
  }
  void carry_out(server_action::Close& action) {
    // Booked now: the turn may end before the network says that the connection is gone.
    turns_.on_lost(action.connection, transport_.traffic(action.connection));
    transport_.close(action.connection);
  }

  void carry_out(server_action::StoreGenerator& action) { preparation_->store(*machine_, action); }
  void carry_out(server_action::Prepare&) {
    const std::vector<DeviceRecord>& devices = machine_->devices();
    const Result<bool> done = preparation_->prepare(devices, model_.joined, sets_, caches_);
    if (done && !*done) return machine_->request_pause();
    Result<void> ready = done ? Result<void>{} : Result<void>(done.failure());
    // Later barriers hold weights that are trained further.
    if (ready && machine_->committed().id == 0) {
      ready = preparation_->load_pretrained(model_.joined);
      const LinkTraffic all = transport_.total();
      if (ready) ready = recorder_.write_barrier(state(), {}, all.up, all.down, sizes_);
    }
    if (ready) ready = preparation_->reserve(devices, caches_);
    IOTSL_FAILPOINT("server.prepare.done");
    machine_->on_prepared(ready, preparation_->preparation().orders());
  }
  void carry_out(server_action::Impute& action) {
    const Result<void> sent = preparation_->send_imputation(transport_, action);
    if (!sent) machine_->abort(sent.failure());
  }

  void carry_out(server_action::Grant& action) {
    net::TurnGrant& grant = action.grant;
    const Result<void> written = recorder_.on_grant(action.incarnation, grant.key.fence);
    if (!written) return machine_->abort(written.failure());
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

  void carry_out(server_action::Train& action) {
    IOTSL_FAILPOINT("server.step.received");
    const Result<Tensor<float>> smashed = steps_.decode(action.step, smashed_shape());
    if (!smashed) return machine_->on_step_refused(smashed.failure());
    machine_->on_trained(
        steps_.answer(std::move(action), *smashed, machine_->turns()->report().device));
  }
  /// What is left of a step whose device has been sent its gradient, and works on meanwhile. It is
  /// done before the next message is looked at, so that the run's state never lies between the two:
  /// a barrier holds whole steps, and a server that is killed here goes back to its last one. False
  /// where there is none.
  bool finish_step() {
    if (!steps_.has_rest() || done_) return false;
    IOTSL_FAILPOINT("server.step.answered");
    const TurnReport& turn = machine_->turns()->report();
    const Result<StepWork::Finished> done = steps_.finish(turn);
    if (!done) {
      machine_->on_step_failed(done.failure());
      return true;
    }
    machine_->on_step_finished(done->took_us);
    IOTSL_FAILPOINT("server.step.finished");
    recorder_.on_step(turn, done->batch, done->samples, done->loss);
    return true;
  }

  void carry_out(server_action::BeginCached& action) {
    back_.optimizer().set_learning_rate(action.learning_rate);
    if (action.done_steps == 0) back_.optimizer().consolidate();
    turns_.begin_turn(action.turn);
  }
  /// Left for work(), so that events are looked at in between.
  void carry_out(server_action::TrainCached& action) { own_step_ = action; }
  void train_cached(const server_action::TrainCached& action) {
    std::uint64_t samples = 0;
    Result<TrainedStep> out = steps_.train_cached(action, samples);
    if (out) recorder_.on_step(machine_->turns()->report(), action.batch, samples, out->loss);
    machine_->on_trained(std::move(out));
  }

  void carry_out(server_action::Store& action) {
    IOTSL_FAILPOINT("server.barrier.received");
    const TurnReport& turn = action.barrier.report;
    const bool keeps = action.ack && caches_.keeps_samples();
    if (action.ack) {
      const Result<void> good = front_.load(action.ack->front, action.barrier.step);
      if (!good) return machine_->on_front_refused(good.failure());
    }
    Result<void> done = keeps ? caches_.sync(turn.device) : Result<void>{};
    if (done)
      done = turns_.write_barrier(state(), action.barrier, traffic_of(turn.device),
                                  transport_.total());
    if (done && keeps && action.barrier.turn_complete()) {
      done = caches_.close(turn.device);
      if (done)
        recorder_.hooks().note(concat("all ", turn.samples, " samples of ", turn.device_name,
                                      " are here: it may be switched off",
                                      config_.unfreeze_on_plateau > 0 ? ", until a plateau" : ""));
    }
    IOTSL_FAILPOINT("server.barrier.written");
    if (done) old_caches_.let_go(config_);
    machine_->on_stored(done);
  }

  void carry_out(server_action::SendModel& action) {
    net::GlobalModel& global = action.global;
    const Result<void> written =
        recorder_.on_grant(action.incarnation, global.key.fence, global.round);
    if (!written) return machine_->abort(written.failure());
    if (!turns_.in_turn()) turns_.begin_turn(machine_->rounds()->turn());
    global.model = front_.state();
    transport_.send(action.connection, net::make_message(global));
  }
  void carry_out(server_action::KeepModel& action) {
    IOTSL_FAILPOINT("server.model.received");
    const Result<void> kept = rounds_->keep(action);
    machine_->on_model_kept(action.connection, kept);
  }
  void carry_out(server_action::AverageModel& action) {
    rounds_->average(action);
    IOTSL_FAILPOINT("server.model.averaged");
    machine_->on_stored(turns_.write_barrier(
        state(), action.barrier, traffic_of(action.barrier.report.device), transport_.total()));
  }

  void carry_out(server_action::PutAside& action) {
    const Result<void> written = quarantine_.carry_out(action, *machine_);
    if (!written) machine_->abort(written.failure());
  }
  void carry_out(server_action::PlaceTaken& action) {
    const Result<void> written = quarantine_.carry_out(action, *machine_);
    if (!written) machine_->abort(written.failure());
  }
  void carry_out(server_action::Leave& action) {
    IOTSL_FAILPOINT("server.leave");
    const Result<void> written = quarantine_.carry_out(action, *machine_, recorder_);
    if (!written) machine_->abort(written.failure());
  }
  void carry_out(server_action::SentAway& action) {
    attendance_.on_sent_away(action, *machine_, net::steady_now());
  }

  void carry_out(server_action::RollBack& action) {
    IOTSL_FAILPOINT("server.roll_back");
    recorder_.hooks().note(concat(action.why, "; back to step ", action.step));
    machine_->on_rolled_back(recorder_.roll_back(state(), action.barrier));
  }

  void carry_out(server_action::Report& action) {
    const TurnReport& turn = action.report;
    IOTSL_FAILPOINT("server.turn.report");
    const Result<void> written = turns_.end_turn(turn, traffic_of(turn.device), model_.joined);
    if (!written) return machine_->abort(written.failure());
    const bool goes_on = machine_->phase() != ServerMachine::Phase::ended;
    if (goes_on && recorder_.is_on_plateau()) return unfreeze(turn);
    // The devices of a round work at the same time: a turn is what is left behind the one before.
    if (rounds_ && !gathering()) turns_.begin_turn(turn.turn + std::uint64_t{1});
  }

  /// Ends what goes on behind a frozen front. The optimisers begin anew, that of the back too, as
  /// one for the whole net would.
  void unfreeze(const TurnReport& turn) {
    front_.optimizer().restart();
    back_.optimizer().restart();
    recorder_.on_unfrozen();
    const BarrierRecord& last = machine_->committed();
    handed_on_ = BarrierRecord{last.id + 1, last.step,
                               begin_report(config_.turn_order(), turn.turn + std::uint64_t{1},
                                            turn.epochs.size(), last.step)};
    machine_->interrupt();
  }

  void carry_out(server_action::Finish&) { done_ = true; }
  void carry_out(server_action::Pause&) { fail(recorder_.stopped(machine_->committed().step)); }
  void carry_out(server_action::Fail& action) {
    if (!machine_->quarantine().check(machine_->missing_devices()))
      action.problem.message += with_more_devices();
    fail(std::move(action.problem));
  }
  /// How a run goes on that has too few devices, where it can.
  std::string with_more_devices() const {
    if (!recorder_.keeps_barriers()) return {};
    return concat("; release a device: ", release_command("NAME", config_.out), ", and go on ",
                  recorder_.how_to_go_on());
  }
  void fail(Failure why) {
    done_ = true;
    problem_ = std::move(why);
  }

  /// What has passed over the device's connection; nothing where it has none.
  LinkTraffic traffic_of(std::uint32_t device) {
    const ConnectionId connection = machine_->devices()[device].connection;
    return connection == 0 ? LinkTraffic{} : transport_.traffic(connection);
  }
  Shape smashed_shape() const {
    return model_.front.output_shape(sample_shape(config_.model)).value();
  }

  RunConfig config_;
  ServerTransport& transport_;
  SplitModel model_;
  FrontHalf front_;  // never runs forward: holds what the devices hand over
  BackHalf back_;
  ReplayMemory replay_;
  SmashedCaches caches_;  // of method cache
  OldCaches old_caches_;
  std::optional<RoundModels> rounds_;  // of method fedavg
  std::optional<server_action::TrainCached> own_step_;
  WireSizes sizes_;
  StepWork steps_;
  RunRecorder recorder_;
  QuarantineWork quarantine_;
  EvaluationSets sets_;
  std::optional<PreparationWork> preparation_;  // of a method with generators
  std::optional<ServerMachine> machine_;
  Attendance attendance_;
  TurnRecorder turns_;
  net::Microseconds began_at_ = net::steady_now();
  bool done_ = false;
  std::optional<BarrierRecord> handed_on_;  // what the next session begins with
  std::optional<Failure> problem_;          // why the run is done before its end
};

}  // namespace split
IOTSL_NAMESPACE_END
